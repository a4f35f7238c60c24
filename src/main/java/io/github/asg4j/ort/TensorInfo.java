// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import java.util.List;
import java.util.stream.Collectors;

/**
 * An input or output as the model declares it.
 *
 * @param name as in the model
 * @param type element type as NumPy names it ("float32", "int64", "float16"), or "sequence" and the
 *     like for what is no tensor
 * @param dims extents, -1 where the model leaves them open
 */
public record TensorInfo(String name, String type, List<Long> dims) {
    public TensorInfo {
        dims = List.copyOf(dims);
    }

    /** Returns type and shape, such as "float32[?, 4, ?, ?]". */
    public String signature() {
        return dims.stream()
                .map(d -> d < 0 ? "?" : Long.toString(d))
                .collect(Collectors.joining(", ", type + "[", "]"));
    }

    /** Whether memory of this shape and type can be bound to it. */
    boolean accepts(Tensor tensor) {
        long[] shape = tensor.shape();
        if (!type.equals(tensor.type().numpy) || shape.length != dims.size()) {
            return false;
        }
        for (int i = 0; i < shape.length; i++) {
            if (dims.get(i) >= 0 && dims.get(i) != shape[i]) {
                return false;
            }
        }
        return true;
    }
}
