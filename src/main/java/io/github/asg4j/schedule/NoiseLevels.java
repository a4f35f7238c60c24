// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.function.DoubleUnaryOperator;

/** The noise levels that a model was trained on. */
public sealed interface NoiseLevels {
    /** Length of the training schedule. */
    int trainSteps();

    /**
     * The levels of a request.
     *
     * @param solver one that suits these levels
     * @param spacing one that suits the solver and these levels
     * @throws BadRequestException if the model was not trained on a level of the grid
     */
    Grid grid(Solver solver, Spacing spacing, int steps);

    /**
     * The levels of given timesteps.
     *
     * @param timesteps whole numbers from noisy to clean
     * @param stride timesteps that a step of a solver between timesteps leads over
     */
    Grid grid(Solver solver, double[] timesteps, int stride);

    /**
     * The timestep at which an enlarged picture is as hidden by noise as the smaller one was at {@code
     * timestep} (FreCaS, arXiv 2410.18410): the signal-to-noise ratio there is divided by {@code
     * enlargement} to the power of {@code exponent}; of a flow, alpha / sigma by its root.
     *
     * @param enlargement of an edge, above 1
     */
    int enlarged(int timestep, double enlargement, double exponent);

    /**
     * Levels of a model that predicts noise or v (Ho et al. 2020; Salimans and Ho 2022).
     *
     * @param prediction what the network predicts, "epsilon" or "v"
     * @param betaSchedule one of {@link #BETA_SCHEDULES}
     * @param betaStart variance added by the first training step
     * @param betaEnd variance added by the last training step
     * @param trainSteps length of the training schedule
     * @param stepsOffset added to every timestep of leading spacing
     * @param zeroTerminalSnr whether the betas are rescaled so that the last level has no signal (Lin et al.
     *     2024, arXiv 2305.08891, Algorithm 1)
     */
    record Betas(
            String prediction,
            String betaSchedule,
            double betaStart,
            double betaEnd,
            int trainSteps,
            int stepsOffset,
            boolean zeroTerminalSnr)
            implements NoiseLevels {
        public static final List<String> BETA_SCHEDULES = List.of("scaled_linear", "linear");

        /**
         * Share of the signal's variance at the last level, where there is none, for latents x0 + sigma *
         * noise: as diffusers has it, so that sigma is 4096 and not infinite.
         */
        private static final double LITTLE_SIGNAL = 0x1p-24;

        /** How many timesteps consistency models are distilled on. */
        private static final int DISTILLED = 50;

        /** Exponent of {@link Spacing#KARRAS}. */
        private static final double RHO = 7;

        public Betas {
            if (!prediction.equals("epsilon") && !prediction.equals("v")) {
                throw new BadBundleException(
                        "the model's prediction is \""
                                + prediction
                                + "\": this release has schedulers for epsilon and v");
            }
            if (!BETA_SCHEDULES.contains(betaSchedule)) {
                throw new BadBundleException(
                        "the model's beta_schedule is \""
                                + betaSchedule
                                + "\": this release has "
                                + String.join(" and ", BETA_SCHEDULES));
            }
            if (zeroTerminalSnr && !prediction.equals("v")) {
                throw new BadBundleException(
                        "the model's noise levels end without signal (rescale_betas_zero_snr),"
                                + " where a network that predicts "
                                + prediction
                                + " says nothing of the picture: such models predict v");
            }
        }

        /** Levels that end with a little signal, as those of most models do. */
        public Betas(
                String prediction,
                String betaSchedule,
                double betaStart,
                double betaEnd,
                int trainSteps,
                int stepsOffset) {
            this(prediction, betaSchedule, betaStart, betaEnd, trainSteps, stepsOffset, false);
        }

        /** The same levels of a network that was trained otherwise. */
        public Betas trained(String predicted, boolean zeroSnr) {
            return new Betas(
                    predicted, betaSchedule, betaStart, betaEnd, trainSteps, stepsOffset, zeroSnr);
        }

        @Override
        public Grid grid(Solver solver, Spacing spacing, int steps) {
            double[] abar = alphasCumprod(solver);
            return solver.stepsBetweenTimesteps()
                    ? betweenTimesteps(solver, abar, timesteps(steps, spacing), trainSteps / steps)
                    : onSigma(abar, spacing, steps);
        }

        @Override
        public Grid grid(Solver solver, double[] timesteps, int stride) {
            double[] abar = alphasCumprod(solver);
            if (solver.stepsBetweenTimesteps()) {
                return betweenTimesteps(solver, abar, timesteps, stride);
            }
            double[] sigmas = new double[timesteps.length];
            for (int k = 0; k < sigmas.length; k++) {
                sigmas[k] = sigma(abar[(int) timesteps[k]]);
            }
            return onSigma(abar, timesteps, sigmas, Math.hypot(1, sigmas[0]));
        }

        @Override
        public int enlarged(int timestep, double enlargement, double exponent) {
            double[] abar = alphasCumprod();
            double share = abar[timestep] / Math.pow(enlargement, exponent);
            double wanted = share / (1 + share - abar[timestep]);
            int first = 0;
            while (first < abar.length - 1 && abar[first] > wanted) {
                first++;
            }
            return first;
        }

        private double[] alphasCumprod(Solver solver) {
            double[] abar = alphasCumprod();
            if (zeroTerminalSnr && !solver.stepsBetweenTimesteps()) {
                abar[abar.length - 1] = LITTLE_SIGNAL;
            }
            return abar;
        }

        /** Share of the signal's variance that is left at each training timestep. */
        private double[] alphasCumprod() {
            boolean scaled = betaSchedule.equals("scaled_linear");
            double start = scaled ? Math.sqrt(betaStart) : betaStart;
            double end = scaled ? Math.sqrt(betaEnd) : betaEnd;
            double[] abar = new double[trainSteps];
            double product = 1;
            for (int t = 0; t < abar.length; t++) {
                double root = start + t * ((end - start) / (abar.length - 1));
                product *= 1 - (scaled ? root * root : root);
                abar[t] = product;
            }
            if (zeroTerminalSnr) {
                double first = Math.sqrt(abar[0]);
                double last = Math.sqrt(abar[abar.length - 1]);
                for (int t = 0; t < abar.length; t++) {
                    double root = (Math.sqrt(abar[t]) - last) * (first / (first - last));
                    abar[t] = root * root;
                }
            }
            return abar;
        }

        /** Timesteps from noisy to clean; ties round to even. */
        private double[] timesteps(int steps, Spacing spacing) {
            int train = trainSteps;
            int wholeStride = train / steps;
            double stride = (double) train / steps;
            // diffusers uses numpy.arange and linspace, which add multiples of these rounded steps:
            // they decide some ties, at 48 and 61 steps for example.
            double arangeStep = (train - stride) - train;
            double linspaceStep = (train - 1) / (double) Math.max(1, steps - 1);
            double[] timesteps = new double[steps];
            for (int k = 0; k < steps; k++) {
                timesteps[k] =
                        switch (spacing) {
                            case LEADING -> wholeStride * (steps - 1 - k) + stepsOffset;
                            case TRAILING -> Math.rint(train + k * arangeStep) - 1;
                            case LINSPACE ->
                                    k == 0 && steps > 1
                                            ? train - 1
                                            : (steps - 1 - k) * linspaceStep;
                            case SGM_UNIFORM -> (steps - k) * ((train - 1) / (double) steps);
                            case SIMPLE -> train - 1 - (int) (k * stride);
                            case DISTILLED -> distilled(steps, k);
                            case KARRAS, EXPONENTIAL, BETA, AYS, AYS_SD1 ->
                                    throw new IllegalArgumentException(spacing + " is of sigmas");
                        };
            }
            if (timesteps[0] > train - 1) {
                throw new BadRequestException(
                        "steps is "
                                + steps
                                + ": with leading spacing and steps_offset "
                                + stepsOffset
                                + " they begin at timestep "
                                + (long) timesteps[0]
                                + ", the model knows 0 to "
                                + (train - 1)
                                + "; use fewer steps, or trailing spacing");
            }
            return timesteps;
        }

        /** The k-th of some of the timesteps that networks are distilled on, from the noisy end. */
        private int distilled(int steps, int k) {
            if (steps > DISTILLED) {
                throw new BadRequestException(
                        "steps is "
                                + steps
                                + ": with the spacing "
                                + Spacing.DISTILLED
                                + " there are "
                                + DISTILLED
                                + " timesteps to choose from; use fewer steps, usually 4 to 8, or"
                                + " another spacing");
            }
            int place = (int) Math.floor(k * ((double) DISTILLED / steps));
            return (DISTILLED - place) * (trainSteps / DISTILLED) - 1;
        }

        /** Sigmas of a spacing that is of sigmas; null: it is of timesteps. */
        private double @Nullable [] sigmas(double[] abar, Spacing spacing, int steps) {
            double low = sigma(abar[0]);
            double high = sigma(abar[abar.length - 1]);
            return switch (spacing) {
                case KARRAS ->
                        between(
                                steps,
                                Math.pow(low, 1 / RHO),
                                Math.pow(high, 1 / RHO),
                                v -> Math.pow(v, RHO));
                case EXPONENTIAL -> between(steps, Math.log(low), Math.log(high), Math::exp);
                case BETA -> between(steps, 0, 1, v -> low + BetaQuantile.of(v) * (high - low));
                case AYS -> AlignedSteps.sigmas(AlignedSteps.SDXL, steps);
                case AYS_SD1 -> AlignedSteps.sigmas(AlignedSteps.SD1, steps);
                case LEADING, TRAILING, LINSPACE, SGM_UNIFORM, SIMPLE, DISTILLED -> null;
            };
        }

        /** Latents x0 + sigma * noise, with levels between the trained ones. */
        private Grid onSigma(double[] abar, Spacing spacing, int steps) {
            double[] given = sigmas(abar, spacing, steps);
            double[] sigmas = given == null ? new double[steps] : given;
            double[] timesteps;
            if (given != null) {
                timesteps = new double[steps];
                for (int k = 0; k < steps; k++) {
                    timesteps[k] = timestep(abar, sigmas[k]);
                }
            } else {
                timesteps = timesteps(steps, spacing);
                for (int k = 0; k < steps; k++) {
                    int below = (int) timesteps[k];
                    int above = Math.min(below + 1, abar.length - 1);
                    double low = sigma(abar[below]);
                    sigmas[k] = low + (timesteps[k] - below) * (sigma(abar[above]) - low);
                }
            }
            // Leading spacing begins below the noisiest level, where latents have their own
            // variance beside that of the noise; networks that are distilled begin with noise of
            // variance 1, before it is divided by the signal's share.
            double first = sigmas[0];
            boolean whole = spacing == Spacing.LEADING || spacing == Spacing.DISTILLED;
            return onSigma(abar, timesteps, sigmas, whole ? Math.sqrt(first * first + 1) : first);
        }

        private Grid onSigma(double[] abar, double[] timesteps, double[] sigmas, double initScale) {
            return Grid.toClean(
                    levels(timesteps, sigmas),
                    initScale,
                    t -> levels(new double[] {t}, new double[] {sigma(abar[t])}).getFirst());
        }

        /** Levels of latents x0 + sigma * noise. */
        private List<Level> levels(double[] timesteps, double[] sigmas) {
            List<Level> levels = new ArrayList<>();
            for (int k = 0; k < sigmas.length; k++) {
                double sigma = sigmas[k];
                double inScale = 1 / Math.sqrt(sigma * sigma + 1);
                boolean v = prediction.equals("v");
                levels.add(
                        new Level(
                                timesteps[k],
                                1,
                                1,
                                sigma,
                                inScale,
                                v ? inScale : 1,
                                v ? sigma / (sigma * sigma + 1) : 0,
                                1));
            }
            return levels;
        }

        /** Values from high to low, equally spaced before {@code shape} is applied. */
        private static double[] between(
                int steps, double low, double high, DoubleUnaryOperator shape) {
            double[] values = new double[steps];
            for (int k = 0; k < steps; k++) {
                double share = steps == 1 ? 0 : (double) k / (steps - 1);
                values[k] = shape.applyAsDouble(high + share * (low - high));
            }
            return values;
        }

        private static double sigma(double abar) {
            return Math.sqrt((1 - abar) / abar);
        }

        /** Where a sigma lies among the trained ones, interpolated in its logarithm. */
        private static double timestep(double[] abar, double sigma) {
            int below = 0;
            while (below < abar.length - 2 && sigma(abar[below + 1]) <= sigma) {
                below++;
            }
            double low = Math.log(sigma(abar[below]));
            double high = Math.log(sigma(abar[below + 1]));
            double place = (Math.log(sigma) - low) / (high - low);
            return below + Math.clamp(place, 0, 1);
        }

        /** Latents sqrt(abar) * x0 + sqrt(1 - abar) * noise, at trained timesteps alone. */
        private Grid betweenTimesteps(Solver solver, double[] abar, double[] places, int stride) {
            List<Level> levels = new ArrayList<>();
            List<Level> targets = new ArrayList<>();
            for (int k = 0; k < places.length; k++) {
                int timestep = (int) Math.rint(places[k]);
                levels.add(trained(abar, timestep));
                // TCD leads from place to place, the others over strides; but for DDPM, the last
                // step
                // leads to timestep 0, which still has some noise.
                int next = k + 1 < places.length ? (int) Math.rint(places[k + 1]) : 0;
                int to = solver == Solver.TCD ? next : Math.max(timestep - stride, 0);
                boolean ends = solver == Solver.DDPM && timestep < stride;
                targets.add(ends ? Level.CLEAN : trained(abar, to));
            }
            return new Grid(levels, targets, 1, false, t -> trained(abar, t));
        }

        private Level trained(double[] abar, int timestep) {
            if (abar[timestep] == 0) {
                return Level.withoutSignal(timestep);
            }
            double alpha = Math.sqrt(abar[timestep]);
            double sigma = Math.sqrt(1 - abar[timestep]);
            boolean v = prediction.equals("v");
            return new Level(
                    timestep, alpha, abar[timestep], sigma, 1, v ? alpha : 1, v ? sigma : 0, alpha);
        }
    }

