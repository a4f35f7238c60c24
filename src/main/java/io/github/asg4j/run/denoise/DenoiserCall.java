// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.Size;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.function.IntUnaryOperator;

/**
 * One call of the denoiser in every step of a stage, by one worker. A step is, in this order:
 *
 * <ol>
 *   <li>{@link #begin}, the kernel that writes {@link #sample}, {@link #view} for every view;
 *   <li>{@link #run};
 *   <li>{@link #combine} or another use of the outputs, then {@link #end}.
 * </ol>
 *
 * The time between counts as the kernels'. Made once per worker and call, so that the loop allocates
 * nothing; for the worker's thread.
 */
public final class DenoiserCall {
    /** The most rows per view. */
    static final int MOST_ROWS = 2;

    private final Worker worker;
    private final Stage stage;
    private final Size told;
    private final ScheduleTable table;
    private final Conditioning conditioning;
    private final IntUnaryOperator rows;

    /** By rows per view; null where no step has so many. */
    private final @Nullable CallBuffers[] byRows = new CallBuffers[MOST_ROWS + 1];

    /** Of the step. */
    private CallBuffers buffers;

    /** Step of the stage. */
    private int step;

    /** What networks are shown of the views beside latents; null: nothing. */
    private ShownPicture.@Nullable Views shown;

    /**
     * @param call whose views they are
     * @param rows per view in a step of the stage: 2 with classifier-free guidance
     * @param h latent rows of a view
     * @param w latent columns
     */
    public DenoiserCall(
            Worker worker,
            StageContext context,
            Stage stage,
            Stage.Call call,
            IntUnaryOperator rows,
            int h,
            int w) {
        this.worker = worker;
        this.stage = stage;
        told = context.told();
        table = context.table();
        this.rows = rows;
        conditioning = context.conditioning();
        for (int k = 0; k < stage.steps(); k++) {
            int count = rows.applyAsInt(k);
            if (byRows[count] == null) {
                byRows[count] = conditioning.buffers().of(worker, conditioning, call, count, h, w);
            }
        }
        buffers = buffers(0);
    }

    /** Says what networks are shown of the views; before the first call, where they are shown anything. */
    void show(ShownPicture.Views views) {
        shown = views;
    }

    private CallBuffers buffers(int k) {
        return Objects.requireNonNull(byRows[rows.applyAsInt(k)]);
    }

    /** Begins step {@code k} of the stage. */
    public void begin(int k) {
        worker.beginKernels();
        step = k;
        buffers = buffers(k);
        buffers.timestep(table.timestep(stage.firstStep() + k));
        buffers.segment(conditioning.segmentOfStep().get(stage.firstStep() + k));
    }

    /** Input of the network [rows * views, C, h, w], scaled by {@link #inScale}. */
    public MemorySegment sample() {
        return buffers.sample;
    }

    /** Factor from latents to the network's input in this step. */
    public float inScale() {
        return table.inScale(stage.firstStep() + step);
    }

    /** Rows of the sample per view in this step. */
    public int rows() {
        return buffers.copies();
    }

    /**
     * Conditions a view as one of the whole picture.
     *
     * @param prompt row of the {@link Conditioning}
     */
    public void view(int view, int prompt) {
        view(view, prompt, 0, 0);
    }

    /**
     * Conditions a view.
     *
     * @param prompt row of the {@link Conditioning}
     * @param cropTop of SDXL's micro-conditioning, pixels
     * @param cropLeft of SDXL's micro-conditioning, pixels
     */
    public void view(int view, int prompt, int cropTop, int cropLeft) {
        buffers.timeIds(view, told.height(), told.width(), cropTop, cropLeft);
        buffers.prompt(view, prompt);
    }

    /** Sets the factors [G] of a denoiser with run-time dilation, in host memory. */
    public void dilation(MemorySegment factors) {
        buffers.dilation(factors);
    }

    /** Runs the network, or its outermost layers where the stage's step asks for no more. */
    public void run() {
        worker.endKernels();
        buffers.run(stage.firstStep() + step, step, stage.wholeAt(step), shown);
        worker.beginKernels();
    }

    /** Buffers of calls with so many rows per view; null: no step has them. */
    @Nullable CallBuffers buffersWith(int rowsPerView) {
        return byRows[rowsPerView];
    }

    /** Buffers of the call in this step: its outputs, and scratch memory of the worker. */
    CallBuffers buffers() {
        return buffers;
    }

    /** Output of all rows [rows * views, C, h, w]. */
    public MemorySegment output() {
        return buffers.noise;
    }

    /**
     * Combines the outputs of all views by classifier-free guidance.
     *
     * @param out [views, C, h, w]
     */
    public void combine(MemorySegment out, float guidanceScale) {
        combine(out, buffers.uncond, buffers.cond, guidanceScale);
    }

    /**
     * The same for one view.
     *
     * @param out [C, h, w]
     */
    public void combine(int view, MemorySegment out, float guidanceScale) {
        MemorySegment uncond =
                buffers.copies() == 2 ? buffers.viewUncond[view] : MemorySegment.NULL;
        combine(out, uncond, buffers.viewCond[view], guidanceScale);
    }

    /**
     * Keeps the outputs of all rows as they are.
     *
     * @param out [rows * views, C, h, w]
     */
    public void keep(MemorySegment out) {
        combine(out, MemorySegment.NULL, buffers.noise, 1);
    }

    private void combine(
            MemorySegment out, MemorySegment uncond, MemorySegment cond, float guidanceScale) {
        Kernels kernels = worker.kernels();
        long count = cond.byteSize() / Float.BYTES;
        kernels.combine(out, worker.calls().found(), uncond, cond, count, guidanceScale);
    }

    /**
     * Ends the step: looks whether the outputs were finite, and publishes what was made of them.
     *
     * @param part of {@code result} that the call has written
     */
    public void end(SharedTensor result, int part) {
        worker.calls().watch(stage, step);
        result.publish(worker, part);
        worker.endKernels();
    }
}
