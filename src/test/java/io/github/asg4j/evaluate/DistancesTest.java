// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** KID, FID and the linear algebra below it, against values that are known otherwise. */
class DistancesTest {
    private static float[][] normal(long seed, int n, double mean, double... deviation) {
        SplittableRandom random = new SplittableRandom(seed);
        float[][] rows = new float[n][deviation.length];
        for (float[] row : rows) {
            for (int i = 0; i < row.length; i++) {
                row[i] = (float) (mean + deviation[i] * random.nextGaussian());
            }
        }
        return rows;
    }

    private static List<float[][]> pictures(float[][] rows) {
        return Arrays.stream(rows).map(row -> new float[][] {row}).toList();
    }

    private static int[] once(int n) {
        int[] once = new int[n];
        Arrays.fill(once, 1);
        return once;
    }

    private static int[] numbers(int n) {
        return IntStream.range(0, n).toArray();
    }

    private static int[] none(int n) {
        int[] none = new int[n];
        Arrays.fill(none, -1);
        return none;
    }

    @Test
    void eigenvaluesOfKnownMatrices() {
        assertArrayEquals(
                new double[] {1, 3},
                SymmetricMatrix.eigenvalues(new double[][] {{2, 1}, {1, 2}}),
                1e-12);
        assertArrayEquals(
                new double[] {5}, SymmetricMatrix.eigenvalues(new double[][] {{5}}), 1e-12);
        int n = 40; // second differences: 2 - 2 cos(k pi / (n + 1))
        double[][] a = new double[n][n];
        for (int i = 0; i < n; i++) {
            a[i][i] = 2;
            if (i > 0) {
                a[i][i - 1] = a[i - 1][i] = -1;
            }
        }
        double[] expected =
                IntStream.rangeClosed(1, n)
                        .mapToDouble(k -> 2 - 2 * Math.cos(k * Math.PI / (n + 1)))
                        .toArray();
        assertArrayEquals(expected, SymmetricMatrix.eigenvalues(a), 1e-10);
    }

