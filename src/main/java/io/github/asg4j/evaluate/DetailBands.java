// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Detail by its size: the mean power of luma in octaves of spatial frequency, of the squares of the
 * orthonormal DCT-II of the whole picture (which has no borders to be windowed away). Coefficient (i, j) of
 * h x w has sqrt((i/h)^2 + (j/w)^2) of the highest frequency that an axis can have. White noise has its
 * variance in every octave, whatever the picture's size: what {@link Sharpness} takes for detail is told
 * from it by the octaves that true pictures do not have it in.
 */
final class DetailBands {
    /** Measures of {@link Measures#NAMES}, one for each octave, the coarsest first. */
    static final List<String> MEASURES =
            List.of("power_16th", "power_8th", "power_quarter", "power_half");

    /** Where octaves begin; the last has all that is higher. */
    private static final double[] FROM = {1 / 16.0, 1 / 8.0, 1 / 4.0, 1 / 2.0};

    /** Of a band with nothing in it, which has to have a logarithm: far below that of rounding to 8 bits, 1.3e-6. */
    private static final double LEAST = 1e-9;

    private DetailBands() {}

    /** Returns the power in each octave, luma in 0..1; NaN where a picture is too small to have it. */
    static List<Double> of(Picture picture) {
        int h = picture.height();
        int w = picture.width();
        double[] y = new double[h * w];
        float[] luma = picture.luma();
        Arrays.setAll(y, i -> luma[i]);
        Cosines across = new Cosines(w);
        for (int row = 0; row < h; row++) {
            across.transform(y, row * w, 1);
        }
        Cosines down = new Cosines(h);
        for (int column = 0; column < w; column++) {
            down.transform(y, column, w);
        }
        double[] sums = new double[FROM.length];
        long[] counts = new long[FROM.length];
        for (int i = 0; i < h; i++) {
            for (int j = 0; j < w; j++) {
                int band = band(Math.hypot((double) i / h, (double) j / w));
                if (band >= 0) {
                    sums[band] += y[i * w + j] * y[i * w + j];
                    counts[band]++;
                }
            }
        }
        List<Double> powers = new ArrayList<>();
        for (int band = 0; band < FROM.length; band++) {
            powers.add(counts[band] == 0 ? Double.NaN : Math.max(LEAST, sums[band] / counts[band]));
        }
        return powers;
    }

    /** Number of the octave of a frequency; -1: it is lower than all. */
    private static int band(double frequency) {
        int band = FROM.length - 1;
        while (band >= 0 && frequency < FROM[band]) {
            band--;
        }
        return band;
    }

    /** The orthonormal DCT-II of n values in place, by a Fourier transform of as many (Makhoul, 1980). */
    private static final class Cosines {
        private final int n;

        /** cos and sin of 2 pi k / n. */
        private final double[] cos;

        private final double[] sin;

        private final double[] re;
        private final double[] im;

        Cosines(int n) {
            this.n = n;
            cos = new double[n];
            sin = new double[n];
            Arrays.setAll(cos, k -> Math.cos(2 * Math.PI * k / n));
            Arrays.setAll(sin, k -> Math.sin(2 * Math.PI * k / n));
            re = new double[n];
            im = new double[n];
        }

        /** Values {@code first}, {@code first + step}, ... of {@code x}. */
        void transform(double[] x, int first, int step) {
            for (int i = 0; i < n; i++) {
                // The even ones forwards, then the odd ones backwards.
                re[i % 2 == 0 ? i / 2 : n - 1 - i / 2] = x[first + i * step];
            }
            Arrays.fill(im, 0);
            double[][] spectrum = fourier(re, im);
            for (int k = 0; k < n; k++) {
                double angle = Math.PI * k / (2 * n);
                double value = Math.cos(angle) * spectrum[0][k] + Math.sin(angle) * spectrum[1][k];
                x[first + k * step] = value * Math.sqrt((k == 0 ? 1.0 : 2.0) / n);
            }
        }

        /** Real and imaginary parts of the sums of x_i exp(-2 pi i k / length), for a length that divides n. */
        private double[][] fourier(double[] real, double[] imaginary) {
            int length = real.length;
            if (length == 1) {
                return new double[][] {real, imaginary};
            }
            int factor = smallestFactor(length);
            int each = length / factor;
            double[] outRe = new double[length];
            double[] outIm = new double[length];
            int turn = n / length;
            for (int r = 0; r < factor; r++) {
                double[] partRe = new double[each];
                double[] partIm = new double[each];
                for (int i = 0; i < each; i++) {
                    partRe[i] = real[i * factor + r];
                    partIm[i] = imaginary[i * factor + r];
                }
                double[][] part = fourier(partRe, partIm);
                for (int k = 0; k < length; k++) {
                    int at = (int) ((long) r * k % length) * turn;
                    double a = part[0][k % each];
                    double b = part[1][k % each];
                    outRe[k] += a * cos[at] + b * sin[at];
                    outIm[k] += b * cos[at] - a * sin[at];
                }
            }
            return new double[][] {outRe, outIm};
        }

        private static int smallestFactor(int length) {
            for (int p = 2; p * p <= length; p++) {
                if (length % p == 0) {
                    return p;
                }
            }
            return length;
        }
    }
}
