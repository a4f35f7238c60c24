// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.kernel.StepRow;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * A noise schedule and its solver as a table of coefficients, computed in float64: one row per step
 * and an end row that describes the finished latents. Timesteps and steps are those of the
 * diffusers library. Immutable.
 *
 * @param name of the solver, one of {@link #names()}
 * @param spacing of the timesteps, one of {@link #spacings()}
 * @param eta stochasticity, 0..1
 * @param initScale the latents start as initScale * N(0, 1)
 * @param rows steps + 1 rows, the end row last
 */
public record Schedule(String name, String spacing, double eta, double initScale, List<Row> rows) {

    private static final String FLOW_EULER = "flow_euler";
    private static final String LINSPACE = "linspace";
    private static final List<String> NAMES = List.of("euler", "ddim", FLOW_EULER);
    private static final List<String> SPACINGS = List.of("leading", "trailing", LINSPACE);

    public Schedule {
        rows = List.copyOf(rows);
    }

    /**
     * The schedule a model was trained with, and the solver and spacing it is used with by default.
     *
     * @param type default solver
     * @param prediction what the network predicts, "epsilon" or "v"
     * @param betaSchedule "scaled_linear" or "linear"
     * @param betaStart variance added by the first training step
     * @param betaEnd variance added by the last training step
     * @param trainSteps length of the training schedule
     * @param spacing default spacing of the timesteps
     * @param stepsOffset added to every timestep of leading spacing
     */
    public record Settings(
            String type,
            String prediction,
            String betaSchedule,
            double betaStart,
            double betaEnd,
            int trainSteps,
            String spacing,
            int stepsOffset) {}

    /**
     * The schedule of a model that was trained by flow matching (Lipman et al. 2023, Esser et al.
     * 2024) and predicts the velocity, noise minus clean latents.
     *
     * @param trainSteps length of the training schedule
     * @param shift how far the noise levels are moved up (Esser et al. 2024, Eq. 23), 1: not at all
     */
    public record FlowSettings(int trainSteps, double shift) {}

    /**
     * Coefficients of one step: x = alpha * x0 + sigma * noise; network input inScale * x; estimate
     * e = predM * m + predX * x from the network output m; step x' = stepX * x + stepE * e + stepN *
     * n with n of N(0, 1). The estimate is of the noise, of a flow of the velocity: x = cleanScale *
     * x0 + sigma * e.
     *
     * @param cleanScale alpha; of a flow 1, whatever alpha is
     */
    public record Row(
            double timestep,
            double alpha,
            double sigma,
            double inScale,
            double predM,
            double predX,
            double stepX,
            double stepE,
            double stepN,
            double cleanScale) {
        /** A row whose estimate is of the noise. */
        Row(
                double timestep,
                double alpha,
                double sigma,
                double inScale,
                double predM,
                double predX,
                double stepX,
                double stepE,
                double stepN) {
            this(timestep, alpha, sigma, inScale, predM, predX, stepX, stepE, stepN, alpha);
        }
    }

    /** The solvers there are. */
    public static List<String> names() {
        return NAMES;
    }

    /** The timestep spacings there are. */
    public static List<String> spacings() {
        return SPACINGS;
    }

    /**
     * The table for a request.
     *
     * @param model how the model was trained
     * @param steps 1..trainSteps
     * @param name solver; null: the model's
     * @param spacing timestep spacing; null: the model's
     * @param eta stochasticity of "ddim", 0..1; 0 for every other solver
     * @throws BadRequestException an unknown name, or steps or eta out of range
     * @throws BadBundleException a prediction or beta schedule that is not known
     */
    public static Schedule of(
            Settings model,
            int steps,
            @Nullable String name,
            @Nullable String spacing,
            double eta) {
        String solver = known("scheduler", name == null ? model.type() : name, NAMES);
        if (solver.equals(FLOW_EULER)) {
            throw new BadRequestException(
                    "the scheduler "
                            + FLOW_EULER
                            + " is for models of flow matching, this one predicts "
                            + model.prediction()
                            + ": choose euler or ddim");
        }
        String places =
                known("timestep spacing", spacing == null ? model.spacing() : spacing, SPACINGS);
        checkSteps(steps, model.trainSteps());
        if (!(eta >= 0 && eta <= 1)) {
            throw new BadRequestException("eta is " + eta + ": it has to be between 0 and 1");
        }
        if (eta > 0 && !solver.equals("ddim")) {
            throw new BadRequestException(
                    "eta is "
                            + eta
                            + ": the scheduler "
                            + solver
                            + " adds no noise, eta has to be"
                            + " 0; choose the scheduler ddim for another");
        }
        if (!model.prediction().equals("epsilon") && !model.prediction().equals("v")) {
            throw new BadBundleException(
                    "the model's prediction is \""
                            + model.prediction()
                            + "\": this release has schedulers for epsilon and v");
        }
        double[] abar = alphasCumprod(model);
        double[] timesteps = timesteps(model, steps, places);
        return solver.equals("euler")
                ? euler(model.prediction(), places, abar, timesteps)
                : ddim(model.prediction(), places, abar, timesteps, eta);
    }

    /**
     * The table for a request to a model of flow matching; its only solver is Euler's method.
     *
     * @param model how the model was trained
     * @param steps 1..trainSteps
     * @param name solver, "flow_euler"; null: that
     * @param spacing "linspace"; null: that
     * @param eta 0
     * @throws BadRequestException another solver or spacing, or steps or eta out of range
     */
    public static Schedule of(
            FlowSettings model,
            int steps,
            @Nullable String name,
            @Nullable String spacing,
            double eta) {
        only("scheduler", name, FLOW_EULER, NAMES);
        only("timestep spacing", spacing, LINSPACE, SPACINGS);
        checkSteps(steps, model.trainSteps());
        if (eta != 0) {
            throw new BadRequestException(
                    "eta is " + eta + ": a model of flow matching adds no noise, it has to be 0");
        }
        return flow(model, steps);
    }

    private static void only(String what, @Nullable String asked, String only, List<String> names) {
        if (asked != null && !known(what, asked, names).equals(only)) {
            throw new BadRequestException(
                    "the "
                            + what
                            + " "
                            + asked
                            + " is not for models of flow matching: choose "
                            + only);
        }
    }

    private static void checkSteps(int steps, int trainSteps) {
        if (steps < 1 || steps > trainSteps) {
            throw new BadRequestException(
                    "steps is "
                            + steps
                            + ": the model was trained on "
                            + trainSteps
                            + " noise levels, choose 1 to "
                            + trainSteps
                            + " steps");
        }
    }

    /** Denoising steps; one less than there are rows. */
    public int steps() {
        return rows.size() - 1;
    }

    /** Size of what {@link #write} writes. */
    public long bytes() {
        return rows.size() * StepRow.BYTES;
    }

    /**
     * Writes all rows as {@link StepRow}, each value rounded once to float32; {@code table} holds at
     * least {@link #bytes()} bytes, and row k starts at {@code k * StepRow.BYTES}. The end row has
     * no noise to divide by where sigma is 0: its kappa is written as 0.
     */
    public void write(MemorySegment table) {
        for (int k = 0; k < rows.size(); k++) {
            Row row = rows.get(k);
            MemorySegment out = table.asSlice(k * StepRow.BYTES, StepRow.BYTES);
            out.fill((byte) 0);
            StepRow.set(out, StepRow.TIMESTEP, (float) row.timestep());
            StepRow.set(out, StepRow.ALPHA, (float) row.alpha());
            StepRow.set(out, StepRow.SIGMA, (float) row.sigma());
            StepRow.set(out, StepRow.IN_SCALE, (float) row.inScale());
            StepRow.set(out, StepRow.PRED_M, (float) row.predM());
            StepRow.set(out, StepRow.PRED_X, (float) row.predX());
            StepRow.set(out, StepRow.STEP_X, (float) row.stepX());
            StepRow.set(out, StepRow.STEP_E, (float) row.stepE());
            StepRow.set(out, StepRow.STEP_N, (float) row.stepN());
            StepRow.set(out, StepRow.INV_ALPHA, (float) (1 / row.cleanScale()));
            float kappa = row.sigma() == 0 ? 0 : (float) (row.cleanScale() / row.sigma());
            StepRow.set(out, StepRow.KAPPA, kappa);
        }
    }

    private static String known(String what, String name, List<String> names) {
        if (!names.contains(name)) {
            throw new BadRequestException(
                    "there is no "
                            + what
                            + " \""
                            + name
                            + "\": choose one of "
                            + String.join(", ", names));
        }
        return name;
    }

    /** Share of the signal's variance that is left at each training timestep. */
    private static double[] alphasCumprod(Settings model) {
        boolean scaled =
                switch (model.betaSchedule()) {
                    case "scaled_linear" -> true;
                    case "linear" -> false;
                    default ->
                            throw new BadBundleException(
                                    "the model's beta_schedule is \""
                                            + model.betaSchedule()
                                            + "\": this release has scaled_linear and linear");
                };
        double start = scaled ? Math.sqrt(model.betaStart()) : model.betaStart();
        double end = scaled ? Math.sqrt(model.betaEnd()) : model.betaEnd();
        double[] abar = new double[model.trainSteps()];
        double product = 1;
        for (int t = 0; t < abar.length; t++) {
            double root = start + t * ((end - start) / (abar.length - 1));
            product *= 1 - (scaled ? root * root : root);
            abar[t] = product;
        }
        return abar;
    }

    /** Timesteps from noisy to clean; fractional only for linspace; ties round to even. */
    private static double[] timesteps(Settings model, int steps, String spacing) {
        int train = model.trainSteps();
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
                        case "leading" -> wholeStride * (steps - 1 - k) + model.stepsOffset();
                        case "trailing" -> Math.rint(train + k * arangeStep) - 1;
                        default -> k == 0 && steps > 1 ? train - 1 : (steps - 1 - k) * linspaceStep;
                    };
        }
        if (timesteps[0] > train - 1) {
            throw new BadRequestException(
                    "steps is "
                            + steps
                            + ": with leading spacing and steps_offset "
                            + model.stepsOffset()
                            + " they begin at timestep "
                            + (long) timesteps[0]
                            + ", the model knows 0 to "
                            + (train - 1)
                            + "; use fewer steps, or trailing spacing");
        }
        return timesteps;
    }

    /** Euler's method on sigma (Karras et al. 2022, Algorithm 2 without churn). */
    private static Schedule euler(
            String prediction, String spacing, double[] abar, double[] timesteps) {
        double[] sigmas = new double[timesteps.length + 1];
        for (int k = 0; k < timesteps.length; k++) {
            int below = (int) timesteps[k];
            int above = Math.min(below + 1, abar.length - 1);
            double low = sigma(abar[below]);
            sigmas[k] = low + (timesteps[k] - below) * (sigma(abar[above]) - low);
        }
        List<Row> rows = new ArrayList<>();
        for (int k = 0; k < timesteps.length; k++) {
            double sigma = sigmas[k];
            double inScale = 1 / Math.sqrt(sigma * sigma + 1);
            boolean v = prediction.equals("v");
            rows.add(
                    new Row(
                            timesteps[k],
                            1,
                            sigma,
                            inScale,
                            v ? inScale : 1,
                            v ? sigma / (sigma * sigma + 1) : 0,
                            1,
                            sigmas[k + 1] - sigma,
                            0));
        }
        rows.add(new Row(0, 1, 0, 1, 1, 0, 1, 0, 0));
        double initScale =
                spacing.equals("leading") ? Math.sqrt(sigmas[0] * sigmas[0] + 1) : sigmas[0];
        return new Schedule("euler", spacing, 0, initScale, rows);
    }

    private static double sigma(double abar) {
        return Math.sqrt((1 - abar) / abar);
    }

    /** DDIM (Song et al. 2021, Eq. 12 and 16), final alpha that of timestep 0. */
    private static Schedule ddim(
            String prediction, String spacing, double[] abar, double[] timesteps, double eta) {
        List<Row> rows = new ArrayList<>();
        int stride = abar.length / timesteps.length;
        double previous = abar[0];
        for (double place : timesteps) {
            int timestep = (int) Math.rint(place);
            double current = abar[timestep];
            previous = abar[Math.max(timestep - stride, 0)];
            double alpha = Math.sqrt(current);
            double sigma = Math.sqrt(1 - current);
            double noise =
                    eta * Math.sqrt((1 - previous) / (1 - current) * (1 - current / previous));
            double stepX = Math.sqrt(previous / current);
            boolean v = prediction.equals("v");
            rows.add(
                    new Row(
                            timestep,
                            alpha,
                            sigma,
                            1,
                            v ? alpha : 1,
                            v ? sigma : 0,
                            stepX,
                            Math.sqrt(1 - previous - noise * noise) - stepX * sigma,
                            noise));
        }
        rows.add(new Row(0, Math.sqrt(previous), Math.sqrt(1 - previous), 1, 1, 0, 1, 0, 0));
        return new Schedule("ddim", spacing, eta, 1, rows);
    }

    /**
     * Euler's method on a flow from noise to picture, x = (1 - sigma) x0 + sigma n, with levels that
     * are equally spaced in time and shifted. The last trained level is shifted twice, as in
     * diffusers: once by the training schedule and once with all others.
     */
    private static Schedule flow(FlowSettings model, int steps) {
        double train = model.trainSteps();
        double last = shifted(1 / train, model.shift());
        double[] sigmas = new double[steps + 1];
        for (int k = 0; k < steps; k++) {
            double time = k == 0 ? 1 : 1 + k * ((last - 1) / (steps - 1));
            sigmas[k] = shifted(time, model.shift());
        }
        List<Row> rows = new ArrayList<>();
        for (int k = 0; k < steps; k++) {
            double sigma = sigmas[k];
            rows.add(
                    new Row(
                            train * sigma,
                            1 - sigma,
                            sigma,
                            1,
                            1,
                            0,
                            1,
                            sigmas[k + 1] - sigma,
                            0,
                            1));
        }
        rows.add(new Row(0, 1, 0, 1, 1, 0, 1, 0, 0));
        return new Schedule(FLOW_EULER, LINSPACE, 0, 1, rows);
    }

    /** A noise level moved up (Esser et al. 2024, Eq. 23). */
    private static double shifted(double sigma, double shift) {
        return shift * sigma / (1 + (shift - 1) * sigma);
    }
}
