// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import org.bytedeco.onnxruntime.global.onnxruntime;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A weight that a model names but does not hold. The memory has to outlive the session.
 *
 * @param name of the initializer in the model
 * @param type of its elements
 * @param shape its extents
 * @param data its elements, row-major, not necessarily aligned
 * @param inPlace whether each run on the CPU reads it anew, so that it may be changed between runs: of
 *     matrices in float32 that the graph multiplies with; else it may be copied when the model is opened
 */
public record Weight(
        String name, Type type, List<Long> shape, MemorySegment data, boolean inPlace) {
    /** Element types that weights may have. */
    public enum Type {
        FLOAT32(4, onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT),
        FLOAT16(2, onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16),
        BFLOAT16(2, onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16);

        private final int bytes;
        private final int code;

        Type(int bytes, int code) {
            this.bytes = bytes;
            this.code = code;
        }

        /** Bytes of one element. */
        public int bytes() {
            return bytes;
        }

        /** Number that ONNX and ONNX Runtime have for it. */
        public int code() {
            return code;
        }
    }

    public Weight {
        shape = List.copyOf(shape);
        long elements = shape.stream().reduce(1L, Math::multiplyExact);
        if (data.byteSize() != Math.multiplyExact(elements, (long) type.bytes)) {
            throw new IllegalArgumentException(
                    name + " of shape " + shape + " has " + data.byteSize() + " bytes");
        }
    }
}
