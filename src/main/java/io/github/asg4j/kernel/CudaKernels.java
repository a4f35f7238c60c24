// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static io.github.asg4j.kernel.CudaOperation.BLOCK;

import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.device.DeviceBuffer;
import io.github.asg4j.ffi.LaunchArguments;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The operations on a stream of a GPU. Tensors are in the memory of its device; a {@link StepRow} is
 * in host memory and read before the call returns. Every call but {@link #firstNonFinite} only
 * enqueues: results are there for later work of the stream, or after an event or {@link
 * CudaStream#synchronize}. One thread, that of the stream.
 */
public final class CudaKernels implements Kernels, AutoCloseable {
    private static final int TILE_WIDTH = 32; // of window_step.cu
    private static final int TILE_HEIGHT = BLOCK / TILE_WIDTH;
    private static final int MAX_GRID_YZ = 65535;

    /** Blocks of a grid-stride loop: twice what a multiprocessor holds at a time. */
    private static final int BLOCKS_PER_MULTIPROCESSOR = 16;

    /** float32 elements in 16 bytes: what a thread takes at a time. */
    private static final int PACK = 4;

    /** Maps of a launch: ASG_MAPS of mask.cu. */
    private static final int MAPS = 8;

    private static final long DOUBLES_OF_MOMENTS = 2 * Double.BYTES;

    private final CudaStream stream;
    private final CudaProgram program;
    private final int maxBlocks;
    private final Arena arena = Arena.ofShared();
    private final LaunchArguments arguments = new LaunchArguments(arena);

    /** asg_map_extents of mask.cu: heights, then widths. */
    private final MemorySegment mapExtents = arena.allocate(ValueLayout.JAVA_INT, 2L * MAPS);

    private final DeviceBuffer index;
    private final DeviceBuffer indexOnHost;

    public CudaKernels(CudaStream stream, CudaProgram program) {
        this.stream = stream;
        this.program = program;
        CudaDevice device = stream.device();
        maxBlocks = BLOCKS_PER_MULTIPROCESSOR * device.multiprocessors();
        index = device.allocate(Long.BYTES, "index of a non-finite value");
        indexOnHost = device.allocateHost(Long.BYTES, "index of a non-finite value");
    }

    @Override
    public String name() {
        return "cuda";
    }

    /** Blocks for so many elements, {@code each} to a thread. */
    private int blocks(long elements, int each) {
        long needed = (elements - 1) / ((long) BLOCK * each) + 1;
        return (int) Math.min(needed, maxBlocks);
    }

    private static int second(long extent) {
        return (int) Math.min(extent, MAX_GRID_YZ);
    }

    private void launch(CudaOperation operation, int gridX) {
        launch(operation, gridX, 1, 1);
    }

    private void launch(CudaOperation operation, int gridX, int gridY, int gridZ) {
        stream.launch(program.function(operation), gridX, gridY, gridZ, BLOCK, arguments);
    }

    private static long bytes(long floats) {
        return floats * Float.BYTES;
    }

    private static long bytes(long a, long b, long c) {
        return a * b * c * Float.BYTES;
    }

    @Override
    public void normal(
            MemorySegment out,
            int planes,
            long pitch,
            long count,
            long seed,
            long firstElement,
            int step,
            int purpose,
            float scale) {
        KernelChecks.normal(out, planes, pitch, count, step, purpose);
        arguments
                .clear()
                .writesPieces(out, 0, bytes(count), planes, bytes(pitch))
                .add(planes)
                .add(pitch)
                .add(count)
                .add(seed)
                .add(firstElement)
                .add(step)
                .add(purpose)
                .add(scale);
        launch(CudaOperation.NORMAL, blocks(count, 1), second(planes), 1);
    }

    @Override
    public void interact(
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
            int copies) {
        KernelChecks.interact(
                out, sample, firstSlot, slots, in, patches, plane, fromStep, toStep, copies);
        arguments
                .clear()
                .writes(out, bytes(slots * plane))
                .writes(sample, bytes(copies, slots, plane))
                .reads(in, bytes(patches * plane))
                .add(firstSlot)
                .add(slots)
                .add(patches)
                .add(plane)
                .add(seed)
                .add(fromStep)
                .add(toStep)
                .add(copies)
                .add(scale);
        launch(CudaOperation.INTERACT, blocks(plane, 1));
    }

    @Override
    public void modelInput(
            MemorySegment out, MemorySegment in, long count, float scale, int copies) {
        KernelChecks.modelInput(out, in, count, copies);
        arguments
                .clear()
                .writes(out, bytes(copies * count))
                .reads(in, bytes(count))
                .add(count)
                .add(copies)
                .add(scale);
        launch(CudaOperation.MODEL_INPUT, blocks(count, PACK));
    }

    @Override
    public void gatherWindows(
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
            int copies) {
        KernelChecks.gatherWindows(
                out, canvas, channels, canvasHeight, canvasWidth, starts, views, h, w, copies);
        long planes = (long) views * channels;
        arguments
                .clear()
                .writes(out, bytes(copies * planes, h, w))
                .reads(canvas, bytes(channels, canvasHeight, canvasWidth))
                .reads(starts, bytes(2L * views))
                .add(channels)
                .add(canvasHeight)
                .add(canvasWidth)
                .add(views)
                .add(h)
                .add(w)
                .add(copies)
                .add(scale);
        launch(CudaOperation.GATHER_WINDOWS, blocks((long) h * w, PACK), second(planes), 1);
    }

    @Override
    public void guidedStep(GuidedStep s) {
        s.check();
        MemorySegment none = MemorySegment.NULL;
        long size = bytes(s.views, s.channels, s.area);
        long guideSize = bytes(s.channels * s.area);
        boolean guided = s.guides();
        boolean own = s.guidesAtOnce();
        arguments
                .clear()
                .writes(s.out, size)
                .writes(s.guideOut, guideSize)
                .updates(s.found, Long.BYTES)
                .writes(s.history.clean(), size)
                .reads(s.x, size)
                .reads(s.uncond, size)
                .reads(s.cond, size)
                .reads(guided ? s.guide : none, own ? 0 : s.guidePerView ? size : guideSize)
                .reads(guided ? s.mask : none, bytes(s.maskPerView ? s.views * s.area : s.area))
                .reads(s.noisy() ? s.noise : none, size)
                .reads(s.history.read(0, s.row), size)
                .reads(s.history.read(1, s.row), size)
                .reads(s.history.read(2, s.row), size)
                .add(s.row, StepRow.BYTES)
                .add(s.views)
                .add(s.channels)
                .add(s.area)
                .add(s.keyed ? 1 : 0)
                .add(s.guidePerView ? 1 : 0)
                .add(s.maskPerView ? 1 : 0)
                .add(s.guidanceScale)
                .add(s.weight)
                .add(s.space);
        launch(
                CudaOperation.GUIDED_STEP,
                blocks(s.area, PACK),
                second(s.channels),
                own ? 1 : second(s.views));
    }

    @Override
    public void combine(
            MemorySegment out,
            MemorySegment found,
            MemorySegment uncond,
            MemorySegment cond,
            long count,
            float guidanceScale) {
        KernelChecks.combine(out, found, uncond, cond, count);
        arguments
                .clear()
                .writes(out, bytes(count))
                .updates(found, Long.BYTES)
                .reads(uncond, bytes(count))
                .reads(cond, bytes(count))
                .add(count)
                .add(guidanceScale);
        launch(CudaOperation.COMBINE, blocks(count, PACK));
    }

    /** One launch for {@value #MAPS} maps. */
    @Override
    public void mask(
            MemorySegment mask,
            int views,
            int h,
            int w,
            MemorySegment[] maps,
            int[] heights,
            int[] widths,
            int norm) {
        KernelChecks.mask(mask, views, h, w, maps, heights, widths, norm);
        long size = bytes(views, h, w);
        for (int first = 0; first < maps.length; first += MAPS) {
            int count = Math.min(MAPS, maps.length - first);
            arguments.clear();
            if (first == 0) {
                arguments.writes(mask, size);
            } else {
                arguments.updates(mask, size);
            }
            for (int i = 0; i < MAPS; i++) {
                boolean there = i < count;
                int height = there ? heights[first + i] : 0;
                int width = there ? widths[first + i] : 0;
                mapExtents.setAtIndex(ValueLayout.JAVA_INT, i, height);
                mapExtents.setAtIndex(ValueLayout.JAVA_INT, MAPS + i, width);
                arguments.reads(
                        there ? maps[first + i] : MemorySegment.NULL, bytes(views, height, width));
            }
            arguments
                    .add(mapExtents, mapExtents.byteSize())
                    .add(count)
                    .add(views)
                    .add(h)
                    .add(w)
                    .add(first == 0 ? 1 : 0)
                    .add(maps.length)
                    .add(first + count == maps.length ? norm : -1);
            launch(CudaOperation.MASK, views);
        }
    }

    @Override
    public void relocate(
            MemorySegment canvas,
            MemorySegment patches,
            int channels,
            int gridHeight,
            int gridWidth,
            int h,
            int w) {
        KernelChecks.grid("relocate", canvas, patches, channels, gridHeight, gridWidth, h, w);
        grid(CudaOperation.RELOCATE, canvas, patches, channels, gridHeight, gridWidth, h, w);
    }

    @Override
    public void cut(
            MemorySegment patches,
            MemorySegment canvas,
            int channels,
            int gridHeight,
            int gridWidth,
            int h,
            int w) {
        KernelChecks.grid("cut", canvas, patches, channels, gridHeight, gridWidth, h, w);
        grid(CudaOperation.CUT, patches, canvas, channels, gridHeight, gridWidth, h, w);
    }

    private void grid(
            CudaOperation operation,
            MemorySegment out,
            MemorySegment in,
            int channels,
            int gridHeight,
            int gridWidth,
            int h,
            int w) {
        long count = (long) channels * gridHeight * h * gridWidth * w;
        arguments
                .clear()
                .writes(out, bytes(count))
                .reads(in, bytes(count))
                .add(channels)
                .add(gridHeight)
                .add(gridWidth)
                .add(h)
                .add(w);
        launch(operation, blocks(count, 1));
    }

    @Override
    public void windowStep(WindowStep s) {
        s.check();
        int tilesY = (s.rows - 1) / TILE_HEIGHT + 1;
        if (tilesY > MAX_GRID_YZ) {
            throw new IllegalArgumentException(
                    "windowStep: rows is "
                            + s.rows
                            + ", a grid reaches "
                            + MAX_GRID_YZ * TILE_HEIGHT);
        }
        int channels = s.channels;
        long from = bytes((long) s.firstRow * s.canvasWidth);
        long size = bytes((long) s.rows * s.canvasWidth);
        long pitch = bytes((long) s.canvasHeight * s.canvasWidth);
        arguments
                .clear()
                .writesPieces(s.out, from, size, channels, pitch)
                .writesPieces(s.history.clean(), from, size, channels, pitch)
                .readsPieces(s.x, from, size, channels, pitch)
                .reads(s.windows, bytes((long) s.views * channels, s.h, s.w))
                .reads(s.starts, bytes(2L * s.views))
                .reads(s.weightY, bytes(s.h))
                .reads(s.weightX, bytes(s.w))
                .readsPieces(s.noisy() ? s.noise : MemorySegment.NULL, from, size, channels, pitch)
                .readsPieces(s.history.read(0, s.row), from, size, channels, pitch)
                .readsPieces(s.history.read(1, s.row), from, size, channels, pitch)
                .readsPieces(s.history.read(2, s.row), from, size, channels, pitch)
                .add(s.row, StepRow.BYTES)
                .add(channels)
                .add(s.canvasHeight)
                .add(s.canvasWidth)
                .add(s.firstRow)
                .add(s.rows)
                .add(s.views)
                .add(s.h)
                .add(s.w);
        launch(
                CudaOperation.WINDOW_STEP,
                (s.canvasWidth - 1) / TILE_WIDTH + 1,
                tilesY,
                second(channels));
    }

    @Override
    public void scaleShift(
            MemorySegment out, MemorySegment in, long count, float scale, float shift) {
        KernelChecks.scaleShift(out, in, count);
        arguments
                .clear()
                .writes(out, bytes(count))
                .reads(in, bytes(count))
                .add(count)
                .add(scale)
                .add(shift);
        launch(CudaOperation.SCALE_SHIFT, blocks(count, PACK));
    }

    @Override
    public void addTile(
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
        KernelChecks.addTile(
                sum,
                weightSum,
                channels,
                height,
                width,
                tile,
                top,
                left,
                tileHeight,
                tileWidth,
                weightY,
                weightX);
        arguments
                .clear()
                .updates(sum, bytes(channels, height, width))
                .updates(weightSum, bytes((long) height * width))
                .reads(tile, bytes(channels, tileHeight, tileWidth))
                .reads(weightY, bytes(tileHeight))
                .reads(weightX, bytes(tileWidth))
                .add(channels)
                .add(height)
                .add(width)
                .add(top)
                .add(left)
                .add(tileHeight)
                .add(tileWidth);
        launch(CudaOperation.ADD_TILE, blocks((long) tileHeight * tileWidth, 1));
    }

    @Override
    public void divideTiles(MemorySegment sum, MemorySegment weightSum, int channels, long area) {
        KernelChecks.divideTiles(sum, weightSum, channels, area);
        arguments
                .clear()
                .updates(sum, bytes(channels * area))
                .reads(weightSum, bytes(area))
                .add(channels)
                .add(area);
        launch(CudaOperation.DIVIDE_TILES, blocks(area, PACK), second(channels), 1);
    }

    @Override
    public void rgb8(
            MemorySegment out,
            MemorySegment image,
            int height,
            int width,
            int top,
            int left,
            int outHeight,
            int outWidth) {
        KernelChecks.rgb8(out, image, height, width, top, left, outHeight, outWidth);
        long pixels = (long) outHeight * outWidth;
        arguments
                .clear()
                .writes(out, 3 * pixels)
                .reads(image, bytes(3, height, width))
                .add(height)
                .add(width)
                .add(top)
                .add(left)
                .add(outHeight)
                .add(outWidth);
        launch(CudaOperation.RGB8, blocks(pixels, PACK));
    }

    @Override
    public void blend(
            MemorySegment out, MemorySegment x, MemorySegment y, long count, float a, float b) {
        KernelChecks.blend(out, x, y, count);
        arguments
                .clear()
                .writes(out, bytes(count))
                .reads(x, bytes(count))
                .reads(y, bytes(count))
                .add(count)
                .add(a)
                .add(b);
        launch(CudaOperation.BLEND, blocks(count, PACK));
    }

    @Override
    public void moments(MemorySegment out, MemorySegment in, long count) {
        KernelChecks.moments(out, in, count);
        arguments.clear().writes(out, DOUBLES_OF_MOMENTS).reads(in, bytes(count)).add(count);
        launch(CudaOperation.MOMENTS, 1);
    }

    @Override
    public void matchMoments(
            MemorySegment out, MemorySegment in, long count, MemorySegment from, MemorySegment to) {
        KernelChecks.matchMoments(out, in, count, from, to);
        arguments
                .clear()
                .writes(out, bytes(count))
                .reads(in, bytes(count))
                .reads(from, DOUBLES_OF_MOMENTS)
                .reads(to, DOUBLES_OF_MOMENTS)
                .add(count);
        launch(CudaOperation.MATCH_MOMENTS, blocks(count, PACK));
    }

    @Override
    public void blur(
            MemorySegment out,
            MemorySegment work,
            MemorySegment in,
            int channels,
            int h,
            int w,
            MemorySegment weights,
            int taps) {
        KernelChecks.blur(out, work, in, channels, h, w, weights, taps);
        blurAxis(work, in, channels, h, w, weights, taps, false);
        blurAxis(out, work, channels, h, w, weights, taps, true);
    }

    private void blurAxis(
            MemorySegment out,
            MemorySegment in,
            int channels,
            int h,
            int w,
            MemorySegment weights,
            int taps,
            boolean alongY) {
        long count = (long) channels * h * w;
        arguments
                .clear()
                .writes(out, bytes(count))
                .reads(in, bytes(count))
                .reads(weights, bytes(taps))
                .add((long) channels)
                .add(h)
                .add(w)
                .add(taps)
                .add(alongY ? 1 : 0);
        launch(CudaOperation.BLUR, blocks(count, 1));
    }

    @Override
    public void resample(
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
        KernelChecks.resample(
                out, work, in, planes, inHeight, inWidth, outHeight, outWidth, indexY, weightY,
                tapsY, indexX, weightX, tapsX);
        resampleAxis(
                work, in, planes, inHeight, inWidth, inHeight, outWidth, indexX, weightX, tapsX,
                false);
        resampleAxis(
                out, work, planes, inHeight, outWidth, outHeight, outWidth, indexY, weightY, tapsY,
                true);
    }

    /** Needs one launch, which leaves {@code canvas} and {@code work} as they are. */
    @Override
    public void resampleCut(
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
        long count = (long) channels * height * width;
        arguments
                .clear()
                .writes(patches, bytes(count))
                .reads(in, bytes(channels, inHeight, inWidth))
                .reads(indexY, bytes((long) tapsY * height))
                .reads(weightY, bytes((long) tapsY * height))
                .reads(indexX, bytes((long) tapsX * width))
                .reads(weightX, bytes((long) tapsX * width))
                .add(channels)
                .add(inHeight)
                .add(inWidth)
                .add(gridHeight)
                .add(gridWidth)
                .add(h)
                .add(w)
                .add(tapsY)
                .add(tapsX);
        launch(CudaOperation.RESAMPLE_CUT, blocks(count, 1));
    }

    private void resampleAxis(
            MemorySegment out,
            MemorySegment in,
            int planes,
            int inHeight,
            int inWidth,
            int outHeight,
            int outWidth,
            MemorySegment index,
            MemorySegment weight,
            int taps,
            boolean alongY) {
        long count = (long) planes * outHeight * outWidth;
        long table = bytes((long) taps * (alongY ? outHeight : outWidth));
        arguments
                .clear()
                .writes(out, bytes(count))
                .reads(in, bytes(planes, inHeight, inWidth))
                .reads(index, table)
                .reads(weight, table)
                .add(planes)
                .add(inHeight)
                .add(inWidth)
                .add(outHeight)
                .add(outWidth)
                .add(taps)
                .add(alongY ? 1 : 0);
        launch(CudaOperation.RESAMPLE, blocks(count, 1));
    }

    /** Waits for the stream. */
    @Override
    public long firstNonFinite(MemorySegment data, long count) {
        KernelChecks.firstNonFinite(data, count);
        stream.fill(index.segment(), NONE_FOUND_BYTE, Long.BYTES);
        arguments.clear().updates(index.segment(), Long.BYTES).reads(data, bytes(count)).add(count);
        launch(CudaOperation.FIRST_NON_FINITE, blocks(count, PACK));
        stream.download(indexOnHost.segment(), index.segment(), Long.BYTES);
        stream.synchronize();
        long found = indexOnHost.segment().get(ValueLayout.JAVA_LONG, 0);
        return found < count ? found : -1;
    }

    /** After all work of the stream. Idempotent. */
    @Override
    public void close() {
        indexOnHost.close();
        index.close();
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}
