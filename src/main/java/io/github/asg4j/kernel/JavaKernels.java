// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * The kernels in Java, for machines without the native library and as its twin in tests: the same
 * operations in the same order (Java never fuses), hence the same bits. Each thread that calls
 * keeps a few kilobytes of scratch memory.
 */
public final class JavaKernels implements Kernels {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT;
    private static final ValueLayout.OfDouble F64 = ValueLayout.JAVA_DOUBLE;
    private static final ThreadLocal<Scratch> SCRATCH = ThreadLocal.withInitial(Scratch::new);

    /** A crop of a row of the canvas: the partial sums of windowStep. */
    private static final int WINDOW_BLOCK = 512;

    private static final class Scratch {
        final byte[] from = new byte[256];
        final byte[] to = new byte[256];
        final byte[] slotOf = new byte[256];
        final int[] covering = new int[WINDOW_BLOCK];
        final float[] total = new float[WINDOW_BLOCK];
        final float[] sum = new float[WINDOW_BLOCK];
        final double[] partial = new double[256];
    }

    @Override
    public String name() {
        return "java";
    }

    private static float get(MemorySegment segment, long index) {
        return segment.get(F32, index * 4);
    }

    private static void set(MemorySegment segment, long index, float value) {
        segment.set(F32, index * 4, value);
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
        for (int plane = 0; plane < planes; plane++) {
            for (long i = plane * pitch; i < plane * pitch + count; i++) {
                set(out, i, scale * Philox.normal(seed, firstElement + i, step, purpose));
            }
        }
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
        int samples = KernelChecks.isNull(sample) ? 0 : copies;
        Scratch scratch = SCRATCH.get();
        byte[] from = scratch.from;
        byte[] to = scratch.to;
        byte[] slotOf = scratch.slotOf;
        for (long q = 0; q < plane; q++) {
            Philox.permutation(from, patches, seed, q, fromStep);
            Philox.permutation(to, patches, seed, q, toStep);
            for (int i = 0; i < patches; i++) {
                slotOf[from[i] & 255] = (byte) i;
            }
            for (int slot = 0; slot < slots; slot++) {
                int source = slotOf[to[firstSlot + slot] & 255] & 255;
                float v = get(in, source * plane + q);
                set(out, slot * plane + q, v);
                for (int copy = 0; copy < samples; copy++) {
                    set(sample, ((long) copy * slots + slot) * plane + q, v * scale);
                }
            }
        }
    }

    @Override
    public void modelInput(
            MemorySegment out, MemorySegment in, long count, float scale, int copies) {
        KernelChecks.modelInput(out, in, count, copies);
        for (int copy = 0; copy < copies; copy++) {
            for (long i = 0; i < count; i++) {
                set(out, copy * count + i, get(in, i) * scale);
            }
        }
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
        long i = 0;
        for (int copy = 0; copy < copies; copy++) {
            for (int view = 0; view < views; view++) {
                long top = start(starts, view, 0);
                long left = start(starts, view, 1);
                for (int c = 0; c < channels; c++) {
                    for (long y = top; y < top + h; y++) {
                        boolean inside = y >= 0 && y < canvasHeight;
                        long row = ((long) c * canvasHeight + y) * canvasWidth;
                        for (long x = left; x < left + w; x++) {
                            set(
                                    out,
                                    i++,
                                    inside && x >= 0 && x < canvasWidth
                                            ? get(canvas, row + x) * scale
                                            : 0);
                        }
                    }
                }
            }
        }
    }

    private static long start(MemorySegment starts, int view, int axis) {
        return starts.get(ValueLayout.JAVA_INT, 8L * view + 4L * axis);
    }

    private static float guided(float uncond, float cond, float guidanceScale) {
        return uncond + guidanceScale * (cond - uncond);
    }

