// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.Engine;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.MethodOptions.DemoFusionOptions;
import io.github.asg4j.PhaseOptions;
import io.github.asg4j.PlanReport;
import io.github.asg4j.PreviewImage;
import io.github.asg4j.ReportJson;
import io.github.asg4j.Size;
import io.github.asg4j.StageReport;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.WindowOptions;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import javax.imageio.ImageIO;

/** Phases of growing size, and pictures to start from; values are in {@link GoldenPipelineTest}. */
class DemoFusionTest {
    @TempDir private Path folder = Path.of("");

    private static GenerationRequest.Builder request() {
        return Tiny.request().method("demofusion").steps(4);
    }

    private static GeneratedImage draw(GenerationRequest.Builder request) {
        try (Engine engine = Engine.open(Tiny.options(2))) {
            return engine.submit(request.build()).join();
        }
    }

    /** Colours that run over the picture. */
    private Path picture(int width, int height) throws IOException {
        BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                image.setRGB(x, y, ((x * 255 / width) << 16) | ((y * 255 / height) << 8) | 0x40);
            }
        }
        Path file = folder.resolve(width + "x" + height + ".png");
        assertTrue(ImageIO.write(image, "png", file.toFile()));
        return file;
    }

    @Test
    void atNativeSizeItIsDirectInference() {
        assertEquals(
                Tiny.hash(draw(request().size(64, 64).method("direct"))),
                Tiny.hash(draw(request().size(64, 64))));
    }

    @Test
    void thePlanHasAPhaseForEverySize() {
        PlanReport plan;
        try (Engine engine = Engine.open(Tiny.options(2))) {
            plan = engine.plan(request().size(192, 128).viewBatch(2).build());
        }
        assertEquals(3, plan.stages().size());
        StageReport last = plan.stages().get(2);
        assertEquals("phase3", last.name());
        if (!(last.settings() instanceof StageReport.Phase phase)) {
            throw new AssertionError(last);
        }
        assertEquals(new Size(24, 18), phase.windows().canvasLatents());
        assertEquals(new Size(5, 4), phase.windows().grid());
        assertEquals(9, phase.dilatedViews());
        assertEquals(new Size(8, 6), phase.dilatedLatents());
        assertEquals(5 * 4 + 9, last.views());
        assertEquals(10 + 5, last.calls(), "no call has views of both kinds");
        assertEquals(4L * (1 + (3 * 2 + 4) + (5 * 4 + 9)), plan.guidedEvaluations());
        // Dilated views of 8 x 6 latents are three quarters of a native one, as is the first
        // phase's.
        assertEquals(
                4 * (0.75 + (3 * 2 + 4 * 0.75) + (5 * 4 + 9 * 0.75)), plan.nativeEvaluations());
        assertEquals(2 * 4, plan.barriers(), "one a step but in the first phase, windows");
    }

    @Test
    void everyOptionChangesThePictureAndIsReported() {
        GeneratedImage usual = draw(request());
        assertEquals(3.0, ReportJson.map(usual.report()).get("cosine_scale_1"));
        assertEquals(0.8, ReportJson.map(usual.report()).get("blur"));
        assertEquals("uniform", ReportJson.map(usual.report()).get("window_weight"));
        PhaseOptions plain = PhaseOptions.DEFAULT;
        for (PhaseOptions options :
                List.of(
                        plain.withSkipExponent(2),
                        plain.withDilatedExponent(2),
                        plain.withBlurExponent(2),
                        plain.withBlur(1.5))) {
            assertNotEquals(
                    Tiny.hash(usual),
                    Tiny.hash(
                            draw(request().options(DemoFusionOptions.DEFAULT.withPhases(options)))),
                    "" + options);
        }
        GeneratedImage windows =
                draw(
                        request()
                                .options(
                                        DemoFusionOptions.DEFAULT.withWindows(
                                                WindowOptions.DEFAULT.withGuidanceScale(2))));
        assertEquals(2.0, ReportJson.map(windows.report()).get("stage2_guidance_scale"));
        assertNotEquals(Tiny.hash(usual), Tiny.hash(windows));
        assertEquals(7.5, draw(request().paperDefaults(true)).report().sampling().guidanceScale());
    }

    @Test
    void previewsHaveTheSizeOfTheirPhase() {
        List<PreviewImage> previews = Collections.synchronizedList(new ArrayList<>());
        GenerationListener listener = Tiny.previews(previews::add);
        try (Engine engine = TestEngines.open(Tiny.options(2), p -> Tiny.sleep(5))) {
            GeneratedImage image = engine.submit(request().build(), listener).join();
            assertEquals(Tiny.hash(draw(request())), Tiny.hash(image), "watching changes it");
        }
        for (PreviewImage preview : previews) {
            String stage = preview.stage();
            assertEquals("phase1".equals(stage) ? 64 : 128, preview.width(), stage);
        }
        assertTrue(previews.stream().anyMatch(p -> "phase2".equals(p.stage())));
    }

    @Test
    void aPictureTakesThePlaceOfTheFirstPhase() throws IOException {
        GeneratedImage given = draw(request().image(Content.file(picture(64, 64))));
        assertEquals(
                folder.resolve("64x64.png").toString(),
                given.report().request().image().toString());
        assertNotEquals(Tiny.hash(draw(request())), Tiny.hash(given));
        // 4 steps, phase 1 (a window and a dilated view) and phase 2 (nine and four).
        assertEquals(4L * (1 + 1 + 9 + 4), given.report().plan().guidedEvaluations());
        try (Engine engine = TestEngines.open(Tiny.options(3), p -> Tiny.sleep(1))) {
            Content bytes = Content.bytes(Files.readAllBytes(picture(64, 64)));
            GenerationRequest same = request().image(bytes).build();
            assertEquals(Tiny.hash(given), Tiny.hash(engine.submit(same).join()));
        }
        draw(
                request()
                        .size(64, 64)
                        .image(Content.file(picture(500, 490)))); // resized, phase 1 alone
    }

    @Test
    void startPicturesThatDoNotFitAreRefused() throws IOException {
        refused("--size 128x96", request(), 400, 300);
        refused("--size 64x128", request(), 60, 120);
        Path none = folder.resolve("none.png");
        BadRequestException missing =
                assertThrows(
                        BadRequestException.class, () -> draw(request().image(Content.file(none))));
        assertTrue(missing.getMessage().contains(none.toString()), missing.getMessage());
        BadRequestException both =
                assertThrows(
                        BadRequestException.class,
                        () ->
                                request()
                                        .image(Content.file(none))
                                        .latents(Content.file(Path.of("z.npy")))
                                        .build());
        assertTrue(both.getMessage().contains("not from both"), both.getMessage());
    }

    private void refused(String part, GenerationRequest.Builder request, int width, int height)
            throws IOException {
        Path file = picture(width, height);
        BadRequestException e =
                assertThrows(
                        BadRequestException.class, () -> draw(request.image(Content.file(file))));
        assertTrue(e.getMessage().contains(part), e.getMessage());
    }

    @Test
    void aBundleWithoutEncoderSaysHowToGetOne() throws IOException {
        Path bundle = Files.createDirectory(folder.resolve("bundle"));
        try (DirectoryStream<Path> files = Files.newDirectoryStream(Tiny.bundle())) {
            for (Path file : files) {
                Files.copy(file, bundle.resolve(file.getFileName()));
            }
        }
        Path manifest = bundle.resolve("manifest.json");
        Files.writeString(
                manifest,
                Files.readString(manifest)
                        .replace("\"encoder\": \"vae_encoder.onnx\"", "\"encoder\": null"));
        GenerationRequest request = request().image(Content.file(picture(64, 64))).build();
        try (Engine engine = Engine.open(Tiny.options(1).withModel(bundle))) {
            BadRequestException e =
                    assertThrows(BadRequestException.class, () -> engine.submit(request).join());
            assertTrue(e.getMessage().contains("vae.encoder"), e.getMessage());
            assertTrue(e.getMessage().contains("asg bundle"), e.getMessage());
        }
    }
}
