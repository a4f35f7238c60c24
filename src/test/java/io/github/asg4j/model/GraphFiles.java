// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.OrtSession;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;

/** Graphs that lie as files in a folder, whole with their weights. */
public final class GraphFiles {
    private GraphFiles() {}

    /**
     * Opens them for one thread.
     *
     * @param names what a graph is called there; told of every graph that is opened
     */
    public static GraphLoader of(Path folder, UnaryOperator<String> names) {
        return (file, change) -> open(folder.resolve(names.apply(file)), change);
    }

    private static OrtSession open(Path file, Consumer<OnnxGraph> change) {
        if (change == null) {
            return OrtSession.open(file, 1);
        }
        try (Memory memory = new Memory("a graph")) {
            byte[] bytes = Files.readAllBytes(file);
            MemorySegment model = memory.allocate(bytes.length, "model");
            model.copyFrom(MemorySegment.ofArray(bytes));
            OnnxGraph graph = new OnnxGraph(model);
            change.accept(graph);
            return OrtSession.open(graph.write("model", memory), Map.of(), file.toString(), 1);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
