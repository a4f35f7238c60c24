// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Stage;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/**
 * Overlapping windows over one canvas: each call reads its windows from the canvas and leaves their
 * noise; the canvas is stepped in strips of rows, each by the averaged noise of the calls that meet
 * it. Who waits for whom, and why one buffer of noise and two canvases suffice, is in {@link Strips}.
 */
final class WindowRun extends StageRun {
    private final Stage.Windows windows;
    private final Tables tables;
    private final Strips strips;
    private final WindowViews views;
    private final boolean onHost;

    /** The canvas [C, H, W] before the first step. */
    private final Shared start;

    /** The canvas after step k at index k % length; its parts are the strips. */
    private final Shared[] latents;

    private final Shared preview;
    private final Memory memory;

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
            Crew crew,
            Shared start,
            @Nullable ObjectMask objectMask,
            boolean history,
            boolean previews) {
        MemorySegment starts =
                WindowViews.starts(windows, seed, windows.firstStep(), crew.memory());
        Strips strips = Strips.of(windows, windows.calls(viewBatch), starts);
        super(windows, viewBatch, strips.count());
        this.windows = windows;
        this.tables = tables;
        this.strips = strips;
        this.start = start;
        onHost = crew.onHost();
        memory = crew.memory();
        views =
                new WindowViews(
                        windows,
                        calls,
                        conditioning,
                        tables,
                        seed,
                        windows.firstStep(),
                        crew,
                        objectMask,
                        starts,
                        strips);
        latents = new Shared[history ? windows.steps() : Math.min(2, windows.steps())];
        for (int i = 0; i < latents.length; i++) {
            latents[i] = views.canvasInStrips("canvas");
        }
        preview = previews ? views.canvasInStrips("preview") : crew.floats(0, "preview");
    }

    /** In memory that all share any worker may take a unit; on GPUs neighbours lie together. */
    @Override
    boolean sharedOut() {
        return !onHost;
    }

    /** Calls in blocks, so that only what lies at their borders is exchanged, strips beside them. */
    @Override
    int[] owners(double[] speeds) {
        int[] owners = new int[units()];
        int[] views = calls.stream().mapToInt(Stage.Call::count).toArray();
        System.arraycopy(Shares.blocks(views, speeds), 0, owners, 0, views.length);
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
            owners[calls.size() + strip] = most;
        }
        return owners;
    }

    @Override
    int total(int unit) {
        return windows.steps();
    }

    @Override
    boolean ready(int unit) {
        return joins(unit)
                ? strips.mayStep(unit - calls.size(), done)
                : strips.mayDenoise(unit, done);
    }

    @Override
    boolean execute(Worker worker, int unit, int step) {
        if (joins(unit)) {
            stepStrip(worker, unit - calls.size(), step);
        } else {
            acquire(worker, step, strips.first(step, unit), strips.last(step, unit));
            awaitReaders(worker, step, unit);
            views.denoise(worker, unit, step, before(step));
        }
        return true;
    }

    /** The canvas before step {@code k}. */
    private Shared before(int k) {
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
        long clock = worker.clock();
        int t = windows.firstStep() + k;
        acquire(worker, k, strip, strip);
        MemorySegment x = before(k).on(worker);
        views.gather(worker, strip, k);
        Shared next = latents[k % latents.length];
        MemorySegment random = views.stepNoise(worker, strip, k);
        views.step(worker, strip, next.on(worker), x, k, tables.rows[t], random);
        next.publish(worker, strip);
        if (previewStep() == k) {
            MemorySegment clean = preview.on(worker);
            views.step(worker, strip, clean, x, k, tables.cleanRows[t], MemorySegment.NULL);
            preview.publish(worker, strip);
        }
        worker.kernels(clock);
    }

    @Override
    MemorySegment latentsAfter(int step, Kernels kernels, Memory memory) {
        return latents[step % latents.length].read(memory);
    }

    @Override
    Shared result() {
        return latents[(windows.steps() - 1) % latents.length];
    }

    @Override
    MemorySegment previewCanvas(Kernels kernels) {
        return preview.read(memory);
    }
}
