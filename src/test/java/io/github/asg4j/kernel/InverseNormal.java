// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

/**
 * The inverse of the normal distribution function by other means than the kernels': Newton steps on
 * the distribution function itself, from its power series near 0 and Laplace's continued fraction
 * in the tails. Good to about 1e-14 relative, against 6e-8 of a float32.
 */
final class InverseNormal {
    private InverseNormal() {}

    /** z with Phi(z) = (k + 0.5) / 2^52, 0 &lt;= k &lt; 2^52. */
    static double of(long k) {
        boolean upper = k >= 1L << 51;
        double p = ((upper ? (1L << 52) - 1 - k : k) + 0.5) * 0x1p-52; // lower tail, exact
        // An upper bound of z; log of the tail is concave, so Newton comes down from it
        // monotonically.
        double z = Math.sqrt(-2 * Math.log(p));
        for (int i = 0; i < 100; i++) {
            double tail = tail(z);
            double change = tail * Math.log(tail / p) / density(z);
            z += change;
            if (Math.abs(change) < 1e-15 * z) {
                break;
            }
        }
        return upper ? z : -z;
    }

    private static double density(double z) {
        return Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
    }

    /** 1 - Phi(z) for z &gt;= 0. */
    private static double tail(double z) {
        if (z < 2.5) {
            double term = z;
            double sum = z;
            for (int n = 1; n < 100; n++) {
                term *= z * z / (2 * n + 1);
                sum += term;
            }
            return 0.5 - density(z) * sum;
        }
        double fraction = z;
        for (int n = 300; n > 0; n--) {
            fraction = z + n / fraction;
        }
        return density(z) / fraction;
    }
}
