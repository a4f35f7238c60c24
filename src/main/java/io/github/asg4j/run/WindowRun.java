// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.WindowOptions;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.Philox;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.WindowAxis;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Overlapping windows over one canvas (SPEC.md §6): each call reads its windows from the canvas and
 * leaves their noise; the join averages the noise of all and makes one scheduler step.
 */
final class WindowRun extends StageRun {
    private final Stage.Windows windows;
    private final Conditioning conditioning;
    private final Tables tables;
    private final Canvas canvas;
    private final long seed;
    private final int copies;
    private final float guidanceScale;
    private final long viewPlane;

    /** The canvas [C, H, W] before step k at index k % length. */
    private final MemorySegment[] latents;

    /** Combined network outputs [views, C, h, w] of the current step. */
    private final MemorySegment noise;

    /** int32 [views, 2] per step. */
    private final MemorySegment[] starts;

    private final MemorySegment[][] callStarts;
    private final MemorySegment[] callNoise;
    private final MemorySegment weightY;
    private final MemorySegment weightX;
    private final MemorySegment stepNoise;
    private final MemorySegment preview;
    private final CallBuffers[][] prepared;
    private final long canvasPlane;
    private final int height;
    private final int width;
    private final @Nullable ObjectMask objectMask;
    private final float backgroundScale;
    private final MemorySegment[] viewNoise;

    /**
     * @param start [C, H, W], the stage's canvas before its first step
     * @param objectMask tells windows with an object from background; null: all are alike
     */
    WindowRun(
            Stage.Windows windows,
            int viewBatch,
            Conditioning conditioning,
            Tables tables,
            long seed,
            int workers,
            MemorySegment start,
            @Nullable ObjectMask objectMask,
            boolean history,
            boolean previews,
            Memory memory) {
        super(windows, viewBatch);
        this.windows = windows;
        this.conditioning = conditioning;
        this.tables = tables;
        this.canvas = conditioning.canvas();
        this.seed = seed;
        this.objectMask = objectMask;
        double other =
                windows.background() == null
                        ? windows.guidanceScale()
                        : windows.background().guidanceScale();
        this.copies = windows.guidanceScale() == 1 && other == 1 ? 1 : 2;
        this.guidanceScale = (float) windows.guidanceScale();
        this.backgroundScale = (float) other;
        this.height = windows.y().canvas();
        this.width = windows.x().canvas();
        this.canvasPlane = (long) canvas.channels() * height * width;
        this.viewPlane = (long) canvas.channels() * windows.viewHeight() * windows.viewWidth();
        latents = new MemorySegment[history ? windows.steps() + 1 : 2];
        latents[0] = start;
        for (int i = 1; i < latents.length; i++) {
            latents[i] = memory.floats(canvasPlane, "canvas");
        }
        noise = memory.floats(windows.views() * viewPlane, "noise of all windows");
        weightY = weights(memory, windows.viewHeight());
        weightX = weights(memory, windows.viewWidth());
        boolean stochastic = false;
        for (int k = 0; k < windows.steps(); k++) {
            stochastic |= tables.stochastic(windows.firstStep() + k);
        }
        stepNoise = stochastic ? memory.floats(canvasPlane, "step noise") : MemorySegment.NULL;
        preview = memory.floats(previews ? canvasPlane : 0, "preview");
        starts = starts(memory);
        callStarts = new MemorySegment[windows.steps()][calls.size()];
        callNoise = new MemorySegment[calls.size()];
        for (int c = 0; c < calls.size(); c++) {
            Stage.Call call = calls.get(c);
            callNoise[c] =
                    noise.asSlice(call.first() * viewPlane * 4, call.count() * viewPlane * 4);
            for (int k = 0; k < windows.steps(); k++) {
                callStarts[k][c] = starts[k].asSlice(call.first() * 8L, call.count() * 8L);
            }
        }
        prepared = new CallBuffers[workers][calls.size()];
        viewNoise = new MemorySegment[objectMask == null ? 0 : windows.views()];
        for (int v = 0; v < viewNoise.length; v++) {
            viewNoise[v] = noise.asSlice(v * viewPlane * 4, viewPlane * 4);
        }
    }

    private MemorySegment weights(Memory memory, int n) {
        MemorySegment weights = memory.floats(n, "window weights");
        for (int i = 0; i < n; i++) {
            double sine = Math.sin(Math.PI * (i + 0.5) / n);
            weights.setAtIndex(
                    ValueLayout.JAVA_FLOAT,
                    i,
                    windows.weight() == WindowOptions.Weight.FEATHER ? (float) (sine * sine) : 1);
        }
        return weights;
    }

    /** Tops and lefts of all windows of all steps, jitter included. */
    private MemorySegment[] starts(Memory memory) {
        WindowAxis y = windows.y();
        WindowAxis x = windows.x();
        MemorySegment all = memory.allocate(8L * windows.views() * windows.steps(), "windows");
        MemorySegment[] steps = new MemorySegment[windows.steps()];
        for (int k = 0; k < steps.length; k++) {
            steps[k] = all.asSlice(8L * windows.views() * k, 8L * windows.views());
            for (int view = 0; view < windows.views(); view++) {
                int row = view / x.count();
                int column = view % x.count();
                int t = windows.firstStep() + k;
                steps[k].setAtIndex(ValueLayout.JAVA_INT, 2L * view, shifted(y, row, view, 0, t));
                steps[k].setAtIndex(
                        ValueLayout.JAVA_INT, 2L * view + 1, shifted(x, column, view, 1, t));
            }
        }
        return steps;
    }

