// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

/**
 * A float64 value of the oracle beside the most that a chain of float32 operations may deviate from
 * it: running error analysis (Higham, Accuracy and Stability, §3.3). Each operation adds one
 * rounding, half an ulp (2^-24 relative, 2^-150 absolute), to what its operands carry, so the
 * tolerance of every test follows from the operations and nothing is chosen.
 */
record Bound(double value, double error) {
    private static final double HALF_ULP = 0x1p-24;

    static Bound of(double exact) {
        return new Bound(exact, 0);
    }

    /** A float64 value rounded once to float32. */
    static Bound rounded(double value) {
        return rounded(value, 0);
    }

    Bound plus(Bound b) {
        return rounded(value + b.value, error + b.error);
    }

    Bound minus(Bound b) {
        return rounded(value - b.value, error + b.error);
    }

    Bound times(Bound b) {
        return rounded(
                value * b.value,
                Math.abs(value) * b.error + Math.abs(b.value) * error + error * b.error);
    }

    Bound over(Bound b) {
        double divisor = Math.abs(b.value) - b.error;
        double quotient = value / b.value;
        return rounded(quotient, (error + Math.abs(quotient) * b.error) / divisor);
    }

    private static Bound rounded(double value, double carried) {
        return new Bound(value, carried + HALF_ULP * (Math.abs(value) + carried) + 0x1p-150);
    }

    boolean admits(double actual) {
        // 2^-40: the oracle's own float64 roundings.
        return Math.abs(actual - value) <= error + 0x1p-40 * Math.abs(value);
    }
}
