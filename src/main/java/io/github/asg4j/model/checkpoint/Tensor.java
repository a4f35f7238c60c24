// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A tensor of a checkpoint, where it lies in its mapped file.
 *
 * @param name its name in the file
 * @param type of its elements, little-endian
 * @param shape its extents, outermost first; empty for a scalar
 * @param data its elements in row-major order, not necessarily aligned; valid until the file is closed
 */
public record Tensor(String name, ElementType type, List<Long> shape, MemorySegment data) {
    public Tensor {
        shape = List.copyOf(shape);
    }

    /** Number of elements. */
    public long count() {
        return data.byteSize() / type.bytes();
    }
}
