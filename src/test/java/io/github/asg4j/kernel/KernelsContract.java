// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * What every implementation of {@link Kernels} has to do: values against a float64 oracle, the same
 * bits as the Java kernels, and the properties that the methods build on. Subclasses name the
 * implementation.
 */
abstract class KernelsContract {
    private static final List<KernelCase> CASES = Cases.all();
    private static final Kernels JAVA = new JavaKernels();

    private final Kernels kernels;

    KernelsContract(Kernels kernels) {
        this.kernels = kernels;
    }

    @Test
    void everyOperationIsInTheCases() {
        List<String> operations =
                Arrays.stream(Kernels.class.getDeclaredMethods())
                        .map(java.lang.reflect.Method::getName)
                        .filter(name -> !name.equals("name"))
                        .distinct()
                        .sorted()
                        .toList();
        assertEquals(operations, CASES.stream().map(c -> c.operation).distinct().sorted().toList());
    }

    @TestFactory
    Stream<DynamicTest> valuesAreThoseOfFloat64() {
        return CaseTests.perOperation(CASES, this::valuesAreThoseOfFloat64);
    }

    private void valuesAreThoseOfFloat64(KernelCase c) {
        try (Arena arena = Arena.ofConfined()) {
            KernelCase.Buffers buffers = c.allocate((name, bytes) -> arena.allocate(bytes, 4));
            c.run(kernels, buffers);
            for (Map.Entry<String, KernelCase.Expected> e : c.expected().entrySet()) {
                check(c, e.getKey(), c.values(e.getKey(), buffers), e.getValue());
            }
        }
    }

    private void check(KernelCase c, String name, double[] values, KernelCase.Expected expected) {
        for (int i = 0; i < values.length; i++) {
            Bound bound = expected.at(i);
            boolean good =
                    Double.isNaN(bound.value()) ? Double.isNaN(values[i]) : bound.admits(values[i]);
            if (!good) {
                throw new AssertionError(
                        kernels.name()
                                + " "
                                + c
                                + ": "
                                + name
                                + "["
                                + i
                                + "] is "
                                + values[i]
                                + ", has to be "
                                + bound.value()
                                + " +- "
                                + bound.error()
                                + " (seed "
                                + Cases.SEED
                                + ")");
            }
        }
    }

    /** Inputs too: a kernel that writes into them fails here. */
    @TestFactory
    Stream<DynamicTest> bitsAreThoseOfJava() {
        return CaseTests.perOperation(CASES, this::bitsAreThoseOfJava);
    }

    private void bitsAreThoseOfJava(KernelCase c) {
        try (Arena arena = Arena.ofConfined()) {
            KernelCase.Buffers mine = c.allocate((name, bytes) -> arena.allocate(bytes, 4));
            KernelCase.Buffers java = c.allocate((name, bytes) -> arena.allocate(bytes, 4));
            c.run(kernels, mine);
            c.run(JAVA, java);
            for (String name : c.names()) {
                long at = firstDifference(mine.get(name), java.get(name));
                if (at >= 0 && !c.isScratch(name)) {
                    throw new AssertionError(
                            kernels.name()
                                    + " "
                                    + c
                                    + ": "
                                    + name
                                    + " differs from Java at byte "
                                    + at
                                    + " of "
                                    + c.bytes(name)
                                    + " (seed "
                                    + Cases.SEED
                                    + ")");
                }
            }
        }
    }

    /** NaN equals NaN here: cells without a window have no agreed payload. */
    private static long firstDifference(MemorySegment a, MemorySegment b) {
        long from = 0;
        while (true) {
            long at = MemorySegment.mismatch(a, from, a.byteSize(), b, from, b.byteSize());
            if (at < 0) {
                return -1;
            }
            at = from + at;
            long element = at / 4 * 4;
            if (element + 4 > a.byteSize()
                    || !Float.isNaN(a.get(ValueLayout.JAVA_FLOAT, element))
                    || !Float.isNaN(b.get(ValueLayout.JAVA_FLOAT, element))) {
                return at;
            }
            from = element + 4;
            if (from >= a.byteSize()) {
                return -1;
            }
        }
    }