    @Test
    void eigenvaluesOfADenseMatrixHaveItsTraceAndSquares() {
        SplittableRandom random = new SplittableRandom(3);
        int n = 64;
        double[][] a = new double[n][n];
        double trace = 0;
        double squares = 0;
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                a[i][j] = a[j][i] = random.nextGaussian();
                squares += (i == j ? 1 : 2) * a[i][j] * a[i][j];
            }
            trace += a[i][i];
        }
        double[] eigenvalues = SymmetricMatrix.eigenvalues(a);
        assertEquals(trace, Arrays.stream(eigenvalues).sum(), 1e-9);
        assertEquals(squares, Arrays.stream(eigenvalues).map(x -> x * x).sum(), 1e-8);
        for (int i = 1; i < n; i++) {
            assertTrue(eigenvalues[i] >= eigenvalues[i - 1]);
        }
    }

    @Test
    void choleskyOfASingularMatrixLeavesOutWhatIsMissing() {
        double[][] factor =
                SymmetricMatrix.cholesky(new double[][] {{4, 2, 4}, {2, 1, 2}, {4, 2, 13}});
        assertArrayEquals(new double[] {2, 0, 0}, factor[0], 1e-12);
        assertArrayEquals(new double[] {1, 0, 0}, factor[1], 1e-12);
        assertArrayEquals(new double[] {2, 0, 3}, factor[2], 1e-12);
        double[][] product =
                SymmetricMatrix.congruent(factor, new double[][] {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}});
        assertArrayEquals(new double[] {9, 0, 6}, product[0], 1e-12); // L^T L
        assertArrayEquals(new double[] {6, 0, 9}, product[2], 1e-12);
    }

    /** Of two Gaussians with diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2. */
    @Test
    void frechetDistanceOfGaussians() {
        double[] a = {1, 2, 0.5, 3};
        double[] b = {2, 2, 1.5, 1};
        float[][] x = normal(1, 40_000, 0, a);
        float[][] y = normal(2, 40_000, 0.5, b);
        double expected = 4 * 0.25 + 1 + 0 + 1 + 4;
        assertEquals(expected, new FrechetDistance(pictures(x), y).of(once(x.length)), 0.15);
        assertEquals(0, new FrechetDistance(pictures(x), x).of(once(x.length)), 1e-6);
    }

    @Test
    void frechetDistanceCountsWeightsAsCopies() {
        float[][] x = normal(5, 12, 0, 1, 1, 1);
        float[][] y = normal(6, 30, 0, 1, 1, 1);
        int[] weights = {2, 0, 1, 1, 3, 0, 1, 1, 1, 2, 0, 0};
        List<float[]> copies = new ArrayList<>();
        for (int i = 0; i < weights.length; i++) {
            for (int k = 0; k < weights[i]; k++) {
                copies.add(x[i]);
            }
        }
        float[][] copied = copies.toArray(float[][]::new);
        assertEquals(
                new FrechetDistance(pictures(copied), y).of(once(copied.length)),
                new FrechetDistance(pictures(x), y).of(weights),
                1e-9);
    }

    /** By the definition, with all three sums written out. */
    @Test
    void kernelDistanceByItsDefinition() {
        float[][] x = normal(7, 9, 0.3, 1, 1, 1, 1);
        float[][] y = normal(8, 11, 0, 1, 1, 1, 1);
        double xx = 0;
        double yy = 0;
        double xy = 0;
        for (int i = 0; i < x.length; i++) {
            for (int j = 0; j < x.length; j++) {
                xx += i == j ? 0 : KernelDistance.kernel(x[i], x[j]);
            }
            for (float[] other : y) {
                xy += KernelDistance.kernel(x[i], other);
            }
        }
        for (int i = 0; i < y.length; i++) {
            for (int j = 0; j < y.length; j++) {
                yy += i == j ? 0 : KernelDistance.kernel(y[i], y[j]);
            }
        }
        double expected = xx / (9 * 8) + yy / (11 * 10) - 2 * xy / (9 * 11);
        KernelDistance distance = new KernelDistance(pictures(x), numbers(9), y, none(11));
        assertEquals(expected, distance.of(once(9)), 1e-12);
        assertEquals(
                Math.pow((1 * 4 + 2 * 5) / 2.0 + 1, 3),
                KernelDistance.kernel(new float[] {1, 2}, new float[] {4, 5}),
                1e-12);
    }

    @Test
    void kernelDistanceIsUnbiased() {
        double sum = 0;
        int runs = 2000;
        for (int run = 0; run < runs; run++) {
            float[][] x = normal(10_000 + run, 6, 0, 0.4, 0.4, 0.4);
            float[][] y = normal(90_000 + run, 8, 0, 0.4, 0.4, 0.4);
            sum += new KernelDistance(pictures(x), numbers(6), y, none(8)).of(once(6));
        }
        assertEquals(0, sum / runs, 0.01); // with equal pictures as pairs: 0.1
        float[][] far = normal(1, 50, 1, 1, 1, 1);
        float[][] near = normal(2, 50, 0, 1, 1, 1);
        assertTrue(new KernelDistance(pictures(far), numbers(50), near, none(50)).of(once(50)) > 3);
    }

    /** Truth shows captions more than once, the pictures do not: that is no difference of theirs. */
    @Test
    void picturesOfOneCaptionAreNoPair() {
        float[][] x = {{1, 0}, {0, 1}};
        float[][] y = {{1, 0}, {1, 0}, {0, 1}, {0, 1}};
        KernelDistance distance =
                new KernelDistance(pictures(x), numbers(2), y, new int[] {0, 0, 1, 1});
        assertEquals(0, distance.of(once(2)), 1e-12);
        assertTrue(Double.isNaN(distance.of(new int[] {2, 0})));
    }

    @Test
    void resampledPictureIsNoPairWithItself() {
        float[][] x = normal(7, 5, 0, 1, 1);
        float[][] y = normal(8, 7, 0, 1, 1);
        KernelDistance all = new KernelDistance(pictures(x), numbers(5), y, none(7));
        float[][] two = {x[0], x[1]};
        KernelDistance only = new KernelDistance(pictures(two), numbers(2), y, none(7));
        assertEquals(only.of(once(2)), all.of(new int[] {3, 3, 0, 0, 0}), 1e-12);
    }

    @Test
    void inceptionScore() {
        // Sure and different: as many as classes. All alike: 1.
        List<float[]> sure = List.of(new float[] {1, 0}, new float[] {0, 1});
        assertEquals(2, Measures.inceptionScore(sure, once(2)), 1e-9);
        List<float[]> alike = List.of(new float[] {0.3f, 0.7f}, new float[] {0.3f, 0.7f});
        assertEquals(1, Measures.inceptionScore(alike, once(2)), 1e-6);
        assertEquals(1, Measures.inceptionScore(sure, new int[] {2, 0}), 1e-9);
    }
}
