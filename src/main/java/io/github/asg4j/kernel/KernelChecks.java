// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static io.github.asg4j.ffi.Sizes.plus;
import static io.github.asg4j.ffi.Sizes.requireBytes;
import static io.github.asg4j.ffi.Sizes.requireDoubles;
import static io.github.asg4j.ffi.Sizes.requireExtent;
import static io.github.asg4j.ffi.Sizes.requireFloats;
import static io.github.asg4j.ffi.Sizes.requireRange;
import static io.github.asg4j.ffi.Sizes.times;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * The checks of every operation of {@link Kernels}, the same for all implementations: extents,
 * options, and the size of every tensor. Contents are not read, so device memory passes too.
 */
final class KernelChecks {
    private static final int MAX_PATCHES = 256;

    /** Made beforehand: a call allocates nothing. */
    private static final String[] MAPS = new String[Kernels.MAX_MAPS];

    static {
        Arrays.setAll(MAPS, i -> "map " + i);
    }

    private KernelChecks() {}

    static boolean isNull(MemorySegment segment) {
        return segment.address() == 0 && segment.isNative(); // heap segments start at address 0
    }

    static void normal(
            MemorySegment out, int planes, long pitch, long count, int step, int purpose) {
        requireExtent(planes, "normal", "planes");
        requireExtent(count, "normal", "count");
        requireRange(pitch, count, Long.MAX_VALUE, "normal", "pitch");
        requireRange(step, 0, Integer.MAX_VALUE, "normal", "step");
        requireRange(purpose, 0, Integer.MAX_VALUE, "normal", "purpose");
        requireFloats(out, plus(times(planes - 1, pitch), count), "normal", "out");
    }

    static void interact(
            MemorySegment out,
            MemorySegment sample,
            int firstSlot,
            int slots,
            MemorySegment in,
            int patches,
            long plane,
            int fromStep,
            int toStep,
            int copies) {
        requireExtent(plane, "interact", "plane");
        requireExtent(copies, "interact", "copies");
        requireRange(patches, 1, MAX_PATCHES, "interact", "patches");
        requireRange(slots, 1, patches, "interact", "slots");
        requireRange(firstSlot, 0, patches - slots, "interact", "firstSlot");
        requireRange(fromStep, Kernels.UNSHUFFLED, Integer.MAX_VALUE, "interact", "fromStep");
        requireRange(toStep, Kernels.UNSHUFFLED, Integer.MAX_VALUE, "interact", "toStep");
        requireFloats(out, times(slots, plane), "interact", "out");
        optionalFloats(sample, times(times(copies, slots), plane), "interact", "sample");
        requireFloats(in, times(patches, plane), "interact", "in");
    }

    static void modelInput(MemorySegment out, MemorySegment in, long count, int copies) {
        requireExtent(count, "modelInput", "count");
        requireExtent(copies, "modelInput", "copies");
        requireFloats(out, times(copies, count), "modelInput", "out");
        requireFloats(in, count, "modelInput", "in");
    }

    static void gatherWindows(
            MemorySegment out,
            MemorySegment canvas,
            int channels,
            int canvasHeight,
            int canvasWidth,
            MemorySegment starts,
            int views,
            int h,
            int w,
            int copies) {
        planes("gatherWindows", channels, h, w);
        canvas("gatherWindows", canvasHeight, canvasWidth);
        requireExtent(views, "gatherWindows", "views");
        requireExtent(copies, "gatherWindows", "copies");
        long window = volume(channels, h, w);
        requireFloats(out, times(times(copies, views), window), "gatherWindows", "out");
        requireFloats(
                canvas, volume(channels, canvasHeight, canvasWidth), "gatherWindows", "canvas");
        requireFloats(starts, times(views, 2), "gatherWindows", "starts");
    }

    static void combine(
            MemorySegment out,
            MemorySegment found,
            MemorySegment uncond,
            MemorySegment cond,
            long count) {
        requireExtent(count, "combine", "count");
        requireFloats(out, count, "combine", "out");
        optionalIndex(found, "combine");
        optionalFloats(uncond, count, "combine", "uncond");
        requireFloats(cond, count, "combine", "cond");
    }

