// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.GuidedStep;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.StepRow;
import io.github.asg4j.kernel.WindowStep;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * A call of every kernel as the engine makes it: latents [4, side, side] in four patches, classifier-free
 * guidance, a picture of {@value #PICTURE}² where a kernel is of pictures. The bytes of a case are those
 * that it has to read and write, each once; of a kernel that is bound by arithmetic they say little.
 */
public final class KernelCatalogue {
    /** The copy that all are held against, a call of next to nothing, and all kernels. */
    public enum Kernel {
        COPY,
        SMALLEST_CALL,
        MODEL_INPUT,
        GUIDED_STEP,
        MASK,
        FIRST_NON_FINITE,
        INTERACT,
        NORMAL,
        GATHER_WINDOWS,
        COMBINE,
        WINDOW_STEP,
        RELOCATE,
        CUT,
        SCALE_SHIFT,
        BLEND,
        MOMENTS,
        MATCH_MOMENTS,
        BLUR,
        RESAMPLE,
        RESAMPLE_CUT,
        ADD_TILE,
        DIVIDE_TILES,
        RGB8;

        /** Returns the name of the method in Kernels, such as guidedStep. */
        public String method() {
            String[] words = name().toLowerCase(Locale.ROOT).split("_");
            StringBuilder method = new StringBuilder(words[0]);
            for (int i = 1; i < words.length; i++) {
                method.append(Character.toUpperCase(words[i].charAt(0)))
                        .append(words[i].substring(1));
            }
            return method.toString();
        }
    }

    private static final int CHANNELS = 4;
    private static final int PICTURE = 2048;
    private static final int TILE = 512;
    private static final int TAPS = 13;

    static {
        List<String> methods = Arrays.stream(Kernel.values()).map(Kernel::method).toList();
        List<String> missing =
                Arrays.stream(Kernels.class.getDeclaredMethods())
                        .map(Method::getName)
                        .filter(name -> !name.equals("name") && !methods.contains(name))
                        .toList();
        if (!missing.isEmpty()) {
            throw new IllegalStateException("no benchmark of " + missing);
        }
    }

    /**
     * @param bytes that a call reads and writes
     */
    record Case(long bytes, Runnable call) {}

    private final Place place;
    private final Kernels k;
    private final Memory host;
    private final int side;
    private final int patch;
    private final long count;

    /** Floats of a patch's plane. */
    private final long area;

    /**
     * @param host where the arguments that kernels read on the host live
     * @param side of the latents, even
     */
    KernelCatalogue(Place place, Memory host, int side) {
        this.place = place;
        this.host = host;
        this.side = side;
        k = place.kernels();
        patch = side / 2;
        count = (long) CHANNELS * side * side;
        area = (long) patch * patch;
    }

    Case of(Kernel kernel) {
        return switch (kernel) {
            case COPY -> {
                MemorySegment in = random(count);
                MemorySegment out = random(count);
                yield new Case(bytes(2 * count), () -> place.copy(out, in, bytes(count)));
            }
            case MODEL_INPUT -> {
                MemorySegment in = random(count);
                MemorySegment out = random(2 * count);
                yield new Case(bytes(3 * count), () -> k.modelInput(out, in, count, 0.5f, 2));
            }
            case GUIDED_STEP -> guidedStep();
            case MASK -> mask();
            case FIRST_NON_FINITE -> {
                MemorySegment in = random(2 * count);
                yield new Case(bytes(2 * count), () -> k.firstNonFinite(in, 2 * count));
            }
            case INTERACT -> {
                MemorySegment in = random(count);
                MemorySegment out = random(count);
                MemorySegment sample = random(2 * count);
                yield new Case(
                        bytes(4 * count),
                        () -> k.interact(out, sample, 0, 4, in, 4, count / 4, 7, 3, 4, 0.5f, 2));
            }
            case NORMAL -> {
                MemorySegment out = random(count);
                yield new Case(
                        bytes(count), () -> k.normal(out, count, 7, 0, 3, Kernels.STEP_NOISE, 1));
            }
            case GATHER_WINDOWS -> gatherWindows();
            case COMBINE -> {
                MemorySegment uncond = random(count);
                MemorySegment cond = random(count);
                MemorySegment out = random(count);
                MemorySegment found = noneFound();
                yield new Case(
                        bytes(3 * count), () -> k.combine(out, found, uncond, cond, count, 5));
            }
            case WINDOW_STEP -> windowStep();
            case RELOCATE -> {
                MemorySegment in = random(count);
                MemorySegment out = random(count);
                yield new Case(
                        bytes(2 * count), () -> k.relocate(out, in, CHANNELS, 2, 2, patch, patch));
            }
            case CUT -> {
                MemorySegment in = random(count);
                MemorySegment out = random(count);
                yield new Case(
                        bytes(2 * count), () -> k.cut(out, in, CHANNELS, 2, 2, patch, patch));
            }
            case SCALE_SHIFT -> {
                MemorySegment in = random(count);
                MemorySegment out = random(count);
                yield new Case(bytes(2 * count), () -> k.scaleShift(out, in, count, 0.5f, 0.1f));
            }
            case BLEND -> {
                MemorySegment x = random(count);
                MemorySegment y = random(count);
                MemorySegment out = random(count);
                yield new Case(bytes(3 * count), () -> k.blend(out, x, y, count, 0.3f, 0.7f));
            }
            case MOMENTS -> {
                MemorySegment in = random(count);
                MemorySegment out = doubles(0, 1);
                // Read twice: the deviation is from the mean.
                yield new Case(bytes(2 * count), () -> k.moments(out, in, count));
            }
            case MATCH_MOMENTS -> {
                MemorySegment in = random(count);
                MemorySegment out = random(count);
                MemorySegment from = doubles(0.1, 0.9);
                MemorySegment to = doubles(0, 1);
                yield new Case(bytes(2 * count), () -> k.matchMoments(out, in, count, from, to));
            }
            case BLUR -> {
                MemorySegment in = random(count);
                MemorySegment work = random(count);
                MemorySegment out = random(count);
                MemorySegment taps = random(TAPS);
                yield new Case(
                        bytes(4 * count),
                        () -> k.blur(out, work, in, CHANNELS, side, side, taps, TAPS));
            }
            case RESAMPLE -> resample();
            case RESAMPLE_CUT -> resampleCut();
            case ADD_TILE -> addTile();
            case DIVIDE_TILES -> {
                long pixels = (long) PICTURE * PICTURE;
                MemorySegment sum = random(3 * pixels);
                MemorySegment weights = filled(pixels, 1);
                yield new Case(bytes(7 * pixels), () -> k.divideTiles(sum, weights, 3, pixels));
            }
            case RGB8 -> {
                long pixels = (long) PICTURE * PICTURE;
                MemorySegment image = random(3 * pixels);
                MemorySegment out = random(3 * pixels / 4);
                yield new Case(
                        15 * pixels,
                        () -> k.rgb8(out, image, PICTURE, PICTURE, 0, 0, PICTURE, PICTURE));
            }
            case SMALLEST_CALL -> {
                MemorySegment one = random(1);
                yield new Case(8, () -> k.scaleShift(one, one, 1, 1, 0));
            }
        };
    }

    /** The call of the key patch and three others, guided by predicted clean latents with a mask. */
    private Case guidedStep() {
        MemorySegment x = random(count);
        MemorySegment uncond = random(count);
        MemorySegment cond = random(count);
        MemorySegment out = random(count);
        MemorySegment guide = random(CHANNELS * area);
        MemorySegment guideOut = random(CHANNELS * area);
        MemorySegment found = noneFound();
        MemorySegment mask = random(area);
        MemorySegment step = row();
        GuidedStep call = new GuidedStep();
        return new Case(
                bytes(4 * count + 2 * CHANNELS * area + area),
                () ->
                        k.guidedStep(
                                call.begin(step, 4, CHANNELS, area)
                                        .latents(out, x)
                                        .output(uncond, cond, 5)
                                        .found(found)
                                        .guidance(Kernels.GUIDE_LATENT, 1)
                                        .key(guideOut)
                                        .guide(guide, false)
                                        .mask(mask, false)));
    }

    /** SDXL's two maps of four patches. */
    private Case mask() {
        int[] sides = {patch / 4, patch / 2};
        MemorySegment[] maps = {random(4L * sides[0] * sides[0]), random(4L * sides[1] * sides[1])};
        MemorySegment mask = random(4 * area);
        return new Case(
                bytes(4 * area) + maps[0].byteSize() + maps[1].byteSize(),
                () -> k.mask(mask, 4, patch, patch, maps, sides, sides, Kernels.NORM_MINMAX));
    }

    /** Returns where the windows start: half of the canvas wide and half of that apart. */
    private MemorySegment starts() {
        int[] starts = new int[18];
        for (int view = 0; view < 9; view++) {
            starts[2 * view] = view / 3 * (patch / 2);
            starts[2 * view + 1] = view % 3 * (patch / 2);
        }
        return ints(starts);
    }

    private Case gatherWindows() {
        MemorySegment canvas = random(count);
        MemorySegment starts = starts();
        long windows = 9 * CHANNELS * area;
        MemorySegment out = random(2 * windows);
        return new Case(
                bytes(count + 2 * windows),
                () ->
                        k.gatherWindows(
                                out, canvas, CHANNELS, side, side, starts, 9, patch, patch, 0.5f,
                                2));
    }

    private Case windowStep() {
        MemorySegment x = random(count);
        MemorySegment out = random(count);
        MemorySegment starts = starts();
        long all = 9 * CHANNELS * area;
        MemorySegment windows = random(all);
        MemorySegment weights = filled(patch, 0.5f);
        MemorySegment step = row();
        WindowStep call = new WindowStep();
        return new Case(
                bytes(2 * count + all),
                () ->
                        k.windowStep(
                                call.begin(step, CHANNELS, side, side)
                                        .canvas(out, x)
                                        .windows(windows, starts, 9, patch, patch)
                                        .weights(weights, weights)));
    }

    /** Bicubic, to twice the size. */
    private Case resample() {
        ResampleAxis axis = ResampleAxis.bicubic(host, patch, side);
        MemorySegment in = random(CHANNELS * area);
        MemorySegment work = random((long) CHANNELS * patch * side);
        MemorySegment out = random(count);
        MemorySegment index = place.upload(axis.index());
        MemorySegment weight = place.upload(axis.weight());
        return new Case(
                in.byteSize() + 2 * work.byteSize() + out.byteSize(),
                () ->
                        k.resample(
                                out,
                                work,
                                in,
                                CHANNELS,
                                patch,
                                patch,
                                side,
                                side,
                                index,
                                weight,
                                axis.taps(),
                                index,
                                weight,
                                axis.taps()));
    }

    /** The same, into four patches. */
    private Case resampleCut() {
        ResampleAxis axis = ResampleAxis.bicubic(host, patch, side);
        MemorySegment in = random(CHANNELS * area);
        MemorySegment work = random((long) CHANNELS * patch * side);
        MemorySegment canvas = random(count);
        MemorySegment out = random(count);
        MemorySegment index = place.upload(axis.index());
        MemorySegment weight = place.upload(axis.weight());
        return new Case(
                in.byteSize() + out.byteSize(),
                () ->
                        k.resampleCut(
                                out,
                                canvas,
                                work,
                                in,
                                CHANNELS,
                                patch,
                                patch,
                                2,
                                2,
                                patch,
                                patch,
                                index,
                                weight,
                                axis.taps(),
                                index,
                                weight,
                                axis.taps()));
    }

    private Case addTile() {
        MemorySegment sum = random(3L * PICTURE * PICTURE);
        MemorySegment weightSum = random((long) PICTURE * PICTURE);
        MemorySegment tile = random(3L * TILE * TILE);
        MemorySegment weights = filled(TILE, 0.5f);
        return new Case(
                bytes(11L * TILE * TILE),
                () ->
                        k.addTile(
                                sum, weightSum, 3, PICTURE, PICTURE, tile, TILE, TILE, TILE, TILE,
                                weights, weights));
    }

    private static long bytes(long floats) {
        return 4 * floats;
    }

    /** Makes a row of a deterministic solver; kernels read it on the host. */
    private MemorySegment row() {
        MemorySegment step = host.allocate(StepRow.BYTES, "step");
        for (int field = 0; field < StepRow.FLOATS; field++) {
            StepRow.set(step, field, field == StepRow.STEP_N || field > StepRow.KAPPA ? 0 : 0.5f);
        }
        return step;
    }

    /** Values in [0, 1) that no branch predictor learns. */
    private MemorySegment random(long floats) {
        return made(floats, i -> ((i * 0x9E3779B97F4A7C15L) >>> 40) * 0x1p-24f);
    }

    private MemorySegment filled(long floats, float value) {
        return made(floats, i -> value);
    }

    private interface Value {
        float at(long i);
    }

    private MemorySegment made(long floats, Value value) {
        try (Memory memory = new Memory("a tensor's contents")) {
            MemorySegment values = memory.floats(floats, "values");
            for (long i = 0; i < floats; i++) {
                values.setAtIndex(ValueLayout.JAVA_FLOAT, i, value.at(i));
            }
            return place.upload(values);
        }
    }

    private MemorySegment ints(int... values) {
        MemorySegment segment = host.allocate(4L * values.length, "values");
        MemorySegment.copy(values, 0, segment, ValueLayout.JAVA_INT, 0, values.length);
        return place.upload(segment);
    }

    private MemorySegment noneFound() {
        return doubles(Double.longBitsToDouble(Kernels.NONE_FOUND));
    }

    private MemorySegment doubles(double... values) {
        MemorySegment segment = host.allocate(8L * values.length, "values");
        MemorySegment.copy(values, 0, segment, ValueLayout.JAVA_DOUBLE, 0, values.length);
        return place.upload(segment);
    }
}
