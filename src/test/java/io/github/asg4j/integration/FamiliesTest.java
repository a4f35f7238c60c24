// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.OpenEngines;
import io.github.asg4j.PlanReport;
import io.github.asg4j.Tiny;
import io.github.asg4j.image.Npy;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The families on small checkpoints with random weights, of the published build
 * (onnx-export/tests/family_goldens.py): against what the pipelines of diffusers make of the same
 * prompt and noise, and through every method.
 */
class FamiliesTest {
    private static final Path FAMILIES = Tiny.resource("families");

    /** What a method misses in a bundle of the family, as its refusal names it; null: nothing. */
    private static @Nullable String missing(String family, String method) {
        return switch (method) {
            case "superres" -> "upscaler";
            case "scalecrafter" -> family.equals("sd3") ? "transformer" : null;
            default -> null;
        };
    }

    @AutoClose private static final OpenEngines ENGINES = new OpenEngines();

    @TempDir Path temp;

    private static Engine engine(String family) {
        return ENGINES.on(
                EngineOptions.DEFAULT.withModel(FAMILIES.resolve(family)).withDevices("cpu:2"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"sd15", "sd21", "sdxl", "sd3", "sd35"})
    void drawsWhatThePipelineOfDiffusersDraws(String family) throws IOException {
        Path golden = FAMILIES.resolve("goldens").resolve(family);
        JsonNode s = new ObjectMapper().readTree(golden.resolve("settings.json").toFile());
        int steps = s.get("steps").asInt();
        Engine engine = engine(family);
        engine.submit(
                        GenerationRequest.builder(s.get("prompt").asText())
                                .method("direct")
                                .size(s.get("size").asInt(), s.get("size").asInt())
                                .steps(steps)
                                .guidanceScale(s.get("guidance_scale").asDouble())
                                .latents(floats(golden.resolve("noise.npy")))
                                .dumpDirectory(temp)
                                .build())
                .join();
        close("text", golden.resolve("hidden.npy"), temp.resolve("text_hidden.npy"));
        if (Files.exists(golden.resolve("pooled.npy"))) {
            close("pooled", golden.resolve("pooled.npy"), temp.resolve("text_pooled.npy"));
        }
        close(
                "latents",
                golden.resolve("latents.npy"),
                temp.resolve("denoise-%03d-latents.npy".formatted(steps - 1)));
    }

    /** The array of a file, as a caller brings one in memory of its own. */
    private static Content floats(Path npy) {
        try (Arena arena = Arena.ofConfined()) {
            Npy.Array array = Npy.read(npy, Npy.Type.FLOAT32, arena);
            return Content.floats(array.data(), array.shape());
        }
    }

    /** Relative to the largest value; the engine's text has a further row, for the background. */
    private static void close(String what, Path golden, Path file) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment expected = Npy.read(golden, Npy.Type.FLOAT32, arena).data();
            MemorySegment actual = Npy.read(file, Npy.Type.FLOAT32, arena).data();
            assertTrue(actual.byteSize() >= expected.byteSize(), what);
            double largest = 0;
            double worst = 0;
            for (long i = 0; i < expected.byteSize() / 4; i++) {
                float e = expected.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                float a = actual.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                largest = Math.max(largest, Math.abs(e));
                worst = Math.max(worst, Float.isNaN(a) ? Double.MAX_VALUE : Math.abs(e - a));
            }
            assertTrue(
                    worst <= 1e-3 * largest,
                    what + ": differs by " + worst + ", largest value " + largest);
        }
    }

    @TestFactory
    Stream<DynamicTest> everyMethodDrawsOrSaysWhatTheBundleLacks() {
        return Stream.of("sd15", "sd21", "sdxl", "sd3")
                .flatMap(
                        family ->
                                Engine.methods().stream()
                                        .map(
                                                method ->
                                                        DynamicTest.dynamicTest(
                                                                family + " " + method,
                                                                () ->
                                                                        drawsOrSaysWhatTheBundleLacks(
                                                                                family, method))));
    }

    private static void drawsOrSaysWhatTheBundleLacks(String family, String method) {
        GenerationRequest request =
                GenerationRequest.builder("a red ball on grass")
                        .method(method)
                        .size(256, 192)
                        .steps(3)
                        .seed(7)
                        .build();
        Engine engine = engine(family);
        String missing = missing(family, method);
        if (missing != null) {
            var refused = assertThrows(BadRequestException.class, () -> engine.submit(request));
            assertTrue(refused.getMessage().contains(missing), refused.getMessage());
            return;
        }
        GeneratedImage image = engine.submit(request).join();
        assertEquals(256 * 192 * 3, image.rgb().remaining());
        assertTrue(values(image).size() > 16, "nearly one colour");
    }

    private static Set<Byte> values(GeneratedImage image) {
        Set<Byte> values = new java.util.HashSet<>();
        for (int i = 0; i < image.rgb().remaining(); i++) {
            values.add(image.rgb().get(image.rgb().position() + i));
        }
        return values;
    }

    private static GenerationRequest.Builder asg() {
        return GenerationRequest.builder("a red ball on grass").size(256, 256).steps(4).seed(7);
    }

    /** Guided on the velocity and on clean latents, from the step on where alpha is 0. */
    @ParameterizedTest
    @ValueSource(strings = {"NOISE", "LATENT"})
    void guidesAFlow(String space) {
        GuideOptions guide =
                GuideOptions.DEFAULT
                        .withSpace(GuideOptions.Space.valueOf(space))
                        .withWeight(0.7)
                        .withStaleness(1);
        Engine engine = engine("sd3");
        String guided =
                Tiny.hash(
                        engine.submit(asg().options(AsgOptions.DEFAULT.withGuide(guide)).build())
                                .join());
        String free =
                Tiny.hash(
                        engine.submit(
                                        asg().options(
                                                        AsgOptions.DEFAULT.withGuide(
                                                                guide.withWeight(0)))
                                                .build())
                                .join());
        assertNotEquals(free, guided);
    }

    @Test
    void mapsOfJointBlocksCanBeChosen() {
        GuideOptions guide = GuideOptions.DEFAULT.withWeight(0.7).withMask(GuideOptions.Mask.KEY);
        Engine engine = engine("sd3");
        String usual =
                Tiny.hash(
                        engine.submit(asg().options(AsgOptions.DEFAULT.withGuide(guide)).build())
                                .join());
        for (String block : List.of("transformer_blocks.2-3", "transformer_blocks.0-1")) {
            String chosen =
                    Tiny.hash(
                            engine.submit(
                                            asg().options(
                                                            AsgOptions.DEFAULT.withGuide(
                                                                    guide.withMaskBlocks(
                                                                            List.of(block))))
                                                    .build())
                                    .join());
            assertEquals(block.endsWith("2-3"), chosen.equals(usual), block);
        }
    }

    @Test
    void positionsLimitTheSizeOfAView() {
        Engine engine = engine("sd3");
        GenerationRequest.Builder large =
                GenerationRequest.builder("grass").size(512, 128).steps(1);
        var refused =
                assertThrows(
                        BadRequestException.class,
                        () -> engine.submit(large.method("direct").build()));
        assertTrue(refused.getMessage().contains("at most 384x384"), refused.getMessage());
        assertEquals(512, engine.submit(large.method("asg").build()).join().width());
    }

    /** Attention of these bundles is one operator: no scores of all pairs of tokens are counted. */
    @Test
    void wholeCanvasesFitIntoMemory() {
        Engine engine = engine("sdxl");
        GenerationRequest large =
                GenerationRequest.builder("grass").method("direct").size(2048, 2048).build();
        PlanReport.Memory bytes = engine.plan(large).memory();
        // Scores of 128 x 128 tokens would take 2 GB a row, those of 256 x 256 latent cells 34
        // GB.
        for (long part : new long[] {bytes.workspace(), bytes.vae()}) {
            assertTrue(part > 0, bytes.toString());
            assertTrue(part < 1L << 30, bytes.toString());
        }
    }

    @Test
    void aFlowHasItsOwnSolver() {
        Engine engine = engine("sd3");
        GeneratedImage image =
                engine.submit(asg().method("multidiffusion").steps(1).build()).join();
        assertEquals("flow_euler", image.report().sampling().scheduler());
        var refused =
                assertThrows(
                        BadRequestException.class,
                        () -> engine.submit(asg().scheduler("ddim").build()));
        assertTrue(refused.getMessage().contains("choose flow_euler"), refused.getMessage());
    }
}
