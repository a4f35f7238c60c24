// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import java.lang.foreign.MemorySegment;

/**
 * Everything the engine computes between two calls of a network. One instance serves any number of
 * threads; no call allocates, none keeps a reference to a segment.
 *
 * <p>All tensors are off-heap, row-major, float32 unless said otherwise, and may not overlap unless
 * an operation says so. Every implementation checks the size of every segment before it touches
 * memory and throws {@link IndexOutOfBoundsException} naming operation, tensor, needed and found
 * bytes, or {@link IllegalArgumentException} for an extent below 1, an option out of its range, or
 * missing step noise. All implementations give the same bits (onnx-export/reference/SPEC.md, cited
 * as §).
 */
public interface Kernels {
    /** Purposes of random numbers (§1). */
    int INITIAL_NOISE = 0;

    int STEP_NOISE = 1;
    int PERMUTATION = 2;
    int JITTER = 3;
    int PHASE_NOISE = 4;

    /** Step argument of {@link #interact} for latents that are not shuffled. */
    int UNSHUFFLED = -1;

    /** Guide spaces of {@link #guidedStep}. */
    int GUIDE_NONE = 0;

    int GUIDE_NOISE = 1;
    int GUIDE_LATENT = 2;

    /** Mask normalisations of {@link #mask}. */
    int NORM_MINMAX = 0;

    int NORM_MAX = 1;
    int NORM_MEAN_THRESHOLD = 2;

    /**
     * What {@code found} of {@link #guidedStep} and {@link #combine} holds before the first search:
     * every byte is {@link #NONE_FOUND_BYTE}.
     */
    long NONE_FOUND = 0x7F7F7F7F7F7F7F7FL;

    byte NONE_FOUND_BYTE = 0x7F;

    /** The most maps of a mask: as many as a bundle may have. */
    int MAX_MAPS = 64;

    /** Name for reports: "java", "scalar", "avx2", "avx512". */
    String name();

    /**
     * Standard normals times {@code scale} (§1): {@code out[i] = scale * normal(firstElement + i)}.
     *
     * @param out [count]
     */
    default void normal(
            MemorySegment out,
            long count,
            long seed,
            long firstElement,
            int step,
            int purpose,
            float scale) {
        normal(out, 1, count, count, seed, firstElement, step, purpose, scale);
    }

    /**
     * The same for pieces of a tensor, such as some rows of each of its planes: {@code out[p * pitch +
     * i] = scale * normal(firstElement + p * pitch + i)}.
     *
     * @param out from the first value of the first piece to the last one of the last
     * @param planes how many pieces
     * @param pitch floats from one piece to the next, at least {@code count}
     * @param count values of a piece
     */
    void normal(
            MemorySegment out,
            int planes,
            long pitch,
            long count,
            long seed,
            long firstElement,
            int step,
            int purpose,
            float scale);

    /**
     * Pixel interaction (§3) as one gather from the frame of step {@code fromStep} to that of step
     * {@code toStep}; {@link #UNSHUFFLED} is the frame without permutation. In the same pass the
     * network's input (§2), as {@link #modelInput} makes it of {@code out}.
     *
     * @param out [slots, plane]: slots firstSlot .. firstSlot + slots - 1 of the new frame
     * @param sample [copies, slots, plane]: scale * out, {@code copies} times; {@link
     *     MemorySegment#NULL}: no network reads it
     * @param in [patches, plane], the whole old frame; patches at most 256
     */
    void interact(
            MemorySegment out,
            MemorySegment sample,
            int firstSlot,
            int slots,
            MemorySegment in,
            int patches,
            long plane,
            long seed,
            int fromStep,
            int toStep,
            float scale,
            int copies);

    /**
     * The network's input (§2): {@code copies} times the scaled latents, one after the other (with
     * classifier-free guidance 2: unconditional rows, then conditional rows).
     *
     * @param out [copies, count]
     * @param in [count]
     */
    void modelInput(MemorySegment out, MemorySegment in, long count, float scale, int copies);

