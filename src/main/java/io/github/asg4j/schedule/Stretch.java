// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import io.github.asg4j.BadRequestException;

/**
 * Noise levels from noisy to clean that one stage visits. A schedule is one stretch or several: where
 * one begins after another, the latents are noised anew (SPEC §11). A stretch that ends above the last
 * level of its grid steps to the clean latents that it predicts there.
 */
public sealed interface Stretch {
    /** Denoising steps. */
    int steps();

    /** The levels, of a model and a solver that go together. */
    Grid grid(NoiseLevels model, Solver solver, Spacing spacing);

    /**
     * Share of a whole schedule that is done before step {@code k}.
     *
     * @param train noise levels that the model was trained on
     */
    double done(int k, int train);

    /** All steps of a schedule of {@code steps}. */
    static Stretch whole(int steps) {
        return new Part(steps, 0, steps);
    }

    /**
     * Some steps of a schedule.
     *
     * @param of steps of the schedule
     * @param first of them, 0 is the noisiest
     * @param end behind the last of them
     */
    record Part(int of, int first, int end) implements Stretch {
        public Part {
            if (first < 0 || end <= first || end > of) {
                throw new IllegalArgumentException(
                        "steps " + first + " to " + end + " of " + of + ": at least one, in order");
            }
        }

        @Override
        public int steps() {
            return end - first;
        }

        @Override
        public double done(int k, int train) {
            return (double) (first + k) / of;
        }

        @Override
        public Grid grid(NoiseLevels model, Solver solver, Spacing spacing) {
            return model.grid(solver, spacing, of).steps(first, end);
        }
    }

    /**
     * Timesteps at equal distances, rounded down, both ends included, as FreCaS (arXiv 2410.18410)
     * chooses them. DDIM leads from each of them over the stride that its code derives, {@code train /
     * (train * (steps - 1) / (from - to))} with whole quotients.
     *
     * @param from the noisiest
     * @param to the least noisy, below {@code from}
     * @param steps at least one
     */
    record Between(int from, int to, int steps) implements Stretch {
        public Between {
            if (to < 0 || from <= to || steps < 1) {
                throw new IllegalArgumentException(
                        steps + " steps from timestep " + from + " down to " + to);
            }
        }

        @Override
        public double done(int k, int train) {
            double share = steps == 1 ? 0 : (double) k / (steps - 1);
            return 1 - (from + share * (to - from) + 1) / train;
        }

        @Override
        public Grid grid(NoiseLevels model, Solver solver, Spacing spacing) {
            int train = model.trainSteps();
            if (from >= train) {
                throw new BadRequestException(
                        "a stage begins at timestep "
                                + from
                                + ": the model was trained on 0 to "
                                + (train - 1));
            }
            double[] timesteps = new double[steps];
            for (int k = 0; k < steps; k++) {
                double share = steps == 1 ? 0 : (double) k / (steps - 1);
                timesteps[k] = Math.floor(from + share * (to - from));
            }
            int strides = (int) ((double) train / (from - to) * (steps - 1));
            Grid grid = model.grid(solver, timesteps, strides == 0 ? train : train / strides);
            return to == 0 ? grid : grid.cutOff();
        }
    }
}
