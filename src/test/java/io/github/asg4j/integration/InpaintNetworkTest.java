// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;

import io.github.asg4j.Content;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.LegOptions;
import io.github.asg4j.MethodOptions.RelayOptions;
import io.github.asg4j.RelayStage;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.image.Npy;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;

import javax.imageio.ImageIO;

/**
 * Networks for inpainting, which are shown a mask and a masked picture: against diffusers' pipeline at
 * native size, and which part of them every method shows. For the latter the network of
 * src/test/resources/inpaint gives back what it is shown.
 */
class InpaintNetworkTest {
    private static final Path FAMILIES = Tiny.resource("families");
    private static final Content PICTURE = picture("start-2x.png");
    private static final InpaintOptions MASK =
            InpaintOptions.DEFAULT.withMask(picture("mask-2x.png"));

    @TempDir Path temp;

    private static Content picture(String name) {
        return Content.file(Tiny.resource("goldens").resolve(name));
    }

    private static float[] floats(Path npy) {
        try (Arena arena = Arena.ofConfined()) {
            return Npy.read(npy, Npy.Type.FLOAT32, arena).data().toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    @Test
    void drawsWhatThePipelineOfDiffusersDraws() throws IOException {
        Path golden = FAMILIES.resolve("goldens").resolve("sd15-inpaint");
        JsonNode s = new ObjectMapper().readTree(golden.resolve("settings.json").toFile());
        EngineOptions options =
                EngineOptions.DEFAULT
                        .withModel(FAMILIES.resolve("sd15-inpaint"))
                        .withDevices("cpu:2");
        try (Engine engine = Engine.open(options)) {
            engine.submit(
                            GenerationRequest.builder(s.get("prompt").asText())
                                    .method("direct")
                                    .size(s.get("size").asInt(), s.get("size").asInt())
                                    .steps(s.get("steps").asInt())
                                    .strength(s.get("strength").asDouble())
                                    .guidanceScale(s.get("guidance_scale").asDouble())
                                    .seed(s.get("seed").asLong())
                                    .image(Content.file(golden.resolve("image.png")))
                                    .inpaint(
                                            InpaintOptions.DEFAULT.withMask(
                                                    Content.file(golden.resolve("mask.png"))))
                                    .dumpDirectory(temp)
                                    .build())
                    .join();
            int last = (int) (s.get("steps").asInt() * s.get("strength").asDouble()) - 1;
            Path drawn = temp.resolve("denoise-%03d-latents.npy".formatted(last));
            Closeness.assertClose(
                    "the latents", floats(golden.resolve("latents.npy")), floats(drawn), 1e-3);
        }
    }

    // ------------------------------------------------------------------ who is shown what

    private Engine open(int workers) {
        return Engine.open(Tiny.options(workers).withModel(bundle(workers)));
    }

    /** The tiny bundle with the network that gives back what it is shown. */
    private Path bundle(int workers) {
        Path folder = temp.resolve("bundle" + workers);
        try {
            Files.createDirectories(folder);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return Tiny.withDenoiser(
                folder, "inpaint", denoiser -> ((ArrayNode) denoiser.get("inputs")).add("inpaint"));
    }

    private static Content nothing(int cells) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment zeros = arena.allocate(4L * 4 * cells * cells, 4);
            return Content.floats(zeros, 1, 4, cells, cells);
        }
    }

    private static GenerationRequest.Builder request(String method) {
        return Tiny.request().method(method).size(128, 128).scheduler("euler").steps(1);
    }

    private static GenerationRequest.Builder painting(String method) {
        return request(method).image(PICTURE).inpaint(MASK).strength(1);
    }

    private float[] latents(Engine engine, GenerationRequest.Builder request) {
        engine.submit(request.dumpDirectory(temp).build()).join();
        return floats(temp.resolve("denoise-000-latents.npy"));
    }

    /** Every window is shown its part of what a view of the whole canvas is shown. */
    @Test
    void windowsAreShownTheirPart() {
        try (Engine engine = open(2)) {
            float[] whole = latents(engine, painting("direct"));
            float[] windows = latents(engine, painting("multidiffusion"));
            Closeness.assertClose("the latents", whole, windows, 1e-5);
            assertNotEquals(whole[0], whole[8 * 16 + 8], "a mask has two values");
        }
    }

    /** Of every stage of a relay, whose canvases have sizes of their own. */
    @Test
    void windowsOfARelayAreShownTheirPart() {
        try (Engine engine = open(2)) {
            for (String stage : new String[] {"relay2-000", "relay3-000"}) {
                float[][] drawn = new float[2][];
                for (int i = 0; i < 2; i++) {
                    String windows = i == 0 ? "" : " windows=0.5";
                    String table = "1x 0..0.6; 1.5x 0.4..0.8" + windows + "; full 0.6..1" + windows;
                    GenerationRequest.Builder request =
                            painting("relay")
                                    .steps(5)
                                    .options(
                                            RelayOptions.DEFAULT.withLegs(
                                                    LegOptions.DEFAULT.withStages(
                                                            RelayStage.table(table))));
                    engine.submit(request.dumpDirectory(temp).build()).join();
                    drawn[i] = floats(temp.resolve(stage + "-latents.npy"));
                }
                Closeness.assertClose("the latents", drawn[0], drawn[1], 1e-5);
            }
        }
    }

    /** The first channel of what was shown is the mask: of its pixels those in the cells' corners. */
    @Test
    void theMaskIsThatOfTheCellsCorners() throws IOException {
        BufferedImage mask = ImageIO.read(Tiny.resource("goldens").resolve("mask-2x.png").toFile());
        try (Engine engine = open(1)) {
            // From nothing one step leads to what is shown times the first level.
            float[] shown = latents(engine, request("direct").latents(nothing(16)));
            float[] masked = latents(engine, painting("direct"));
            float[] inverse = latents(engine, painting("direct").inpaint(MASK.withInverted(true)));
            for (int i = 0; i < 16 * 16; i++) {
                boolean white = (mask.getRGB(i % 16 * 8, i / 16 * 8) & 255) >= 128;
                assertEquals(shown[0], shown[i], "all is drawn without a mask");
                float difference = masked[i] - inverse[i];
                assertEquals(white ? shown[0] : -shown[0], difference, 1e-4 * Math.abs(shown[0]));
            }
        }
    }

    // ------------------------------------------------------------------ what holds for all methods

    private static String sha256(Engine engine, GenerationRequest.Builder request) {
        return engine.submit(request.build()).join().report().pixelsSha256();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"asg", "direct", "multidiffusion", "cutdiffusion", "demofusion", "relay"})
    void everyMethodDrawsWithoutAPicture(String method) {
        GenerationRequest.Builder request = request(method).steps(4);
        String one;
        try (Engine engine = open(1)) {
            one = sha256(engine, request);
        }
        try (Engine engine = open(3)) {
            assertEquals(one, sha256(engine, request));
        }
    }

