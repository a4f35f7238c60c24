// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import java.lang.foreign.MemorySegment;

/**
 * Off-heap memory with a shape, as ONNX Runtime sees it. The memory stays the caller's and has to
 * outlive every {@link Binding} made of it.
 *
 * @param data row-major elements; byteSize is exactly elements times element size
 */
public record Tensor(MemorySegment data, Type type, long... shape) {
    /** Element types the engine exchanges with networks. */
    public enum Type {
        FLOAT32(4),
        INT64(8);

        public final int bytes;

        Type(int bytes) {
            this.bytes = bytes;
        }
    }

    public Tensor {
        long elements = 1;
        for (long extent : shape) {
            elements = Math.multiplyExact(elements, extent);
        }
        if (data.byteSize() != Math.multiplyExact(elements, (long) type.bytes)) {
            throw new IllegalArgumentException(
                    "a " + type + " tensor of shape " + java.util.Arrays.toString(shape) + " has "
                            + elements * type.bytes + " bytes, not " + data.byteSize());
        }
    }

    public static Tensor floats(MemorySegment data, long... shape) {
        return new Tensor(data, Type.FLOAT32, shape);
    }

    public static Tensor longs(MemorySegment data, long... shape) {
        return new Tensor(data, Type.INT64, shape);
    }
}
