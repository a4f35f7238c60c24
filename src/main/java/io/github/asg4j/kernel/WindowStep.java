// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static io.github.asg4j.ffi.Sizes.requireExtent;
import static io.github.asg4j.ffi.Sizes.requireFloats;
import static io.github.asg4j.ffi.Sizes.requireRange;
import static io.github.asg4j.ffi.Sizes.times;

import java.lang.foreign.MemorySegment;

/**
 * The arguments of {@link Kernels#windowStep}. An instance is kept and filled anew for every call,
 * {@link #begin} first, so that a loop allocates nothing; it holds its segments until then. One
 * thread. Tensors are float32 unless said otherwise; what is not set is NULL. Of the tensors like the
 * canvas only the rows asked for are read and written, and of the windows what covers them.
 */
public final class WindowStep {
    private static final String NAME = "windowStep";

    int channels;
    int canvasHeight;
    int canvasWidth;
    int firstRow;
    int rows;
    int views;
    int h;
    int w;
    MemorySegment row = MemorySegment.NULL;
    MemorySegment out = MemorySegment.NULL;
    MemorySegment x = MemorySegment.NULL;
    MemorySegment windows = MemorySegment.NULL;
    MemorySegment starts = MemorySegment.NULL;
    MemorySegment weightY = MemorySegment.NULL;
    MemorySegment weightX = MemorySegment.NULL;
    MemorySegment noise = MemorySegment.NULL;
    StepHistory history = StepHistory.NONE;

    /**
     * Begins a call for all rows of a canvas [channels, canvasHeight, canvasWidth]: forgets all that
     * was set before.
     *
     * @param row one {@link StepRow} in host memory
     */
    public WindowStep begin(MemorySegment row, int channels, int canvasHeight, int canvasWidth) {
        this.row = row;
        this.channels = channels;
        this.canvasHeight = canvasHeight;
        this.canvasWidth = canvasWidth;
        MemorySegment none = MemorySegment.NULL;
        rows(0, canvasHeight).canvas(none, none).windows(none, none, 0, 0, 0);
        weights(none, none).noise(none).history(StepHistory.NONE);
        return this;
    }

    /**
     * The rows of the canvas that step.
     *
     * @param rows at least one
     */
    public WindowStep rows(int firstRow, int rows) {
        this.firstRow = firstRow;
        this.rows = rows;
        return this;
    }

    /**
     * The canvas.
     *
     * @param out [channels, canvasHeight, canvasWidth] next canvas; may be {@code x} itself
     * @param x [channels, canvasHeight, canvasWidth]
     */
    public WindowStep canvas(MemorySegment out, MemorySegment x) {
        this.out = out;
        this.x = x;
        return this;
    }

    /**
     * What the network returned.
     *
     * @param windows [views, channels, h, w] combined outputs
     * @param starts int32 [views, 2]: top, left
     */
    public WindowStep windows(
            MemorySegment windows, MemorySegment starts, int views, int h, int w) {
        this.windows = windows;
        this.starts = starts;
        this.views = views;
        this.h = h;
        this.w = w;
        return this;
    }

    /**
     * The weight of a window's cell, a product.
     *
     * @param weightY [h]
     * @param weightX [w]
     */
    public WindowStep weights(MemorySegment weightY, MemorySegment weightX) {
        this.weightY = weightY;
        this.weightX = weightX;
        return this;
    }

    /**
     * Step noise.
     *
     * @param noise [channels, canvasHeight, canvasWidth], or NULL when the row has none
     */
    public WindowStep noise(MemorySegment noise) {
        this.noise = noise;
        return this;
    }

    /**
     * Past predictions.
     *
     * @param history tensors [channels, canvasHeight, canvasWidth]
     */
    public WindowStep history(StepHistory history) {
        this.history = history;
        return this;
    }

    boolean noisy() {
        return StepRow.get(row, StepRow.STEP_N) != 0;
    }

    /** Throws what {@link Kernels} documents if the call is wrong; reads no tensor but the row. */
    void check() {
        KernelChecks.planes(NAME, channels, h, w);
        KernelChecks.canvas(NAME, canvasHeight, canvasWidth);
        requireRange(rows, 1, canvasHeight, NAME, "rows");
        requireRange(firstRow, 0, canvasHeight - rows, NAME, "firstRow");
        requireExtent(views, NAME, "views");
        long count = KernelChecks.volume(channels, canvasHeight, canvasWidth);
        requireFloats(row, StepRow.FLOATS, NAME, "row");
        requireFloats(out, count, NAME, "out");
        requireFloats(x, count, NAME, "x");
        requireFloats(windows, times(views, KernelChecks.volume(channels, h, w)), NAME, "windows");
        requireFloats(starts, times(views, 2), NAME, "starts");
        requireFloats(weightY, h, NAME, "weightY");
        requireFloats(weightX, w, NAME, "weightX");
        KernelChecks.optionalFloats(noise, count, NAME, "noise");
        KernelChecks.noisePresent(noise, row, NAME);
        history.check(row, count, NAME);
    }
}
