// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.Content;
import io.github.asg4j.DilationOptions;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuidanceInterval;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.ImageFit;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.InpaintOptions.Borders;
import io.github.asg4j.LegOptions;
import io.github.asg4j.MethodOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.MethodOptions.CutDiffusionOptions;
import io.github.asg4j.MethodOptions.DemoFusionOptions;
import io.github.asg4j.MethodOptions.DirectOptions;
import io.github.asg4j.MethodOptions.MultiDiffusionOptions;
import io.github.asg4j.MethodOptions.RelayOptions;
import io.github.asg4j.MethodOptions.ScaleCrafterOptions;
import io.github.asg4j.MethodOptions.SuperResOptions;
import io.github.asg4j.PhaseOptions;
import io.github.asg4j.Region;
import io.github.asg4j.RelayStage;
import io.github.asg4j.Tiny;
import io.github.asg4j.Variation;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.image.Npy;

import org.jspecify.annotations.Nullable;
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
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
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
        Set<String> methods = new HashSet<>();
        for (JsonNode golden : index.get("cases")) {
            methods.add(golden.get("settings").get("method").asText());
            tests.add(DynamicTest.dynamicTest(golden.get("name").asText(), () -> check(golden)));
        }
        assertEquals(Set.copyOf(Engine.methods()), methods, "methods with golden cases");
        return tests.stream();
    }

    private void check(JsonNode golden) throws IOException {
        String name = golden.get("name").asText();
        JsonNode s = golden.get("settings");
        Path dump = Files.createDirectory(temp.resolve(name));
        String prediction = s.get("prediction").asText();
        String bundleName = golden.get("bundle").asText();
        Path bundle =
                prediction.equals("epsilon")
                        ? Tiny.resource(bundleName)
                        : Tiny.changed(
                                bundleName,
                                Files.createDirectory(temp.resolve(name + "-bundle")),
                                m -> m.withObject("denoiser").put("prediction", prediction));
        GeneratedImage image;
        try (Engine engine =
                Engine.open(EngineOptions.DEFAULT.withModel(bundle).withDevices("cpu:2"))) {
            image = engine.submit(request(s, dump)).join();
        }
        if (golden.has("background")) {
            assertEquals(
                    golden.get("background").size(), image.report().backgroundWindows().getAsInt());
        }
        try (Arena arena = Arena.ofConfined()) {
            Case c = new Case(golden, GOLDENS.resolve("cases").resolve(name), dump, image, arena);
            for (JsonNode file : golden.get("files")) {
                c.check(file.asText());
            }
        }
    }

    private static GenerationRequest request(JsonNode s, Path dump) {
        String interaction = s.get("interaction").asText();
        GuideOptions guide =
                GuideOptions.DEFAULT
                        .withWeight(s.get("guide_weight").asDouble())
                        .withSchedule(value(GuideOptions.Schedule.class, s, "guide_schedule"))
                        .withSpace(value(GuideOptions.Space.class, s, "guide_space"))
                        .withUpsampling(value(GuideOptions.Upsampling.class, s, "guide_upsampling"))
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
        double objectShare = s.get("object_share").asDouble();
        windows = windows.withObjectShare(objectShare);
        if (objectShare > 0) {
            windows =
                    windows.withBackgroundPrompt(s.get("background_prompt").asText())
                            .withBackgroundGuidanceScale(
                                    s.get("background_guidance_scale").asDouble());
        }
        for (JsonNode region : s.get("regions")) {
            windows = windows.withRegions(List.of(Region.parse(region.asText())));
        }
        PhaseOptions phases =
                PhaseOptions.DEFAULT
                        .withSkipExponent(s.get("skip_exponent").asDouble())
                        .withDilatedExponent(s.get("dilated_exponent").asDouble())
                        .withBlurExponent(s.get("blur_exponent").asDouble())
                        .withBlur(s.get("blur").asDouble());
        DilationOptions dilation =
                DilationOptions.DEFAULT
                        .withFactors(factors(s.get("dilation")))
                        .withShare(s.get("dilate_share").asDouble())
                        .withCourse(value(DilationOptions.Course.class, s, "dilation_course"))
                        .withDampedFactors(factors(s.get("damped_dilation")))
                        .withDampedShare(s.get("damped_share").asDouble());
        MethodOptions options =
                switch (MethodOptions.of(s.get("method").asText())) {
                    case AsgOptions asg -> new AsgOptions(guide, windows);
                    case CutDiffusionOptions cut -> new CutDiffusionOptions(guide, windows);
                    case MultiDiffusionOptions multi -> new MultiDiffusionOptions(windows);
                    case DemoFusionOptions demo -> new DemoFusionOptions(phases, windows);
                    case RelayOptions relay -> relay.withLegs(legs(s)).withWindows(seen(s));
                    case ScaleCrafterOptions scale -> new ScaleCrafterOptions(dilation);
                    case DirectOptions direct -> direct;
                    case SuperResOptions superRes -> superRes;
                };
        JsonNode picture = s.get("image");
        GenerationRequest.Builder request =
                GenerationRequest.builder(s.get("prompt").asText())
                        .negativePrompt(s.get("negative_prompt").asText())
                        .size(s.get("width").asInt(), s.get("height").asInt())
                        .seed(s.get("seed").asLong())
                        .steps(s.get("steps").asInt())
                        .guidanceScale(s.get("guidance_scale").asDouble())
                        .guidanceInterval(interval(s.get("guidance_interval")))
                        .cacheInterval(s.path("cache_interval").asInt(1))
                        .scheduler(s.get("scheduler").asText())
                        .spacing(legs(s).preset() == LegOptions.Preset.FRECAS ? null : spacing(s))
                        .eta(s.get("eta").asDouble())
                        .options(options)
                        .image(
                                picture.isNull()
                                        ? null
                                        : Content.file(GOLDENS.resolve(picture.asText())))
                        .imageFit(value(ImageFit.class, s, "image_fit"))
                        .dumpDirectory(dump);
        JsonNode mask = s.get("inpaint");
        List<Integer> beside = new ArrayList<>();
        s.get("outpaint").forEach(width -> beside.add(width.asInt()));
        request.inpaint(
                InpaintOptions.DEFAULT
                        .withMask(
                                mask.isNull() ? null : Content.file(GOLDENS.resolve(mask.asText())))
                        .withBlur(s.get("inpaint_blur").asDouble())
                        .withInverted(s.get("inpaint_inverted").asBoolean())
                        .withBorders(
                                new Borders(
                                        beside.get(0),
                                        beside.get(1),
                                        beside.get(2),
                                        beside.get(3))));
        if (!s.get("variation_seed").isNull()) {
            request.variation(
                    new Variation(
                            s.get("variation_seed").asLong(),
                            s.get("variation_strength").asDouble()));
        }
        if (!s.get("strength").isNull()) {
            request.strength(s.get("strength").asDouble());
        }
        return request.build();
    }

    private static @Nullable GuidanceInterval interval(JsonNode ends) {
        return ends.isNull()
                ? null
                : new GuidanceInterval(ends.get(0).asDouble(), ends.get(1).asDouble());
    }

    private static String spacing(JsonNode s) {
        return s.get("spacing").asText();
    }

    private static LegOptions legs(JsonNode s) {
        LegOptions legs = LegOptions.DEFAULT.withStages(RelayStage.table(s.get("stages").asText()));
        return s.get("preset").isNull()
                ? legs
                : legs.withPreset(value(LegOptions.Preset.class, s, "preset"));
    }

    /** A relay's stages say themselves how far apart windows are. */
    private static WindowOptions seen(JsonNode s) {
        return WindowOptions.DEFAULT
                .withWeight(value(WindowOptions.Weight.class, s, "window_weight"))
                .withConditioning(
                        value(WindowOptions.Conditioning.class, s, "window_conditioning"));
    }

    private static Map<String, Double> factors(JsonNode pairs) {
        Map<String, Double> factors = new LinkedHashMap<>();
        pairs.properties().forEach(p -> factors.put(p.getKey(), p.getValue().asDouble()));
        return factors;
    }

    private static <E extends Enum<E>> E value(Class<E> type, JsonNode s, String key) {
        return Enum.valueOf(type, s.get(key).asText().toUpperCase(Locale.ROOT).replace('-', '_'));
    }

    private static List<String> strings(JsonNode array) {
        List<String> list = new ArrayList<>();
        array.forEach(n -> list.add(n.asText()));
        return list;
    }

    /** One case: the folder of its golden arrays beside what the engine dumped. */
    private record Case(JsonNode entry, Path golden, Path dump, GeneratedImage image, Arena arena) {
        void check(String file) throws IOException {
            switch (file) {
                case "initial.npy" -> steps(file, List.of(dump.resolve("noise.npy")));
                case "start.npy", "rgb.npy" -> steps(file, List.of(dump.resolve(file)));
                case "stage1.npy" -> steps(file, dumped("stage1", "latents", length(file)));
                case "guides.npy" -> steps(file, dumped("stage1", "guide", length(file)));
                case "masks.npy" -> keyMasks(file);
                case "stage2.npy" -> steps(file, canvas(length(file)));
                case "phase1.npy",
                        "phase2.npy",
                        "phase3.npy",
                        "relay1.npy",
                        "relay2.npy",
                        "relay3.npy" ->
                        steps(file, dumped(file.replace(".npy", ""), "latents", length(file)));
                case "latents.npy", "image.npy" -> {} // follow from the last step
                case "rgb8.npy" -> rgb8(file);
                default -> fail(golden + ": nothing checks " + file);
            }
        }

        /** The steps on the canvas, of one stage or of two. */
        private List<Path> canvas(int steps) {
            String method = entry.get("settings").get("method").asText();
            int dilated = entry.get("plan").path("dilated_steps").asInt(0);
            List<Path> files = new ArrayList<>(dumped("dilated", "latents", dilated));
            boolean second = method.equals("asg") || method.equals("cutdiffusion");
            files.addAll(dumped(second ? "stage2" : "denoise", "latents", steps - dilated));
            return files;
        }

        private List<Path> dumped(String stage, String what, int steps) {
            return IntStream.range(0, steps)
                    .mapToObj(k -> String.format(Locale.ROOT, "%s-%03d-%s.npy", stage, k, what))
                    .map(dump::resolve)
                    .toList();
        }

        private int length(String file) {
            return (int) read(golden.resolve(file)).shape()[0];
        }

        /** One after the other, so that the first step that differs is named. */
        private void steps(String file, List<Path> files) {
            MemorySegment expected = read(golden.resolve(file)).data();
            long per = expected.byteSize() / files.size();
            for (int k = 0; k < files.size(); k++) {
                close(
                        golden.resolve(file) + ", step " + k,
                        expected.asSlice(k * per, per),
                        read(files.get(k)).data());
            }
        }

        /** The golden masks are of every slot; the key patch's is that of slot 0. */
        private void keyMasks(String file) {
            if (!entry.get("settings").get("mask").asText().equals("key")) {
                return;
            }
            Npy.Array masks = read(golden.resolve(file));
            long step = masks.data().byteSize() / masks.shape()[0];
            long slot = step / masks.shape()[1];
            List<Path> files = dumped("stage1", "mask", (int) masks.shape()[0]);
            for (int k = 0; k < files.size(); k++) {
                close(
                        golden.resolve(file) + ", step " + k,
                        masks.data().asSlice(k * step, slot),
                        read(files.get(k)).data());
            }
        }

        /** A float32 picture on a rounding boundary may fall to either side: at most one level. */
        private void rgb8(String file) throws IOException {
            byte[] npy = Files.readAllBytes(golden.resolve(file));
            byte[] expected =
                    Arrays.copyOfRange(npy, npy.length - image.rgb().remaining(), npy.length);
            for (int i = 0; i < expected.length; i++) {
                int difference = Math.abs((expected[i] & 0xff) - (image.rgb().get(i) & 0xff));
                assertTrue(
                        difference <= 1, golden + " RGB8 byte " + i + " differs by " + difference);
            }
        }

        private Npy.Array read(Path file) {
            return Npy.read(file, Npy.Type.FLOAT32, arena);
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
}
