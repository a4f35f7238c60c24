// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

/**
 * Counter-based random numbers (SPEC §1): Philox-4x32-10 (Salmon et al., SC'11) and normals by
 * inverse CDF. A value depends on (seed, element, step, purpose) only, so it is the same in every
 * language, on every device and in any order. Stateless.
 */
public final class Philox {
    private static final long MULTIPLIER_0 = 0xD2511F53L;
    private static final long MULTIPLIER_2 = 0xCD9E8D57L;
    private static final int WEYL_0 = 0x9E3779B9;
    private static final int WEYL_1 = 0xBB67AE85;
    private static final long LOW = 0xFFFFFFFFL;

    private Philox() {}

    /** First output word r0. */
    public static int word(long seed, long element, int step, int purpose) {
        return (int) (words(seed, element, step, purpose, false) >>> 32);
    }

    /** Standard normal, rounded once to float32. */
    public static float normal(long seed, long element, int step, int purpose) {
        return (float) inverseNormalCdf(uniform(words(seed, element, step, purpose, false)));
    }

    /** {@code r0 << 32 | r1}, or {@code r2 << 32 | r3} with {@code second}. */
    static long words(long seed, long element, int step, int purpose, boolean second) {
        return block(
                (int) element,
                (int) (element >>> 32),
                step,
                purpose,
                (int) seed,
                (int) (seed >>> 32),
                second);
    }

    static long block(
            int counter0,
            int counter1,
            int counter2,
            int counter3,
            int k0,
            int k1,
            boolean second) {
        int c0 = counter0;
        int c1 = counter1;
        int c2 = counter2;
        int c3 = counter3;
        int key0 = k0;
        int key1 = k1;
        for (int round = 0; round < 10; round++) {
            long product0 = MULTIPLIER_0 * (c0 & LOW);
            long product2 = MULTIPLIER_2 * (c2 & LOW);
            c0 = (int) (product2 >>> 32) ^ c1 ^ key0;
            c1 = (int) product2;
            c2 = (int) (product0 >>> 32) ^ c3 ^ key1;
            c3 = (int) product0;
            key0 += WEYL_0;
            key1 += WEYL_1;
        }
        return second ? ((long) c2 << 32) | (c3 & LOW) : ((long) c0 << 32) | (c1 & LOW);
    }

    /** floor(r * n / 2^32), r unsigned: one of 0..n-1. */
    public static int mulhi(int r, int n) {
        return (int) (((r & LOW) * n) >>> 32);
    }

    /** p[slot] for slot &lt; patches: which patch stands in a slot at position q (§3). */
    static void permutation(byte[] p, int patches, long seed, long q, int step) {
        for (int i = 0; i < patches; i++) {
            p[i] = (byte) i;
        }
        if (step < 0) {
            return;
        }
        long element = q * ((patches + 2) / 4);
        long word01 = 0;
        long word23 = 0;
        for (int i = patches - 1; i > 0; i--) {
            int d = (patches - 1 - i) & 3;
            if (d == 0) {
                word01 = words(seed, element, step, Kernels.PERMUTATION, false);
                word23 = words(seed, element, step, Kernels.PERMUTATION, true);
                element++;
            }
            long pair = d < 2 ? word01 : word23;
            int j = mulhi((int) ((d & 1) == 0 ? pair >>> 32 : pair), i + 1);
            byte moved = p[i];
            p[i] = p[j];
            p[j] = moved;
        }
    }

    /** The centre of one of 2^52 equal cells of (0, 1). */
    static double uniform(long word01) {
        return ((word01 >>> 12) + 0.5) * 0x1p-52;
    }

    /** z with Phi(z) = u, 0 &lt; u &lt; 1: Wichura's AS241 PPND16 (Applied Statistics 37, 1988). */
    @SuppressWarnings("FloatingPointLiteralPrecision") // as Wichura prints them
    static double inverseNormalCdf(double u) {
        double q = u - 0.5;
        if (Math.abs(q) <= 0.425) {
            double r = 0.180625 - q * q;
            double numerator =
                    horner(
                            r,
                            2.5090809287301226727e3,
                            3.3430575583588128105e4,
                            6.7265770927008700853e4,
                            4.5921953931549871457e4,
                            1.3731693765509461125e4,
                            1.9715909503065514427e3,
                            1.3314166789178437745e2,
                            3.3871328727963666080e0);
            double denominator =
                    horner(
                            r,
                            5.2264952788528545610e3,
                            2.8729085735721942674e4,
                            3.9307895800092710610e4,
                            2.1213794301586595867e4,
                            5.3941960214247511077e3,
                            6.8718700749205790830e2,
                            4.2313330701600911252e1,
                            1.0);
            return q * numerator / denominator;
        }
        double r = Math.sqrt(-ln(q < 0 ? u : 1 - u));
        double z;
        if (r <= 5) {
            r = r - 1.6;
            z =
                    horner(
                                    r,
                                    7.74545014278341407640e-4,
                                    2.27238449892691845833e-2,
                                    2.41780725177450611770e-1,
                                    1.27045825245236838258e0,
                                    3.64784832476320460504e0,
                                    5.76949722146069140550e0,
                                    4.63033784615654529590e0,
                                    1.42343711074968357734e0)
                            / horner(
                                    r,
                                    1.05075007164441684324e-9,
                                    5.47593808499534494600e-4,
                                    1.51986665636164571966e-2,
                                    1.48103976427480074590e-1,
                                    6.89767334985100004550e-1,
                                    1.67638483018380384940e0,
                                    2.05319162663775882187e0,
                                    1.0);
        } else {
            r = r - 5;
            z =
                    horner(
                                    r,
                                    2.01033439929228813265e-7,
                                    2.71155556874348757815e-5,
                                    1.24266094738807843860e-3,
                                    2.65321895265761230930e-2,
                                    2.96560571828504891230e-1,
                                    1.78482653991729133580e0,
                                    5.46378491116411436990e0,
                                    6.65790464350110377720e0)
                            / horner(
                                    r,
                                    2.04426310338993978564e-15,
                                    1.42151175831644588870e-7,
                                    1.84631831751005468180e-5,
                                    7.86869131145613259100e-4,
                                    1.48753612908506148525e-2,
                                    1.36929880922735805310e-1,
                                    5.99832206555887937690e-1,
                                    1.0);
        }
        return q < 0 ? -z : z;
    }

    /** ln(v), 0 &lt; v &lt; 1 and normal, from + - * / only: libraries differ in the last bit. */
    static double ln(double v) {
        long bits = Double.doubleToRawLongBits(v);
        int exponent = (int) (bits >>> 52) - 1023;
        double m = Double.longBitsToDouble((bits & 0x000FFFFFFFFFFFFFL) | 0x3FF0000000000000L);
        if (m > 1.4142135623730951) {
            m = m * 0.5;
            exponent = exponent + 1;
        }
        double s = (m - 1) / (m + 1);
        double s2 = s * s;
        double p = 1.0 / 25;
        for (int k = 23; k > 0; k -= 2) {
            p = p * s2 + 1.0 / k;
        }
        return exponent * 0.6931471805599453 + (2 * s) * p;
    }

    /** Highest coefficient first. */
    private static double horner(
            double r,
            double c7,
            double c6,
            double c5,
            double c4,
            double c3,
            double c2,
            double c1,
            double c0) {
        double p = c7;
        p = p * r + c6;
        p = p * r + c5;
        p = p * r + c4;
        p = p * r + c3;
        p = p * r + c2;
        p = p * r + c1;
        return p * r + c0;
    }
}
