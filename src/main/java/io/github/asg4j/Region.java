// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A part of the picture with a prompt of its own: windows of which more than half lies in it are
 * conditioned on that prompt.
 *
 * @param x left border, pixels of the picture
 * @param y upper border, pixels of the picture
 * @param width pixels, at least 1
 * @param height pixels, at least 1
 * @param prompt what to draw there, in the syntax of the request's prompts
 */
public record Region(int x, int y, int width, int height, String prompt) {
    private static final Pattern FORM =
            Pattern.compile(
                    "\\s*(\\d+)\\s*,\\s*(\\d+)\\s*,\\s*(\\d+)\\s*,\\s*(\\d+)\\s*:\\s*(.*)",
                    Pattern.DOTALL);

    public Region {
        if (x < 0 || y < 0 || width < 1 || height < 1) {
            throw new BadRequestException(
                    "a region of "
                            + width
                            + "x"
                            + height
                            + " pixels at "
                            + x
                            + ","
                            + y
                            + " is no box of the picture: give left and upper border, width and"
                            + " height, as in 0,0,128,256");
        }
        if (prompt.isBlank()) {
            throw new BadRequestException(
                    "a region has no prompt: say what to draw there, as in \"0,0,128,256: a red"
                            + " ball\"");
        }
    }

    /**
     * Reads "X,Y,W,H: prompt".
     *
     * @throws BadRequestException if it is no such text
     */
    public static Region parse(String text) {
        Matcher form = FORM.matcher(text);
        if (!form.matches()) {
            throw wrong(text);
        }
        try {
            return new Region(
                    Integer.parseInt(form.group(1)),
                    Integer.parseInt(form.group(2)),
                    Integer.parseInt(form.group(3)),
                    Integer.parseInt(form.group(4)),
                    form.group(5).strip());
        } catch (NumberFormatException e) {
            throw wrong(text);
        }
    }

    private static BadRequestException wrong(String text) {
        return new BadRequestException(
                "'"
                        + text
                        + "' is not X,Y,W,H: prompt, in pixels, as in \"0,0,128,256: a red ball\"");
    }

    /** As {@link #parse} reads it. */
    @Override
    public String toString() {
        return x + "," + y + "," + width + "," + height + ": " + prompt;
    }
}
