// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaModule;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.ffi.EmulatedCuda.Machine;
import io.github.asg4j.ffi.LaunchArguments;

import org.junit.jupiter.api.Test;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * The _f16 kernels are the _f32 ones with the networks' tensors in float16: on the same values they
 * give the same bits, rounded once where a network reads the result.
 */
class HalfKernelsTest {
    private static final byte[] ELF = {0x7F, 'E', 'L', 'F'};

    private final Random random = new Random(Cases.SEED);

    /** A parameter. */
    private sealed interface Parameter {}

    /** A tensor that a network reads or writes: float16 in _f16. */
    private record Network(float[] values) implements Parameter {}

    /** A tensor that is float32 in both. */
    private record Ours(float[] values) implements Parameter {}

    private record Indices(int... values) implements Parameter {}

    private record Bytes(int count) implements Parameter {}

    private record Struct(float[] values) implements Parameter {}

    /** Heights and widths of maps, by value. */
    private record Extents(int... values) implements Parameter {}

    private record Scalar(Number value) implements Parameter {}

    private record Null() implements Parameter {}

    private static Scalar n(Number value) {
        return new Scalar(value);
    }

    /** Values that float16 has, so that both kernels get the same. */
    private float[] values(int count) {
        float[] v = new float[count];
        for (int i = 0; i < count; i++) {
            v[i] = Float.float16ToFloat(Float.floatToFloat16((float) random.nextGaussian()));
        }
        return v;
    }

    /** With an infinity in the middle. */
    private Network overflowing(int count) {
        float[] v = values(count);
        v[count / 2] = Float.NEGATIVE_INFINITY;
        return new Network(v);
    }

    private static float[] step(boolean history) {
        float[] s = new float[StepRow.FLOATS];
        for (int i = 0; i < (history ? s.length : StepRow.STEP_PAST); i++) {
            s[i] = 0.2f + 0.11f * i;
        }
        return s;
    }

    private Parameter like(int count, boolean there) {
        return there ? new Ours(values(count)) : new Null();
    }

    @Test
    void conversionsAreJavas() throws Throwable {
        MethodHandle toFloat = EmulatedCuda.toFloat();
        MethodHandle toHalf = EmulatedCuda.toHalf();
        for (int bits = 0; bits < 65536; bits++) {
            short half = (short) bits;
            float expected = Float.float16ToFloat(half);
            float found = (float) toFloat.invokeExact(half);
            if (Float.isNaN(expected)) {
                assertTrue(Float.isNaN(found), () -> "half " + half);
                continue;
            }
            assertEquals(expected, found, () -> "half " + half);
            // On, just below and just above the value, and half-way to the next.
            float next = Float.float16ToFloat((short) (bits + 1));
            for (float v :
                    new float[] {
                        expected,
                        Math.nextUp(expected),
                        Math.nextDown(expected),
                        (expected + next) / 2
                    }) {
                short rounded = (short) toHalf.invokeExact(v);
                if (Float.isNaN(v)) {
                    assertTrue(Float.isNaN(Float.float16ToFloat(rounded)));
                } else {
                    assertEquals(Float.floatToFloat16(v), rounded, () -> "float " + v);
                }
            }
        }
        for (float v : new float[] {65519.99f, 65520, 1e30f, -1e30f, 1e-30f, -1e-30f, 2.98e-8f}) {
            assertEquals(
                    Float.floatToFloat16(v), (short) toHalf.invokeExact(v), () -> "float " + v);
        }
    }

    @Test
    void halvesGiveTheBitsOfFloats() {
        for (int count : new int[] {1, 7, 8, 9, 16, 257, 4096, 4099}) {
            long c = count;
            same(
                    "model_input",
                    new Network(new float[2 * count]),
                    new Ours(values(count)),
                    n(c),
                    n(2),
                    n(0.3f));
            same(
                    "scale_shift",
                    new Network(new float[count]),
                    new Ours(values(count)),
                    n(c),
                    n(5.5f),
                    n(0.1f));
            for (Parameter uncond : new Parameter[] {new Network(values(count)), new Null()}) {
                same(
                        "combine",
                        new Ours(new float[count]),
                        new Bytes(8),
                        uncond,
                        overflowing(count),
                        n(c),
                        n(7.5f));
            }
            for (int space = 0; space <= 2; space++) {
                for (int variant = 0; variant < 4; variant++) {
                    boolean history = variant > 1;
                    same(
                            "guided_step",
                            new Ours(new float[6 * count]),
                            new Ours(new float[3 * count]),
                            new Bytes(8),
                            like(6 * count, history),
                            new Ours(values(6 * count)),
                            new Network(values(6 * count)),
                            overflowing(6 * count),
                            new Ours(values(6 * count)),
                            new Ours(values(2 * count)),
                            new Ours(values(6 * count)),
                            like(6 * count, history),
                            like(6 * count, history),
                            like(6 * count, history),
                            new Struct(step(history)),
                            n(2),
                            n(3),
                            n(c),
                            n(1),
                            n(variant % 2),
                            n(1),
                            n(5f),
                            n(0.7f),
                            n(space));
                }
            }
        }
        for (int w : new int[] {1, 5, 8, 16, 33}) {
            int h = 3;
            same(
                    "gather_windows",
                    new Network(new float[2 * 3 * 2 * h * w]),
                    new Ours(values(2 * 9 * 11)),
                    new Indices(-1, -2, 0, 0, 7, 9),
                    n(2),
                    n(9),
                    n(11),
                    n(3),
                    n(h),
                    n(w),
                    n(2),
                    n(0.4f));
            same(
                    "interact",
                    new Ours(new float[2 * h * w]),
                    new Network(new float[3 * 2 * h * w]),
                    new Ours(values(5 * h * w)),
                    n(1),
                    n(2),
                    n(5),
                    n((long) h * w),
                    n(7L),
                    n(3),
                    n(4),
                    n(3),
                    n(0.4f));
            for (int norm = -1; norm <= 2; norm++) {
                same(
                        "mask",
                        new Ours(values(2 * h * w)),
                        new Network(values(2 * 5 * 3)),
                        new Network(values(2 * 2 * 7)),
                        new Null(),
                        new Null(),
                        new Null(),
                        new Null(),
                        new Null(),
                        new Null(),
                        new Extents(5, 2, 0, 0, 0, 0, 0, 0, 3, 7, 0, 0, 0, 0, 0, 0),
                        n(2),
                        n(2),
                        n(h),
                        n(w),
                        n(norm < 1 ? 0 : 1),
                        n(3),
                        n(norm));
            }
            same(
                    "add_tile",
                    new Ours(values(3 * 9 * 40)),
                    new Ours(values(9 * 40)),
                    new Network(values(3 * h * w)),
                    new Ours(values(h)),
                    new Ours(values(w)),
                    n(3),
                    n(9),
                    n(40),
                    n(2),
                    n(4),
                    n(h),
                    n(w));
            same(
                    "rgb8",
                    new Bytes(3 * h * w),
                    new Network(values(3 * 9 * 40)),
                    n(9),
                    n(40),
                    n(2),
                    n(4),
                    n(h),
                    n(w));
        }
        float[] data = values(1000);
        data[777] = Float.POSITIVE_INFINITY;
        data[999] = Float.NaN;
        same("first_non_finite", new Bytes(8), new Network(data), n(1000L));
    }

