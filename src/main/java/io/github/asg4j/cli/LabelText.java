// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import java.util.List;
import java.util.Map;

/**
 * Labels of a grid in a font of its own, of 5 x 7 dots: Java's fonts are those of the machine, and another
 * one would draw other bytes, or none. Lines are as wide as a picture; what is longer is broken.
 *
 * @param width of a picture, pixels
 * @param scale pixels of a dot
 * @param lines of the longest label; 0: there are no labels
 */
record LabelText(int width, int scale, int lines) {
    /** Dots from one character to the next, and from one line to the next. */
    private static final int ADVANCE = 6;

    private static final int LINE = 9;

    /** Dots above the first line and below the last one. */
    private static final int MARGIN = 2;

    /** A picture that is wider has larger letters, as long as they fit. */
    private static final int PIXELS_OF_SCALE = 128;

    /** Rows from the top, of five bits each, the left dot first. */
    private static final Map<Character, int[]> GLYPHS =
            Map.ofEntries(
                    Map.entry('0', new int[] {14, 17, 19, 21, 25, 17, 14}),
                    Map.entry('1', new int[] {4, 12, 4, 4, 4, 4, 14}),
                    Map.entry('2', new int[] {14, 17, 1, 2, 4, 8, 31}),
                    Map.entry('3', new int[] {31, 2, 4, 2, 1, 17, 14}),
                    Map.entry('4', new int[] {2, 6, 10, 18, 31, 2, 2}),
                    Map.entry('5', new int[] {31, 16, 30, 1, 1, 17, 14}),
                    Map.entry('6', new int[] {6, 8, 16, 30, 17, 17, 14}),
                    Map.entry('7', new int[] {31, 1, 2, 4, 8, 8, 8}),
                    Map.entry('8', new int[] {14, 17, 17, 14, 17, 17, 14}),
                    Map.entry('9', new int[] {14, 17, 17, 15, 1, 2, 12}),
                    Map.entry('a', new int[] {0, 0, 14, 1, 15, 17, 15}),
                    Map.entry('d', new int[] {1, 1, 13, 19, 17, 17, 15}),
                    Map.entry('e', new int[] {0, 0, 14, 17, 31, 16, 14}),
                    Map.entry('i', new int[] {4, 0, 12, 4, 4, 4, 14}),
                    Map.entry('n', new int[] {0, 0, 22, 25, 17, 17, 17}),
                    Map.entry('o', new int[] {0, 0, 14, 17, 17, 17, 14}),
                    Map.entry('r', new int[] {0, 0, 22, 25, 16, 16, 16}),
                    Map.entry('s', new int[] {0, 0, 14, 16, 14, 1, 30}),
                    Map.entry('t', new int[] {8, 8, 28, 8, 8, 9, 6}),
                    Map.entry('v', new int[] {0, 0, 17, 17, 17, 10, 4}),
                    Map.entry(' ', new int[7]));

    /**
     * Sets labels as large as they fit.
     *
     * @param labels of digits and the letters of "seed" and "variation"; empty: none
     * @param width of a picture, pixels
     */
    static LabelText of(List<String> labels, int width) {
        int longest = labels.stream().mapToInt(String::length).max().orElse(0);
        int scale = Math.max(1, width / PIXELS_OF_SCALE);
        while (scale > 1 && longest > perLine(width, scale)) {
            scale--;
        }
        return new LabelText(width, scale, Math.ceilDiv(longest, perLine(width, scale)));
    }

    private static int perLine(int width, int scale) {
        return Math.max(1, (width / scale - 2 * MARGIN + 1) / ADVANCE);
    }

    /** Pixels above each picture. */
    int height() {
        return lines == 0 ? 0 : scale * (lines * LINE - 2 + 2 * MARGIN);
    }

    /**
     * Whether a pixel of the strip above a picture is black.
     *
     * @param x from the left
     * @param y from the top
     */
    boolean isInk(String label, int x, int y) {
        int column = x / scale - MARGIN;
        int row = y / scale - MARGIN;
        int perLine = perLine(width, scale);
        int at = row / LINE * perLine + column / ADVANCE;
        if (column < 0
                || row < 0
                || column / ADVANCE >= perLine
                || column % ADVANCE >= ADVANCE - 1
                || row % LINE >= 7
                || at >= label.length()) {
            return false;
        }
        int[] glyph = GLYPHS.get(label.charAt(at));
        if (glyph == null) {
            throw new IllegalArgumentException("no letter '" + label.charAt(at) + "'");
        }
        return (glyph[row % LINE] >> (ADVANCE - 2 - column % ADVANCE) & 1) == 1;
    }
}
