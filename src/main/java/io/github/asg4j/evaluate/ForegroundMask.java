// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import java.util.BitSet;

/**
 * The object of any picture, without a caption: pixels whose colour the picture's border does not
 * explain. One Gaussian over the border's colours gives a distance to every pixel, and Otsu's
 * threshold (IEEE Trans. SMC 9, 1979) on its logarithm parts them; then as {@link ObjectCounter}.
 * Good for one object before a background of few colours, which is what patches are compared by.
 */
final class ForegroundMask {
    /** Share of the shorter side that counts as border. */
    private static final double BORDER_SHARE = 1.0 / 16;

    /** Variance of 8-bit rounding and a little noise, so that a flat border is no singular model. */
    private static final double RIDGE = 6e-4;

    private static final int BINS = 256;

    private ForegroundMask() {}

    static Mask of(Picture picture) {
        Picture x = picture.smoothed();
        ColourModel border = border(x);
        double[] distance = new double[x.pixels()];
        double low = Double.POSITIVE_INFINITY;
        double high = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < distance.length; i++) {
            float[] p = x.planes();
            int n = x.pixels();
            // The determinant shifts all alike.
            distance[i] = Math.log1p(Math.max(0, border.mahalanobis(p[i], p[n + i], p[2 * n + i])));
            low = Math.min(low, distance[i]);
            high = Math.max(high, distance[i]);
        }
        BitSet set = new BitSet(distance.length);
        if (high > low) {
            double threshold = otsu(distance, low, high);
            for (int i = 0; i < distance.length; i++) {
                set.set(i, distance[i] > threshold);
            }
        }
        return Mask.of(x.width(), x.height(), set).filled().opened();
    }

    private static ColourModel border(Picture x) {
        int w = x.width();
        int h = x.height();
        int rim = Math.max(1, (int) (Math.min(w, h) * BORDER_SHARE));
        double[] mean = new double[Picture.CHANNELS];
        double[][] square = new double[Picture.CHANNELS][Picture.CHANNELS];
        int count = 0;
        for (int row = 0; row < h; row++) {
            for (int column = 0; column < w; column++) {
                if (row >= rim && row < h - rim && column >= rim && column < w - rim) {
                    continue;
                }
                count++;
                for (int a = 0; a < Picture.CHANNELS; a++) {
                    mean[a] += x.at(a, row, column);
                    for (int b = 0; b < Picture.CHANNELS; b++) {
                        square[a][b] += (double) x.at(a, row, column) * x.at(b, row, column);
                    }
                }
            }
        }
        for (int a = 0; a < Picture.CHANNELS; a++) {
            mean[a] /= count;
        }
        for (int a = 0; a < Picture.CHANNELS; a++) {
            for (int b = 0; b < Picture.CHANNELS; b++) {
                square[a][b] = square[a][b] / count - mean[a] * mean[b] + (a == b ? RIDGE : 0);
            }
        }
        return new ColourModel(mean, square);
    }

    /** The value that parts the histogram into two classes of greatest variance between them. */
    private static double otsu(double[] values, double low, double high) {
        int[] histogram = new int[BINS];
        double width = (high - low) / BINS;
        double total = 0;
        for (double value : values) {
            int bin = Math.min(BINS - 1, (int) ((value - low) / width));
            histogram[bin]++;
            total += bin;
        }
        double best = -1;
        int threshold = 0;
        double below = 0;
        double sum = 0;
        for (int bin = 0; bin < BINS - 1; bin++) {
            below += histogram[bin];
            sum += (double) bin * histogram[bin];
            double above = values.length - below;
            if (below == 0 || above == 0) {
                continue;
            }
            double apart = sum / below - (total - sum) / above;
            double between = below * above * apart * apart;
            if (between > best) {
                best = between;
                threshold = bin;
            }
        }
        return low + (threshold + 1) * width;
    }
}