    private int shifted(WindowAxis axis, int index, int view, int axisIndex, int t) {
        int low = axis.jitterLow(index);
        int range = axis.jitterHigh(index) - low + 1;
        int random = Philox.word(seed, 2L * view + axisIndex, t, Kernels.JITTER);
        return axis.start(index) + low + (int) (((random & 0xffffffffL) * range) >>> 32);
    }

    @Override
    int total(int unit) {
        return windows.steps();
    }

    @Override
    boolean ready(int unit) {
        return unit == join() ? completedSteps() > done[join()] : done[unit] == done[join()];
    }

    @Override
    boolean execute(Worker worker, int unit, int step) {
        if (unit == join()) {
            stepCanvas(worker, step);
        } else {
            denoise(worker, unit, step);
        }
        return true;
    }

    private void denoise(Worker worker, int unit, int k) {
        Stage.Call call = calls.get(unit);
        CallBuffers b = prepared[worker.index][unit];
        if (b == null) {
            b =
                    worker.buffers(
                            conditioning,
                            call.count(),
                            copies,
                            windows.viewHeight(),
                            windows.viewWidth());
            prepared[worker.index][unit] = b;
        }
        Kernels kernels = worker.kernels;
        int t = windows.firstStep() + k;
        long clock = System.nanoTime();
        kernels.gatherWindows(
                b.sample,
                latents[k % latents.length],
                canvas.channels(),
                height,
                width,
                callStarts[k][unit],
                call.count(),
                windows.viewHeight(),
                windows.viewWidth(),
                tables.inScale(t),
                copies);
        b.timestep(tables.timestep(t));
        for (int i = 0; i < call.count(); i++) {
            timeIds(b, i, callStarts[k][unit]);
            b.prompt(
                    i,
                    holdsObject(call.first() + i) ? Conditioning.PROMPT : Conditioning.BACKGROUND);
        }
        worker.kernelNanos += System.nanoTime() - clock;
        worker.run(b);
        clock = System.nanoTime();
        NonFinite.check(kernels, b.noise, windows, k);
        combine(kernels, b, unit);
        worker.kernelNanos += System.nanoTime() - clock;
    }

    private boolean holdsObject(int view) {
        return objectMask == null || objectMask.holdsObject(view);
    }

    private void combine(Kernels kernels, CallBuffers b, int unit) {
        Stage.Call call = calls.get(unit);
        if (objectMask == null) {
            kernels.combine(
                    callNoise[unit], b.uncond, b.cond, call.count() * viewPlane, guidanceScale);
            return;
        }
        for (int i = 0; i < call.count(); i++) {
            int view = call.first() + i;
            kernels.combine(
                    viewNoise[view],
                    copies == 2 ? b.viewUncond[i] : MemorySegment.NULL,
                    b.viewCond[i],
                    viewPlane,
                    objectMask.holdsObject(view) ? guidanceScale : backgroundScale);
        }
    }

    private void timeIds(CallBuffers b, int i, MemorySegment callStarts) {
        int top = 0;
        int left = 0;
        if (windows.conditioning() == WindowOptions.Conditioning.CROP) {
            // As CutDiffusion's code: coordinates in a frame padded by the jitter.
            int factor = canvas.y().factor();
            top =
                    (callStarts.getAtIndex(ValueLayout.JAVA_INT, 2L * i) + windows.y().jitter())
                            * factor;
            left =
                    (callStarts.getAtIndex(ValueLayout.JAVA_INT, 2L * i + 1) + windows.x().jitter())
                            * factor;
        }
        b.timeIds(i, canvas.heightPixels(), canvas.widthPixels(), top, left);
    }

    private void stepCanvas(Worker worker, int k) {
        long clock = System.nanoTime();
        int t = windows.firstStep() + k;
        Kernels kernels = worker.kernels;
        MemorySegment x = latents[k % latents.length];
        if (tables.stochastic(t)) {
            kernels.normal(stepNoise, canvasPlane, seed, 0, t, Kernels.STEP_NOISE, 1);
        }
        step(
                kernels,
                latents[(k + 1) % latents.length],
                x,
                k,
                tables.rows[t],
                tables.stochastic(t) ? stepNoise : MemorySegment.NULL);
        if (previewStep() == k) {
            step(kernels, preview, x, k, tables.cleanRows[t], MemorySegment.NULL);
        }
        worker.kernelNanos += System.nanoTime() - clock;
    }

    private void step(
            Kernels kernels,
            MemorySegment out,
            MemorySegment x,
            int k,
            MemorySegment row,
            MemorySegment random) {
        kernels.windowStep(
                out,
                x,
                canvas.channels(),
                height,
                width,
                noise,
                starts[k],
                windows.views(),
                windows.viewHeight(),
                windows.viewWidth(),
                weightY,
                weightX,
                random,
                row);
    }

    @Override
    MemorySegment latentsAfter(int step, Kernels kernels, Memory memory) {
        return latents[(step + 1) % latents.length];
    }

    @Override
    MemorySegment previewCanvas(Kernels kernels) {
        return preview;
    }
}
