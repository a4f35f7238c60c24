// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.kernel.GuidedStep;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.StepHistory;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import org.jspecify.annotations.Nullable;

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
    private final StageContext context;
    private final Canvas canvas;
    private final float guidanceScale;
    private final int height;
    private final int width;
    private final long plane;

    /** [s * s, C, h, w]: what the views hold, and their combined network outputs. */
    private final SharedTensor latents;

    private final SharedTensor noise;
    private final @Nullable ShownPhases shown;
    private final PerCall<Prepared> prepared;
    private final PerWorker<GuidedStep> steps;

    /**
     * @param calls of the dilated views, their views counted from 0
     */
    public DilatedViews(Stage.Phase phase, List<Stage.Call> calls, StageContext context) {
        this.phase = phase;
        this.calls = calls;
        this.context = context;
        canvas = context.canvas();
        Workers workers = context.workers();
        guidanceScale = (float) phase.guidanceScale();
        height = phase.dilatedHeight();
        width = phase.dilatedWidth();
        plane = (long) canvas.channels() * height * width;
        latents = workers.floats(phase.dilatedViews() * plane, "dilated views");
        noise =
                workers.inParts(
                        "noise of dilated views",
                        calls.stream().mapToLong(call -> call.count() * plane).toArray());
        shown =
                context.conditioning().shown().isEmpty()
                        ? null
                        : new ShownPhases(
                                context,
                                phase,
                                phase.number(),
                                phase.number(),
                                height,
                                width,
                                k -> false);
        prepared =
                new PerCall<>(
                        workers.size(),
                        calls.size(),
                        (worker, c) -> new Prepared(worker, calls.get(c)));
        steps = new PerWorker<>(workers.size(), worker -> new GuidedStep());
    }

    /** What one worker needs for one call, made once so that the loop allocates nothing. */
    private final class Prepared {
        final DenoiserCall call;
        final MemorySegment latents;
        final MemorySegment noise;

        Prepared(Worker worker, Stage.Call views) {
            call =
                    new DenoiserCall(
                            worker, context, phase, views, phase::dilatedRows, height, width);
            if (shown != null) {
                call.show(shown.of(worker, views));
            }
            long from = views.first() * plane * Float.BYTES;
            long size = views.count() * plane * Float.BYTES;
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
        int views = calls.get(c).count();
        Prepared p = prepared.of(worker, c);
        DenoiserCall call = p.call;
        call.begin(k);
        latents.acquire(worker, 0);
        worker.kernels()
                .modelInput(call.sample(), p.latents, views * plane, call.inScale(), call.rows());
        for (int i = 0; i < views; i++) {
            call.view(i, Conditioning.PROMPT);
        }
        call.run();
        call.combine(p.noise, guidanceScale);
        call.end(noise, c);
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
     * @param history predictions [C, s * h, s * w]
     */
    public void step(
            Worker worker,
            MemorySegment out,
            MemorySegment x,
            MemorySegment work,
            MemorySegment row,
            MemorySegment random,
            StepHistory history) {
        int s = phase.number();
        Kernels kernels = worker.kernels();
        kernels.relocate(work, noise.on(worker), canvas.channels(), s, s, height, width);
        long area = (long) s * height * s * width;
        kernels.guidedStep(
                steps.of(worker)
                        .begin(row, 1, canvas.channels(), area)
                        .latents(out, x)
                        .output(MemorySegment.NULL, work, 1)
                        .noise(random)
                        .history(history));
    }
}
