// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.kernel.StepRow;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A table of coefficients, computed in float64: the noise level and the step of a solver at every
 * step, and an end level that describes the finished latents. Immutable.
 *
 * @param eta stochasticity, 0..1, of solvers that {@linkplain Solver#takesEta take} it; else 0
 * @param initScale the latents start as initScale * N(0, 1)
 * @param levels steps + 1 levels, the end level last
 * @param orders the steps by the number of past predictions that they take: {@code orders.get(p)}
 *     has one step per level but the last, with p past predictions, or k at step k of its stretch if
 *     that is less. There are {@code solver.history() + 1} of them
 */
public record Schedule(
        Solver solver,
        Spacing spacing,
        double eta,
        double initScale,
        List<Level> levels,
        List<List<Step>> orders) {

    public Schedule {
        levels = List.copyOf(levels);
        orders = orders.stream().map(List::copyOf).toList();
    }

    /**
     * The table for a request.
     *
     * @param model what the model was trained on
     * @param steps 1..trainSteps
     * @param eta stochasticity, 0..1; 0 for a solver that does not take it
     * @throws BadRequestException if the model, the solver and the spacing do not go together, or
     *     steps or eta are out of range
     */
    public static Schedule of(
            NoiseLevels model, int steps, Solver solver, Spacing spacing, double eta) {
        return of(model, steps, List.of(), solver, spacing, eta);
    }

    /**
     * The table of several stretches, one behind the other. A step takes no predictions of a stretch
     * before its own.
     *
     * @param steps asked for, 1..trainSteps
     * @param stretches in order; empty: one of all steps
     * @throws BadRequestException as {@link #of(NoiseLevels, int, Solver, Spacing, double)}
     */
    public static Schedule of(
            NoiseLevels model,
            int steps,
            List<Stretch> stretches,
            Solver solver,
            Spacing spacing,
            double eta) {
        boolean flow = model instanceof NoiseLevels.Flow;
        if (!solver.suits(flow)) {
            throw new BadRequestException(
                    "the scheduler "
                            + solver
                            + (flow
                                    ? " is not for models of flow matching: choose "
                                    : " is for models of flow matching, and this one predicts noise"
                                            + " or v: choose ")
                            + String.join(" or ", Solver.ids(flow)));
        }
        if (flow && spacing != Spacing.LINSPACE) {
            throw new BadRequestException(
                    "the timestep spacing "
                            + spacing
                            + " is not for models of flow matching: choose "
                            + Spacing.LINSPACE);
        }
        if (!solver.spacings().contains(spacing)) {
            throw new BadRequestException(
                    "the scheduler "
                            + solver
                            + " cannot follow the spacing "
                            + spacing
                            + ": choose one of "
                            + String.join(
                                    ", ", solver.spacings().stream().map(Spacing::id).toList())
                            + ", or another scheduler");
        }
        if (steps < 1 || steps > model.trainSteps()) {
            throw new BadRequestException(
                    "steps is "
                            + steps
                            + ": the model was trained on "
                            + model.trainSteps()
                            + " noise levels, choose 1 to "
                            + model.trainSteps()
                            + " steps");
        }
        checkEta(solver, eta);
        List<Stretch> parts = stretches.isEmpty() ? List.of(Stretch.whole(steps)) : stretches;
        List<Grid> grids = parts.stream().map(part -> part.grid(model, solver, spacing)).toList();
        List<Level> levels = new ArrayList<>();
        grids.forEach(grid -> levels.addAll(grid.levels()));
        levels.add(grids.getLast().targets().getLast());
        List<List<Step>> orders = new ArrayList<>();
        for (int past = 0; past <= solver.history(); past++) {
            List<Step> order = new ArrayList<>();
            for (Grid grid : grids) {
                for (int k = 0; k < grid.levels().size(); k++) {
                    order.add(solver.step(grid, k, Math.min(past, k), eta));
                }
            }
            orders.add(order);
        }
        return new Schedule(solver, spacing, eta, grids.getFirst().initScale(), levels, orders);
    }

    private static void checkEta(Solver solver, double eta) {
        if (!(eta >= 0 && eta <= 1)) {
            throw new BadRequestException("eta is " + eta + ": it has to be between 0 and 1");
        }
        if (eta > 0 && !solver.takesEta()) {
            throw new BadRequestException(
                    "eta is "
                            + eta
                            + ": the noise that the scheduler "
                            + solver
                            + " adds is not to be chosen, eta has to be 0; for another choose one"
                            + " of "
                            + String.join(
                                    ", ",
                                    Arrays.stream(Solver.values())
                                            .filter(Solver::takesEta)
                                            .map(Solver::id)
                                            .toList()));
        }
    }

    /** Denoising steps; one less than there are levels. */
    public int steps() {
        return levels.size() - 1;
    }

    /** Step k with so many past predictions, 0 to the smaller of k and the solver's history. */
    public Step step(int k, int past) {
        return orders.get(past).get(k);
    }

    /** Size of what {@link #write} writes. */
    public long bytes() {
        return levels.size() * StepRow.BYTES;
    }

    /**
     * Writes one {@link StepRow} per level, each value rounded once to float32; {@code table} holds
     * at least {@link #bytes()} bytes, and row k starts at {@code k * StepRow.BYTES}. The end row has
     * no noise to divide by where sigma is 0: its kappa is written as 0.
     *
     * @param past past predictions that the steps take, where there are so many
     */
    public void write(MemorySegment table, int past) {
        for (int k = 0; k < levels.size(); k++) {
            Level level = levels.get(k);
            Step step = k < steps() ? step(k, past) : Step.NONE;
            MemorySegment out = table.asSlice(k * StepRow.BYTES, StepRow.BYTES);
            out.fill((byte) 0);
            StepRow.set(out, StepRow.TIMESTEP, (float) level.timestep());
            StepRow.set(out, StepRow.ALPHA, (float) level.alpha());
            StepRow.set(out, StepRow.SIGMA, (float) level.sigma());
            StepRow.set(out, StepRow.IN_SCALE, (float) level.inScale());
            StepRow.set(out, StepRow.PRED_M, (float) level.predM());
            StepRow.set(out, StepRow.PRED_X, (float) level.predX());
            StepRow.set(out, StepRow.STEP_X, (float) step.stepX());
            StepRow.set(out, StepRow.STEP_E, (float) step.stepE());
            StepRow.set(out, StepRow.STEP_N, (float) step.stepN());
            StepRow.set(out, StepRow.INV_ALPHA, (float) (1 / level.cleanScale()));
            float kappa = level.sigma() == 0 ? 0 : (float) (level.cleanScale() / level.sigma());
            StepRow.set(out, StepRow.KAPPA, kappa);
            StepRow.set(out, StepRow.KEEP_E, solver.keepsEstimates() ? 1 : 0);
            for (int j = 0; j < step.past().size(); j++) {
                StepRow.set(out, StepRow.STEP_PAST + j, (float) (double) step.past().get(j));
            }
        }
    }
}
