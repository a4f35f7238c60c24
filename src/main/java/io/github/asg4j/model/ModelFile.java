// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.Weight;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

/** A graph, ready for ONNX Runtime to open: its external data has been checked. */
public sealed interface ModelFile {
    /** Name in the manifest. */
    String name();

    /**
     * The same file with a changed graph, in memory.
     *
     * @param memory receives its bytes, and maps external data
     */
    default ModelFile changed(Consumer<OnnxGraph> change, Memory memory) {
        return switch (this) {
            case Stored stored -> stored.loaded(memory).changed(change, memory);
            case Loaded loaded -> {
                OnnxGraph graph = changed(loaded.bytes(), change);
                yield new Loaded(name(), graph.write(name(), memory), loaded.externalData());
            }
            case Assembled assembled -> {
                OnnxGraph graph = changed(assembled.bytes(), change);
                // ONNX Runtime takes no weights that a graph does not name.
                Set<String> named = graph.weights();
                yield new Assembled(
                        name(),
                        graph.write(name(), memory),
                        assembled.weights().stream()
                                .filter(w -> named.contains(w.name()))
                                .toList());
            }
        };
    }

    private static OnnxGraph changed(MemorySegment bytes, Consumer<OnnxGraph> change) {
        OnnxGraph graph = new OnnxGraph(bytes);
        change.accept(graph);
        return graph;
    }

    /**
     * A graph in a folder, with external data beside it where it has some.
     *
     * @param name name in the manifest
     * @param path what to open
     * @param external files that its external data lies in
     */
    record Stored(String name, Path path, List<Path> external) implements ModelFile {
        private Loaded loaded(Memory memory) {
            MemorySegment bytes = read(path, memory);
            Map<String, MemorySegment> data = new HashMap<>();
            for (String location : ExternalData.locations(path.toString(), bytes)) {
                data.put(location, read(path.resolveSibling(location), memory));
            }
            return new Loaded(name, bytes, data);
        }

        private static MemorySegment read(Path file, Memory memory) {
            try {
                return memory.map(file);
            } catch (IOException e) {
                throw new BadBundleException(file + " cannot be read: " + e, e);
            }
        }
    }

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
