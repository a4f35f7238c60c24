// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/**
 * One call of one operation: its buffers with their contents, the call, and what float64 arithmetic
 * expects. The tests of values, of guard pages, of sizes and of allocation all run the same cases.
 */
final class KernelCase {
    /** Where a buffer of the given bytes comes from. */
    interface Allocator {
        MemorySegment allocate(String name, long bytes);
    }

    /**
     * The buffers of a call by name; NULL for those that the case leaves out.
     *
     * @param history "clean" and "past1" to "past3", made beforehand: a call allocates nothing
     */
    record Buffers(Map<String, MemorySegment> segments, StepHistory history) {
        Buffers(Map<String, MemorySegment> segments) {
            this(
                    segments,
                    new StepHistory(
                            get(segments, "clean"),
                            get(segments, "past1"),
                            get(segments, "past2"),
                            get(segments, "past3")));
        }

        private static MemorySegment get(Map<String, MemorySegment> segments, String name) {
            return segments.getOrDefault(name, MemorySegment.NULL);
        }

        MemorySegment get(String name) {
            return get(segments, name);
        }
    }

    interface Call {
        void run(Kernels kernels, Buffers buffers);
    }

    /** What element i of an output has to be. */
    interface Expected {
        Bound at(int i);
    }

    final String operation;
    final String label;
    private final Map<String, Object> contents = new LinkedHashMap<>();
    private final Set<String> scratch = new HashSet<>();
    private final Map<String, String> aliases = new LinkedHashMap<>();
    private final Map<String, Expected> expected = new LinkedHashMap<>();
    private boolean partly;
    private Call call =
            (k, b) -> {
                throw new IllegalStateException("no call");
            };

    KernelCase(String operation, String label) {
        this.operation = operation;
        this.label = label;
    }

    /** float[], double[], int[] or byte[]: one element each. */
    KernelCase buffer(String name, Object content) {
        contents.put(name, content);
        return this;
    }

    /** A buffer of which nobody may expect anything afterwards. */
    KernelCase scratch(String name, Object content) {
        scratch.add(name);
        return buffer(name, content);
    }

    boolean isScratch(String name) {
        return scratch.contains(name);
    }

    /** A buffer that is another one. */
    KernelCase alias(String name, String same) {
        aliases.put(name, same);
        return this;
    }

    KernelCase call(Call how) {
        call = how;
        return this;
    }

    /** Of some tensors it touches only a part. */
    KernelCase partly() {
        partly = true;
        return this;
    }

    boolean touchesPartly() {
        return partly;
    }

    KernelCase expect(String name, Expected values) {
        expected.put(name, values);
        return this;
    }

    Map<String, Expected> expected() {
        return expected;
    }

    Iterable<String> names() {
        return contents.keySet();
    }

    long bytes(String name) {
        return source(contents.get(name)).byteSize();
    }

    Buffers allocate(Allocator allocator) {
        Map<String, MemorySegment> segments = new LinkedHashMap<>();
        contents.forEach(
                (name, content) ->
                        segments.put(name, fill(allocator.allocate(name, bytes(name)), content)));
        aliases.forEach((name, same) -> segments.put(name, segments.get(same)));
        return new Buffers(segments);
    }

    private static MemorySegment fill(MemorySegment segment, Object content) {
        return segment.copyFrom(source(content));
    }

    private static MemorySegment source(Object content) {
        return switch (content) {
            case float[] a -> MemorySegment.ofArray(a);
            case double[] a -> MemorySegment.ofArray(a);
            case int[] a -> MemorySegment.ofArray(a);
            case byte[] a -> MemorySegment.ofArray(a);
            default -> throw new IllegalArgumentException(String.valueOf(content));
        };
    }

    /** The values of a float32 or float64 buffer. */
    double[] values(String name, Buffers buffers) {
        MemorySegment segment = buffers.get(name);
        if (contents.get(name) instanceof double[]) {
            return segment.toArray(ValueLayout.JAVA_DOUBLE);
        }
        float[] floats = floats(segment);
        double[] values = new double[floats.length];
        for (int i = 0; i < floats.length; i++) {
            values[i] = floats[i];
        }
        return values;
    }

    void run(Kernels kernels, Buffers buffers) {
        call.run(kernels, buffers);
    }

    static float[] floats(MemorySegment segment) {
        return segment.toArray(ValueLayout.JAVA_FLOAT);
    }

    static float[] array(int count, Function<Integer, Float> value) {
        float[] a = new float[count];
        for (int i = 0; i < count; i++) {
            a[i] = value.apply(i);
        }
        return a;
    }

    @Override
    public String toString() {
        return operation + " " + label;
    }
}