    /** What is not masked keeps its bytes, for any number of workers; what is drawn is not noised back. */
    @ParameterizedTest
    @CsvSource({"asg", "direct", "multidiffusion", "cutdiffusion", "relay"})
    void everyMethodPaintsWithinTheMask(String method) throws IOException {
        BufferedImage given =
                ImageIO.read(Tiny.resource("goldens").resolve("start-2x.png").toFile());
        BufferedImage mask = ImageIO.read(Tiny.resource("goldens").resolve("mask-2x.png").toFile());
        GeneratedImage image;
        try (Engine engine = open(1)) {
            image = engine.submit(painting(method).steps(4).build()).join();
        }
        int drawn = 0;
        for (int y = 0; y < 128; y++) {
            for (int x = 0; x < 128; x++) {
                int at = 3 * (128 * y + x);
                int rgb =
                        (image.rgb().get(at) & 255) << 16
                                | (image.rgb().get(at + 1) & 255) << 8
                                | (image.rgb().get(at + 2) & 255);
                int own = given.getRGB(x, y) & 0xffffff;
                if ((mask.getRGB(x, y) & 255) == 0) {
                    assertEquals(own, rgb, x + "," + y);
                } else {
                    drawn += own == rgb ? 0 : 1;
                }
            }
        }
        assertTrue(drawn > 100, drawn + " pixels drawn");
        try (Engine engine = open(3)) {
            assertEquals(image.report().pixelsSha256(), sha256(engine, painting(method).steps(4)));
        }
    }

    /** Patches, windows and stages of two GPUs are shown what those of the CPU are. */
    @ParameterizedTest
    @ValueSource(strings = {"asg", "relay"})
    void gpusAreShownTheSame(String method) {
        String expected;
        try (Engine engine = open(1)) {
            expected = sha256(engine, painting(method).steps(4));
        }
        EngineOptions gpus = Tiny.options(1).withModel(bundle(2)).withDevices("cuda:0,cuda:1");
        try (Engine engine = TestEngines.open(gpus, WorkerHook.NONE, new EmulatedGpus())) {
            assertEquals(expected, sha256(engine, painting(method).steps(4)));
        }
    }
}
