// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import java.util.List;

/**
 * KID: the unbiased squared maximum mean discrepancy of two sets of features under the kernel (x·y /
 * d + 1)^3 (Bińkowski et al., arXiv 1801.01401, Eq. 4). Zero on average when both come from one
 * distribution; can be negative.
 *
 * <p>Pictures of one caption are left out as pairs, in all three sums: each caption is drawn once,
 * so that the drawn pictures have no such pairs, and truth would look closer to itself by them. A
 * picture with several crops counts as one, by the mean over its crops.
 */
final class KernelDistance {
    private final double[][] drawn;
    private final int[] caption;
    private final double[] cross;
    private final double truth;

    /**
     * @param pictures features of each picture: {@code [crops][d]}
     * @param captions of the pictures; pictures of one caption have the same number
     * @param truthRows features of truth {@code [n][d]}
     * @param truthCaptions of its rows, numbered alike; -1: of no caption
     */
    KernelDistance(
            List<float[][]> pictures, int[] captions, float[][] truthRows, int[] truthCaptions) {
        int n = pictures.size();
        caption = captions.clone();
        drawn = new double[n][n];
        cross = new double[n];
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < i; j++) {
                if (captions[i] != captions[j]) {
                    drawn[i][j] = drawn[j][i] = mean(pictures.get(i), pictures.get(j));
                }
            }
            double sum = 0;
            int count = 0;
            for (int t = 0; t < truthRows.length; t++) {
                if (captions[i] != truthCaptions[t]) {
                    sum += mean(pictures.get(i), new float[][] {truthRows[t]});
                    count++;
                }
            }
            cross[i] = sum / count;
        }
        double sum = 0;
        long count = 0;
        for (int s = 0; s < truthRows.length; s++) {
            for (int t = 0; t < s; t++) {
                if (truthCaptions[s] < 0 || truthCaptions[s] != truthCaptions[t]) {
                    sum += kernel(truthRows[s], truthRows[t]);
                    count++;
                }
            }
        }
        truth = sum / count;
    }

    /** The distance of the pictures, each counted so often; NaN without a pair. */
    double of(int[] weights) {
        double sum = 0;
        long pairs = 0;
        double crossSum = 0;
        long total = 0;
        for (int i = 0; i < drawn.length; i++) {
            crossSum += weights[i] * cross[i];
            total += weights[i];
            for (int j = 0; j < i; j++) {
                if (caption[i] != caption[j]) {
                    long both = (long) weights[i] * weights[j];
                    sum += both * drawn[i][j];
                    pairs += both;
                }
            }
        }
        return pairs == 0 ? Double.NaN : sum / pairs + truth - 2 * crossSum / total;
    }

    private static double mean(float[][] a, float[][] b) {
        double sum = 0;
        for (float[] x : a) {
            for (float[] y : b) {
                sum += kernel(x, y);
            }
        }
        return sum / ((double) a.length * b.length);
    }

    static double kernel(float[] x, float[] y) {
        double dot = 0;
        for (int i = 0; i < x.length; i++) {
            dot += (double) x[i] * y[i];
        }
        double base = dot / x.length + 1;
        return base * base * base;
    }
}
