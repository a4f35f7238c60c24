// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Dilated views of a phase's canvas (DemoFusion, §3.3): each holds every s-th cell, so that it shows
 * the whole picture at native size. Which cells they hold, the noise of those of a call, and the
 * step of the canvas by the noise of all. Its buffers belong to the stage's memory; calls write
 * disjoint parts of them.
 */
final class DilatedViews {
    private final Stage.Phase phase;
    private final List<Stage.Call> calls;
    private final Conditioning conditioning;
    private final Tables tables;
    private final Canvas canvas;
    private final int copies;
    private final float guidanceScale;
    private final int height;
    private final int width;
    private final long plane;

    /** [s * s, C, h, w]: what the views hold, and their combined network outputs. */
    private final MemorySegment latents;

    private final MemorySegment noise;

    private final MemorySegment[] callLatents;
    private final MemorySegment[] callNoise;
    private final CallBuffers[][] prepared;

    /**
     * @param calls of the dilated views, their views counted from 0
     */
    DilatedViews(
            Stage.Phase phase,
            List<Stage.Call> calls,
            Conditioning conditioning,
            Tables tables,
            int workers,
            Memory memory) {
        this.phase = phase;
        this.calls = calls;
        this.conditioning = conditioning;
        this.tables = tables;
        canvas = conditioning.canvas();
        copies = phase.guidanceScale() == 1 ? 1 : 2;
        guidanceScale = (float) phase.guidanceScale();
        height = phase.dilatedHeight();
        width = phase.dilatedWidth();
        plane = (long) canvas.channels() * height * width;
        latents = memory.floats(phase.dilatedViews() * plane, "dilated views");
        noise = memory.floats(phase.dilatedViews() * plane, "noise of dilated views");
        callLatents = new MemorySegment[calls.size()];
        callNoise = new MemorySegment[calls.size()];
        for (int c = 0; c < calls.size(); c++) {
            Stage.Call call = calls.get(c);
            callLatents[c] = latents.asSlice(call.first() * plane * 4, call.count() * plane * 4);
            callNoise[c] = noise.asSlice(call.first() * plane * 4, call.count() * plane * 4);
        }
        prepared = new CallBuffers[workers][calls.size()];
    }

    /** Hands the views their cells of {@code from} [C, s * h, s * w]; before the calls of a step. */
    void cut(Kernels kernels, MemorySegment from) {
        kernels.cut(
                latents, from, canvas.channels(), phase.number(), phase.number(), height, width);
    }

    /** The noise of the views of call {@code c} at step {@code k}. */
    void denoise(Worker worker, int c, int k) {
        Stage.Call call = calls.get(c);
        CallBuffers b = prepared[worker.index][c];
        if (b == null) {
            b = worker.buffers(conditioning, call.count(), copies, height, width);
            prepared[worker.index][c] = b;
        }
        Kernels kernels = worker.kernels;
        long clock = System.nanoTime();
        kernels.modelInput(
                b.sample, callLatents[c], call.count() * plane, tables.inScale(k), copies);
        b.timestep(tables.timestep(k));
        for (int i = 0; i < call.count(); i++) {
            b.timeIds(i, canvas.heightPixels(), canvas.widthPixels(), 0, 0);
            b.prompt(i, Conditioning.PROMPT);
        }
        worker.kernelNanos += System.nanoTime() - clock;
        worker.run(b);
        clock = System.nanoTime();
        NonFinite.check(kernels, b.noise, phase, k);
        kernels.combine(callNoise[c], b.uncond, b.cond, call.count() * plane, guidanceScale);
        worker.kernelNanos += System.nanoTime() - clock;
    }

    /**
     * The canvas after a step, once all calls have left their noise.
     *
     * @param out [C, s * h, s * w]
     * @param x [C, s * h, s * w], what the step is taken from; not what the views hold
     * @param work [C, s * h, s * w], overwritten
     * @param row of the step
     * @param random step noise [C, s * h, s * w], or NULL
     */
    void step(
            Kernels kernels,
            MemorySegment out,
            MemorySegment x,
            MemorySegment work,
            MemorySegment row,
            MemorySegment random) {
        int s = phase.number();
        kernels.relocate(work, noise, canvas.channels(), s, s, height, width);
        kernels.guidedStep(
                out,
                MemorySegment.NULL,
                x,
                MemorySegment.NULL,
                work,
                MemorySegment.NULL,
                MemorySegment.NULL,
                false,
                random,
                false,
                1,
                canvas.channels(),
                (long) s * height * s * width,
                row,
                1,
                0,
                Kernels.GUIDE_NONE);
    }
}
