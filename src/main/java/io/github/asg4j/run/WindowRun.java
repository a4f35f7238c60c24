// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Stage;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/**
 * Overlapping windows over one canvas: each call reads its windows from the canvas and leaves their
 * noise; the join averages the noise of all and makes one scheduler step.
 */
final class WindowRun extends StageRun {
    private final Stage.Windows windows;
    private final Tables tables;
    private final WindowViews views;

    /** The canvas [C, H, W] before step k at index k % length. */
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
        super(windows, viewBatch);
        this.windows = windows;
        this.tables = tables;
        views =
                new WindowViews(
                        windows,
                        calls,
                        conditioning,
                        tables,
                        seed,
                        windows.firstStep(),
                        crew,
                        objectMask);
        memory = crew.memory();
        latents = new Shared[history ? windows.steps() + 1 : 2];
        latents[0] = start;
        for (int i = 1; i < latents.length; i++) {
            latents[i] = crew.floats(views.canvasPlane(), "canvas");
        }
        preview = crew.floats(previews ? views.canvasPlane() : 0, "preview");
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
            views.denoise(worker, unit, step, latents[step % latents.length]);
        }
        return true;
    }

    private void stepCanvas(Worker worker, int k) {
        long clock = worker.clock();
        int t = windows.firstStep() + k;
        Shared canvas = latents[k % latents.length];
        canvas.acquire(worker, 0);
        MemorySegment x = canvas.on(worker);
        views.gather(worker);
        Shared next = latents[(k + 1) % latents.length];
        views.step(worker, next.on(worker), x, k, tables.rows[t], views.stepNoise(worker, k));
        next.publish(worker, 0);
        if (previewStep() == k) {
            MemorySegment clean = preview.on(worker);
            views.step(worker, clean, x, k, tables.cleanRows[t], MemorySegment.NULL);
            preview.publish(worker, 0);
        }
        worker.kernels(clock);
    }

    @Override
    MemorySegment latentsAfter(int step, Kernels kernels, Memory memory) {
        return latents[(step + 1) % latents.length].read(memory);
    }

    @Override
    Shared result() {
        return latents[windows.steps() % latents.length];
    }

    @Override
    MemorySegment previewCanvas(Kernels kernels) {
        return preview.read(memory);
    }
}
