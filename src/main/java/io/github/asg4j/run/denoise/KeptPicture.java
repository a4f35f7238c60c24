// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.GuidedStep;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.StepRow;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;
import io.github.asg4j.schedule.Level;

import java.lang.foreign.MemorySegment;
import java.util.function.IntFunction;

/**
 * The start picture's latents in the cells that inpainting keeps: after every step these are the
 * picture's with the noise of the level that the step led to (RePaint's known region, arXiv 2201.09865,
 * with one noise for all levels, as diffusers has it). Tensors are [C, H, W] of the canvas, and [N, C, h,
 * w] cut into patches. A stage of a relay has one of its own, whose canvas is one patch.
 */
public final class KeptPicture {
    private final Canvas canvas;
    private final IntFunction<Level> after;
    private final Tensors whole;
    private final Tensors patches;
    private final long seed;
    private final MemorySegment row;
    private final PerWorker<Scratch> scratch;

    /** Latents of the picture, noise of N(0, 1), and 1 where they are kept. */
    private record Tensors(SharedTensor clean, SharedTensor noise, SharedTensor kept) {}

    /** What a worker puts kept cells back with. */
    private final class Scratch {
        final GuidedStep step = new GuidedStep();
        final MemorySegment stepped;
        final MemorySegment known;
        final MemorySegment moved;
        final MemorySegment movedKept;

        Scratch(Worker worker) {
            stepped = worker.floats(canvas.plane(), "canvas before the picture is put back");
            known = worker.floats(canvas.plane(), "noised start picture");
            moved = worker.floats(canvas.plane(), "noised start picture in a frame");
            movedKept = worker.floats(canvas.plane(), "inpaint mask in a frame");
        }
    }

    /**
     * What is kept, in host memory of the request.
     *
     * @param clean float32 [C, H, W] latents of the picture
     * @param noise float32 [C, H, W] that it is noised with
     * @param kept float32 [C, H, W] 1 in the cells that are kept, 0 in others
     */
    public record Cells(MemorySegment clean, MemorySegment noise, MemorySegment kept) {}

    /**
     * @param after level that a step of the schedule leads to
     * @param seed of the frames of pixel interaction
     * @param cells of the canvas; where it is one patch, written before the first step
     * @param kernels of host memory
     */
    public KeptPicture(
            Canvas canvas,
            IntFunction<Level> after,
            long seed,
            Workers workers,
            Cells cells,
            Kernels kernels) {
        this.canvas = canvas;
        this.after = after;
        this.seed = seed;
        Memory memory = workers.memory();
        whole =
                new Tensors(
                        workers.of(cells.clean, "latents of the start picture"),
                        workers.of(cells.noise, "noise of the start picture"),
                        workers.of(cells.kept, "inpaint mask"));
        patches = canvas.patches() == 1 ? whole : cut(workers, cells, kernels);
        row = memory.allocate(StepRow.BYTES, "step that picks cells");
        StepRow.set(row, StepRow.PRED_M, 1);
        StepRow.set(row, StepRow.STEP_E, 1);
        scratch = new PerWorker<>(workers.size(), Scratch::new);
    }

    private Tensors cut(Workers workers, Cells cells, Kernels kernels) {
        Memory memory = workers.memory();
        return new Tensors(
                workers.of(cut(kernels, memory, cells.clean), "patches of the start picture"),
                workers.of(cut(kernels, memory, cells.noise), "patches of its noise"),
                workers.of(cut(kernels, memory, cells.kept), "patches of the inpaint mask"));
    }

    private MemorySegment cut(Kernels kernels, Memory memory, MemorySegment of) {
        MemorySegment cut = memory.floats(canvas.plane(), "patches of a start picture");
        kernels.cut(
                cut,
                of,
                canvas.channels(),
                canvas.y().patches(),
                canvas.x().patches(),
                canvas.y().patch(),
                canvas.x().patch());
        return cut;
    }

