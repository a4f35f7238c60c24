// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Dilated views of a phase's canvas (DemoFusion, §3.3): each holds every s-th cell, so that it shows
 * the whole picture at native size. Which cells they hold, the noise of those of a call, and the
 * step of the canvas by the noise of all. Its buffers belong to the stage's memory; calls write
 * disjoint parts of them.
 */
public final class DilatedViews {
    private final Stage.Phase phase;
    private final List<Stage.Call> calls;
    private final Conditioning conditioning;
    private final ScheduleTable table;
    private final Canvas canvas;
    private final int copies;
    private final float guidanceScale;
    private final int height;
    private final int width;
    private final long plane;

    /** [s * s, C, h, w]: what the views hold, and their combined network outputs. */
    private final SharedTensor latents;

    private final SharedTensor noise;
    private final Prepared[][] prepared;

    /**
     * @param calls of the dilated views, their views counted from 0
     */
    public DilatedViews(Stage.Phase phase, List<Stage.Call> calls, StageContext context) {
        this.phase = phase;
        this.calls = calls;
        conditioning = context.conditioning();
        table = context.table();
        canvas = context.canvas();
        Workers workers = context.workers();
        copies = phase.dilatedRows();
        guidanceScale = (float) phase.guidanceScale();
        height = phase.dilatedHeight();
        width = phase.dilatedWidth();
        plane = (long) canvas.channels() * height * width;
        latents = workers.floats(phase.dilatedViews() * plane, "dilated views");
        noise =
                workers.inParts(
                        "noise of dilated views",
                        calls.stream().mapToLong(call -> call.count() * plane).toArray());
        prepared = new Prepared[workers.size()][calls.size()];
    }

    /** What one worker needs for one call, made once so that the loop allocates nothing. */
    private final class Prepared {
        final CallBuffers buffers;
        final MemorySegment latents;
        final MemorySegment noise;

        Prepared(Worker worker, Stage.Call call) {
            buffers = conditioning.buffers().of(worker, conditioning, call, copies, height, width);
            long from = call.first() * plane * Float.BYTES;
            long size = call.count() * plane * Float.BYTES;
            latents = DilatedViews.this.latents.on(worker).asSlice(from, size);
            noise = DilatedViews.this.noise.on(worker).asSlice(from, size);
        }
    }

    /** Hands the views their cells of {@code from} [C, s * h, s * w]; before the calls of a step. */
    public void cut(Worker worker, MemorySegment from) {
        worker.kernels()
                .cut(
                        latents.on(worker),
                        from,
                        canvas.channels(),
                        phase.number(),
                        phase.number(),
                        height,
                        width);
        latents.publish(worker, 0);
    }

    /** The noise of the views of call {@code c} at step {@code k}. */
    public void denoise(Worker worker, int c, int k) {
        Stage.Call call = calls.get(c);
        Prepared p = prepared[worker.index()][c];
        if (p == null) {
            p = new Prepared(worker, call);
            prepared[worker.index()][c] = p;
        }
        CallBuffers b = p.buffers;
        Kernels kernels = worker.kernels();
        long clock = worker.clock();
        latents.acquire(worker, 0);
        kernels.modelInput(b.sample, p.latents, call.count() * plane, table.inScale(k), copies);
        b.timestep(table.timestep(k));
        for (int i = 0; i < call.count(); i++) {
            b.timeIds(i, canvas.heightPixels(), canvas.widthPixels(), 0, 0);
            b.prompt(i, Conditioning.PROMPT);
        }
        worker.countKernels(clock);
        b.run();
        clock = worker.clock();
        long count = call.count() * plane;
        MemorySegment found = worker.calls().found();
        kernels.combine(p.noise, found, b.uncond, b.cond, count, guidanceScale);
        worker.calls().watch(phase, k);
        noise.publish(worker, c);
        worker.countKernels(clock);
    }

    /** Brings the noise of all views to the worker; before its {@link #step}. */
    public void gather(Worker worker) {
        noise.acquireAll(worker);
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
    public void step(
            Worker worker,
            MemorySegment out,
            MemorySegment x,
            MemorySegment work,
            MemorySegment row,
            MemorySegment random) {
        int s = phase.number();
        Kernels kernels = worker.kernels();
        kernels.relocate(work, noise.on(worker), canvas.channels(), s, s, height, width);
        kernels.guidedStep(
                out,
                MemorySegment.NULL,
                MemorySegment.NULL,
                x,
                MemorySegment.NULL,
                work,
                MemorySegment.NULL,
                false,
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
