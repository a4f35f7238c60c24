// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.ModelParts;
import io.github.asg4j.device.Memory;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;

/** The demo's text encoder, which has two layers. */
class ClipSkipTest {
    private static final int LENGTH = 32;
    private static final int WIDTH = 128;

    private static final Memory MEMORY = new Memory("test");
    private static LoadedModel model;

    @BeforeAll
    static void open() {
        model = LoadedModel.open(Bundle.open(null, ModelParts.NONE, false), 1);
    }

    @AfterAll
    static void close() {
        model.close();
        MEMORY.close();
    }

    private static MemorySegment hidden(TextEncoder encoder, MemorySegment pooled) {
        int[] ids = new int[LENGTH];
        Arrays.fill(ids, 1);
        int[] begin = {0, 5, 9, 12};
        System.arraycopy(begin, 0, ids, 0, begin.length);
        MemorySegment hidden = MEMORY.allocate(encoder.hiddenBytes(1), "hidden");
        encoder.encode(List.of(List.of(TextEncoder.Input.of(ids))), hidden, pooled);
        return hidden;
    }

    private static TextEncoder encoder(int clipSkip) {
        return model.textEncoder(OptionalInt.of(clipSkip), false);
    }

    private static MemorySegment pooled() {
        return MEMORY.allocate(model.textEncoder().pooledBytes(), "pooled");
    }

    /** What ONNX Runtime's Python and a layer norm in NumPy float64 make of the first layer's states. */
    @Test
    void theLayerBeforeTheLastGoesThroughTheFinalNorm() {
        MemorySegment pooled = pooled();
        MemorySegment hidden = hidden(encoder(2), pooled);
        assertValues(
                hidden, WIDTH, new double[] {-0.60110749, 0.43305205, -0.10013792, 0.06711703});
        assertValues(
                hidden,
                LENGTH * WIDTH - 4,
                new double[] {1.17574305, 0.5125237, 0.01464534, 0.08444862});
        assertValues(pooled, 0, new double[] {-0.0499912, 0.24316318, 0.98678786});
    }

    private static void assertValues(MemorySegment found, long first, double[] expected) {
        for (int i = 0; i < expected.length; i++) {
            assertEquals(
                    expected[i], found.getAtIndex(ValueLayout.JAVA_FLOAT, first + i), 2e-6, "" + i);
        }
    }

    @Test
    void theLastLayerIsTheUsualOne() {
        MemorySegment usual = pooled();
        MemorySegment same = pooled();
        assertEquals(-1, hidden(model.textEncoder(), usual).mismatch(hidden(encoder(1), same)));
        assertEquals(-1, usual.mismatch(same));
    }

    @Test
    void moreLayersThanThereAreAreRefused() {
        BadRequestException e = assertThrows(BadRequestException.class, () -> encoder(3));
        assertEquals("--clip-skip 3: the text encoder has 2 layers, choose 1 to 2", e.getMessage());
    }

    /** SDXL's text encoders are read before their last layer, without the norm. */
    @Test
    void whatIsReadEarlierHasOneLayerOnly() {
        try (Memory memory = new Memory("graph")) {
            MemorySegment bytes = resource("templates/sdxl/text_encoder_2.onnx", memory);
            OnnxGraph graph = new OnnxGraph(bytes);
            ClipSkip.apply(graph, "text_encoder_2.onnx", "penultimate_hidden_state", 2);
            assertEquals(2655, graph.nodes().size());
            BadRequestException e =
                    assertThrows(
                            BadRequestException.class,
                            () ->
                                    ClipSkip.apply(
                                            graph,
                                            "text_encoder_2.onnx",
                                            "penultimate_hidden_state",
                                            1));
            assertEquals(
                    "--clip-skip 1: the model was trained on layer 2 from the end of"
                            + " text_encoder_2.onnx, without the final layer norm: leave it out, or"
                            + " give 2",
                    e.getMessage());
        }
    }

    /** Stable Diffusion 1's twelve layers. */
    @Test
    void theStatesOfALayerAreWhatTheNextOneReads() {
        try (Memory memory = new Memory("graph")) {
            OnnxGraph graph = new OnnxGraph(resource("templates/sd1/text_encoder.onnx", memory));
            int nodes = graph.nodes().size();
            ClipSkip.apply(graph, "text_encoder.onnx", "last_hidden_state", 2);
            assertEquals(nodes + 1, graph.nodes().size());
            assertEquals(
                    List.of("389", "model.final_layer_norm.weight", "model.final_layer_norm.bias"),
                    graph.giving("last_hidden_state").inputs());
        }
    }

    private static MemorySegment resource(String name, Memory memory) {
        try (var in = ClipSkipTest.class.getResourceAsStream("/io/github/asg4j/" + name)) {
            byte[] bytes = in.readAllBytes();
            return memory.allocate(bytes.length, name).copyFrom(MemorySegment.ofArray(bytes));
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