    /** Memory [C, H, W], or [N, C, h, w], that a worker steps into before cells are put back. */
    MemorySegment stepped(Worker worker) {
        return scratch.of(worker).stepped;
    }

    /**
     * Puts cells of some rows of the canvas back.
     *
     * @param out [C, H, W], of which the rows are written
     * @param stepped [C, H, W] after the step
     * @param t step of the schedule that was made
     */
    void putBack(
            Worker worker,
            MemorySegment out,
            MemorySegment stepped,
            int firstRow,
            int rows,
            int t) {
        whole.clean.acquireAll(worker);
        whole.noise.acquireAll(worker);
        whole.kept.acquireAll(worker);
        boolean all = rows == canvas.height();
        int planes = all ? 1 : canvas.channels();
        long floats = all ? canvas.plane() : (long) rows * canvas.width();
        MemorySegment known = scratch.of(worker).known;
        for (int c = 0; c < planes; c++) {
            long at = ((long) c * canvas.height() + firstRow) * canvas.width() * Float.BYTES;
            long bytes = floats * Float.BYTES;
            MemorySegment noised = known.asSlice(at, bytes);
            noise(
                    worker,
                    noised,
                    whole.clean.on(worker).asSlice(at, bytes),
                    whole.noise.on(worker).asSlice(at, bytes),
                    t);
            pick(
                    worker,
                    out.asSlice(at, bytes),
                    stepped.asSlice(at, bytes),
                    noised,
                    whole.kept.on(worker).asSlice(at, bytes));
        }
    }

    /**
     * Puts cells of some patches back, whose pixels are in a frame of pixel interaction.
     *
     * @param out [count, C, h, w]
     * @param stepped [count, C, h, w] after the step
     * @param frame of the latents after the step
     * @param t step of the schedule that was made
     */
    void putBackPatches(
            Worker worker,
            MemorySegment out,
            MemorySegment stepped,
            int first,
            int count,
            int frame,
            int t) {
        patches.clean.acquireAll(worker);
        patches.noise.acquireAll(worker);
        patches.kept.acquireAll(worker);
        Scratch own = scratch.of(worker);
        noise(worker, own.known, patches.clean.on(worker), patches.noise.on(worker), t);
        move(worker, own.moved, own.known, first, count, frame);
        move(worker, own.movedKept, patches.kept.on(worker), first, count, frame);
        long bytes = count * canvas.patchPlane() * Float.BYTES;
        pick(worker, out, stepped, own.moved.asSlice(0, bytes), own.movedKept.asSlice(0, bytes));
    }

    /** The picture with the noise of the level that step {@code t} led to. */
    private void noise(
            Worker worker, MemorySegment out, MemorySegment clean, MemorySegment noise, int t) {
        Level level = after.apply(t);
        long n = out.byteSize() / Float.BYTES;
        float alpha = (float) level.alpha();
        worker.kernels().blend(out, clean, noise, n, alpha, (float) level.sigma());
    }

    private void move(
            Worker worker,
            MemorySegment out,
            MemorySegment patches,
            int first,
            int count,
            int frame) {
        worker.kernels()
                .interact(
                        out,
                        MemorySegment.NULL,
                        first,
                        count,
                        patches,
                        canvas.patches(),
                        canvas.patchPlane(),
                        seed,
                        Kernels.UNSHUFFLED,
                        frame,
                        1,
                        1);
    }

    /** out = stepped + kept * (known - stepped), the guidance of Eq. 3 with the mask as its weight. */
    private void pick(
            Worker worker,
            MemorySegment out,
            MemorySegment stepped,
            MemorySegment known,
            MemorySegment kept) {
        GuidedStep step =
                scratch.of(worker)
                        .step
                        .begin(row, 1, 1, out.byteSize() / Float.BYTES)
                        .latents(out, stepped)
                        .output(MemorySegment.NULL, stepped, 1)
                        .guidance(Kernels.GUIDE_NOISE, 1)
                        .guide(known, false)
                        .mask(kept, false);
        worker.kernels().guidedStep(step);
    }
}
