// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.ToDoubleFunction;

/**
 * Resampling of pictures (Efron 1979) with a fixed seed: the same number of pictures is always
 * resampled in the same way, so that settings drawn with the same prompts and seeds stay paired.
 */
final class Bootstrap {
    static final int RESAMPLES = 1000;
    private static final long SEED = 20241206;
    private static final double TAIL = 0.025;

    private final int[][] weights;
    private final int n;

    /**
     * @param n pictures, at least 1
     */
    Bootstrap(int n) {
        this.n = n;
        weights = new int[RESAMPLES][n];
        SplittableRandom random = new SplittableRandom(SEED);
        for (int[] row : weights) {
            for (int i = 0; i < n; i++) {
                row[random.nextInt(n)]++;
            }
        }
    }

    /**
     * A statistic of the pictures and the interval of its resamples' percentiles. The interval is
     * moved by what the resamples' mean is off the statistic: FID is larger on any resample, since
     * that holds fewer different pictures.
     *
     * @param statistic from how often each picture counts; NaN where it has no value
     */
    Interval interval(ToDoubleFunction<int[]> statistic) {
        int[] once = new int[n];
        Arrays.fill(once, 1);
        double value = statistic.applyAsDouble(once);
        double[] resampled =
                Arrays.stream(weights)
                        .parallel()
                        .mapToDouble(statistic)
                        .filter(Double::isFinite)
                        .sorted()
                        .toArray();
        if (n < 2 || resampled.length < RESAMPLES / 2 || !Double.isFinite(value)) {
            return new Interval(value, Double.NaN, Double.NaN);
        }
        double off = Arrays.stream(resampled).average().orElseThrow() - value;
        return new Interval(
                value, quantile(resampled, TAIL) - off, quantile(resampled, 1 - TAIL) - off);
    }

    /** Returns the interval of the mean of the values that are not NaN. */
    Interval mean(double[] values) {
        return interval(w -> mean(values, w));
    }

    static double mean(double[] values, int[] w) {
        double sum = 0;
        int count = 0;
        for (int i = 0; i < values.length; i++) {
            if (!Double.isNaN(values[i])) {
                sum += w[i] * values[i];
                count += w[i];
            }
        }
        return sum / count;
    }

    private static double quantile(double[] sorted, double q) {
        double at = q * (sorted.length - 1);
        int i = (int) at;
        return i + 1 < sorted.length
                ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i])
                : sorted[i];
    }
}
