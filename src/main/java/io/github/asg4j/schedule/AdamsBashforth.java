// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntToDoubleFunction;

/**
 * Linear multistep methods on estimates of the noise, x' = x + sum c_j e_(k-j): the estimate is continued
 * by a polynomial through the last ones and integrated from sigma to sigma'. They keep the estimates, not
 * the clean latents, as a step needs those of other noise levels; the weights add up to sigma' - sigma.
 */
final class AdamsBashforth {
    /** Nodes and weights of Gauss' quadrature with 2 points on -1..1: exact for polynomials up to cubic ones. */
    private static final double NODE = 1 / Math.sqrt(3);

    /** Weights of orders 1 to 4 for steps of equal width, of the latest first. */
    private static final double[][] EQUAL = {
        {1},
        {3 / 2.0, -1 / 2.0},
        {23 / 12.0, -16 / 12.0, 5 / 12.0},
        {55 / 24.0, -59 / 24.0, 37 / 24.0, -9 / 24.0}
    };

    private AdamsBashforth() {}

    /** LMS (k-diffusion's {@code sample_lms}): the polynomial is in sigma, and integrated exactly. */
    static Step inSigma(Grid grid, int k, int past) {
        double to = grid.targets().get(k).sigma();
        if (to == 0 && grid.cut()) {
            return toClean(grid, k, past);
        }
        double from = grid.levels().get(k).sigma();
        double half = (to - from) / 2;
        double middle = (to + from) / 2;
        return step(
                past,
                j ->
                        half
                                * (lagrange(grid, k, past, j, middle - half * NODE)
                                        + lagrange(grid, k, past, j, middle + half * NODE)));
    }

    /** The polynomial that is 1 at the sigma of step k - j and 0 at those of the others. */
    private static double lagrange(Grid grid, int k, int past, int j, double sigma) {
        double own = grid.levels().get(k - j).sigma();
        double product = 1;
        for (int m = 0; m <= past; m++) {
            if (m != j) {
                double other = grid.levels().get(k - m).sigma();
                product *= (sigma - other) / (own - other);
            }
        }
        return product;
    }

    /** iPNDM (Zhang and Chen 2023, arXiv 2204.13902), as ComfyUI has it: as if all steps were equally wide. */
    static Step equal(Grid grid, int k, int past) {
        double to = grid.targets().get(k).sigma();
        if (to == 0) {
            return toClean(grid, k, past);
        }
        double width = to - grid.levels().get(k).sigma();
        return step(past, j -> width * EQUAL[past][j]);
    }

    /** DEIS (the same paper) of third order: the polynomial is in the logarithm of sigma. */
    static Step inLogarithm(Grid grid, int k, int past) {
        double to = grid.targets().get(k).sigma();
        double from = grid.levels().get(k).sigma();
        if (to == 0) {
            return toClean(grid, k, past);
        }
        if (past == 0) {
            return step(0, j -> to - from);
        }
        double[] logs = new double[past + 1];
        for (int j = 0; j <= past; j++) {
            logs[j] = Math.log(grid.levels().get(k - j).sigma());
        }
        return step(past, j -> integral(to, logs, j) - integral(from, logs, j));
    }

    /** Integral over sigma of the polynomial in ln(sigma) that is 1 at logs[j] and 0 at the others. */
    private static double integral(double sigma, double[] logs, int j) {
        double l = Math.log(sigma);
        double b = logs[j];
        double c = logs[(j + 1) % logs.length];
        if (logs.length == 2) {
            return sigma * (l - c - 1) / (b - c);
        }
        double d = logs[(j + 2) % logs.length];
        return sigma * (c * (d - l + 1) - d * l + d + l * l - 2 * l + 2) / ((b - c) * (b - d));
    }

    /** The step to the clean latents that are predicted there: sigma' is 0. */
    private static Step toClean(Grid grid, int k, int past) {
        double from = grid.levels().get(k).sigma();
        return step(past, j -> j == 0 ? -from : 0);
    }

    private static Step step(int past, IntToDoubleFunction weight) {
        List<Double> before = new ArrayList<>();
        for (int j = 1; j <= past; j++) {
            before.add(weight.applyAsDouble(j));
        }
        return new Step(1, weight.applyAsDouble(0), 0, before);
    }
}
