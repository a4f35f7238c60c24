// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

/**
 * Fine detail: the variance of the Laplacian of luma (Pech-Pacheco et al., ICPR 2000). Noise counts
 * as detail too, so read it beside the noise of the patches.
 */
final class Sharpness {
    private Sharpness() {}

    static double of(Picture picture) {
        float[] y = picture.luma();
        int w = picture.width();
        double sum = 0;
        double square = 0;
        int n = 0;
        for (int row = 1; row < picture.height() - 1; row++) {
            for (int x = 1; x < w - 1; x++) {
                int i = row * w + x;
                double laplacian = (double) y[i - w] + y[i + w] + y[i - 1] + y[i + 1] - 4.0 * y[i];
                sum += laplacian;
                square += laplacian * laplacian;
                n++;
            }
        }
        return n == 0 ? Double.NaN : square / n - sum / n * (sum / n);
    }
}
