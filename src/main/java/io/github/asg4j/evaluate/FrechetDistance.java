// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import java.util.Arrays;
import java.util.List;

/**
 * FID: the squared Fréchet distance of two Gaussians fitted to features (Heusel et al., arXiv
 * 1706.08500): |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). Biased upwards for few pictures, so that
 * only values of the same number can be compared.
 *
 * <p>Only for features of at most {@link #MAX_WIDTH} numbers: more need more pictures than anyone
 * draws to fill a covariance.
 */
final class FrechetDistance {
    static final int MAX_WIDTH = 64;

    private final float[][] rows;
    private final int perPicture;
    private final Gaussian truth;

    /** L of truth's covariance L L^T: the eigenvalues of C1 C2 are those of L^T C1 L. */
    private final double[][] factor;

    private record Gaussian(double[] mean, double[][] covariance) {}

    /**
     * @param pictures features of each picture: {@code [crops][d]}, equally many each
     * @param truthRows features of truth {@code [n][d]}
     */
    FrechetDistance(List<float[][]> pictures, float[][] truthRows) {
        if (truthRows[0].length > MAX_WIDTH) {
            throw new IllegalArgumentException(truthRows[0].length + " numbers are too many");
        }
        perPicture = pictures.getFirst().length;
        rows = pictures.stream().flatMap(Arrays::stream).toArray(float[][]::new);
        int[] once = new int[truthRows.length];
        Arrays.fill(once, 1);
        truth = gaussian(truthRows, 1, once);
        factor = SymmetricMatrix.cholesky(truth.covariance());
    }

    /** The distance of the pictures, each counted so often; NaN for fewer than two. */
    double of(int[] weights) {
        if (Arrays.stream(weights).sum() * perPicture < 2) {
            return Double.NaN;
        }
        Gaussian drawn = gaussian(rows, perPicture, weights);
        int d = drawn.mean().length;
        double distance = 0;
        for (int i = 0; i < d; i++) {
            double apart = drawn.mean()[i] - truth.mean()[i];
            distance += apart * apart + drawn.covariance()[i][i] + truth.covariance()[i][i];
        }
        double[][] product = SymmetricMatrix.congruent(factor, drawn.covariance());
        for (double eigenvalue : SymmetricMatrix.eigenvalues(product)) {
            distance -= 2 * Math.sqrt(Math.max(0, eigenvalue));
        }
        return distance;
    }

    private static Gaussian gaussian(float[][] rows, int perPicture, int[] weights) {
        int d = rows[0].length;
        double[] mean = new double[d];
        long total = 0;
        for (int r = 0; r < rows.length; r++) {
            int w = weights[r / perPicture];
            total += w;
            for (int i = 0; i < d; i++) {
                mean[i] += w * (double) rows[r][i];
            }
        }
        for (int i = 0; i < d; i++) {
            mean[i] /= total;
        }
        double[][] covariance = new double[d][d];
        double[] delta = new double[d];
        for (int r = 0; r < rows.length; r++) {
            int w = weights[r / perPicture];
            if (w == 0) {
                continue;
            }
            for (int i = 0; i < d; i++) {
                delta[i] = rows[r][i] - mean[i];
            }
            for (int i = 0; i < d; i++) {
                double scaled = w * delta[i];
                for (int j = 0; j <= i; j++) {
                    covariance[i][j] += scaled * delta[j];
                }
            }
        }
        for (int i = 0; i < d; i++) {
            for (int j = 0; j <= i; j++) {
                covariance[i][j] /= total - 1;
                covariance[j][i] = covariance[i][j];
            }
        }
        return new Gaussian(mean, covariance);
    }
}