    /**
     * The network's input for windows (§6); cells outside the canvas read 0.
     *
     * @param out [copies, views, channels, h, w]
     * @param canvas [channels, canvasHeight, canvasWidth]
     * @param starts int32 [views, 2]: top, left in latent cells, may be negative
     */
    void gatherWindows(
            MemorySegment out,
            MemorySegment canvas,
            int channels,
            int canvasHeight,
            int canvasWidth,
            MemorySegment starts,
            int views,
            int h,
            int w,
            float scale,
            int copies);

    /**
     * Classifier-free guidance, guidance by the key patch (Eq. 3/4) and scheduler step in one pass
     * (§4). Of the key patch itself, which is not guided, the same pass leaves the guide: its noise
     * estimate, or its predicted clean latents. A solver with a memory adds past predictions (§2) and
     * finds this step's in {@link StepHistory#clean}.
     */
    void guidedStep(GuidedStep step);

    /**
     * {@code out = uncond + guidanceScale * (cond - uncond)}, or a copy of cond if uncond is NULL.
     *
     * @param out [count]
     * @param found as in {@link #guidedStep}
     * @param uncond [count] or NULL
     * @param cond [count]
     */
    void combine(
            MemorySegment out,
            MemorySegment found,
            MemorySegment uncond,
            MemorySegment cond,
            long count,
            float guidanceScale);

    /**
     * Attention maps, resized bilinearly with half-pixel centres and summed in their order, as masks
     * in [0, 1] (§5).
     *
     * @param mask [views, h, w]
     * @param maps [views, heights[i], widths[i]] each; at least one, at most {@link #MAX_MAPS}
     * @param norm NORM_MINMAX, NORM_MAX or NORM_MEAN_THRESHOLD
     */
    void mask(
            MemorySegment mask,
            int views,
            int h,
            int w,
            MemorySegment[] maps,
            int[] heights,
            int[] widths,
            int norm);

    /**
     * Stage switch (§6): patches become phases of the canvas.
     *
     * @param canvas [channels, gridHeight * h, gridWidth * w]
     * @param patches [gridHeight * gridWidth, channels, h, w]
     */
    void relocate(
            MemorySegment canvas,
            MemorySegment patches,
            int channels,
            int gridHeight,
            int gridWidth,
            int h,
            int w);

    /** The inverse of {@link #relocate}. */
    void cut(
            MemorySegment patches,
            MemorySegment canvas,
            int channels,
            int gridHeight,
            int gridWidth,
            int h,
            int w);

    /**
     * Stage 2 in one pass (§6): for each cell the covering windows' noise in ascending index,
     * averaged, one scheduler step, past predictions as in {@link #guidedStep}. A cell that no window
     * covers becomes NaN.
     */
    void windowStep(WindowStep step);

    /** {@code out[i] = in[i] * scale + shift} (§8); out may be in. Both [count]. */
    void scaleShift(MemorySegment out, MemorySegment in, long count, float scale, float shift);

    /**
     * Adds a weighted tile of a picture; the weights are summed beside it.
     *
     * @param sum [channels, height, width]
     * @param weightSum [height, width]
     * @param tile [channels, tileHeight, tileWidth], wholly inside
     * @param weightY [tileHeight]
     * @param weightX [tileWidth]
     */
    void addTile(
            MemorySegment sum,
            MemorySegment weightSum,
            int channels,
            int height,
            int width,
            MemorySegment tile,
            int top,
            int left,
            int tileHeight,
            int tileWidth,
            MemorySegment weightY,
            MemorySegment weightX);

    /** {@code sum[c, i] = sum[c, i] / weightSum[i]}; sum [channels, area], weightSum [area]. */
    void divideTiles(MemorySegment sum, MemorySegment weightSum, int channels, long area);

    /**
     * A crop of a picture in [-1, 1] as RGB8 (§8). A non-finite value is an error of the caller
     * ({@link #firstNonFinite} finds it before).
     *
     * @param out uint8 [outHeight, outWidth, 3]
     * @param image [3, height, width]
     */
    void rgb8(
            MemorySegment out,
            MemorySegment image,
            int height,
            int width,
            int top,
            int left,
            int outHeight,
            int outWidth);

