// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.StepHistory;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.work.WorkSharing;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Overlapping windows over one canvas: each call reads its windows from the canvas and leaves their
 * noise; the canvas is stepped in strips of rows, each by the averaged noise of the calls that meet
 * it. Who waits for whom, and why one buffer of noise and two canvases suffice, is in {@link CanvasStrips}.
 */
public final class WindowRun extends StageRun {
    private final Stage.Windows windows;
    private final ScheduleTable table;
    private final CanvasStrips strips;
    private final WindowViews views;
    private final boolean onHost;

    /** The canvas [C, H, W] before the first step. */
    private final SharedTensor start;

    /** The canvas after step k at index k % length; its parts are the strips. */
    private final SharedTensor[] latents;

    /** In strips like the canvas. */
    private final Predictions predictions;

    /** What low frequencies get instead; null: nothing, and the step is one kernel. */
    private final @Nullable LowBandStep lowBand;

    private final @Nullable KeptPicture kept;
    private final SharedTensor preview;
    private final Memory memory;

    /**
     * @param start [C, H, W], the stage's canvas before its first step
     * @param objectMask tells windows with an object from background; null: all are alike
     * @param prompts row of the {@link Conditioning} per window
     */
    public WindowRun(
            Stage.Windows windows,
            StageContext context,
            SharedTensor start,
            @Nullable ObjectMask objectMask,
            int[] prompts) {
        this(windows, null, context, start, objectMask, prompts, MemorySegment.NULL);
    }

    /**
     * A stage of a relay.
     *
     * @param start [C, H, W], the stage's canvas before its first step
     * @param clean [C, H, W] in host memory, whose low frequencies the predictions of the first steps
     *     keep; written before the first step
     */
    public WindowRun(Stage.Leg leg, StageContext context, SharedTensor start, MemorySegment clean) {
        int[] prompts = WindowViews.onePrompt(leg.windows());
        this(leg.windows(), leg.lowBand(), context, start, null, prompts, clean);
    }

    private WindowRun(
            Stage.Windows windows,
            Stage.@Nullable LowBand band,
            StageContext context,
            SharedTensor start,
            @Nullable ObjectMask objectMask,
            int[] prompts,
            MemorySegment clean) {
        Workers workers = context.workers();
        MemorySegment starts =
                WindowViews.starts(windows, context.seed(), windows.firstStep(), workers.memory());
        List<Stage.Call> ownCalls = windows.calls(context.viewBatch());
        CanvasStrips strips =
                band == null
                        ? CanvasStrips.of(windows, ownCalls, starts)
                        : CanvasStrips.whole(windows, ownCalls, starts);
        super(windows, context.viewBatch(), strips.count());
        this.windows = windows;
        this.table = context.table();
        this.strips = strips;
        this.start = start;
        kept = context.kept();
        onHost = workers.onHost();
        memory = workers.memory();
        views =
                new WindowViews(
                        windows,
                        band,
                        calls(),
                        context,
                        windows.firstStep(),
                        objectMask,
                        prompts,
                        starts,
                        strips);
        lowBand = band == null ? null : new LowBandStep(windows, band, context, views, clean);
        Keep keep = context.keep();
        latents = new SharedTensor[keep.history() ? windows.steps() : Math.min(2, windows.steps())];
        for (int i = 0; i < latents.length; i++) {
            latents[i] = views.canvasInStrips("canvas");
        }
        predictions =
                new Predictions(
                        context,
                        windows,
                        k -> false,
                        () -> views.canvasInStrips("past prediction"));
        preview = keep.previews() ? views.canvasInStrips("preview") : workers.floats(0, "preview");
    }

    /** In memory that all share any worker may take a unit; on GPUs neighbours lie together. */
    @Override
    public boolean sharedOut() {
        return !onHost;
    }

