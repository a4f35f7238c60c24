// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.image.Npy;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * The engine against the NumPy float64 reference (onnx-export/reference), stage by stage: what
 * fails first names the stage. The tolerance, relative to a step's largest value, is 1e-5: the
 * engine's float32 formulas stay within 4e-7 of float64 (index.json, float32_difference), the
 * network's own float32 is in both.
 */
class GoldenPipelineTest {
    private static final double TOLERANCE = 1e-5;
    private static final Path GOLDENS = Tiny.resource("goldens");

    @TempDir Path temp;

    @TestFactory
    Stream<DynamicTest> everyCase() throws IOException {
        JsonNode index = new ObjectMapper().readTree(GOLDENS.resolve("index.json").toFile());
        List<DynamicTest> tests = new ArrayList<>();
        for (JsonNode golden : index.get("cases")) {
            String name = golden.get("name").asText();
            tests.add(DynamicTest.dynamicTest(name, () -> check(name, golden.get("settings"))));
        }
        assertTrue(tests.size() >= 30, "only " + tests.size() + " golden cases");
        return tests.stream();
    }

    private void check(String name, JsonNode s) throws IOException {
        Path dump = Files.createDirectory(temp.resolve(name));
        String prediction = s.get("prediction").asText();
        Path bundle =
                prediction.equals("epsilon")
                        ? Tiny.bundle()
                        : Tiny.withPrediction(
                                Files.createDirectory(temp.resolve(name + "-bundle")), prediction);
        GeneratedImage image;
        try (Engine engine =
                Engine.open(EngineOptions.DEFAULT.withModel(bundle).withDevices("cpu:2"))) {
            image = engine.submit(request(s, dump)).join();
        }
        Path golden = GOLDENS.resolve("cases").resolve(name);
        try (Arena arena = Arena.ofConfined()) {
            compare(
                    arena,
                    name + " initial noise",
                    golden.resolve("initial.npy"),
                    List.of(dump.resolve("noise.npy")));
            series(arena, name, golden, "stage1", dump, "stage1-%03d-latents.npy");
            series(arena, name, golden, "guides", dump, "stage1-%03d-guide.npy");
            if (s.get("mask").asText().equals("key")) {
                keyMasks(arena, name, golden, dump);
            }
            String last = s.get("method").asText().equals("direct") ? "denoise" : "stage2";
            series(arena, name, golden, "stage2", dump, last + "-%03d-latents.npy");
            rgb(name, golden, image);
        }
    }

    private static GenerationRequest request(JsonNode s, Path dump) {
        String interaction = s.get("interaction").asText();
        GuideOptions guide =
                GuideOptions.DEFAULT
                        .withWeight(s.get("guide_weight").asDouble())
                        .withSchedule(value(GuideOptions.Schedule.class, s, "guide_schedule"))
                        .withSpace(value(GuideOptions.Space.class, s, "guide_space"))
                        .withMask(value(GuideOptions.Mask.class, s, "mask"))
                        .withMaskNorm(value(GuideOptions.MaskNorm.class, s, "mask_norm"))
                        .withMaskBlocks(strings(s.get("mask_blocks")))
                        .withMaskTokens(
                                strings(s.get("mask_tokens")).stream()
                                        .map(Integer::valueOf)
                                        .toList())
                        .withStaleness(s.get("staleness").asInt())
                        .withInteractionSteps(
                                switch (interaction) {
                                    case "every" -> GuideOptions.EVERY_STEP;
                                    case "off" -> 0;
                                    default -> Integer.parseInt(interaction);
                                })
                        .withStage1Share(s.get("stage1_share").asDouble())
                        .withPatchAspect(value(GuideOptions.PatchAspect.class, s, "patch_aspect"));
        WindowOptions windows =
                WindowOptions.DEFAULT
                        .withStride(s.get("window_stride").asInt())
                        .withJitter(s.get("jitter").asInt())
                        .withWeight(value(WindowOptions.Weight.class, s, "window_weight"))
                        .withConditioning(
                                value(WindowOptions.Conditioning.class, s, "window_conditioning"))
                        .withGuidanceScale(s.get("stage2_guidance_scale").asDouble());
        return GenerationRequest.builder(s.get("prompt").asText())
                .negativePrompt(s.get("negative_prompt").asText())
                .method(s.get("method").asText())
                .size(s.get("width").asInt(), s.get("height").asInt())
                .seed(s.get("seed").asLong())
                .steps(s.get("steps").asInt())
                .guidanceScale(s.get("guidance_scale").asDouble())
                .scheduler(s.get("scheduler").asText())
                .spacing(s.get("spacing").asText())
                .eta(s.get("eta").asDouble())
                .guide(guide)
                .windows(windows)
                .dumpDirectory(dump)
                .build();
    }