    static void mask(
            MemorySegment mask,
            int views,
            int h,
            int w,
            MemorySegment[] maps,
            int[] heights,
            int[] widths,
            int norm) {
        requireExtent(views, "mask", "views");
        requireExtent(h, "mask", "h");
        requireExtent(w, "mask", "w");
        requireRange(maps.length, 1, Kernels.MAX_MAPS, "mask", "number of maps");
        requireRange(heights.length, maps.length, maps.length, "mask", "number of heights");
        requireRange(widths.length, maps.length, maps.length, "mask", "number of widths");
        requireRange(norm, Kernels.NORM_MINMAX, Kernels.NORM_MEAN_THRESHOLD, "mask", "norm");
        requireFloats(mask, volume(views, h, w), "mask", "mask");
        for (int i = 0; i < maps.length; i++) {
            requireExtent(heights[i], "mask", "height of a map");
            requireExtent(widths[i], "mask", "width of a map");
            requireFloats(maps[i], volume(views, heights[i], widths[i]), "mask", MAPS[i]);
        }
    }

    /** Checks the arguments of relocate and cut. */
    static void grid(
            String operation,
            MemorySegment canvas,
            MemorySegment patches,
            int channels,
            int gridHeight,
            int gridWidth,
            int h,
            int w) {
        planes(operation, channels, h, w);
        requireExtent(gridHeight, operation, "gridHeight");
        requireExtent(gridWidth, operation, "gridWidth");
        long count = times(times(gridHeight, gridWidth), volume(channels, h, w));
        requireFloats(canvas, count, operation, "canvas");
        requireFloats(patches, count, operation, "patches");
    }

    static void scaleShift(MemorySegment out, MemorySegment in, long count) {
        requireExtent(count, "scaleShift", "count");
        requireFloats(out, count, "scaleShift", "out");
        requireFloats(in, count, "scaleShift", "in");
    }

    static void addTile(
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
            MemorySegment weightX) {
        requireExtent(channels, "addTile", "channels");
        inside("addTile", height, width, top, left, tileHeight, tileWidth);
        requireFloats(sum, volume(channels, height, width), "addTile", "sum");
        requireFloats(weightSum, times(height, width), "addTile", "weightSum");
        requireFloats(tile, volume(channels, tileHeight, tileWidth), "addTile", "tile");
        requireFloats(weightY, tileHeight, "addTile", "weightY");
        requireFloats(weightX, tileWidth, "addTile", "weightX");
    }

    static void divideTiles(MemorySegment sum, MemorySegment weightSum, int channels, long area) {
        requireExtent(channels, "divideTiles", "channels");
        requireExtent(area, "divideTiles", "area");
        requireFloats(sum, times(channels, area), "divideTiles", "sum");
        requireFloats(weightSum, area, "divideTiles", "weightSum");
    }

    static void rgb8(
            MemorySegment out,
            MemorySegment image,
            int height,
            int width,
            int top,
            int left,
            int outHeight,
            int outWidth) {
        inside("rgb8", height, width, top, left, outHeight, outWidth);
        requireBytes(out, volume(3, outHeight, outWidth), "rgb8", "out");
        requireFloats(image, volume(3, height, width), "rgb8", "image");
    }

    static void blend(MemorySegment out, MemorySegment x, MemorySegment y, long count) {
        requireExtent(count, "blend", "count");
        requireFloats(out, count, "blend", "out");
        requireFloats(x, count, "blend", "x");
        requireFloats(y, count, "blend", "y");
    }

    static void moments(MemorySegment out, MemorySegment in, long count) {
        requireExtent(count, "moments", "count");
        requireDoubles(out, 2, "moments", "out");
        requireFloats(in, count, "moments", "in");
    }

    static void matchMoments(
            MemorySegment out, MemorySegment in, long count, MemorySegment from, MemorySegment to) {
        requireExtent(count, "matchMoments", "count");
        requireFloats(out, count, "matchMoments", "out");
        requireFloats(in, count, "matchMoments", "in");
        requireDoubles(from, 2, "matchMoments", "from");
        requireDoubles(to, 2, "matchMoments", "to");
    }

