// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Off-heap memory with a shape, as ONNX Runtime sees it. The memory stays the caller's and has to
 * outlive every {@link Binding} made of it.
 *
 * @param data row-major elements; byteSize is exactly elements times element size
 * @param onHost in host memory whatever the session runs on, for what only its shapes depend on
 */
public record Tensor(MemorySegment data, Type type, boolean onHost, long... shape) {
    /** Element types the engine exchanges with networks. */
    public enum Type {
        FLOAT32(4, "float32"),
        INT64(8, "int64");

        public final int bytes;

        /** Name in messages and in {@link TensorInfo#type}. */
        public final String numpy;

        Type(int bytes, String numpy) {
            this.bytes = bytes;
            this.numpy = numpy;
        }
    }

    public Tensor {
        if (!data.isNative()) {
            throw new IllegalArgumentException("a tensor needs off-heap memory, not a Java array");
        }
        long elements = 1;
        for (long extent : shape) {
            elements = Math.multiplyExact(elements, extent);
        }
        if (data.byteSize() != Math.multiplyExact(elements, (long) type.bytes)) {
            throw new IllegalArgumentException(
                    "a "
                            + type
                            + " tensor of shape "
                            + Arrays.toString(shape)
                            + " has "
                            + elements * type.bytes
                            + " bytes, not "
                            + data.byteSize());
        }
    }

    public static Tensor floats(MemorySegment data, long... shape) {
        return new Tensor(data, Type.FLOAT32, false, shape);
    }

    /** Makes a float32 tensor in host memory; see {@link #onHost}. */
    public static Tensor hostFloats(MemorySegment data, long... shape) {
        return new Tensor(data, Type.FLOAT32, true, shape);
    }

    public static Tensor longs(MemorySegment data, long... shape) {
        return new Tensor(data, Type.INT64, false, shape);
    }

    /** Returns type and shape, such as "float32[2, 4, 16, 16]". */
    public String signature() {
        return type.numpy + Arrays.toString(shape);
    }
}