    private void same(String operation, Parameter... parameters) {
        List<byte[]> floats = run(operation, false, parameters);
        List<byte[]> halves = run(operation, true, parameters);
        for (int i = 0; i < floats.size(); i++) {
            byte[] expected = floats.get(i);
            if (parameters[i] instanceof Network) {
                MemorySegment wide = MemorySegment.ofArray(expected);
                MemorySegment narrow = MemorySegment.ofArray(new byte[expected.length / 2]);
                for (int k = 0; k < expected.length / 4; k++) {
                    float v = wide.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * k);
                    narrow.set(ValueLayout.JAVA_SHORT_UNALIGNED, 2L * k, Float.floatToFloat16(v));
                }
                expected = narrow.toArray(ValueLayout.JAVA_BYTE);
            }
            int tensor = i;
            org.junit.jupiter.api.Assertions.assertArrayEquals(
                    expected, halves.get(i), () -> operation + ", parameter " + tensor);
        }
    }

    /** Contents of all parameters that are tensors, after the launch. */
    private static List<byte[]> run(String operation, boolean half, Parameter... parameters) {
        CudaDevice device = CudaDevice.open(EmulatedCuda.open(Machine.USUAL), 0);
        try (Arena arena = Arena.ofConfined();
                CudaStream stream = device.newStream()) {
            CudaModule module =
                    device.load(arena.allocateFrom(ValueLayout.JAVA_BYTE, ELF), operation);
            LaunchArguments arguments = new LaunchArguments(arena);
            List<MemorySegment> tensors = new ArrayList<>();
            for (Parameter parameter : parameters) {
                MemorySegment tensor = MemorySegment.NULL;
                switch (parameter) {
                    case Network p ->
                            tensor = half ? halves(arena, p.values) : floats(arena, p.values);
                    case Ours p -> tensor = floats(arena, p.values);
                    case Indices p -> tensor = arena.allocateFrom(ValueLayout.JAVA_INT, p.values);
                    case Bytes p -> tensor = arena.allocate(p.count, 16).fill((byte) 0x7F);
                    case Struct p -> arguments.add(floats(arena, p.values), 64);
                    case Extents p ->
                            arguments.add(arena.allocateFrom(ValueLayout.JAVA_INT, p.values), 64);
                    case Scalar(Integer v) -> arguments.add((int) v);
                    case Scalar(Long v) -> arguments.add((long) v);
                    case Scalar(Number v) -> arguments.add(v.floatValue());
                    case Null p -> {
                        arguments.reads(MemorySegment.NULL, 0);
                    }
                }
                tensors.add(tensor);
                if (tensor.address() != 0) {
                    arguments.updates(tensor, tensor.byteSize());
                }
            }
            long function = module.function("asg_" + operation + (half ? "_f16" : "_f32"));
            stream.launch(function, 3, 2, 1, CudaOperation.BLOCK, arguments);
            stream.synchronize();
            return tensors.stream().map(t -> t.toArray(ValueLayout.JAVA_BYTE)).toList();
        } finally {
            device.close();
        }
    }

    private static MemorySegment floats(Arena arena, float[] values) {
        MemorySegment segment = arena.allocate(4L * values.length, 16);
        MemorySegment.copy(values, 0, segment, ValueLayout.JAVA_FLOAT, 0, values.length);
        return segment;
    }

    private static MemorySegment halves(Arena arena, float[] values) {
        MemorySegment segment = arena.allocate(2L * values.length, 16);
        for (int i = 0; i < values.length; i++) {
            segment.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(values[i]));
        }
        return segment;
    }
}