    /** Calls in blocks, so that only what lies at their borders is exchanged, strips beside them. */
    @Override
    public int[] owners(double[] speeds) {
        if (onHost) {
            return super.owners(speeds);
        }
        int[] owners = new int[units()];
        int[] views = calls().stream().mapToInt(Stage.Call::count).toArray();
        System.arraycopy(WorkSharing.blocks(views, speeds), 0, owners, 0, views.length);
        for (int strip = 0; strip < strips.count(); strip++) {
            long[] met = new long[speeds.length];
            for (int k = 0; k < windows.steps(); k++) {
                for (int c = strips.firstCall(strip); c <= strips.lastCall(strip); c++) {
                    met[owners[c]] += strips.meets(k, c, strip) ? views[c] : 0;
                }
            }
            int most = 0;
            for (int worker = 1; worker < met.length; worker++) {
                most = met[worker] > met[most] ? worker : most;
            }
            owners[calls().size() + strip] = most;
        }
        return owners;
    }

    @Override
    public int total(int unit) {
        return windows.steps();
    }

    @Override
    public boolean ready(int unit, Progress progress) {
        return joins(unit)
                ? strips.mayStep(unit - calls().size(), progress)
                : strips.mayDenoise(unit, progress);
    }

    @Override
    public boolean execute(Worker worker, int unit, int step) {
        if (joins(unit)) {
            stepStrip(worker, unit - calls().size(), step);
        } else {
            acquire(worker, step, strips.first(step, unit), strips.last(step, unit));
            awaitReaders(worker, step, unit);
            views.denoise(worker, unit, step, before(step));
        }
        return true;
    }

    /** The canvas before step {@code k}. */
    private SharedTensor before(int k) {
        return k == 0 ? start : latents[(k - 1) % latents.length];
    }

    /** Strips of the canvas before step {@code k}. */
    private void acquire(Worker worker, int k, int first, int last) {
        if (k == 0) {
            start.acquireAll(worker);
            return;
        }
        for (int strip = first; strip <= last; strip++) {
            before(k).acquire(worker, strip);
        }
    }

    /**
     * Strips that the call met in the step before and not in this one have fetched the noise that it
     * is about to overwrite. The last one first: who waits for it has often waited for the others.
     */
    private void awaitReaders(Worker worker, int k, int c) {
        if (k == 0) {
            return;
        }
        for (int strip = strips.last(k - 1, c); strip >= strips.first(k - 1, c); strip--) {
            if (!strips.meets(k, c, strip)) {
                before(k).await(worker, strip);
            }
        }
    }

    private void stepStrip(Worker worker, int strip, int k) {
        worker.beginKernels();
        acquire(worker, k, strip, strip);
        MemorySegment x = before(k).on(worker);
        views.gather(worker, strip, k);
        SharedTensor next = latents[k % latents.length];
        MemorySegment random = views.stepNoise(worker, strip, k);
        predictions.acquire(worker, k, strip);
        StepHistory history = predictions.history(worker, k);
        MemorySegment out = kept == null ? next.on(worker) : kept.stepped(worker);
        if (lowBand == null) {
            views.step(worker, strip, out, x, k, predictions.row(k), random, history);
        } else {
            lowBand.step(worker, out, x, k, predictions.past(k), random, history);
        }
        if (kept != null) {
            int t = windows.firstStep() + k;
            int row = strips.firstRow(strip);
            kept.putBack(worker, next.on(worker), out, row, strips.rows(strip), t);
        }
        predictions.publish(worker, k, strip);
        next.publish(worker, strip);
        if (previewStep() == k) {
            MemorySegment clean = preview.on(worker);
            MemorySegment none = MemorySegment.NULL;
            MemorySegment row = table.cleanRows[windows.firstStep() + k];
            views.step(worker, strip, clean, x, k, row, none, StepHistory.NONE);
            preview.publish(worker, strip);
        }
        worker.endKernels();
    }

    @Override
    public MemorySegment latentsAfter(int step, Kernels kernels, Memory memory) {
        return latents[step % latents.length].read(memory);
    }

    @Override
    public SharedTensor result() {
        return latents[(windows.steps() - 1) % latents.length];
    }

    @Override
    public MemorySegment previewCanvas(Kernels kernels) {
        return preview.read(memory);
    }
}
