// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** What the parts of real and random autoencoders are cut into; that the cuts compute the whole is DecodeRunTest's. */
class PassCutTest {
    private static final String TEMPLATE = "/io/github/asg4j/templates/sd1/";
    private final Memory memory = new Memory("test");

    @AfterEach
    void close() {
        memory.close();
    }

    /** Three ResNets and a norm: from the second on each keeps one residual and one convolution's output. */
    @Test
    void theTailOfSd1IsCutAtItsSevenNorms() throws IOException {
        List<Integer> convolutions = new ArrayList<>();
        for (int pass = 0; pass <= 7; pass++) {
            OnnxGraph graph = template("vae_tail.onnx");
            PassCut.Pass cut = PassCut.reduce(graph, "vae_tail.onnx", true, pass);
            assertEquals(7, cut.norms());
            assertEquals(32, cut.groups());
            convolutions.add(count(graph, "Conv"));
            // Odd passes end behind a ResNet's first convolution, even ones behind its second.
            int kept = pass == 0 ? 0 : pass == 1 ? 2 : pass < 7 ? 1 : 0;
            assertEquals(kept, cut.writes().size(), "writes of " + pass);
            int read = pass < 2 ? 0 : pass % 2 == 0 ? 2 : 1;
            assertEquals(read, cut.reads().size(), "reads of " + pass);
            boolean within = pass % 2 == 1 && pass < 7;
            int done = within ? 0 : read;
            assertEquals(done, cut.done().size(), "done after " + pass);
            // Of a residual each cell is added to the same cell.
            boolean added = pass > 1 && (pass % 2 == 0 || pass == 7);
            assertEquals(added, cut.cellByCell().size() == 1);
        }
        // The upsampling's twice; then with conv1 and the shortcut, and one each up to the last.
        assertEquals(List.of(1, 3, 1, 1, 1, 1, 1, 1), convolutions);
    }

    @Test
    void theFrontOfSd1sEncoderIsCutAtItsFourNorms() throws IOException {
        List<Integer> convolutions = new ArrayList<>();
        for (int pass = 0; pass <= 4; pass++) {
            OnnxGraph graph = template("vae_encoder_front.onnx");
            PassCut.Pass cut = PassCut.reduce(graph, "vae_encoder_front.onnx", false, pass);
            assertEquals(4, cut.norms());
            convolutions.add(count(graph, "Conv"));
        }
        // Behind the last ResNet comes the downsampling.
        assertEquals(List.of(1, 2, 1, 1, 2), convolutions);
    }

    /** No pass has weights that it does not read: together they are the part's, but for the first's twice. */
    @ParameterizedTest
    @CsvSource({"vae, vae_tail.onnx, true", "vae, vae_encoder_front.onnx, false"})
    void eachWeightIsInTheFirstPassThatReadsIt(String folder, String file, boolean decodes)
            throws IOException {
        List<String> whole = new ArrayList<>(graph(folder, file).weights());
        List<String> all = new ArrayList<>();
        List<String> first = List.of();
        PassCut.Pass cut = PassCut.reduce(graph(folder, file), file, decodes, 0);
        for (int pass = 0; pass <= cut.norms(); pass++) {
            OnnxGraph graph = graph(folder, file);
            PassCut.reduce(graph, file, decodes, pass);
            first = pass == 0 ? List.copyOf(graph.weights()) : first;
            all.addAll(graph.weights());
        }
        whole.addAll(first);
        whole.removeIf(name -> !name.contains("weight") && !name.contains("bias"));
        all.removeIf(name -> !name.contains("weight") && !name.contains("bias"));
        Collections.sort(whole);
        Collections.sort(all);
        assertEquals(whole, all);
    }

    /** Around its norms it has casts: what they give is not kept beside what they take. */
    @Test
    void halvesAreCutAtTheSamePlaces() throws IOException {
        for (int pass = 0; pass <= 5; pass++) {
            PassCut.Pass exact = PassCut.reduce(graph("vae", "vae_tail.onnx"), "tail", true, pass);
            PassCut.Pass halves =
                    PassCut.reduce(graph("vae", "vae_tail_halves.onnx"), "tail", true, pass);
            assertEquals(exact.reads().size(), halves.reads().size(), "reads of " + pass);
            assertEquals(exact.writes().size(), halves.writes().size(), "writes of " + pass);
            assertEquals(exact.done().size(), halves.done().size(), "done after " + pass);
            assertEquals(exact.cellByCell().size(), halves.cellByCell().size());
        }
    }

    @Test
    void whatIsNoTiledPartIsNamed() throws IOException {
        BadBundleException e =
                assertThrows(
                        BadBundleException.class,
                        () ->
                                PassCut.reduce(
                                        graph("vae", "vae_front.onnx"), "vae_front.onnx", true, 0));
        assertTrue(e.getMessage().startsWith("vae_front.onnx is not a part"), e.getMessage());
        assertTrue(e.getMessage().contains("it has no \"image\""), e.getMessage());
        OnnxGraph crossed = graph("vae", "vae_tail.onnx");
        OnnxGraph.Node gathered = crossed.giving(PassCut.MOMENTS);
        crossed.nodes()
                .replaceAll(
                        node ->
                                node.equals(gathered)
                                        ? node.with(node.inputs().reversed(), node.outputs())
                                        : node);
        e =
                assertThrows(
                        BadBundleException.class,
                        () -> PassCut.reduce(crossed, "vae_tail.onnx", true, 0));
        assertTrue(
                e.getMessage().contains("5 norms, and moments that lie behind [4, 3"),
                e.getMessage());
    }

    private static int count(OnnxGraph graph, String type) {
        return (int) graph.nodes().stream().filter(node -> node.type().equals(type)).count();
    }

    private OnnxGraph template(String file) throws IOException {
        try (InputStream in = PassCutTest.class.getResourceAsStream(TEMPLATE + file)) {
            return graph(in.readAllBytes());
        }
    }

    private OnnxGraph graph(String folder, String file) throws IOException {
        Path path = Tiny.resource(folder).resolve(file);
        return graph(Files.readAllBytes(path));
    }

    private OnnxGraph graph(byte[] bytes) {
        MemorySegment model = memory.allocate(bytes.length, "model");
        model.copyFrom(MemorySegment.ofArray(bytes));
        return new OnnxGraph(model);
    }
}