    @Test
    void relocateAndCutAreInverses() {
        try (Arena arena = Arena.ofConfined()) {
            int count = 3 * 2 * 3 * 5 * 7;
            MemorySegment patches = arena.allocate(count * 4L, 4);
            MemorySegment canvas = arena.allocate(count * 4L, 4);
            MemorySegment back = arena.allocate(count * 4L, 4);
            kernels.normal(patches, count, 1, 0, 0, Kernels.INITIAL_NOISE, 1);
            kernels.relocate(canvas, patches, 3, 2, 3, 5, 7);
            kernels.cut(back, canvas, 3, 2, 3, 5, 7);
            assertEquals(-1, patches.mismatch(back));
        }
    }

    /** The moments of matched values are the wanted ones; equal values are only shifted. */
    @Test
    void matchedValuesHaveTheMoments() {
        int count = 4 * 33 * 17;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocate(count * 4L, 4);
            MemorySegment from = arena.allocate(16, 8);
            MemorySegment to = arena.allocateFrom(ValueLayout.JAVA_DOUBLE, -0.75, 3.25);
            MemorySegment found = arena.allocate(16, 8);
            kernels.normal(x, count, 1, 0, 0, Kernels.INITIAL_NOISE, 0.3f);
            kernels.moments(from, x, count);
            kernels.matchMoments(x, x, count, from, to);
            kernels.moments(found, x, count);
            assertEquals(-0.75, found.get(ValueLayout.JAVA_DOUBLE, 0), 1e-6);
            assertEquals(3.25, found.get(ValueLayout.JAVA_DOUBLE, 8), 1e-6);

            MemorySegment flat = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 2, 2, 2);
            kernels.moments(from, flat, 3);
            kernels.matchMoments(flat, flat, 3, from, to);
            assertArrayEquals(new float[] {-0.75f, -0.75f, -0.75f}, KernelCase.floats(flat));
        }
    }

    /** All slots {@code from} .. {@code from + n - 1}, and no network's input. */
    private void interact(
            MemorySegment out,
            int from,
            int n,
            MemorySegment in,
            int patches,
            int plane,
            int... s) {
        MemorySegment none = MemorySegment.NULL;
        kernels.interact(out, none, from, n, in, patches, plane, s[0], s[1], s[2], 1, 1);
    }

    @Test
    void interactionComposesAndInverts() {
        int patches = 6;
        int plane = 101;
        int count = patches * plane;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocate(count * 4L, 4);
            MemorySegment a = arena.allocate(count * 4L, 4);
            MemorySegment b = arena.allocate(count * 4L, 4);
            MemorySegment plain = arena.allocate(count * 4L, 4);
            MemorySegment direct = arena.allocate(count * 4L, 4);
            kernels.normal(x, count, 5, 0, 0, Kernels.INITIAL_NOISE, 1);
            interact(a, 0, patches, x, patches, plane, 9, Kernels.UNSHUFFLED, 3);
            interact(plain, 0, patches, a, patches, plane, 9, 3, Kernels.UNSHUFFLED);
            assertEquals(-1, x.mismatch(plain), "un-shuffling gives back what was shuffled");
            interact(b, 0, patches, plain, patches, plane, 9, Kernels.UNSHUFFLED, 4);
            interact(direct, 0, patches, a, patches, plane, 9, 3, 4);
            assertEquals(-1, b.mismatch(direct), "one gather is two");
            assertTrue(a.mismatch(direct) >= 0, "another step, another permutation");
            // Slots can be gathered one by one.
            for (int slot = 0; slot < patches; slot++) {
                MemorySegment one = direct.asSlice(4L * slot * plane, plane * 4L);
                interact(one, slot, 1, a, patches, plane, 9, 3, 4);
            }
            assertEquals(-1, b.mismatch(direct));
        }
    }

    /**
     * All 24 permutations of 4 patches come equally often: 50,000 positions, chi-square of 23 degrees
     * of freedom, above 70 with probability 1e-6; the seed is fixed.
     */
    @Test
    void permutationsAreUniform() {
        int plane = 50_000;
        float[] in = new float[4 * plane];
        for (int i = 0; i < in.length; i++) {
            in[i] = Math.floorDiv(i, plane);
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(in.length * 4L, 4);
            MemorySegment frame = arena.allocateFrom(ValueLayout.JAVA_FLOAT, in);
            interact(out, 0, 4, frame, 4, plane, 42, Kernels.UNSHUFFLED, 7);
            float[] p = KernelCase.floats(out);
            int[] seen = new int[256];
            for (int q = 0; q < plane; q++) {
                int code = 0;
                for (int slot = 0; slot < 4; slot++) {
                    code = code * 4 + (int) p[slot * plane + q];
                }
                seen[code]++;
            }
            double mean = plane / 24.0;
            double chiSquare = 0;
            int kinds = 0;
            for (int n : seen) {
                if (n > 0) {
                    kinds++;
                    chiSquare += (n - mean) * (n - mean) / mean;
                }
            }
            assertEquals(24, kinds);
            assertTrue(chiSquare < 70, "chi-square " + chiSquare);
        }
    }

    /**
     * Mean, variance, skewness and kurtosis of 400,000 normals within 5 standard errors, and as many
     * beyond 3 as there should be.
     */
    @Test
    void normalsAreNormal() {
        int n = 400_000;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(n * 4L, 4);
            kernels.normal(out, n, 2026, 0, 0, Kernels.INITIAL_NOISE, 1);
            double[] moments = new double[5];
            int beyond3 = 0;
            for (float z : KernelCase.floats(out)) {
                double power = 1;
                for (int m = 1; m <= 4; m++) {
                    power *= z;
                    moments[m] += power / n;
                }
                beyond3 += Math.abs(z) > 3 ? 1 : 0;
            }
            assertEquals(0, moments[1], 5 * Math.sqrt(1.0 / n));
            assertEquals(1, moments[2], 5 * Math.sqrt(2.0 / n));
            assertEquals(0, moments[3], 5 * Math.sqrt(15.0 / n));
            assertEquals(3, moments[4], 5 * Math.sqrt(96.0 / n));
            double tails = 0.0026997960632602;
            assertEquals(tails * n, beyond3, 5 * Math.sqrt(tails * n));
        }
    }

    /** Both sides of all 255 thresholds, closer than a grey level's 1/2,000 yet beyond rounding. */
    @Test
    void rgb8RoundsAtEveryThreshold() {
        int width = 2 * 255;
        float[] image = new float[3 * width];
        byte[] expected = new byte[3 * width];
        for (int x = 0; x < width; x++) {
            int level = x / 2;
            double threshold = (level + 0.5 - 127.5) / 127.5;
            int byteValue = x % 2 == 0 ? level : level + 1;
            for (int c = 0; c < 3; c++) {
                image[c * width + x] = (float) (threshold + (x % 2 == 0 ? -1e-6 : 1e-6));
                expected[3 * x + c] = (byte) byteValue;
            }
        }
        assertArrayEquals(expected, rgb(image, width));
        assertArrayEquals(
                new byte[] {(byte) 255, 0, (byte) 128}, rgb(new float[] {7.5f, -1e30f, 0}, 1));
        // Channels are planes in, interleaved out.
        assertArrayEquals(
                new byte[] {0, (byte) 128, (byte) 255, (byte) 255, 0, (byte) 128},
                rgb(new float[] {-1, 1, 0, -1, 1, 0}, 2));
    }

    private byte[] rgb(float[] image, int width) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(3L * width);
            kernels.rgb8(
                    out,
                    arena.allocateFrom(ValueLayout.JAVA_FLOAT, image),
                    1,
                    width,
                    0,
                    0,
                    1,
                    width);
            return out.toArray(ValueLayout.JAVA_BYTE);
        }
    }

    @Test
    void findsTheFirstNonFinite() {
        for (int count : new int[] {1, 7, 16, 33, 1023, 1024, 1025, 5000}) {
            for (float bad :
                    new float[] {
                        Float.NaN,
                        Float.POSITIVE_INFINITY,
                        Float.NEGATIVE_INFINITY,
                        Float.intBitsToFloat(0x7F800001),
                        Float.intBitsToFloat(0xFFC12345)
                    }) {
                for (int at : new int[] {0, count / 2, count - 1}) {
                    float[] data = new float[count];
                    Arrays.fill(data, Float.MAX_VALUE);
                    data[at] = bad;
                    data[count - 1] = at == count - 1 ? bad : Float.NaN;
                    try (Arena arena = Arena.ofConfined()) {
                        assertEquals(
                                at,
                                kernels.firstNonFinite(
                                        arena.allocateFrom(ValueLayout.JAVA_FLOAT, data), count));
                    }
                }
            }
        }
        try (Arena arena = Arena.ofConfined()) {
            float[] extremes = {Float.MAX_VALUE, -Float.MAX_VALUE, Float.MIN_VALUE, -0f, 0f};
            assertEquals(
                    -1,
                    kernels.firstNonFinite(
                            arena.allocateFrom(ValueLayout.JAVA_FLOAT, extremes), extremes.length));
        }
    }

    /** Every tensor, one element too short. */
    @TestFactory
    Stream<DynamicTest> everySizeIsChecked() {
        return CaseTests.perOperation(CASES, this::everySizeIsChecked);
    }

    private void everySizeIsChecked(KernelCase c) {
        for (String shortened : c.names()) {
            try (Arena arena = Arena.ofConfined()) {
                KernelCase.Buffers buffers = c.allocate((name, bytes) -> arena.allocate(bytes, 4));
                KernelCase.Buffers cut = cut(buffers, shortened);
                IndexOutOfBoundsException e =
                        assertThrows(
                                IndexOutOfBoundsException.class,
                                () -> c.run(kernels, cut),
                                () -> c + " with a short " + shortened);
                String message = String.valueOf(e.getMessage());
                assertTrue(
                        message.startsWith(c.operation + ": ")
                                && (message.contains(" " + shortened + " ")
                                        || message.contains(": out "))
                                && message.contains("needs " + buffers.get(shortened).byteSize()),
                        message);
            }
        }
    }

    /** The last element of one buffer, and of whatever is the same buffer, is missing. */
    private static KernelCase.Buffers cut(KernelCase.Buffers buffers, String shortened) {
        MemorySegment whole = buffers.get(shortened);
        Map<String, MemorySegment> segments = new java.util.HashMap<>(buffers.segments());
        segments.replaceAll(
                (name, segment) ->
                        segment.equals(whole) ? whole.asSlice(0, whole.byteSize() - 1) : segment);
        return new KernelCase.Buffers(segments);
    }

    @Test
    void impossibleArgumentsAreRefused() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment a = arena.allocate(4096, 4);
            MemorySegment step = arena.allocate(StepRow.BYTES, 4);
            refused("count is 0", () -> kernels.scaleShift(a, a, 0, 1, 1));
            refused("count is -1", () -> kernels.scaleShift(a, a, -1, 1, 1));
            refused("copies is 0", () -> kernels.modelInput(a, a, 1, 1, 0));
            refused("patches is 257", () -> interact(a, 0, 1, a, 257, 1, 0, 0, 0));
            refused("firstSlot is 2", () -> interact(a, 2, 3, a, 4, 1, 0, 0, 0));
            refused("toStep is -2", () -> interact(a, 0, 1, a, 4, 1, 0, 0, -2));
            refused("copies is 0", () -> kernels.interact(a, a, 0, 1, a, 4, 1, 0, 0, 0, 1, 0));
            MemorySegment[] maps = {a, a};
            int[] one = {1};
            int[] two = {1, 1};
            refused("norm is 3", () -> kernels.mask(a, 1, 1, 1, maps, two, two, 3));
            refused("number of heights is 1", () -> kernels.mask(a, 1, 1, 1, maps, one, two, 0));
            refused("number of widths is 1", () -> kernels.mask(a, 1, 1, 1, maps, two, one, 0));
            int[] flat = {1, 0};
            refused("width of a map is 0", () -> kernels.mask(a, 1, 1, 1, maps, two, flat, 0));
            refused(
                    "number of maps is 0, has to be 1..64",
                    () -> kernels.mask(a, 1, 1, 1, new MemorySegment[0], two, two, 0));
            MemorySegment[] many = new MemorySegment[Kernels.MAX_MAPS + 1];
            Arrays.fill(many, a);
            refused("number of maps is 65", () -> kernels.mask(a, 1, 1, 1, many, two, two, 0));
            refused("left is 1", () -> kernels.rgb8(a, a, 2, 2, 0, 1, 1, 2));
            refused("top is -1", () -> kernels.addTile(a, a, 1, 2, 2, a, -1, 0, 1, 1, a, a));
            refused("taps is 2", () -> kernels.blur(a, a, a, 1, 1, 1, a, 2));
            refused("tapsX is 0", () -> kernels.resample(a, a, a, 1, 1, 1, 1, 1, a, a, 1, a, a, 0));
            refused("multiple of 8", () -> kernels.moments(a.asSlice(4), a, 1));
            refused("multiple of 4", () -> kernels.scaleShift(a.asSlice(1), a, 1, 1, 1));
            refused(
                    "on the heap",
                    () -> kernels.scaleShift(a, MemorySegment.ofArray(new float[9]), 1, 1, 1));
            refused(
                    "uncond is on the heap",
                    () -> kernels.combine(a, a, MemorySegment.ofArray(new float[9]), a, 1, 1));
            IndexOutOfBoundsException e =
                    assertThrows(
                            IndexOutOfBoundsException.class,
                            () -> kernels.modelInput(a, a, Long.MAX_VALUE / 2, 1, 8));
            assertTrue(e.getMessage().contains("more than 2^63"), e.getMessage());
            StepRow.set(step, StepRow.STEP_N, 1);
            MemorySegment none = MemorySegment.NULL;
            refused(
                    "noise is NULL but stepN is 1.0",
                    () -> kernels.guidedStep(step(step, 1).latents(a, a).output(none, a, 1)));
            refused(
                    "guide is guideOut, which is one guide, but perView is true",
                    () ->
                            kernels.guidedStep(
                                    step(step, 2)
                                            .latents(a, a)
                                            .output(none, a, 1)
                                            .noise(a)
                                            .guidance(Kernels.GUIDE_NOISE, 1)
                                            .key(a)
                                            .guide(a, true)));
            refused("found starts at", () -> kernels.combine(a, a.asSlice(4), none, a, 1, 1));
            refused(
                    "guideOut is given, but space is 0",
                    () ->
                            kernels.guidedStep(
                                    step(step, 1).latents(a, a).output(none, a, 1).key(a)));
            refused(
                    "space is 3",
                    () ->
                            kernels.guidedStep(
                                    step(step, 1).latents(a, a).output(none, a, 1).guidance(3, 1)));
            refused(
                    "noise is NULL but stepN is 1.0",
                    () -> kernels.windowStep(windowStep(step, 1, a)));
            StepRow.set(step, StepRow.STEP_N, 0);
            StepRow.set(step, StepRow.STEP_PAST + 1, -0.5f);
            StepHistory lacking = new StepHistory(a, a, none, a);
            String missing = "past2 is NULL but stepPast[1] is -0.5";
            refused(
                    missing,
                    () ->
                            kernels.guidedStep(
                                    step(step, 1)
                                            .latents(a, a)
                                            .output(none, a, 1)
                                            .history(lacking)));
            refused(missing, () -> kernels.windowStep(windowStep(step, 1, a).history(lacking)));
            StepRow.set(step, StepRow.STEP_PAST + 1, 0);
            refused("rows is 0", () -> kernels.windowStep(windowStep(step, 2, a).rows(0, 0)));
            refused("firstRow is 1", () -> kernels.windowStep(windowStep(step, 2, a).rows(1, 2)));
            refused("firstRow is -1", () -> kernels.windowStep(windowStep(step, 2, a).rows(-1, 1)));
            refused("pitch is 1", () -> kernels.normal(a, 2, 1, 2, 0, 0, 0, 0, 1));
            refused("planes is 0", () -> kernels.normal(a, 0, 2, 2, 0, 0, 0, 0, 1));
            IndexOutOfBoundsException guide =
                    assertThrows(
                            IndexOutOfBoundsException.class,
                            () ->
                                    kernels.guidedStep(
                                            step(step, 2)
                                                    .latents(a, a)
                                                    .output(none, a, 1)
                                                    .guidance(Kernels.GUIDE_NOISE, 1)
                                                    .key(a)));
            assertTrue(guide.getMessage().startsWith("guidedStep: guide has 0"));
        }
    }

    /** Views of one channel of one cell. */
    private static GuidedStep step(MemorySegment row, int views) {
        return new GuidedStep().begin(row, views, 1, 1);
    }

    /** One window of one cell on a canvas of one channel and so many rows of one cell. */
    private static WindowStep windowStep(MemorySegment row, int rows, MemorySegment a) {
        return new WindowStep()
                .begin(row, 1, rows, 1)
                .canvas(a, a)
                .windows(a, a, 1, 1, 1)
                .weights(a, a);
    }

    private static void refused(String why, org.junit.jupiter.api.function.Executable call) {
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call);
        assertTrue(String.valueOf(e.getMessage()).contains(why), e.getMessage());
    }

    /** A closed arena is an exception, not a crash. */
    @Test
    void freedMemoryIsRefused() {
        MemorySegment freed;
        try (Arena arena = Arena.ofConfined()) {
            freed = arena.allocate(64, 4);
        }
        assertThrows(IllegalStateException.class, () -> kernels.scaleShift(freed, freed, 4, 1, 1));
    }
}
