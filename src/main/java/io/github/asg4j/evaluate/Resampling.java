// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

/** The weights of one axis: output i is the sum of weights[i][k] * input[first[i] + k]. */
record Resampling(int[] first, double[][] weights) {
    private static final double SHARPNESS = -0.5;

    /** Catmull-Rom over two pixels either side, stretched when the picture shrinks. */
    static Resampling bicubic(int from, int to) {
        double scale = (double) from / to;
        double stretch = Math.max(1, scale);
        int[] first = new int[to];
        double[][] weights = new double[to][];
        for (int i = 0; i < to; i++) {
            double centre = (i + 0.5) * scale;
            int low = Math.max(0, (int) (centre - 2 * stretch + 0.5));
            int high = Math.min(from, (int) (centre + 2 * stretch + 0.5));
            double[] w = new double[high - low];
            double sum = 0;
            for (int k = 0; k < w.length; k++) {
                w[k] = cubic((low + k - centre + 0.5) / stretch);
                sum += w[k];
            }
            for (int k = 0; k < w.length; k++) {
                w[k] /= sum;
            }
            first[i] = low;
            weights[i] = w;
        }
        return new Resampling(first, weights);
    }

    private static double cubic(double at) {
        double x = Math.abs(at);
        if (x < 1) {
            return ((SHARPNESS + 2) * x - (SHARPNESS + 3)) * x * x + 1;
        }
        return x < 2 ? (((x - 5) * x + 8) * x - 4) * SHARPNESS : 0;
    }

    void apply(float[] in, int inStart, int inStride, float[] out, int outStart, int outStride) {
        for (int i = 0; i < first.length; i++) {
            double sum = 0;
            for (int k = 0; k < weights[i].length; k++) {
                sum += weights[i][k] * in[inStart + (first[i] + k) * inStride];
            }
            out[outStart + i * outStride] = (float) sum;
        }
    }
}
