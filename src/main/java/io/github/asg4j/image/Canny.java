// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Canny's edges (1986) as OpenCV finds them in a colour picture: Sobel derivatives of each channel, of
 * which the one with the largest gradient counts, the sum of absolute derivatives as gradient, thinning in
 * four directions, and two thresholds. In whole numbers, so its result is exact.
 */
public final class Canny {
    private static final int CHANNELS = 3;

    /** tan(22.5 degrees) and its bits behind the point, as OpenCV has it. */
    private static final int TANGENT_BITS = 15;

    private static final int TANGENT = (int) (0.41421356237309503 * (1 << TANGENT_BITS) + 0.5);

    private static final byte NONE = 0;
    private static final byte WEAK = 1;
    private static final byte EDGE = 2;

    /** Rows of derivatives and gradients that thinning looks at. */
    private static final int ROWS = 3;

    private final MemorySegment levels;
    private final int height;
    private final int width;
    private final int low;
    private final int high;

    /** By row modulo {@link #ROWS}; gradients have a column of zeros on each side. */
    private final int[][] dx;

    private final int[][] dy;
    private final int[][] gradient;
    private final byte[] marks;

    private Canny(MemorySegment levels, int height, int width, double low, double high) {
        this.levels = levels;
        this.height = height;
        this.width = width;
        this.low = (int) Math.floor(low);
        this.high = (int) Math.floor(high);
        dx = new int[ROWS][width];
        dy = new int[ROWS][width];
        gradient = new int[ROWS][width + 2];
        marks = new byte[Math.multiplyExact(height, width)];
    }

    /**
     * Replaces a picture by its edges.
     *
     * @param picture float32 [3, height, width]: levels 0..255, whole numbers; receives 1 on an edge, 0
     *     elsewhere, the same in all channels
     * @param low gradients above it go on an edge
     * @param high gradients above it begin an edge
     */
    public static void edges(
            MemorySegment picture, int height, int width, double low, double high) {
        Canny canny = new Canny(picture, height, width, low, high);
        canny.thin();
        canny.follow();
        canny.write();
    }

    /** Marks the ridges of the gradient that are above the low threshold. */
    private void thin() {
        derive(0);
        for (int y = 0; y < height; y++) {
            derive(y + 1);
            for (int x = 0; x < width; x++) {
                int here = gradient[y % ROWS][x + 1];
                if (here > low && ridge(y, x, here)) {
                    marks[y * width + x] = here > high ? EDGE : WEAK;
                }
            }
        }
    }

    private boolean ridge(int y, int x, int here) {
        int[] row = gradient[y % ROWS];
        int[] above = gradient[(y + ROWS - 1) % ROWS];
        int[] below = gradient[(y + 1) % ROWS];
        int across = dx[y % ROWS][x];
        int down = dy[y % ROWS][x];
        long flat = (long) Math.abs(across) * TANGENT;
        long steep = flat + ((long) Math.abs(across) << (TANGENT_BITS + 1));
        long slope = (long) Math.abs(down) << TANGENT_BITS;
        if (slope < flat) {
            return here > row[x] && here >= row[x + 2];
        }
        if (slope > steep) {
            return here > above[x + 1] && here >= below[x + 1];
        }
        int side = (across ^ down) < 0 ? -1 : 1;
        return here > above[x + 1 - side] && here > below[x + 1 + side];
    }

    /** Derivatives and gradients of a row; outside of the picture gradients are 0. */
    private void derive(int y) {
        int[] out = gradient[y % ROWS];
        if (y == 0) {
            java.util.Arrays.fill(gradient[ROWS - 1], 0); // above
        }
        if (y == height) {
            java.util.Arrays.fill(out, 0);
            return;
        }
        int above = Math.max(0, y - 1);
        int below = Math.min(height - 1, y + 1);
        for (int x = 0; x < width; x++) {
            int left = Math.max(0, x - 1);
            int right = Math.min(width - 1, x + 1);
            int most = -1;
            for (int c = 0; c < CHANNELS; c++) {
                int a = level(c, above, left);
                int b = level(c, above, right);
                int d = level(c, below, left);
                int e = level(c, below, right);
                int across = b - a + 2 * (level(c, y, right) - level(c, y, left)) + e - d;
                int down = d - a + 2 * (level(c, below, x) - level(c, above, x)) + e - b;
                int size = Math.abs(across) + Math.abs(down);
                if (size > most) {
                    most = size;
                    dx[y % ROWS][x] = across;
                    dy[y % ROWS][x] = down;
                }
            }
            out[x + 1] = most;
        }
    }

    private int level(int channel, int y, int x) {
        long at = ((long) channel * height + y) * width + x;
        return (int) levels.getAtIndex(ValueLayout.JAVA_FLOAT, at);
    }

    /** Makes edges of all weak ridges that touch one. */
    private void follow() {
        int[] stack = new int[marks.length];
        int size = 0;
        for (int at = 0; at < marks.length; at++) {
            if (marks[at] == EDGE) {
                stack[size++] = at;
            }
        }
        while (size > 0) {
            int at = stack[--size];
            int y = at / width;
            int x = at % width;
            for (int row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
                for (int column = Math.max(0, x - 1);
                        column <= Math.min(width - 1, x + 1);
                        column++) {
                    int next = row * width + column;
                    if (marks[next] == WEAK) {
                        marks[next] = EDGE;
                        stack[size++] = next;
                    }
                }
            }
        }
    }

    private void write() {
        for (int at = 0; at < marks.length; at++) {
            float value = marks[at] == EDGE ? 1 : NONE;
            for (int c = 0; c < CHANNELS; c++) {
                long to = (long) c * marks.length + at;
                levels.setAtIndex(ValueLayout.JAVA_FLOAT, to, value);
            }
        }
    }
}
