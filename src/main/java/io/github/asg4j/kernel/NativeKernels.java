// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import io.github.asg4j.ffi.CpuLibrary;

import java.lang.foreign.MemorySegment;
import java.util.List;

/** The kernels of the native CPU library, with one of its instruction sets. */
public final class NativeKernels implements Kernels {
    /** Names of the instruction sets, slowest first; the index is the tier of {@link CpuLibrary}. */
    static final List<String> TIERS = List.of("scalar", "avx2", "avx512");

    private final int tier;

    /** The library is there and supports the tier: {@link KernelChoice} has seen to it. */
    NativeKernels(int tier) {
        this.tier = tier;
    }

    @Override
    public String name() {
        return TIERS.get(tier);
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
        CpuLibrary.normal(
                tier, out, planes, pitch, count, seed, firstElement, step, purpose, scale);
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
        CpuLibrary.interact(
                tier, out, sample, in, firstSlot, slots, patches, plane, seed, fromStep, toStep,
                copies, scale);
    }

    @Override
    public void modelInput(
            MemorySegment out, MemorySegment in, long count, float scale, int copies) {
        KernelChecks.modelInput(out, in, count, copies);
        CpuLibrary.modelInput(tier, out, in, count, copies, scale);
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
        CpuLibrary.gatherWindows(
                tier,
                out,
                canvas,
                starts,
                channels,
                canvasHeight,
                canvasWidth,
                views,
                h,
                w,
                copies,
                scale);
    }

    @Override
    public void guidedStep(GuidedStep s) {
        s.check();
        CpuLibrary.guidedStep(
                tier,
                s.out,
                s.guideOut,
                s.found,
                s.history.clean(),
                s.x,
                s.uncond,
                s.cond,
                s.guide,
                s.mask,
                s.noise,
                s.history.past1(),
                s.history.past2(),
                s.history.past3(),
                s.row,
                s.views,
                s.channels,
                s.area,
                s.keyed ? 1 : 0,
                s.guidePerView ? 1 : 0,
                s.maskPerView ? 1 : 0,
                s.guidanceScale,
                s.weight,
                s.space);
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
        CpuLibrary.combine(tier, out, found, uncond, cond, count, guidanceScale);
    }

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
        for (int i = 0; i < maps.length; i++) {
            CpuLibrary.addMap(
                    tier, mask, maps[i], views, h, w, heights[i], widths[i], i == 0 ? 1 : 0);
        }
        CpuLibrary.normaliseMask(tier, mask, views, (long) h * w, maps.length, norm);
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
        CpuLibrary.relocate(tier, canvas, patches, channels, gridHeight, gridWidth, h, w);
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
        CpuLibrary.cut(tier, patches, canvas, channels, gridHeight, gridWidth, h, w);
    }

    @Override
    public void windowStep(WindowStep s) {
        s.check();
        CpuLibrary.windowStep(
                tier,
                s.out,
                s.history.clean(),
                s.x,
                s.windows,
                s.starts,
                s.weightY,
                s.weightX,
                s.noise,
                s.history.past1(),
                s.history.past2(),
                s.history.past3(),
                s.row,
                s.channels,
                s.canvasHeight,
                s.canvasWidth,
                s.firstRow,
                s.rows,
                s.views,
                s.h,
                s.w);
    }

    @Override
    public void scaleShift(
            MemorySegment out, MemorySegment in, long count, float scale, float shift) {
        KernelChecks.scaleShift(out, in, count);
        CpuLibrary.scaleShift(tier, out, in, count, scale, shift);
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
        CpuLibrary.addTile(
                tier,
                sum,
                weightSum,
                tile,
                weightY,
                weightX,
                channels,
                height,
                width,
                top,
                left,
                tileHeight,
                tileWidth);
    }

    @Override
    public void divideTiles(MemorySegment sum, MemorySegment weightSum, int channels, long area) {
        KernelChecks.divideTiles(sum, weightSum, channels, area);
        CpuLibrary.divideTiles(tier, sum, weightSum, channels, area);
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
        CpuLibrary.rgb8(tier, out, image, height, width, top, left, outHeight, outWidth);
    }

    @Override
    public void blend(
            MemorySegment out, MemorySegment x, MemorySegment y, long count, float a, float b) {
        KernelChecks.blend(out, x, y, count);
        CpuLibrary.blend(tier, out, x, y, count, a, b);
    }

    @Override
    public void moments(MemorySegment out, MemorySegment in, long count) {
        KernelChecks.moments(out, in, count);
        CpuLibrary.moments(tier, out, in, count);
    }

    @Override
    public void matchMoments(
            MemorySegment out, MemorySegment in, long count, MemorySegment from, MemorySegment to) {
        KernelChecks.matchMoments(out, in, count, from, to);
        CpuLibrary.matchMoments(tier, out, in, from, to, count);
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
        CpuLibrary.blur(tier, out, work, in, weights, channels, h, w, taps);
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
        CpuLibrary.resample(
                tier, out, work, in, indexY, weightY, indexX, weightX, planes, inHeight, inWidth,
                outHeight, outWidth, tapsY, tapsX);
    }

    @Override
    public long firstNonFinite(MemorySegment data, long count) {
        KernelChecks.firstNonFinite(data, count);
        long index = CpuLibrary.firstNonFinite(tier, data, count);
        return index == count ? -1 : index;
    }
}
