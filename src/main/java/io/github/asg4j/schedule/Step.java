// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import java.util.List;

/**
 * Coefficients of one step of a solver: x' = stepX * x + stepE * e + stepN * n + the sum of past[j] *
 * D_j. Here e is the estimate made at x (see {@link Level}), n is of N(0, 1), and D_j is the clean
 * latents that were predicted j + 1 steps before, or the estimate that was made there ({@link
 * Solver#keepsEstimates}).
 */
public record Step(double stepX, double stepE, double stepN, List<Double> past) {
    /** No step: the row of the finished latents. */
    static final Step NONE = new Step(1, 0, 0);

    public Step {
        past = List.copyOf(past);
    }

    Step(double stepX, double stepE, double stepN) {
        this(stepX, stepE, stepN, List.of());
    }
}