    /**
     * {@code out[i] = a * x[i] + b * y[i]} (§9).
     *
     * @param out [count]; may be {@code x} or {@code y} itself
     * @param x [count]
     * @param y [count]
     */
    void blend(MemorySegment out, MemorySegment x, MemorySegment y, long count, float a, float b);

    /**
     * Mean and standard deviation, with count - 1 in its denominator, of all values (§9).
     *
     * @param out float64 [2]: mean, standard deviation (0 for one value)
     * @param in [count]
     */
    void moments(MemorySegment out, MemorySegment in, long count);

    /**
     * Scales and shifts values of the moments {@code from} so that they have the moments {@code to}
     * (§9); values that are all equal are only shifted.
     *
     * @param out [count]; may be {@code in} itself
     * @param in [count]
     * @param from float64 [2], as {@link #moments} writes them
     * @param to float64 [2]
     */
    void matchMoments(
            MemorySegment out, MemorySegment in, long count, MemorySegment from, MemorySegment to);

    /**
     * Separable blur, first along x, then along y; cells outside read 0 (§9).
     *
     * @param out [channels, h, w]
     * @param work [channels, h, w], overwritten
     * @param in [channels, h, w]
     * @param weights [taps], the same along both axes
     * @param taps odd
     */
    void blur(
            MemorySegment out,
            MemorySegment work,
            MemorySegment in,
            int channels,
            int h,
            int w,
            MemorySegment weights,
            int taps);

    /**
     * Resizes planes, first along x, then along y, by tables ({@link ResampleAxis}): output cell i of
     * an axis is the sum of weight[i, t] * source cell index[i, t] over t (§9). An index outside the
     * source reads the cell at its border.
     *
     * @param out [planes, outHeight, outWidth]
     * @param work [planes, inHeight, outWidth], overwritten
     * @param in [planes, inHeight, inWidth]
     * @param indexY int32 [outHeight, tapsY]
     * @param weightY [outHeight, tapsY]
     * @param indexX int32 [outWidth, tapsX]
     * @param weightX [outWidth, tapsX]
     */
    void resample(
            MemorySegment out,
            MemorySegment work,
            MemorySegment in,
            int planes,
            int inHeight,
            int inWidth,
            int outHeight,
            int outWidth,
            MemorySegment indexY,
            MemorySegment weightY,
            int tapsY,
            MemorySegment indexX,
            MemorySegment weightX,
            int tapsX);

    /**
     * {@link #resample} to a canvas, then {@link #cut} of it.
     *
     * @param patches [gridHeight * gridWidth, channels, h, w]
     * @param canvas [channels, gridHeight * h, gridWidth * w], undefined afterwards
     * @param work [channels, inHeight, gridWidth * w], undefined afterwards
     * @param in [channels, inHeight, inWidth]
     * @param indexY int32 [gridHeight * h, tapsY]
     * @param weightY [gridHeight * h, tapsY]
     * @param indexX int32 [gridWidth * w, tapsX]
     * @param weightX [gridWidth * w, tapsX]
     */
    default void resampleCut(
            MemorySegment patches,
            MemorySegment canvas,
            MemorySegment work,
            MemorySegment in,
            int channels,
            int inHeight,
            int inWidth,
            int gridHeight,
            int gridWidth,
            int h,
            int w,
            MemorySegment indexY,
            MemorySegment weightY,
            int tapsY,
            MemorySegment indexX,
            MemorySegment weightX,
            int tapsX) {
        KernelChecks.resampleCut(
                patches,
                canvas,
                work,
                in,
                channels,
                inHeight,
                inWidth,
                gridHeight,
                gridWidth,
                h,
                w,
                indexY,
                weightY,
                tapsY,
                indexX,
                weightX,
                tapsX);
        int height = gridHeight * h;
        int width = gridWidth * w;
        resample(
                canvas, work, in, channels, inHeight, inWidth, height, width, indexY, weightY,
                tapsY, indexX, weightX, tapsX);
        cut(patches, canvas, channels, gridHeight, gridWidth, h, w);
    }

    /** Index of the first NaN or infinity of data [count], -1 if there is none; waits for it. */
    long firstNonFinite(MemorySegment data, long count);
}
