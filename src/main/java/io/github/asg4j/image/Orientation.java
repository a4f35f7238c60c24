// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

/**
 * Where the pixels of a stored picture belong in the upright one (EXIF 2.32, tag 0x0112).
 *
 * @param width of the upright picture, pixels
 * @param height of the upright picture, pixels
 * @param origin index of the upright pixel that the first stored pixel is
 * @param right from one stored pixel of a row to the next, a step of that index
 * @param down from one stored row to the next, a step of that index
 */
record Orientation(int width, int height, long origin, long right, long down) {
    /**
     * An orientation.
     *
     * @param value 1 to 8
     * @param width of the stored picture, pixels
     * @param height of the stored picture, pixels
     */
    static Orientation of(int value, int width, int height) {
        long w = value < 5 ? width : height;
        long h = value < 5 ? height : width;
        long last = w * h - 1;
        return switch (value) {
            case 1 -> upright(w, h, 0, 1, w);
            case 2 -> upright(w, h, w - 1, -1, w);
            case 3 -> upright(w, h, last, -1, -w);
            case 4 -> upright(w, h, last - w + 1, 1, -w);
            case 5 -> upright(w, h, 0, w, 1);
            case 6 -> upright(w, h, w - 1, w, -1);
            case 7 -> upright(w, h, last, -w, -1);
            case 8 -> upright(w, h, last - w + 1, -w, 1);
            default -> throw new IllegalArgumentException("orientation " + value);
        };
    }

    private static Orientation upright(long w, long h, long origin, long right, long down) {
        return new Orientation((int) w, (int) h, origin, right, down);
    }

    /** Index, row by row, of the upright pixel that a stored pixel is. */
    long index(int x, int y) {
        return origin + x * right + y * down;
    }
}