    /**
     * Levels of a model that was trained by flow matching (Lipman et al. 2023, Esser et al. 2024) and
     * predicts the velocity, noise minus clean latents: x = (1 - sigma) x0 + sigma n, equally spaced
     * in time and shifted. The last trained level is shifted twice, as in diffusers: once by the
     * training schedule and once with all others.
     *
     * @param trainSteps length of the training schedule
     * @param shift how far the noise levels are moved up (Esser et al. 2024, Eq. 23), 1: not at all
     */
    record Flow(int trainSteps, double shift) implements NoiseLevels {
        @Override
        public Grid grid(Solver solver, Spacing spacing, int steps) {
            double train = trainSteps;
            double last = shifted(1 / train);
            List<Level> levels = new ArrayList<>();
            for (int k = 0; k < steps; k++) {
                double time = k == 0 ? 1 : 1 + k * ((last - 1) / (steps - 1));
                double sigma = shifted(time);
                double alpha = 1 - sigma;
                levels.add(new Level(train * sigma, alpha, alpha * alpha, sigma, 1, 1, 0, 1));
            }
            return Grid.toClean(levels, 1, this::trained);
        }

        @Override
        public Grid grid(Solver solver, double[] timesteps, int stride) {
            List<Level> levels = new ArrayList<>();
            for (double timestep : timesteps) {
                levels.add(trained(timestep));
            }
            return Grid.toClean(levels, 1, this::trained);
        }

        private Level trained(double timestep) {
            double sigma = timestep / trainSteps;
            double alpha = 1 - sigma;
            return new Level(timestep, alpha, alpha * alpha, sigma, 1, 1, 0, 1);
        }

        @Override
        public int enlarged(int timestep, double enlargement, double exponent) {
            double shift = Math.sqrt(enlargement);
            return (int) (trainSteps * shift * timestep / (trainSteps + (shift - 1) * timestep));
        }

        private double shifted(double sigma) {
            return shift * sigma / (1 + (shift - 1) * sigma);
        }
    }
}