    /** Adds to the next latent of element i the past predictions that the row weighs. */
    private static float withPast(float next, MemorySegment row, StepHistory history, long i) {
        float sum = next;
        for (int j = 0; j < StepRow.MAX_PAST; j++) {
            float weight = StepRow.past(row, j);
            if (weight != 0) {
                sum = sum + weight * get(history.past(j), i);
            }
        }
        return sum;
    }

    /** Fields become locals first: loads of fields are not hoisted out of loops that write memory. */
    @Override
    public void guidedStep(GuidedStep s) {
        s.check();
        MemorySegment out = s.out;
        MemorySegment guideOut = s.guideOut;
        MemorySegment found = s.found;
        MemorySegment latents = s.x;
        MemorySegment uncond = s.uncond;
        MemorySegment cond = s.cond;
        MemorySegment guide = s.guide;
        MemorySegment mask = s.mask;
        MemorySegment noise = s.noise;
        MemorySegment clean = s.history.clean();
        boolean cfg = !KernelChecks.isNull(uncond);
        boolean masked = !KernelChecks.isNull(mask);
        boolean published = !KernelChecks.isNull(guideOut);
        boolean searches = !KernelChecks.isNull(found);
        boolean leaves = !KernelChecks.isNull(clean);
        boolean remembers = StepRow.remembers(s.row);
        boolean keepsE = StepRow.get(s.row, StepRow.KEEP_E) != 0;
        int space = s.space;
        float guidanceScale = s.guidanceScale;
        float weight = s.weight;
        float predM = StepRow.get(s.row, StepRow.PRED_M);
        float predX = StepRow.get(s.row, StepRow.PRED_X);
        float sigma = StepRow.get(s.row, StepRow.SIGMA);
        float invAlpha = StepRow.get(s.row, StepRow.INV_ALPHA);
        float kappa = StepRow.get(s.row, StepRow.KAPPA);
        float stepX = StepRow.get(s.row, StepRow.STEP_X);
        float stepE = StepRow.get(s.row, StepRow.STEP_E);
        float stepN = StepRow.get(s.row, StepRow.STEP_N);
        long area = s.area;
        for (int view = 0; view < s.views; view++) {
            boolean key = s.keyed && view == 0;
            long maskAt = s.maskPerView ? view * area : 0;
            for (int c = 0; c < s.channels; c++) {
                long at = ((long) view * s.channels + c) * area;
                long guideAt = s.guidePerView ? at : c * area;
                for (long i = 0; i < area; i++) {
                    float mc = get(cond, at + i);
                    float m = cfg ? guided(get(uncond, at + i), mc, guidanceScale) : mc;
                    float x = get(latents, at + i);
                    float e = predM * m + predX * x;
                    if (key && published) {
                        float d = (x - sigma * e) * invAlpha;
                        set(guideOut, c * area + i, space == GUIDE_LATENT ? d : e);
                    }
                    if (!key && space != GUIDE_NONE) {
                        float wm = masked ? weight * get(mask, maskAt + i) : weight;
                        float g = get(guide, guideAt + i);
                        if (space == GUIDE_NOISE) {
                            e = e + wm * (g - e);
                        } else {
                            float d = (x - sigma * e) * invAlpha;
                            e = e - wm * (kappa * (g - d));
                        }
                    }
                    if (leaves) {
                        set(clean, at + i, keepsE ? e : (x - sigma * e) * invAlpha);
                    }
                    float next = stepX * x + stepE * e;
                    if (remembers) {
                        next = withPast(next, s.row, s.history, at + i);
                    }
                    if (stepN != 0) {
                        next = next + stepN * get(noise, at + i);
                    }
                    set(out, at + i, next);
                    if (searches && !Float.isFinite(next)) {
                        note(found, uncond, cond, at + i);
                    }
                }
            }
        }
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
        boolean cfg = !KernelChecks.isNull(uncond);
        boolean searches = !KernelChecks.isNull(found);
        for (long i = 0; i < count; i++) {
            float mc = get(cond, i);
            float m = cfg ? guided(get(uncond, i), mc, guidanceScale) : mc;
            set(out, i, m);
            if (searches && !Float.isFinite(m)) {
                note(found, uncond, cond, i);
            }
        }
    }

