// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.ModelParts;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Place;
import io.github.asg4j.ort.Tensor;
import io.github.asg4j.ort.Weight;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * A graph that gives each of its weights back ({@code checkpoint/values.onnx}), filled from a file of
 * SD3's layout, which has every kind of place.
 */
class AssembledGraphTest {
    private static final Path VALUES = Path.of("src/test/resources/checkpoint/values.onnx");
    private static final String UNET = "model.diffusion_model.";
    private static final int MANY = 64 * 64;

    @TempDir Path temp;

    private static String entry(String value, String weight, String shape) {
        return "\"%s\":{\"of\":\"%s\",\"at\":0,\"shape\":%s,\"type\":\"F32\"}"
                .formatted(value, weight, shape);
    }

    private static byte[] recipe(String part, String... entries) {
        return ("{\"part\":\"" + part + "\",\"weights\":{" + String.join(",", entries) + "}}")
                .getBytes(StandardCharsets.UTF_8);
    }

    private static final byte[] RECIPE =
            recipe(
                    "transformer",
                    entry("plain", "context_embedder.weight", "[2,3]"),
                    "\"slice\":{\"of\":\"proj_out.weight\",\"at\":3,\"shape\":[2,3],\"type\":\"F32\"}",
                    entry("half", "transformer_blocks.0.ff.net.2.weight", "[64,64]"),
                    entry("brain", "transformer_blocks.1.ff.net.2.weight", "[64,64]"),
                    entry("eight", "transformer_blocks.2.ff.net.2.weight", "[64,64]"),
                    "\"sum\":{\"sum\":[\"context_embedder.bias\",\"proj_out.bias\"],\"shape\":[4],"
                            + "\"type\":\"F32\"}",
                    entry("share", "transformer_blocks.0.attn.to_k.weight", "[2,3]"),
                    entry("swapped", "norm_out.linear.bias", "[4]"));

