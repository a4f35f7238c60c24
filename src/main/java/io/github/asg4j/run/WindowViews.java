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
import java.util.List;

/**
 * Overlapping windows over a canvas (SPEC §6): where they lie in every step, the noise of those of a
 * call, and the step of the canvas by the averaged noise of all. Its buffers belong to the stage's
 * memory; calls write disjoint parts of them.
 */
final class WindowViews {
    private final Stage.Windows windows;
    private final List<Stage.Call> calls;
    private final Conditioning conditioning;
    private final Tables tables;
    private final Canvas canvas;
    private final long seed;
    private final int firstCounter;
    private final int copies;
    private final float guidanceScale;
    private final float backgroundScale;
    private final @Nullable ObjectMask objectMask;
    private final int height;
    private final int width;
    private final long canvasPlane;
    private final long viewPlane;

    /** Combined network outputs [views, C, h, w] of the current step. */
    private final MemorySegment noise;

    /** int32 [views, 2] per step. */
    private final MemorySegment[] starts;

    private final MemorySegment[][] callStarts;
    private final MemorySegment[] callNoise;
    private final MemorySegment[] viewNoise;
    private final MemorySegment weightY;
    private final MemorySegment weightX;
    private final MemorySegment stepNoise;
    private final CallBuffers[][] prepared;

    /**
     * @param calls of the windows, in the order of their views
     * @param firstCounter step in the counters of random numbers (§1) of the stage's first step
     * @param objectMask tells windows with an object from background; null: all are alike
     */
    WindowViews(
            Stage.Windows windows,
            List<Stage.Call> calls,
            Conditioning conditioning,
            Tables tables,
            long seed,
            int firstCounter,
            int workers,
            @Nullable ObjectMask objectMask,
            Memory memory) {
        this.windows = windows;
        this.calls = calls;
        this.conditioning = conditioning;
        this.tables = tables;
        this.canvas = conditioning.canvas();
        this.seed = seed;
        this.firstCounter = firstCounter;
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
        noise = memory.floats(windows.views() * viewPlane, "noise of all windows");
        weightY = weights(memory, windows.viewHeight());
        weightX = weights(memory, windows.viewWidth());
        boolean stochastic = false;
        for (int k = 0; k < windows.steps(); k++) {
            stochastic |= tables.stochastic(windows.firstStep() + k);
        }
        stepNoise = stochastic ? memory.floats(canvasPlane, "step noise") : MemorySegment.NULL;
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

    /** Cells of the canvas times channels. */
    long canvasPlane() {
        return canvasPlane;
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
                steps[k].setAtIndex(ValueLayout.JAVA_INT, 2L * view, shifted(y, row, view, 0, k));
                steps[k].setAtIndex(
                        ValueLayout.JAVA_INT, 2L * view + 1, shifted(x, column, view, 1, k));
            }
        }
        return steps;
    }

    private int shifted(WindowAxis axis, int index, int view, int axisIndex, int k) {
        int low = axis.jitterLow(index);
        int range = axis.jitterHigh(index) - low + 1;
        int random = Philox.word(seed, 2L * view + axisIndex, firstCounter + k, Kernels.JITTER);
        return axis.start(index) + low + (int) (((random & 0xffffffffL) * range) >>> 32);
    }

    /**
     * The noise of the windows of call {@code c} at step {@code k} of the stage.
     *
     * @param x [C, H, W], the canvas that they are cut from
     */
    void denoise(Worker worker, int c, int k, MemorySegment x) {
        Stage.Call call = calls.get(c);
        CallBuffers b = prepared[worker.index][c];
        if (b == null) {
            b =
                    worker.buffers(
                            conditioning,
                            call.count(),
                            copies,
                            windows.viewHeight(),
                            windows.viewWidth());
            prepared[worker.index][c] = b;
        }
        Kernels kernels = worker.kernels;
        int t = windows.firstStep() + k;
        long clock = System.nanoTime();
        kernels.gatherWindows(
                b.sample,
                x,
                canvas.channels(),
                height,
                width,
                callStarts[k][c],
                call.count(),
                windows.viewHeight(),
                windows.viewWidth(),
                tables.inScale(t),
                copies);
        b.timestep(tables.timestep(t));
        for (int i = 0; i < call.count(); i++) {
            timeIds(b, i, callStarts[k][c]);
            b.prompt(
                    i,
                    holdsObject(call.first() + i) ? Conditioning.PROMPT : Conditioning.BACKGROUND);
        }
        worker.kernelNanos += System.nanoTime() - clock;
        worker.run(b);
        clock = System.nanoTime();
        NonFinite.check(kernels, b.noise, windows, k);
        combine(kernels, b, c);
        worker.kernelNanos += System.nanoTime() - clock;
    }

    private boolean holdsObject(int view) {
        return objectMask == null || objectMask.holdsObject(view);
    }

    private void combine(Kernels kernels, CallBuffers b, int c) {
        Stage.Call call = calls.get(c);
        if (objectMask == null) {
            kernels.combine(
                    callNoise[c], b.uncond, b.cond, call.count() * viewPlane, guidanceScale);
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

    /** Step noise [C, H, W] of step {@code k} of the stage, or NULL if the step has none. */
    MemorySegment stepNoise(Kernels kernels, int k) {
        if (!tables.stochastic(windows.firstStep() + k)) {
            return MemorySegment.NULL;
        }
        kernels.normal(stepNoise, canvasPlane, seed, 0, firstCounter + k, Kernels.STEP_NOISE, 1);
        return stepNoise;
    }

    /**
     * The canvas after step {@code k} of the stage, once all calls have left their noise.
     *
     * @param out [C, H, W]
     * @param x [C, H, W], what the windows were cut from
     * @param row of the step
     * @param random step noise [C, H, W], or NULL
     */
    void step(
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
}