    static void blur(
            MemorySegment out,
            MemorySegment work,
            MemorySegment in,
            int channels,
            int h,
            int w,
            MemorySegment weights,
            int taps) {
        planes("blur", channels, h, w);
        requireExtent(taps, "blur", "taps");
        if (taps % 2 == 0) {
            throw new IllegalArgumentException("blur: taps is " + taps + ", has to be odd");
        }
        requireFloats(out, volume(channels, h, w), "blur", "out");
        requireFloats(work, volume(channels, h, w), "blur", "work");
        requireFloats(in, volume(channels, h, w), "blur", "in");
        requireFloats(weights, taps, "blur", "weights");
    }

    static void resample(
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
            int tapsX) {
        resample(
                "resample",
                out,
                work,
                in,
                planes,
                inHeight,
                inWidth,
                outHeight,
                outWidth,
                indexY,
                weightY,
                tapsY,
                indexX,
                weightX,
                tapsX);
    }

    static void resampleCut(
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
        grid("resampleCut", canvas, patches, channels, gridHeight, gridWidth, h, w);
        int height = gridHeight * h;
        int width = gridWidth * w;
        resample(
                "resampleCut",
                canvas,
                work,
                in,
                channels,
                inHeight,
                inWidth,
                height,
                width,
                indexY,
                weightY,
                tapsY,
                indexX,
                weightX,
                tapsX);
    }

    private static void resample(
            String operation,
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
            int tapsX) {
        requireExtent(planes, operation, "planes");
        requireExtent(inHeight, operation, "inHeight");
        requireExtent(inWidth, operation, "inWidth");
        requireExtent(outHeight, operation, "outHeight");
        requireExtent(outWidth, operation, "outWidth");
        requireExtent(tapsY, operation, "tapsY");
        requireExtent(tapsX, operation, "tapsX");
        requireFloats(out, volume(planes, outHeight, outWidth), operation, "out");
        requireFloats(work, volume(planes, inHeight, outWidth), operation, "work");
        requireFloats(in, volume(planes, inHeight, inWidth), operation, "in");
        requireFloats(indexY, times(outHeight, tapsY), operation, "indexY");
        requireFloats(weightY, times(outHeight, tapsY), operation, "weightY");
        requireFloats(indexX, times(outWidth, tapsX), operation, "indexX");
        requireFloats(weightX, times(outWidth, tapsX), operation, "weightX");
    }

    static void firstNonFinite(MemorySegment data, long count) {
        requireExtent(count, "firstNonFinite", "count");
        requireFloats(data, count, "firstNonFinite", "data");
    }

    /** Checks that noise is missing only if the row adds none. */
    static void noisePresent(MemorySegment noise, MemorySegment row, String operation) {
        float stepN = StepRow.get(row, StepRow.STEP_N);
        if (isNull(noise) && stepN != 0) {
            throw new IllegalArgumentException(
                    operation
                            + ": noise is NULL but stepN is "
                            + stepN
                            + "; pass the step noise, or a row whose stepN is 0");
        }
    }

    static void optionalFloats(MemorySegment segment, long count, String operation, String tensor) {
        if (!isNull(segment)) {
            requireFloats(segment, count, operation, tensor);
        }
    }

    /** {@code found} of a search: an int64, as wide as a float64. */
    static void optionalIndex(MemorySegment found, String operation) {
        if (!isNull(found)) {
            requireDoubles(found, 1, operation, "found");
        }
    }

    static void planes(String operation, int channels, int h, int w) {
        requireExtent(channels, operation, "channels");
        requireExtent(h, operation, "h");
        requireExtent(w, operation, "w");
    }

    static void canvas(String operation, int canvasHeight, int canvasWidth) {
        requireExtent(canvasHeight, operation, "canvasHeight");
        requireExtent(canvasWidth, operation, "canvasWidth");
    }

    private static void inside(
            String operation, int height, int width, int top, int left, int h, int w) {
        requireExtent(height, operation, "height");
        requireExtent(width, operation, "width");
        requireRange(h, 1, height, operation, "height of the part");
        requireRange(w, 1, width, operation, "width of the part");
        requireRange(top, 0, height - h, operation, "top");
        requireRange(left, 0, width - w, operation, "left");
    }

    static long volume(long a, long b, long c) {
        return times(times(a, b), c);
    }
}