    private static byte[] shorts(int count, int bits) {
        ByteBuffer bytes = ByteBuffer.wrap(new byte[2 * count]).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < count; i++) {
            bytes.putShort((short) bits);
        }
        return bytes.array();
    }

    private static SafeTensorsFile file() {
        byte[] eights = new byte[MANY];
        eights[0] = 0x38; // 1
        eights[1] = (byte) 0xc4; // -3
        eights[2] = 1; // the smallest
        List<Long> square = List.of(64L, 64L);
        String fc = ".x_block.mlp.fc2.weight";
        return new SafeTensorsFile()
                .tensor(
                        UNET + "odd",
                        "U8",
                        List.of(1L),
                        new byte[1]) // nothing lies on 2 or 4 bytes
                .floats(UNET + "context_embedder.weight", List.of(2L, 3L), 1, 2, 3, 4, 5, 6)
                .floats(
                        UNET + "final_layer.linear.weight",
                        List.of(3L, 3L),
                        0,
                        1,
                        2,
                        3,
                        4,
                        5,
                        6,
                        7,
                        8)
                .tensor(UNET + "joint_blocks.0" + fc, "F16", square, shorts(MANY, 0x4200))
                .tensor(UNET + "joint_blocks.1" + fc, "BF16", square, shorts(MANY, 0xc040))
                .tensor(UNET + "joint_blocks.2" + fc, "F8_E4M3", square, eights)
                .floats(UNET + "context_embedder.bias", List.of(4L), 1, 2, 3, 4)
                .floats(UNET + "final_layer.linear.bias", List.of(4L), 10, 20, 30, 40)
                .floats(
                        UNET + "joint_blocks.0.x_block.attn.qkv.weight",
                        List.of(6L, 3L),
                        floats(0, 18))
                .floats(UNET + "final_layer.adaLN_modulation.1.bias", List.of(4L), 1, 2, 3, 4);
    }

    private static float[] floats(int from, int to) {
        float[] values = new float[to - from];
        for (int i = 0; i < values.length; i++) {
            values[i] = from + i;
        }
        return values;
    }

    private static Recognition sd3() {
        return new Recognition(
                Family.SD3_MEDIUM,
                EnumSet.of(Part.TRANSFORMER, Part.TEXT_ENCODER),
                "flow",
                false,
                16,
                0,
                24);
    }

    @Test
    void fillsEveryKindOfPlace() throws IOException {
        Path path = file().write(temp.resolve("x.safetensors"));
        try (Checkpoint checkpoint = Checkpoint.openAs(path, sd3(), ModelParts.NONE)) {
            byte[] extra =
                    new String(RECIPE, StandardCharsets.UTF_8)
                            .replace(
                                    "}}}",
                                    "},"
                                            + entry(
                                                    "transposed",
                                                    "context_embedder.weight",
                                                    "[3,2]")
                                            + ","
                                            + entry("unit", "proj_out.weight", "[3,3]")
                                            + "}}")
                            .getBytes(StandardCharsets.UTF_8);
            AssembledGraph graph =
                    AssembledGraph.of(
                            Files.readAllBytes(VALUES),
                            Recipe.parse("values", extra),
                            checkpoint,
                            ChangedWeights.NONE);
            // What is large lies where it lay; 8 bits become halves.
            assertEquals(
                    List.of(Weight.Type.FLOAT16, Weight.Type.BFLOAT16, Weight.Type.FLOAT16),
                    graph.weights().stream().map(Weight::type).toList());
            Map<String, float[]> out = run(graph);
            assertArrayEquals(floats(1, 7), out.get("plain"));
            assertArrayEquals(floats(3, 9), out.get("slice"));
            assertEquals(3f, out.get("half")[MANY - 1]);
            assertEquals(-3f, out.get("brain")[MANY - 1]);
            assertArrayEquals(
                    new float[] {1, -3, 0x1p-9f, 0}, java.util.Arrays.copyOf(out.get("eight"), 4));
            assertArrayEquals(new float[] {11, 22, 33, 44}, out.get("sum"));
            assertArrayEquals(floats(6, 12), out.get("share"));
            assertArrayEquals(new float[] {3, 4, 1, 2}, out.get("swapped"));
        }
    }

    @Test
    void changedWeightsTakeThePlaceOfTheFilesOwn() throws IOException {
        Path path = file().write(temp.resolve("x.safetensors"));
        try (Checkpoint checkpoint = Checkpoint.openAs(path, sd3(), ModelParts.NONE);
                Arena arena = Arena.ofConfined()) {
            Map<String, MemorySegment> changed =
                    Map.of(
                            "proj_out.weight",
                            arena.allocateFrom(ValueLayout.JAVA_FLOAT, floats(100, 109)),
                            "transformer_blocks.0.ff.net.2.weight",
                            arena.allocateFrom(ValueLayout.JAVA_FLOAT, floats(0, MANY)),
                            "proj_out.bias",
                            arena.allocateFrom(ValueLayout.JAVA_FLOAT, floats(5, 9)),
                            "norm_out.linear.bias",
                            arena.allocateFrom(ValueLayout.JAVA_FLOAT, floats(20, 24)));
            byte[] extra =
                    new String(RECIPE, StandardCharsets.UTF_8)
                            .replace(
                                    "}}}",
                                    "},"
                                            + entry(
                                                    "transposed",
                                                    "context_embedder.weight",
                                                    "[3,2]")
                                            + ","
                                            + entry("unit", "proj_out.weight", "[3,3]")
                                            + "}}")
                            .getBytes(StandardCharsets.UTF_8);
            AssembledGraph graph =
                    AssembledGraph.of(
                            Files.readAllBytes(VALUES),
                            Recipe.parse("values", extra),
                            checkpoint,
                            (part, weight) -> changed.get(weight));
            assertEquals(Weight.Type.FLOAT32, graph.weights().getFirst().type());
            Map<String, float[]> out = run(graph);
            assertArrayEquals(floats(1, 7), out.get("plain"));
            assertArrayEquals(floats(103, 109), out.get("slice"));
            assertArrayEquals(floats(0, MANY), out.get("half"));
            assertArrayEquals(new float[] {6, 8, 10, 12}, out.get("sum"));
            assertArrayEquals(floats(20, 24), out.get("swapped"));
        }
    }

    /** OpenCLIP's projection is stored with rows and columns exchanged. */
    @Test
    void transposesAndMakesUnits() throws IOException {
        Path path =
                new SafeTensorsFile()
                        .floats(
                                "cond_stage_model.model.text_projection",
                                List.of(2L, 3L),
                                1,
                                2,
                                3,
                                4,
                                5,
                                6)
                        .write(temp.resolve("x.safetensors"));
        Recognition sd2 =
                new Recognition(Family.SD2, EnumSet.of(Part.TEXT_ENCODER), "v", false, 4, 0, 0);
        try (Checkpoint checkpoint = Checkpoint.openAs(path, sd2, ModelParts.NONE)) {
            byte[] recipe = recipe("text_encoder", entry("w", "text_projection.weight", "[3,2]"));
            AssembledGraph graph =
                    AssembledGraph.of(
                            new byte[0],
                            Recipe.parse("values", recipe),
                            checkpoint,
                            ChangedWeights.NONE);
            assertTrue(graph.weights().isEmpty());
            ByteBuffer model = ByteBuffer.wrap(graph.model()).order(ByteOrder.LITTLE_ENDIAN);
            float[] last = floatsAt(model, graph.model().length - 6 * Float.BYTES, 6);
            assertArrayEquals(new float[] {1, 4, 2, 5, 3, 6}, last);
        }
    }

    @Test
    void aProjectionThatIsLeftOutIsTheUnit() throws IOException {
        Path path =
                new SafeTensorsFile()
                        .floats("a", List.of(1L), 1)
                        .write(temp.resolve("x.safetensors"));
        try (Checkpoint checkpoint = Checkpoint.openAs(path, sd3(), ModelParts.NONE)) {
            byte[] recipe = recipe("text_encoder", entry("w", "text_projection.weight", "[2,2]"));
            AssembledGraph graph =
                    AssembledGraph.of(
                            new byte[0],
                            Recipe.parse("values", recipe),
                            checkpoint,
                            ChangedWeights.NONE);
            ByteBuffer model = ByteBuffer.wrap(graph.model()).order(ByteOrder.LITTLE_ENDIAN);
            float[] last = floatsAt(model, graph.model().length - 4 * Float.BYTES, 4);
            assertArrayEquals(new float[] {1, 0, 0, 1}, last);
        }
    }

    private static float[] floatsAt(ByteBuffer bytes, int at, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = bytes.getFloat(at + i * Float.BYTES);
        }
        return values;
    }

    @Test
    void namesWhatIsMissingOrOfAnotherShape() {
        Path path = file().write(temp.resolve("x.safetensors"));
        try (Checkpoint checkpoint = Checkpoint.openAs(path, sd3(), ModelParts.NONE)) {
            byte[] missing = recipe("transformer", entry("w", "pos_embed.proj.weight", "[2,2]"));
            assertTrue(
                    refusal(missing, checkpoint).contains("x_embedder.proj.weight"),
                    refusal(missing, checkpoint));
            byte[] large = recipe("transformer", entry("w", "context_embedder.weight", "[2,4]"));
            assertTrue(
                    refusal(large, checkpoint).contains("[2, 3], but Stable Diffusion 3"),
                    refusal(large, checkpoint));
        }
    }

    private static String refusal(byte[] recipe, Checkpoint checkpoint) {
        return assertThrows(
                        BadBundleException.class,
                        () ->
                                AssembledGraph.of(
                                        new byte[0],
                                        Recipe.parse("values", recipe),
                                        checkpoint,
                                        ChangedWeights.NONE))
                .getMessage();
    }

    private static Map<String, float[]> run(AssembledGraph graph) {
        Map<String, float[]> values = new LinkedHashMap<>();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment model = arena.allocateFrom(ValueLayout.JAVA_BYTE, graph.model());
            try (OrtSession session =
                    OrtSession.open(model, graph.weights(), "values", Place.cpu(1))) {
                Map<String, Tensor> out = new LinkedHashMap<>();
                session.outputs()
                        .forEach(
                                (name, info) -> {
                                    long[] shape =
                                            info.dims().stream()
                                                    .mapToLong(Long::longValue)
                                                    .toArray();
                                    long count =
                                            IntStream.range(0, shape.length)
                                                    .mapToLong(i -> shape[i])
                                                    .reduce(1, (a, b) -> a * b);
                                    MemorySegment data = arena.allocate(count * Float.BYTES, 64);
                                    out.put(name, Tensor.floats(data, shape));
                                });
                MemorySegment zero = arena.allocate(Float.BYTES, 64);
                try (var binding = session.bind(Map.of("zero", Tensor.floats(zero, 1)), out)) {
                    binding.run();
                }
                List<String> names = new ArrayList<>(out.keySet());
                names.forEach(
                        name ->
                                values.put(
                                        name.substring("out_".length()),
                                        out.get(name).data().toArray(ValueLayout.JAVA_FLOAT)));
            }
        }
        return values;
    }
}
