// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import org.jspecify.annotations.Nullable;

import java.util.function.DoubleUnaryOperator;

/**
 * An RGB colour space by its primaries and its transfer function.
 *
 * @param toLinearSrgb row-major 3x3 matrix to linear light of sRGB's primaries, adapted to its white
 *     (Bradford)
 * @param transfer sample 0..1 to linear light, 1 being white; brighter light is more than 1
 */
record RgbSpace(double[] toLinearSrgb, DoubleUnaryOperator transfer) {
    /** x and y of white, red, green and blue (ITU-R BT.709, D65). */
    static final double[] SRGB_CHROMATICITIES = {
        0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06
    };

    private static final double[] IDENTITY = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    private static final double[] BRADFORD = {
        0.8951, 0.2664, -0.1614, -0.7502, 1.7135, 0.0367, 0.0389, -0.0685, 1.0296
    };

    /** Chromaticities are written with five digits, and rounded to three by many. */
    private static final double SAME_CHROMATICITY = 0.0015;

    /** Light of a diffuse white, of which PQ and HLG leave room above (ITU-R BT.2408), cd/m2. */
    private static final double REFERENCE_WHITE = 203;

    private static final double PQ_PEAK = 10_000;
    private static final double HLG_PEAK = 1000;

    /**
     * A space by its measures.
     *
     * @param chromaticities x and y of white, red, green and blue
     * @return null if there is no such space
     */
    static @Nullable RgbSpace of(double[] chromaticities, DoubleUnaryOperator transfer) {
        boolean same = true;
        for (int i = 0; i < chromaticities.length; i++) {
            same &= Math.abs(chromaticities[i] - SRGB_CHROMATICITIES[i]) < SAME_CHROMATICITY;
        }
        if (same) {
            return new RgbSpace(IDENTITY, transfer);
        }
        double[] fromXyz = inverse(toXyz(SRGB_CHROMATICITIES));
        double[] matrix =
                product(fromXyz, product(adaptation(chromaticities), toXyz(chromaticities)));
        for (double v : matrix) {
            if (!Double.isFinite(v) || Math.abs(v) > 100) {
                return null;
            }
        }
        return new RgbSpace(matrix, transfer);
    }

    /**
     * A space by the code points of ITU-T H.273.
     *
     * @return null if they are reserved or of no RGB space
     */
    static @Nullable RgbSpace ofCodePoints(int primaries, int transfer) {
        double @Nullable [] chromaticities =
                switch (primaries) {
                    case 1 -> SRGB_CHROMATICITIES;
                    case 4 -> new double[] {0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08};
                    case 5 -> new double[] {0.3127, 0.3290, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06};
                    case 6, 7 ->
                            new double[] {0.3127, 0.3290, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07};
                    case 8 -> new double[] {0.310, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049};
                    case 9 ->
                            new double[] {0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046};
                    case 11 ->
                            new double[] {0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060};
                    case 12 ->
                            new double[] {0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060};
                    case 22 ->
                            new double[] {0.3127, 0.3290, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077};
                    default -> null;
                };
        @Nullable DoubleUnaryOperator function =
                switch (transfer) {
                    case 1, 6, 11, 12, 14, 15 -> RgbSpace::decodeBt709;
                    case 4 -> power(2.2);
                    case 5 -> power(2.8);
                    case 7 -> v -> v < 0.0912 ? v / 4 : Math.pow((v + 0.1115) / 1.1115, 1 / 0.45);
                    case 8 -> power(1);
                    case 13 -> RgbSpace::decodeSrgb;
                    case 16 -> RgbSpace::decodePq;
                    case 17 -> v -> Math.pow(v, 2.6) * 52.37 / 48;
                    case 18 -> RgbSpace::decodeHlg;
                    default -> null;
                };
        return chromaticities == null || function == null ? null : of(chromaticities, function);
    }

    static DoubleUnaryOperator power(double exponent) {
        return v -> Math.pow(v, exponent);
    }

    static double decodeSrgb(double v) {
        return v <= 0.04045 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4);
    }

    static double encodeSrgb(double v) {
        return v <= 0.0031308 ? v * 12.92 : 1.055 * Math.pow(v, 1 / 2.4) - 0.055;
    }

    private static double decodeBt709(double v) {
        return v < 0.081 ? v / 4.5 : Math.pow((v + 0.099) / 1.099, 1 / 0.45);
    }

    /** SMPTE ST 2084. */
    private static double decodePq(double v) {
        double p = Math.pow(v, 32 / 2523.0);
        double light =
                Math.pow(
                        Math.max(p - 107 / 128.0, 0) / (2413 / 128.0 - 2392 / 128.0 * p),
                        8192 / 1305.0);
        return light * PQ_PEAK / REFERENCE_WHITE;
    }

    /** ITU-R BT.2100, with the display's exponent applied to each channel. */
    private static double decodeHlg(double v) {
        double a = 0.17883277;
        double b = 1 - 4 * a;
        double c = 0.5 - a * Math.log(4 * a);
        double scene = v <= 0.5 ? v * v / 3 : (Math.exp((v - c) / a) + b) / 12;
        return Math.pow(scene, 1.2) * HLG_PEAK / REFERENCE_WHITE;
    }

    /** RGB to XYZ, with white at Y = 1. */
    private static double[] toXyz(double[] xy) {
        double[] primaries = new double[9];
        for (int c = 0; c < 3; c++) {
            double[] xyz = xyz(xy[2 + 2 * c], xy[3 + 2 * c]);
            for (int row = 0; row < 3; row++) {
                primaries[3 * row + c] = xyz[row];
            }
        }
        double[] amounts = apply(inverse(primaries), xyz(xy[0], xy[1]));
        for (int i = 0; i < 9; i++) {
            primaries[i] *= amounts[i % 3];
        }
        return primaries;
    }

    /** Returns the matrix from this white to sRGB's. */
    private static double[] adaptation(double[] xy) {
        double[] from = apply(BRADFORD, xyz(xy[0], xy[1]));
        double[] to = apply(BRADFORD, xyz(SRGB_CHROMATICITIES[0], SRGB_CHROMATICITIES[1]));
        double[] scaled = BRADFORD.clone();
        for (int i = 0; i < 9; i++) {
            scaled[i] *= to[i / 3] / from[i / 3];
        }
        return product(inverse(BRADFORD), scaled);
    }

    private static double[] xyz(double x, double y) {
        return new double[] {x / y, 1, (1 - x - y) / y};
    }

    private static double[] apply(double[] m, double[] v) {
        double[] result = new double[3];
        for (int i = 0; i < 9; i++) {
            result[i / 3] += m[i] * v[i % 3];
        }
        return result;
    }

    private static double[] product(double[] a, double[] b) {
        double[] result = new double[9];
        for (int i = 0; i < 9; i++) {
            for (int k = 0; k < 3; k++) {
                result[i] += a[i / 3 * 3 + k] * b[3 * k + i % 3];
            }
        }
        return result;
    }

    private static double[] inverse(double[] m) {
        double[] result = new double[9];
        double determinant = 0;
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 3; j++) {
                int r1 = (j + 1) % 3 * 3;
                int r2 = (j + 2) % 3 * 3;
                int c1 = (i + 1) % 3;
                int c2 = (i + 2) % 3;
                result[3 * i + j] = m[r1 + c1] * m[r2 + c2] - m[r1 + c2] * m[r2 + c1];
            }
        }
        for (int j = 0; j < 3; j++) {
            determinant += m[3 * j] * result[j];
        }
        for (int i = 0; i < 9; i++) {
            result[i] /= determinant;
        }
        return result;
    }
}
