// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

/**
 * The filters of PNG's rows (specification, §9.2): each byte of RGB8 less what its neighbours foretell. The
 * byte on the left lies 3 before a byte, in the row and in the one above: 3 zeros precede both.
 */
final class PngFilter {
    private static final int CHANNELS = 3;
    private static final int NONE = 0;
    private static final int SUB = 1;
    private static final int UP = 2;
    private static final int AVERAGE = 3;
    private static final int PAETH = 4;

    private PngFilter() {}

    /**
     * Filters a row in the way whose differences, taken as signed, have the smallest sum: the choice
     * that the specification recommends (§12.7).
     *
     * @param bytes holds the row from {@code row} on and the one above it from {@code above} on
     * @param out takes the number of the filter and the filtered row, from {@code to} on
     */
    static void filter(byte[] bytes, int row, int above, int length, byte[] out, int to) {
        int best = best(bytes, row, above, length);
        out[to] = (byte) best;
        apply(best, bytes, row, above, length, out, to + 1);
    }

    private static int best(byte[] bytes, int row, int above, int length) {
        long none = 0;
        long sub = 0;
        long up = 0;
        long average = 0;
        long paeth = 0;
        for (int i = 0; i < length; i++) {
            int x = bytes[row + i];
            int left = bytes[row + i - CHANNELS] & 0xff;
            int top = bytes[above + i] & 0xff;
            int topLeft = bytes[above + i - CHANNELS] & 0xff;
            none += Math.abs(x);
            sub += Math.abs((byte) (x - left));
            up += Math.abs((byte) (x - top));
            average += Math.abs((byte) (x - ((left + top) >> 1)));
            paeth += Math.abs((byte) (x - paeth(left, top, topLeft)));
        }
        long[] sums = {none, sub, up, average, paeth};
        int best = NONE;
        for (int i = 1; i < sums.length; i++) {
            best = sums[i] < sums[best] ? i : best;
        }
        return best;
    }

    private static void apply(
            int filter, byte[] bytes, int row, int above, int length, byte[] out, int to) {
        switch (filter) {
            case SUB -> {
                for (int i = 0; i < length; i++) {
                    out[to + i] = (byte) (bytes[row + i] - bytes[row + i - CHANNELS]);
                }
            }
            case UP -> {
                for (int i = 0; i < length; i++) {
                    out[to + i] = (byte) (bytes[row + i] - bytes[above + i]);
                }
            }
            case AVERAGE -> {
                for (int i = 0; i < length; i++) {
                    int left = bytes[row + i - CHANNELS] & 0xff;
                    int up = bytes[above + i] & 0xff;
                    out[to + i] = (byte) (bytes[row + i] - ((left + up) >> 1));
                }
            }
            case PAETH -> {
                for (int i = 0; i < length; i++) {
                    int left = bytes[row + i - CHANNELS] & 0xff;
                    int up = bytes[above + i] & 0xff;
                    int upLeft = bytes[above + i - CHANNELS] & 0xff;
                    out[to + i] = (byte) (bytes[row + i] - paeth(left, up, upLeft));
                }
            }
            default -> System.arraycopy(bytes, row, out, to, length);
        }
    }

    /**
     * The neighbour that is nearest to left + up - upLeft; the first of these on a tie. Without branches, which
     * no processor foretells in a picture with grain.
     */
    private static int paeth(int left, int up, int upLeft) {
        int byLeft = Math.abs(up - upLeft);
        int byUp = Math.abs(left - upLeft);
        int byBoth = Math.abs(left + up - 2 * upLeft);
        int notLeft = (Math.min(byUp, byBoth) - byLeft) >> 31; // all bits or none
        int notUp = (byBoth - byUp) >> 31;
        return (left & ~notLeft) | (notLeft & ((up & ~notUp) | (upLeft & notUp)));
    }
}
