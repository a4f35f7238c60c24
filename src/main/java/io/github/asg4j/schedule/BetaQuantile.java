// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

/** The inverse of the distribution function of Beta(0.6, 0.6), which {@link Spacing#BETA} spaces by. */
final class BetaQuantile {
    private static final double SHAPE = 0.6;

    /** Of the series, whose terms fall faster than 2^-n. */
    private static final int TERMS = 80;

    private static final double HALF = integral(0.5);

    private BetaQuantile() {}

    /**
     * The value below which a share of the distribution lies.
     *
     * @param share 0..1
     */
    static double of(double share) {
        // The distribution is symmetric about 1/2, and the series is for the half below.
        return share > 0.5 ? 1 - below(1 - share) : below(share);
    }

    private static double below(double share) {
        double wanted = 2 * HALF * share;
        double low = 0;
        double high = 0.5;
        for (double middle = 0.25; low < middle && middle < high; middle = (low + high) / 2) {
            if (integral(middle) < wanted) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return high == 0.5 && share == 0.5 ? 0.5 : low;
    }

    /** Integral of (t (1 - t))^(SHAPE - 1) from 0 to x, x at most 1/2: a power series in x. */
    private static double integral(double x) {
        double sum = 0;
        double power = 1; // (1 - SHAPE)_n / n! * x^n
        for (int n = 0; n < TERMS; n++) {
            sum += power / (SHAPE + n);
            power *= (1 - SHAPE + n) / (n + 1) * x;
        }
        return Math.pow(x, SHAPE) * sum;
    }
}
