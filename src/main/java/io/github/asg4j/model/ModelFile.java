// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.ort.Weight;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** A graph, ready for ONNX Runtime to open: its external data has been checked. */
public sealed interface ModelFile {
    /** Name in the manifest. */
    String name();

    /**
     * A graph in a folder, with external data beside it where it has some.
     *
     * @param name name in the manifest
     * @param path what to open
     * @param externalBytes size of the files that its external data lies in
     */
    record Stored(String name, Path path, long externalBytes) implements ModelFile {}

    /**
     * A graph in memory, with the files its external data lies in.
     *
     * @param name name in the manifest
     * @param bytes off-heap, owned by the {@code Memory} it was loaded into
     * @param externalData off-heap alike, by location as the graph names it
     */
    record Loaded(String name, MemorySegment bytes, Map<String, MemorySegment> externalData)
            implements ModelFile {
        public Loaded {
            externalData = Map.copyOf(externalData);
        }
    }

    /**
     * A graph in memory whose weights lie in a checkpoint.
     *
     * @param name name in the manifest
     * @param bytes off-heap, owned by the {@code Memory} it was loaded into
     * @param weights what it names and does not hold; valid as long as the bundle is open
     */
    record Assembled(String name, MemorySegment bytes, List<Weight> weights) implements ModelFile {
        public Assembled {
            weights = List.copyOf(weights);
        }
    }
}
