// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.RelayStage;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.GuidedStep;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.kernel.StepHistory;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import java.lang.foreign.MemorySegment;

/**
 * The step of a canvas whose low frequencies get something else (SPEC §11): a guidance scale of their own
 * (FreCaS, arXiv 2410.18410), or those of the canvas that the stage was refreshed with (DiffuseHigh, arXiv
 * 2406.18459). With low(y) for a linear filter and e for the estimate of all windows,
 *
 * <ol>
 *   <li>{@code e = e + low(e_low - e)}, e_low the estimate with the scale of low frequencies;
 *   <li>{@code D = D + low(z) - low(D)} for the predicted clean latents D, written on e.
 * </ol>
 *
 * It is of the whole canvas, by one worker in each step; its tensors are in use within a step only, but
 * for low(z).
 */
final class LowBandStep {
    /** Daubechies' wavelet with four vanishing moments, low-pass of the synthesis; mirrored of the analysis. */
    private static final double[] DB4 = {
        0.23037781330885523,
        0.7148465705525415,
        0.6308807679295904,
        -0.02798376941698385,
        -0.18703481171888114,
        0.030841381835986965,
        0.032883011666982945,
        -0.010597401784997278
    };

    private final Stage.LowBand band;
    private final WindowViews views;
    private final ScheduleTable table;
    private final int firstStep;
    private final int channels;
    private final long plane;
    private final MemorySegment[] estimateRows;

    /** By past predictions and step. */
    private final MemorySegment[][] estimatedRows;

    private final Axes down;
    private final Axes up;
    private final SharedTensor estimate;
    private final SharedTensor other;
    private final SharedTensor reduced;
    private final SharedTensor low;
    private final SharedTensor clean;
    private final SharedTensor lowClean;
    private final PerWorker<Own> own;

    /** How both axes are resized. */
    private record Axes(ResampleAxis y, ResampleAxis x) {
        Resize on(Worker worker, int channels) {
            return worker.resize(channels, y, x);
        }

        long cells() {
            return (long) y.to() * x.to();
        }
    }

    /** What one worker needs. */
    private record Own(Resize down, Resize up, GuidedStep step) {}

    /**
     * @param clean [C, H, W] in host memory: z, written before the first step
     */
    LowBandStep(
            Stage.Windows windows,
            Stage.LowBand band,
            StageContext context,
            WindowViews views,
            MemorySegment clean) {
        this.band = band;
        this.views = views;
        table = context.table();
        firstStep = windows.firstStep();
        channels = context.canvas().channels();
        int height = windows.y().canvas();
        int width = windows.x().canvas();
        plane = (long) channels * height * width;
        Workers workers = context.workers();
        Memory memory = workers.memory();
        estimateRows = new MemorySegment[windows.steps()];
        estimatedRows = new MemorySegment[table.history() + 1][windows.steps()];
        for (int k = 0; k < windows.steps(); k++) {
            estimateRows[k] = table.estimateRow(firstStep + k, memory);
            for (int past = 0; past < estimatedRows.length; past++) {
                estimatedRows[past][k] = table.estimatedRow(firstStep + k, past, memory);
            }
        }
        down = new Axes(down(memory, height, band.height()), down(memory, width, band.width()));
        up = new Axes(up(memory, height, band.height()), up(memory, width, band.width()));
        estimate = workers.floats(plane, "estimate");
        other = workers.floats(plane, "estimate of low frequencies");
        reduced = workers.floats(channels * down.cells(), "low frequencies");
        low = workers.floats(plane, "low frequencies");
        boolean holds = band.heldSteps() > 0;
        this.clean = workers.of(clean, "refreshed latents");
        lowClean = workers.floats(holds ? plane : 0, "low frequencies of the refreshed latents");
        own =
                new PerWorker<>(
                        workers.size(),
                        worker ->
                                new Own(
                                        down.on(worker, channels),
                                        up.on(worker, channels),
                                        new GuidedStep()));
    }

    private ResampleAxis down(Memory memory, int cells, int reducedTo) {
        return band.filter() == RelayStage.LowPass.DB4
                ? ResampleAxis.waveletDown(memory, cells, reversed(DB4))
                : ResampleAxis.bilinear(memory, cells, reducedTo);
    }

    private ResampleAxis up(Memory memory, int cells, int reducedTo) {
        return band.filter() == RelayStage.LowPass.DB4
                ? ResampleAxis.waveletUp(memory, cells, DB4)
                : ResampleAxis.bilinear(memory, reducedTo, cells);
    }

    private static double[] reversed(double[] values) {
        double[] reversed = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            reversed[i] = values[values.length - 1 - i];
        }
        return reversed;
    }

    /**
     * The canvas after step {@code k} of the stage; the noise of all windows is at the worker.
     *
     * @param out [C, H, W]
     * @param x [C, H, W], what the windows were cut from
     * @param past predictions that the step takes
     * @param random step noise [C, H, W], or NULL
     * @param history predictions [C, H, W]
     */
    void step(
            Worker worker,
            MemorySegment out,
            MemorySegment x,
            int k,
            int past,
            MemorySegment random,
            StepHistory history) {
        Kernels kernels = worker.kernels();
        MemorySegment e = estimate.on(worker);
        MemorySegment difference = other.on(worker);
        MemorySegment none = MemorySegment.NULL;
        views.step(worker, 0, e, x, k, estimateRows[k], none, StepHistory.NONE);
        if (views.guidesApart()) {
            views.stepLow(worker, difference, x, k, estimateRows[k]);
            kernels.blend(difference, difference, e, plane, 1, -1);
            kernels.blend(e, e, low(worker, low, difference), plane, 1, 1);
        }
        if (k < band.heldSteps()) {
            hold(worker, e, difference, x, k);
        }
        GuidedStep step = own.of(worker).step();
        kernels.guidedStep(
                step.begin(estimatedRows[past][k], 1, channels, plane / channels)
                        .latents(out, x)
                        .output(none, e, 1)
                        .noise(random)
                        .history(history));
    }

    /** Gives the prediction of estimate {@code e} the low frequencies of the refreshed latents. */
    private void hold(Worker worker, MemorySegment e, MemorySegment work, MemorySegment x, int k) {
        Kernels kernels = worker.kernels();
        if (k == 0) {
            low(worker, lowClean, clean.on(worker));
            lowClean.publish(worker, 0);
        } else {
            lowClean.acquire(worker, 0);
        }
        int row = firstStep + k;
        float perClean = table.perClean(row);
        kernels.blend(work, x, e, plane, perClean, -table.sigma(row) * perClean);
        MemorySegment predicted = low(worker, low, work);
        kernels.blend(predicted, lowClean.on(worker), predicted, plane, 1, -1);
        kernels.blend(e, e, predicted, plane, 1, -table.kappa(row));
    }

    /** Filters into a tensor. */
    private MemorySegment low(Worker worker, SharedTensor to, MemorySegment from) {
        Own mine = own.of(worker);
        MemorySegment small = reduced.on(worker);
        mine.down().run(worker.kernels(), small, from);
        mine.up().run(worker.kernels(), to.on(worker), small);
        return to.on(worker);
    }
}
