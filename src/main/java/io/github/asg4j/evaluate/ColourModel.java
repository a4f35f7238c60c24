// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import com.fasterxml.jackson.databind.JsonNode;

/** A Gaussian over RGB in [0, 1]. */
final class ColourModel {
    private static final int N = Picture.CHANNELS;

    private final double[] mean;

    /** Upper triangle of the inverse covariance, off-diagonal entries doubled. */
    private final double[] inverse;

    private final double logDeterminant;

    ColourModel(double[] mean, double[][] covariance) {
        if (mean.length != N || covariance.length != N) {
            throw new IllegalArgumentException("a colour model is of " + N + " channels");
        }
        this.mean = mean.clone();
        double[][] c = covariance;
        double[][] cofactor = new double[N][N];
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < N; j++) {
                int a = (i + 1) % N;
                int b = (i + 2) % N;
                int p = (j + 1) % N;
                int q = (j + 2) % N;
                cofactor[i][j] = c[a][p] * c[b][q] - c[a][q] * c[b][p];
            }
        }
        double determinant =
                c[0][0] * cofactor[0][0] + c[0][1] * cofactor[0][1] + c[0][2] * cofactor[0][2];
        if (!(determinant > 0)) {
            throw new IllegalArgumentException("a covariance has to be positive definite");
        }
        inverse =
                new double[] {
                    cofactor[0][0] / determinant,
                    2 * cofactor[0][1] / determinant,
                    2 * cofactor[0][2] / determinant,
                    cofactor[1][1] / determinant,
                    2 * cofactor[1][2] / determinant,
                    cofactor[2][2] / determinant
                };
        logDeterminant = Math.log(determinant);
    }

    /** {@code {"mean": [3], "covariance": [[3], [3], [3]]}}. */
    static ColourModel parse(JsonNode node) {
        double[][] covariance = new double[N][];
        for (int i = 0; i < N; i++) {
            covariance[i] = numbers(node.required("covariance").path(i));
        }
        return new ColourModel(numbers(node.required("mean")), covariance);
    }

    private static double[] numbers(JsonNode list) {
        if (list.size() != N) {
            throw new IllegalArgumentException("a colour has " + N + " numbers");
        }
        double[] numbers = new double[N];
        for (int i = 0; i < N; i++) {
            numbers[i] = list.get(i).doubleValue();
        }
        return numbers;
    }

    /** Squared Mahalanobis distance plus the logarithm of the determinant. */
    double distance(double red, double green, double blue) {
        return mahalanobis(red, green, blue) + logDeterminant;
    }

    /** Squared Mahalanobis distance. */
    double mahalanobis(double red, double green, double blue) {
        double r = red - mean[0];
        double g = green - mean[1];
        double b = blue - mean[2];
        return r * (inverse[0] * r + inverse[1] * g + inverse[2] * b)
                + g * (inverse[3] * g + inverse[4] * b)
                + b * inverse[5] * b;
    }
}