    private static <E extends Enum<E>> E value(Class<E> type, JsonNode s, String key) {
        return Enum.valueOf(type, s.get(key).asText().toUpperCase(Locale.ROOT).replace('-', '_'));
    }

    private static List<String> strings(JsonNode array) {
        List<String> list = new ArrayList<>();
        array.forEach(n -> list.add(n.asText()));
        return list;
    }

    private static void series(
            Arena arena, String name, Path golden, String file, Path dump, String pattern) {
        Path expected = golden.resolve(file + ".npy");
        if (Files.exists(expected)) {
            Npy.Array array = Npy.read(expected, Npy.Type.FLOAT32, arena);
            List<Path> steps = new ArrayList<>();
            for (int k = 0; k < array.shape()[0]; k++) {
                steps.add(dump.resolve(String.format(Locale.ROOT, pattern, k)));
            }
            compare(arena, name + " " + file, expected, steps);
        }
    }

    /** One after the other, so that the first step that differs is named. */
    private static void compare(Arena arena, String what, Path golden, List<Path> files) {
        MemorySegment expected = Npy.read(golden, Npy.Type.FLOAT32, arena).data();
        long per = expected.byteSize() / files.size();
        for (int k = 0; k < files.size(); k++) {
            MemorySegment actual = Npy.read(files.get(k), Npy.Type.FLOAT32, arena).data();
            close(what + ", step " + k, expected.asSlice(k * per, per), actual);
        }
    }

    /** The golden masks are of every slot; the key patch's is that of slot 0. */
    private static void keyMasks(Arena arena, String name, Path golden, Path dump) {
        Path file = golden.resolve("masks.npy");
        if (!Files.exists(file) || !Files.exists(dump.resolve("stage1-000-mask.npy"))) {
            return;
        }
        Npy.Array masks = Npy.read(file, Npy.Type.FLOAT32, arena);
        long step = masks.data().byteSize() / masks.shape()[0];
        long slot = step / masks.shape()[1];
        for (int k = 0; k < masks.shape()[0]; k++) {
            Path actual = dump.resolve(String.format(Locale.ROOT, "stage1-%03d-mask.npy", k));
            close(
                    name + " mask, step " + k,
                    masks.data().asSlice(k * step, slot),
                    Npy.read(actual, Npy.Type.FLOAT32, arena).data());
        }
    }

    private static void close(String what, MemorySegment expected, MemorySegment actual) {
        assertEquals(expected.byteSize(), actual.byteSize(), what + ": bytes");
        double largest = 0;
        double worst = 0;
        for (long i = 0; i < expected.byteSize() / 4; i++) {
            float e = expected.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            largest = Math.max(largest, Math.abs(e));
            worst = Math.max(worst, Math.abs(e - actual.getAtIndex(ValueLayout.JAVA_FLOAT, i)));
        }
        assertTrue(
                worst <= TOLERANCE * largest,
                what + ": differs by " + worst + ", largest value " + largest);
    }

    /** A float32 picture on a rounding boundary may fall to either side: at most one level. */
    private static void rgb(String name, Path golden, GeneratedImage image) throws IOException {
        Path file = golden.resolve("rgb8.npy");
        if (!Files.exists(file)) {
            return;
        }
        byte[] npy = Files.readAllBytes(file);
        byte[] expected = Arrays.copyOfRange(npy, npy.length - image.rgb().remaining(), npy.length);
        for (int i = 0; i < expected.length; i++) {
            int difference = Math.abs((expected[i] & 0xff) - (image.rgb().get(i) & 0xff));
            assertTrue(difference <= 1, name + " RGB8 byte " + i + " differs by " + difference);
        }
    }
}
