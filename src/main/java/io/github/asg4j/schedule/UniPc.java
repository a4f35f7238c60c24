// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

/**
 * UniPC of second order (Zhao et al. 2023, arXiv 2302.04867, with B(h) = e^h - 1, which diffusers calls
 * bh2) as one linear step. With D the predicted clean latents and a = sigma' / sigma,
 *
 * <pre>
 * predictor: x_(i+1) = a y_i + b_0 D_i + b_1 D_(i-1)
 * corrector: y_(i+1) = a y_i + c_0 D_(i+1) + c_1 D_i + c_2 D_(i-1)
 * </pre>
 *
 * both from the same corrected state y_i. Their difference has no y_i, so y_(i+1) is x_(i+1) and a sum
 * of predictions, and a step from x to x needs no state but these.
 */
final class UniPc {
    private UniPc() {}

    /**
     * Coefficients of step k.
     *
     * @param past past predictions, 0 to 2; the first step has none to correct
     */
    static Step step(Grid grid, int k, int past) {
        Level from = grid.levels().get(k);
        double to = grid.targets().get(k).sigma();
        if (to == 0) {
            return Solver.toClean(from, past);
        }
        double a = to / from.sigma();
        double h = Math.log(from.sigma() / to);
        double[] weights = new double[past + 1];
        if (past > 0) {
            double[] correction = correction(grid, k, past);
            for (int j = 0; j < weights.length; j++) {
                weights[j] = a * correction[j];
            }
        }
        double latest = -Math.expm1(-h);
        weights[0] += latest;
        if (past > 0) {
            double slope = latest * h / (2 * Solver.width(grid, k - 1));
            weights[0] += slope;
            weights[1] -= slope;
        }
        return Solver.onClean(from, a, 0, weights);
    }

    /** Weights of D_k, D_(k-1) and D_(k-2) in the corrected state less the latents at step k. */
    private static double[] correction(Grid grid, int k, int past) {
        double h = Solver.width(grid, k - 1);
        double latest = -Math.expm1(-h);
        if (past == 1) {
            return new double[] {latest / 2, -latest / 2};
        }
        // What the predictor gave beside `latest` to the past, it took from the latest: both
        // cancel.
        double before = Solver.width(grid, k - 2);
        double slope = latest * h / (2 * before);
        double r = -before / h;
        double phi1 = latest / h - 1;
        double phi2 = -phi1 / h - 0.5;
        double b1 = phi1 / -latest;
        double b2 = 2 * phi2 / -latest;
        // [1 1; r 1] (rho, latestRho) = (b1, b2)
        double rho = (b1 - b2) / (1 - r);
        double latestRho = b1 - rho;
        double ofLatest = latest * latestRho;
        double ofPast = latest * rho / r;
        return new double[] {ofLatest, -ofLatest - ofPast - slope, ofPast + slope};
    }
}
