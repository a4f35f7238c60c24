// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;

/** Which pixels of a picture belong to its object. Immutable. */
final class Mask {
    private final int width;
    private final int height;
    private final BitSet set;

    private Mask(int width, int height, BitSet set) {
        this.width = width;
        this.height = height;
        this.set = set;
    }

    /** Makes the mask of the pixels {@code set}, row-major. */
    static Mask of(int width, int height, BitSet set) {
        return new Mask(width, height, (BitSet) set.clone());
    }

    /**
     * Pixels that touch, be it by a corner.
     *
     * @param pixels how many
     * @param mean of their values
     * @param top of the box around them
     * @param left of the box
     * @param bottom of the box, left out
     * @param right of the box, left out
     */
    record Component(int pixels, double mean, int top, int left, int bottom, int right) {
        /** Width over height of the box. */
        double aspect() {
            return (double) (right - left) / (bottom - top);
        }
    }

    int width() {
        return width;
    }

    int height() {
        return height;
    }

    int pixels() {
        return width * height;
    }

    int count() {
        return set.cardinality();
    }

    boolean at(int y, int x) {
        return y >= 0 && y < height && x >= 0 && x < width && set.get(y * width + x);
    }

    /** Pixels from which no path of free pixels, edge by edge, leads to the border are filled. */
    Mask filled() {
        BitSet outside = new BitSet(pixels());
        Deque<Integer> open = new ArrayDeque<>();
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                if (y == 0 || x == 0 || y == height - 1 || x == width - 1) {
                    visit(y, x, outside, open);
                }
            }
        }
        while (!open.isEmpty()) {
            int at = open.pop();
            visit(at / width - 1, at % width, outside, open);
            visit(at / width + 1, at % width, outside, open);
            visit(at / width, at % width - 1, outside, open);
            visit(at / width, at % width + 1, outside, open);
        }
        outside.flip(0, pixels());
        return new Mask(width, height, outside);
    }

    private void visit(int y, int x, BitSet seen, Deque<Integer> open) {
        if (y < 0 || x < 0 || y >= height || x >= width || at(y, x) || seen.get(y * width + x)) {
            return;
        }
        seen.set(y * width + x);
        open.push(y * width + x);
    }

    /** Opening by 3 x 3: specks go, everything else keeps its size. */
    Mask opened() {
        return eroded().dilated();
    }

    private Mask eroded() {
        BitSet out = new BitSet(pixels());
        for (int i = set.nextSetBit(0); i >= 0; i = set.nextSetBit(i + 1)) {
            out.set(i, neighbours(i / width, i % width) == 9);
        }
        return new Mask(width, height, out);
    }

    private Mask dilated() {
        BitSet out = new BitSet(pixels());
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                out.set(y * width + x, neighbours(y, x) > 0);
            }
        }
        return new Mask(width, height, out);
    }

    /** Counts the pixels set among the 3 x 3 around one; outside of the picture is nothing. */
    private int neighbours(int y, int x) {
        int count = 0;
        for (int dy = -1; dy <= 1; dy++) {
            for (int dx = -1; dx <= 1; dx++) {
                count += at(y + dy, x + dx) ? 1 : 0;
            }
        }
        return count;
    }

    /**
     * The components of at least {@code smallest} pixels, biggest first.
     *
     * @param values one a pixel
     */
    List<Component> components(double smallest, float[] values) {
        List<Component> found = new ArrayList<>();
        BitSet rest = (BitSet) set.clone();
        Deque<Integer> open = new ArrayDeque<>();
        for (int start = rest.nextSetBit(0); start >= 0; start = rest.nextSetBit(start)) {
            rest.clear(start);
            open.push(start);
            int pixels = 0;
            double sum = 0;
            int[] box = {height, width, 0, 0};
            while (!open.isEmpty()) {
                int at = open.pop();
                int y = at / width;
                int x = at % width;
                pixels++;
                sum += values[at];
                box[0] = Math.min(box[0], y);
                box[1] = Math.min(box[1], x);
                box[2] = Math.max(box[2], y + 1);
                box[3] = Math.max(box[3], x + 1);
                for (int ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
                    for (int nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
                        if (rest.get(ny * width + nx)) {
                            rest.clear(ny * width + nx);
                            open.push(ny * width + nx);
                        }
                    }
                }
            }
            if (pixels >= smallest) {
                found.add(new Component(pixels, sum / pixels, box[0], box[1], box[2], box[3]));
            }
        }
        found.sort(Comparator.comparingInt(Component::pixels).reversed());
        return found;
    }

    /** Intersection over union; NaN if both are empty. */
    double iou(Mask other) {
        if (other.width != width || other.height != height) {
            throw new IllegalArgumentException("masks of different sizes");
        }
        BitSet both = (BitSet) set.clone();
        both.and(other.set);
        BitSet either = (BitSet) set.clone();
        either.or(other.set);
        return (double) both.cardinality() / either.cardinality();
    }

    @Override
    public boolean equals(@Nullable Object o) {
        return o instanceof Mask m && m.width == width && m.height == height && m.set.equals(set);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(new int[] {width, height, set.hashCode()});
    }
}
