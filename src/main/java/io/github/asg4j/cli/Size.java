// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.OutOfMemoryException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Width and height in pixels, each at least 1. */
record Size(int width, int height) {
    private static final Pattern FORM = Pattern.compile("([0-9]+)[xX]([0-9]+)");

    /** More digits than that are more than {@link Integer#MAX_VALUE}. */
    private static final int MAX_DIGITS = 10;

    /**
     * Reads "256x192".
     *
     * @throws IllegalArgumentException if it is no size; the message says why
     * @throws OutOfMemoryException if no machine has the memory for it
     */
    static Size parse(String text) {
        Matcher matcher = FORM.matcher(text.strip());
        if (!matcher.matches()) {
            throw new IllegalArgumentException(
                    "'" + text + "' is no size: give width x height in pixels, as in 256x192");
        }
        long width = pixels(matcher.group(1));
        long height = pixels(matcher.group(2));
        if (width == 0 || height == 0) {
            throw new IllegalArgumentException(
                    "'" + text + "' has no pixels: both sides have to be at least 1, as in 256x192");
        }
        if (width > Integer.MAX_VALUE || height > Integer.MAX_VALUE) {
            throw new OutOfMemoryException(
                    "size " + text + " is beyond the memory of any machine, a side has at most "
                            + Integer.MAX_VALUE + " pixels: draw a smaller picture");
        }
        return new Size((int) width, (int) height);
    }

    private static long pixels(String digits) {
        String significant = digits.replaceFirst("^0+(?=.)", "");
        return significant.length() > MAX_DIGITS ? Long.MAX_VALUE : Long.parseLong(significant);
    }
}
