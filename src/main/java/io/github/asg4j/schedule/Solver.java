// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The solvers of the denoising equation, by the names that users give them. A solver is a row of
 * coefficients per step; what it remembers is the clean latents that it predicted in the steps
 * before, which mean the same at every noise level.
 */
public enum Solver {
    /** Euler's method on sigma (Karras et al. 2022, Algorithm 2 without churn). */
    EULER("euler", "Euler", 0, EnumSet.allOf(Spacing.class), "EulerDiscreteScheduler") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            return new Step(1, grid.targets().get(k).sigma() - grid.levels().get(k).sigma(), 0);
        }
    },
    /** DDIM (Song et al. 2021, Eq. 12 and 16), whose final alpha is that of timestep 0. */
    DDIM(
            "ddim",
            "DDIM",
            0,
            EnumSet.of(Spacing.LEADING, Spacing.TRAILING, Spacing.LINSPACE),
            "DDIMScheduler") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            Level from = grid.levels().get(k);
            Level to = grid.targets().get(k);
            double current = from.alphaSquared();
            double previous = to.alphaSquared();
            double noise =
                    eta * Math.sqrt((1 - previous) / (1 - current) * (1 - current / previous));
            double stepX = Math.sqrt(previous / current);
            double stepE = Math.sqrt(1 - previous - noise * noise) - stepX * from.sigma();
            return new Step(stepX, stepE, noise);
        }
    },
    /** Euler's method on the noise levels of a flow. */
    FLOW_EULER(
            "flow_euler",
            "flow_euler",
            0,
            EnumSet.of(Spacing.LINSPACE),
            "FlowMatchEulerDiscreteScheduler") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            return EULER.step(grid, k, past, eta);
        }
    },
    /**
     * DPM-Solver++(2M) (Lu et al. 2022, Algorithm 2): the prediction of clean latents is continued
     * along a line through the last two.
     */
    DPMPP_2M(
            "dpmpp_2m",
            "DPM++ 2M",
            1,
            EnumSet.allOf(Spacing.class),
            "DPMSolverMultistepScheduler",
            "dpmsolver++") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            Level from = grid.levels().get(k);
            Level to = grid.targets().get(k);
            double stepD = to.alpha() - to.sigma() * from.alpha() / from.sigma();
            double slope = 0;
            if (past > 0 && to.sigma() > 0) {
                double width = from.logSignal() - grid.levels().get(k - 1).logSignal();
                // From pure noise, as a flow begins, the width is infinite and the slope 0.
                slope = stepD * (to.logSignal() - from.logSignal()) / (2 * width);
            }
            double latest = stepD + slope;
            // D = (x - sigma * e) / cleanScale, written as terms of x and e.
            double perClean = latest / from.cleanScale();
            double stepX = to.sigma() / from.sigma() + perClean;
            double stepE = -perClean * from.sigma();
            return past > 0
                    ? new Step(stepX, stepE, 0, List.of(-slope))
                    : new Step(stepX, stepE, 0);
        }
    };

    private final String id;
    private final String label;
    private final int history;

    @SuppressWarnings("ImmutableEnumChecker") // copied on construction
    private final Set<Spacing> spacings;

    @SuppressWarnings("ImmutableEnumChecker") // of Stream.toList
    private final List<String> names;

    Solver(String id, String label, int history, Set<Spacing> spacings, String... aliases) {
        this.id = id;
        this.label = label;
        this.history = history;
        this.spacings = Collections.unmodifiableSet(EnumSet.copyOf(spacings));
        this.names = Stream.concat(Stream.of(id, label), Stream.of(aliases)).toList();
    }

    /**
     * Coefficients of step k.
     *
     * @param past past predictions that there are, 0 to {@link #history()} and at most k; with none
     *     it is a step of first order
     * @param eta stochasticity of {@link #DDIM}
     */
    abstract Step step(Grid grid, int k, int past, double eta);

    /** Its name on the command line, in manifests and in reports. */
    public String id() {
        return id;
    }

    /** Its name for people, as AUTOMATIC1111's web UI has it; {@link Sampler} understands it too. */
    public String label() {
        return label;
    }

    /** How many past predictions of the clean latents it keeps. */
    public int history() {
        return history;
    }

    /** Whether it steps from trained timestep to trained timestep, as DDIM was published. */
    boolean stepsBetweenTimesteps() {
        return this == DDIM;
    }

    /** The spacings that it can follow. */
    public Set<Spacing> spacings() {
        return spacings;
    }

    /** All names that it is called by, here and in other programs. */
    public List<String> names() {
        return names;
    }

    /** Whether it solves for a model of flow matching, or for one that predicts noise or v. */
    public boolean suits(boolean flow) {
        return flow ? this == FLOW_EULER || this == DPMPP_2M : this != FLOW_EULER;
    }

    /** The names of all solvers. */
    public static List<String> ids() {
        return Arrays.stream(values()).map(Solver::id).toList();
    }

    /** The names of the solvers for a model of flow matching, or for one of noise or v. */
    public static List<String> ids(boolean flow) {
        return Arrays.stream(values()).filter(s -> s.suits(flow)).map(Solver::id).toList();
    }

    @Override
    public String toString() {
        return id;
    }
}
