// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Width and height, in pixels where nothing else is said. */
public record Size(int width, int height) {
    private static final Pattern FORM = Pattern.compile("([0-9]+)[xX]([0-9]+)");

    /** A picture is one array of RGB8. */
    private static final long MAX_PIXELS = Integer.MAX_VALUE / 3;

    /** More digits than that are more than {@link #MAX_PIXELS}. */
    private static final int MAX_DIGITS = 9;

    /**
     * Reads "256x192".
     *
     * @throws BadRequestException if it is no size; the message says why
     * @throws OutOfMemoryException if it is more than a picture can have, whatever the machine
     */
    public static Size parse(String text) {
        Matcher matcher = FORM.matcher(text.strip());
        if (!matcher.matches()) {
            throw new BadRequestException(
                    "'" + text + "' is no size: give width x height in pixels, as in 256x192");
        }
        long width = pixels(matcher.group(1));
        long height = pixels(matcher.group(2));
        if (width == 0 || height == 0) {
            throw new BadRequestException(
                    "'"
                            + text
                            + "' has no pixels: both sides have to be at least 1, as in 256x192");
        }
        if (width > MAX_PIXELS || height > MAX_PIXELS || width * height > MAX_PIXELS) {
            throw new OutOfMemoryException(
                    "size "
                            + text
                            + " is too large: a picture has at most "
                            + MAX_PIXELS
                            + " pixels, as in 26754x26754; draw a smaller one");
        }
        return new Size((int) width, (int) height);
    }

    private static long pixels(String digits) {
        String significant = digits.replaceFirst("^0+(?=.)", "");
        return significant.length() > MAX_DIGITS ? MAX_PIXELS + 1 : Long.parseLong(significant);
    }
}
