// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.run.worker.Worker;

import java.lang.foreign.MemorySegment;

/**
 * The key patch's clean latents as each of the other patches should have them (SPEC §4): enlarged to
 * the canvas, cut into patches as the canvas is, shuffled as the patches are. The working memory of
 * one worker.
 */
public final class UpsampledGuide {
    private final Canvas canvas;
    private final long seed;
    private final Resize centred;
    private final Resize fromFirst;
    private final MemorySegment enlarged;
    private final MemorySegment patches;

    /** Step whose guide {@link #patches} are; -1: none yet. */
    private int cutStep = -1;

    /**
     * @param table of the run, shared by its workers
     * @param worker owns the working memory
     */
    public UpsampledGuide(Canvas canvas, long seed, Axes table, Worker worker) {
        this.canvas = canvas;
        this.seed = seed;
        centred = worker.resize(canvas.channels(), table.centredY, table.centredX);
        fromFirst = worker.resize(canvas.channels(), table.firstY, table.firstX);
        enlarged = worker.floats(canvas.plane(), "enlarged guide");
        patches = worker.floats(canvas.plane(), "guides of all patches");
    }

    /** How the axes of a guide are enlarged: of a shuffled key patch, and of patch 0 itself. */
    public record Axes(
            ResampleAxis centredY,
            ResampleAxis centredX,
            ResampleAxis firstY,
            ResampleAxis firstX) {
        static Axes of(Canvas canvas, Memory memory) {
            int h = canvas.y().patch();
            int w = canvas.x().patch();
            return new Axes(
                    ResampleAxis.bicubic(memory, h, canvas.y().patches(), true),
                    ResampleAxis.bicubic(memory, w, canvas.x().patches(), true),
                    ResampleAxis.bicubic(memory, h, canvas.y().patches(), false),
                    ResampleAxis.bicubic(memory, w, canvas.x().patches(), false));
        }
    }

    /**
     * Guides of the slots {@code first .. first + count - 1}.
     *
     * @param out [count, C, h, w]
     * @param guide [C, h, w]
     * @param step that the guide is of
     * @param shuffled whether the key patch had pixels of all patches when it made the guide: then
     *     its cells lie in the middle of theirs
     * @param frame of the slots, as {@link Kernels#interact} takes it
     */
    public void place(
            Kernels kernels,
            MemorySegment out,
            int first,
            int count,
            MemorySegment guide,
            int step,
            boolean shuffled,
            int frame) {
        int rows = canvas.y().patches();
        int columns = canvas.x().patches();
        if (step != cutStep) {
            (shuffled ? centred : fromFirst)
                    .runAndCut(kernels, patches, enlarged, guide, rows, columns);
            cutStep = step;
        }
        kernels.interact(
                out,
                MemorySegment.NULL,
                first,
                count,
                patches,
                rows * columns,
                canvas.patchPlane(),
                seed,
                Kernels.UNSHUFFLED,
                frame,
                1,
                1);
    }
}