    /**
     * Lowers {@code found} to element i if uncond (or NULL) or cond of it is not finite. Sums and
     * products make nothing finite of such a value, so this is asked where a result is not finite.
     */
    private static void note(
            MemorySegment found, MemorySegment uncond, MemorySegment cond, long i) {
        boolean finite =
                Float.isFinite(get(cond, i))
                        && (KernelChecks.isNull(uncond) || Float.isFinite(get(uncond, i)));
        if (!finite) {
            found.set(ValueLayout.JAVA_LONG, 0, Math.min(i, found.get(ValueLayout.JAVA_LONG, 0)));
        }
    }

    private static float position(int i, float ratio, int mapExtent) {
        float s = (i + 0.5f) * ratio - 0.5f;
        float last = mapExtent - 1;
        return s < 0 ? 0 : s > last ? last : s;
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
            addMap(mask, views, h, w, maps[i], heights[i], widths[i], i == 0);
        }
        float blockScale = 1f / maps.length;
        long area = (long) h * w;
        for (int view = 0; view < views; view++) {
            normalisePlane(mask, view * area, (view + 1) * area, blockScale, norm);
        }
    }

    private static void addMap(
            MemorySegment sum,
            int views,
            int h,
            int w,
            MemorySegment map,
            int mapHeight,
            int mapWidth,
            boolean first) {
        float ratioY = (float) mapHeight / h;
        float ratioX = (float) mapWidth / w;
        for (int view = 0; view < views; view++) {
            long plane = (long) view * mapHeight * mapWidth;
            for (int y = 0; y < h; y++) {
                float sy = position(y, ratioY, mapHeight);
                int y0 = (int) sy;
                float fy = sy - y0;
                long row0 = plane + (long) y0 * mapWidth;
                long row1 = plane + Math.min(y0 + 1L, mapHeight - 1) * mapWidth;
                long out = ((long) view * h + y) * w;
                for (int x = 0; x < w; x++) {
                    float sx = position(x, ratioX, mapWidth);
                    int x0 = (int) sx;
                    int x1 = Math.min(x0 + 1, mapWidth - 1);
                    float fx = sx - x0;
                    float a00 = get(map, row0 + x0);
                    float a10 = get(map, row1 + x0);
                    float top = a00 + fx * (get(map, row0 + x1) - a00);
                    float bottom = a10 + fx * (get(map, row1 + x1) - a10);
                    float v = top + fy * (bottom - top);
                    set(sum, out + x, first ? v : get(sum, out + x) + v);
                }
            }
        }
    }

    private static void normalisePlane(
            MemorySegment mask, long begin, long end, float blockScale, int norm) {
        float low = get(mask, begin) * blockScale;
        float high = low;
        for (long i = begin; i < end; i++) {
            float v = get(mask, i) * blockScale;
            set(mask, i, v);
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
        if ((norm == NORM_MAX ? high : high - low) < 1e-8f) {
            for (long i = begin; i < end; i++) {
                set(mask, i, 1);
            }
            return;
        }
        float mean = norm == NORM_MEAN_THRESHOLD ? mean(mask, begin, end) : 0;
        float factor = norm == NORM_MAX ? 1 / high : 1 / (high - low);
        for (long i = begin; i < end; i++) {
            float v = get(mask, i);
            set(
                    mask,
                    i,
                    switch (norm) {
                        case NORM_MINMAX -> (v - low) * factor;
                        case NORM_MAX -> v * factor;
                        default -> v >= mean ? 1 : 0;
                    });
        }
    }

    private static float mean(MemorySegment mask, long begin, long end) {
        double[] partial = SCRATCH.get().partial;
        Arrays.fill(partial, 0);
        for (long i = begin; i < end; i++) {
            partial[(int) ((i - begin) & 255)] += get(mask, i);
        }
        return (float) (total(partial) / (end - begin));
    }

    /** The tree over 256 partial sums. */
    private static double total(double[] partial) {
        for (int half = 128; half > 0; half /= 2) {
            for (int t = 0; t < half; t++) {
                partial[t] += partial[t + half];
            }
        }
        return partial[0];
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
        copyGrid(canvas, patches, channels, gridHeight, gridWidth, h, w, true);
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
        copyGrid(canvas, patches, channels, gridHeight, gridWidth, h, w, false);
    }

    private static void copyGrid(
            MemorySegment canvas,
            MemorySegment patches,
            int channels,
            int gridHeight,
            int gridWidth,
            int h,
            int w,
            boolean toCanvas) {
        long cell = 0;
        for (int c = 0; c < channels; c++) {
            for (int y = 0; y < h; y++) {
                for (int a = 0; a < gridHeight; a++) {
                    for (int x = 0; x < w; x++) {
                        for (int b = 0; b < gridWidth; b++) {
                            long patch = (long) a * gridWidth + b;
                            long i = ((patch * channels + c) * h + y) * w + x;
                            if (toCanvas) {
                                set(canvas, cell, get(patches, i));
                            } else {
                                set(patches, i, get(canvas, cell));
                            }
                            cell++;
                        }
                    }
                }
            }
        }
    }

    @Override
    public void windowStep(WindowStep s) {
        s.check();
        MemorySegment windows = s.windows;
        MemorySegment weightX = s.weightX;
        int channels = s.channels;
        int h = s.h;
        int w = s.w;
        Scratch scratch = SCRATCH.get();
        int[] covering = scratch.covering;
        float[] total = scratch.total;
        float[] sum = scratch.sum;
        for (int y = s.firstRow; y < s.firstRow + s.rows; y++) {
            for (long blockX = 0; blockX < s.canvasWidth; blockX += WINDOW_BLOCK) {
                int n = (int) Math.min(WINDOW_BLOCK, s.canvasWidth - blockX);
                for (int c = 0; c < channels; c++) {
                    Arrays.fill(covering, 0, n, 0);
                    for (int view = 0; view < s.views; view++) {
                        long row = y - start(s.starts, view, 0);
                        long left = start(s.starts, view, 1);
                        if (row < 0 || row >= h) {
                            continue;
                        }
                        float rowWeight = get(s.weightY, row);
                        long m = (((long) view * channels + c) * h + row) * w - left;
                        long end = Math.min(left + w, blockX + n);
                        for (long cell = Math.max(left, blockX); cell < end; cell++) {
                            int i = (int) (cell - blockX);
                            add(
                                    covering,
                                    total,
                                    sum,
                                    i,
                                    rowWeight * get(weightX, cell - left),
                                    get(windows, m + cell));
                        }
                    }
                    finish(s, scratch, ((long) c * s.canvasHeight + y) * s.canvasWidth + blockX, n);
                }
            }
        }
    }

    /** Steps n cells from element {@code at} on by the partial sums of their windows. */
    private static void finish(WindowStep s, Scratch scratch, long at, int n) {
        int[] covering = scratch.covering;
        float[] total = scratch.total;
        float[] sum = scratch.sum;
        MemorySegment out = s.out;
        MemorySegment latents = s.x;
        MemorySegment noise = s.noise;
        MemorySegment clean = s.history.clean();
        boolean leaves = !KernelChecks.isNull(clean);
        boolean remembers = StepRow.remembers(s.row);
        boolean keepsE = StepRow.get(s.row, StepRow.KEEP_E) != 0;
        float predM = StepRow.get(s.row, StepRow.PRED_M);
        float predX = StepRow.get(s.row, StepRow.PRED_X);
        float sigma = StepRow.get(s.row, StepRow.SIGMA);
        float invAlpha = StepRow.get(s.row, StepRow.INV_ALPHA);
        float stepX = StepRow.get(s.row, StepRow.STEP_X);
        float stepE = StepRow.get(s.row, StepRow.STEP_E);
        float stepN = StepRow.get(s.row, StepRow.STEP_N);
        for (int i = 0; i < n; i++) {
            float m =
                    switch (covering[i]) {
                        case 0 -> Float.NaN;
                        case 1 -> sum[i];
                        default -> sum[i] / total[i];
                    };
            float x = get(latents, at + i);
            float e = predM * m + predX * x;
            if (leaves) {
                set(clean, at + i, keepsE ? e : (x - sigma * e) * invAlpha);
            }
            float next = stepX * x + stepE * e;
            if (remembers) {
                next = withPast(next, s.row, s.history, at + i);
            }
            if (stepN != 0) {
                next = next + stepN * get(noise, at + i);
            }
            set(out, at + i, next);
        }
    }

    /** The first window's value stands unweighted until a second one comes. */
    private static void add(
            int[] covering, float[] total, float[] sum, int i, float weight, float m) {
        switch (covering[i]++) {
            case 0 -> {
                sum[i] = m;
                total[i] = weight;
            }
            case 1 -> {
                sum[i] = total[i] * sum[i] + weight * m;
                total[i] = total[i] + weight;
            }
            default -> {
                sum[i] = sum[i] + weight * m;
                total[i] = total[i] + weight;
            }
        }
    }

    @Override
    public void scaleShift(
            MemorySegment out, MemorySegment in, long count, float scale, float shift) {
        KernelChecks.scaleShift(out, in, count);
        for (long i = 0; i < count; i++) {
            set(out, i, get(in, i) * scale + shift);
        }
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
        for (int y = 0; y < tileHeight; y++) {
            float rowWeight = get(weightY, y);
            long at = (top + (long) y) * width + left;
            for (int x = 0; x < tileWidth; x++) {
                float weight = rowWeight * get(weightX, x);
                set(weightSum, at + x, get(weightSum, at + x) + weight);
            }
            for (int c = 0; c < channels; c++) {
                long row = (long) c * height * width + at;
                long source = ((long) c * tileHeight + y) * tileWidth;
                for (int x = 0; x < tileWidth; x++) {
                    float weight = rowWeight * get(weightX, x);
                    set(sum, row + x, get(sum, row + x) + weight * get(tile, source + x));
                }
            }
        }
    }

    @Override
    public void divideTiles(MemorySegment sum, MemorySegment weightSum, int channels, long area) {
        KernelChecks.divideTiles(sum, weightSum, channels, area);
        for (int c = 0; c < channels; c++) {
            for (long i = 0; i < area; i++) {
                set(sum, c * area + i, get(sum, c * area + i) / get(weightSum, i));
            }
        }
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
        long pixel = 0;
        for (int y = 0; y < outHeight; y++) {
            for (int x = 0; x < outWidth; x++) {
                for (int c = 0; c < 3; c++) {
                    long i = ((long) c * height + top + y) * width + left + x;
                    float b = get(image, i) * 127.5f + 127.5f;
                    b = b > 0 ? b : 0;
                    b = b < 255 ? b : 255;
                    out.set(ValueLayout.JAVA_BYTE, pixel++, (byte) (int) (b + 0.5f));
                }
            }
        }
    }

    @Override
    public void blend(
            MemorySegment out, MemorySegment x, MemorySegment y, long count, float a, float b) {
        KernelChecks.blend(out, x, y, count);
        for (long i = 0; i < count; i++) {
            set(out, i, a * get(x, i) + b * get(y, i));
        }
    }

    @Override
    public void moments(MemorySegment out, MemorySegment in, long count) {
        KernelChecks.moments(out, in, count);
        double[] partial = SCRATCH.get().partial;
        Arrays.fill(partial, 0);
        for (long i = 0; i < count; i++) {
            partial[(int) (i & 255)] += get(in, i);
        }
        double mean = total(partial) / count;
        Arrays.fill(partial, 0);
        for (long i = 0; i < count; i++) {
            double d = get(in, i) - mean;
            partial[(int) (i & 255)] += d * d;
        }
        out.set(F64, 0, mean);
        out.set(F64, 8, count > 1 ? Math.sqrt(total(partial) / (count - 1)) : 0);
    }

    @Override
    public void matchMoments(
            MemorySegment out, MemorySegment in, long count, MemorySegment from, MemorySegment to) {
        KernelChecks.matchMoments(out, in, count, from, to);
        double stdFrom = from.get(F64, 8);
        double quotient = stdFrom == 0 ? 1 : to.get(F64, 8) / stdFrom;
        float scale = (float) quotient;
        float shift = (float) (to.get(F64, 0) - from.get(F64, 0) * quotient);
        for (long i = 0; i < count; i++) {
            set(out, i, get(in, i) * scale + shift);
        }
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
        for (int c = 0; c < channels; c++) {
            long plane = (long) c * h * w;
            for (int y = 0; y < h; y++) {
                for (int x = 0; x < w; x++) {
                    long row = plane + (long) y * w;
                    set(work, row + x, blurred(in, row, 1, x, w, weights, taps));
                }
            }
            for (int y = 0; y < h; y++) {
                for (int x = 0; x < w; x++) {
                    long column = plane + x;
                    set(out, column + (long) y * w, blurred(work, column, w, y, h, weights, taps));
                }
            }
        }
    }

    /** Cell i of a line of {@code extent} cells, {@code stride} apart. */
    private static float blurred(
            MemorySegment in,
            long line,
            long stride,
            int i,
            int extent,
            MemorySegment weights,
            int taps) {
        float sum = 0;
        for (int tap = 0; tap < taps; tap++) {
            long cell = (long) i + tap - taps / 2;
            float v = cell >= 0 && cell < extent ? get(in, line + cell * stride) : 0;
            float term = get(weights, tap) * v;
            sum = tap == 0 ? term : sum + term;
        }
        return sum;
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
        for (int plane = 0; plane < planes; plane++) {
            for (int y = 0; y < inHeight; y++) {
                long row = (long) plane * inHeight + y;
                for (int x = 0; x < outWidth; x++) {
                    set(
                            work,
                            row * outWidth + x,
                            resampled(in, row * inWidth, 1, x, inWidth, indexX, weightX, tapsX));
                }
            }
            for (int y = 0; y < outHeight; y++) {
                for (int x = 0; x < outWidth; x++) {
                    long column = (long) plane * inHeight * outWidth + x;
                    set(
                            out,
                            ((long) plane * outHeight + y) * outWidth + x,
                            resampled(work, column, outWidth, y, inHeight, indexY, weightY, tapsY));
                }
            }
        }
    }

    /** Output cell i of a line of {@code extent} cells, {@code stride} apart. */
    private static float resampled(
            MemorySegment in,
            long line,
            long stride,
            int i,
            int extent,
            MemorySegment index,
            MemorySegment weight,
            int taps) {
        float sum = 0;
        for (int tap = 0; tap < taps; tap++) {
            long at = (long) i * taps + tap;
            long cell = Math.clamp(index.get(ValueLayout.JAVA_INT, at * 4), 0, extent - 1);
            float term = get(weight, at) * get(in, line + cell * stride);
            sum = tap == 0 ? term : sum + term;
        }
        return sum;
    }

    @Override
    public long firstNonFinite(MemorySegment data, long count) {
        KernelChecks.firstNonFinite(data, count);
        for (long i = 0; i < count; i++) {
            if (!Float.isFinite(get(data, i))) {
                return i;
            }
        }
        return -1;
    }
}
