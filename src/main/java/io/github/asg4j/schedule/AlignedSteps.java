// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import java.util.List;

/**
 * Noise levels of Align Your Steps (Sabour et al. 2024, arXiv 2404.14507), as its authors published them
 * for 10 steps; for another number of steps they are interpolated in the logarithm of sigma.
 */
final class AlignedSteps {
    /** Of Stable Diffusion XL. */
    static final List<Double> SDXL =
            List.of(
                    14.6146412293,
                    6.3184485287,
                    3.7681790315,
                    2.1811480769,
                    1.3405244945,
                    0.8620721141,
                    0.5550693289,
                    0.3798540708,
                    0.2332364134,
                    0.1114188177,
                    0.0291671582);

    /** Of Stable Diffusion 1.5. */
    static final List<Double> SD1 =
            List.of(
                    14.6146412293,
                    6.4745760956,
                    3.8636745985,
                    2.6946151520,
                    1.8841921177,
                    1.3943805092,
                    0.9642583904,
                    0.6523686016,
                    0.3977456272,
                    0.1515232662,
                    0.0291671582);

    private AlignedSteps() {}

    /** Sigmas of {@code steps} steps; the last one of the table is where the last step would begin to be clean. */
    static double[] sigmas(List<Double> table, int steps) {
        double[] sigmas = new double[steps];
        int intervals = table.size() - 1;
        for (int k = 0; k < steps; k++) {
            double place = (double) k / steps * intervals;
            int below = Math.min((int) place, intervals - 1);
            double low = Math.log(table.get(below));
            double high = Math.log(table.get(below + 1));
            sigmas[k] = Math.exp(low + (place - below) * (high - low));
        }
        return sigmas;
    }
}
