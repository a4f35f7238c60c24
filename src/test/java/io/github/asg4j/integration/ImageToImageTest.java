// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.DilationOptions;
import io.github.asg4j.Engine;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.ImageFit;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.MethodOptions.ScaleCrafterOptions;
import io.github.asg4j.PlanReport;
import io.github.asg4j.ReportJson;
import io.github.asg4j.RequestJson;
import io.github.asg4j.StageReport;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.image.PngParameters;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Collectors;

import javax.imageio.ImageIO;

/**
 * Pictures that are drawn from another one, by noise of a middle level; the values of their latents are
 * in {@link GoldenPipelineTest}.
 */
class ImageToImageTest {
    private static final Content SQUARE = picture("start.png");
    private static final Content WIDE = picture("start-wide.png");

    @TempDir private Path folder = Path.of("");

    private static Content picture(String name) {
        return Content.file(Tiny.resource("goldens").resolve(name));
    }

    private static GenerationRequest.Builder request(String method) {
        return Tiny.request().method(method).steps(10).size(128, 128).image(SQUARE);
    }

    private static PlanReport plan(GenerationRequest.Builder request) {
        try (Engine engine =
                Engine.open(Tiny.options(1).withModel(Tiny.resource("tiny-methods")))) {
            return engine.plan(request.build());
        }
    }

    private static GeneratedImage draw(GenerationRequest.Builder request) {
        try (Engine engine = Engine.open(Tiny.options(2))) {
            return engine.submit(request.build()).join();
        }
    }

    /** As diffusers rounds: the share of the schedule down, one step at least. */
    @ParameterizedTest
    @CsvSource({
        "direct, 1, denoise 10",
        "direct, 0.75, denoise 7",
        "direct, 0.7, denoise 7",
        "direct, 0.01, denoise 1",
        "multidiffusion, 0.29, denoise 2",
        "asg, 1, stage1 7 stage2 3",
        "asg, 0.9, stage1 6 stage2 3",
        "asg, 0.3, stage2 3",
        "asg, 0.2, stage2 2",
        "cutdiffusion, 0.8, stage1 3 stage2 5",
        "scalecrafter, 0.8, dilated 4 denoise 4",
        "scalecrafter, 0.4, denoise 4"
    })
    void strengthIsAShareOfTheSchedule(String method, double strength, String stages) {
        GenerationRequest.Builder request = request(method).strength(strength);
        if (method.equals("scalecrafter")) {
            DilationOptions half = DilationOptions.DEFAULT.withFactors(Map.of("mid_block", 2.0));
            request.options(ScaleCrafterOptions.DEFAULT.withDilation(half.withShare(0.6)));
        }
        PlanReport plan = plan(request);
        assertEquals(
                stages,
                plan.stages().stream()
                        .map(stage -> stage.name() + " " + stage.steps())
                        .collect(Collectors.joining(" ")));
        assertEquals(10, plan.steps());
    }

    /** The last share of the noise levels of the whole schedule, not a schedule of fewer steps. */
    @Test
    void noiseLevelsAreThoseOfTheWholeSchedule() {
        PlanReport half = plan(request("direct").strength(0.5));
        assertEquals(5, half.stages().stream().mapToInt(StageReport::steps).sum());
        GeneratedImage weak = draw(request("direct").strength(0.5));
        GeneratedImage strong = draw(request("direct").strength(0.6));
        assertNotEquals(Tiny.hash(weak), Tiny.hash(strong));
    }

    @ParameterizedTest
    @ValueSource(strings = {"asg", "cutdiffusion", "multidiffusion", "direct"})
    void bytesAreTheSameForAnyWorkers(String method) {
        GenerationRequest request =
                request(method).size(128, 64).imageFit(ImageFit.CROP).strength(0.8).build();
        TestEngines.assertSameBytesForAnyWorkers(request);
    }

    @Test
    void aPictureOfAnotherAspectIsFittedAsAsked() {
        refused("--image-fit crop, pad or stretch", () -> draw(request("direct").image(WIDE)));
        refused("--size 128x64", () -> draw(request("direct").image(WIDE)));
        String crop = null;
        for (ImageFit fit : new ImageFit[] {ImageFit.CROP, ImageFit.PAD, ImageFit.STRETCH}) {
            String hash = Tiny.hash(draw(request("direct").image(WIDE).imageFit(fit)));
            assertNotEquals(crop, hash);
            crop = crop == null ? hash : crop;
        }
        // Of its own aspect there is nothing to fit.
        assertEquals(
                Tiny.hash(draw(request("direct").size(128, 64).image(WIDE))),
                Tiny.hash(
                        draw(request("direct").size(128, 64).image(WIDE).imageFit(ImageFit.PAD))));
    }

    @Test
    void theReportSaysFromWhatAndHowFar() {
        GeneratedImage image = draw(request("asg").imageFit(ImageFit.CROP).strength(0.9));
        var json = ReportJson.map(image.report());
        assertEquals(0.9, json.get("strength"));
        assertEquals("crop", json.get("image_fit"));
        assertEquals(10, json.get("steps"));
        String text = PngParameters.text(image.report());
        assertTrue(text.contains("Denoising strength: 0.9"), text);
        assertTrue(text.contains("Image fit: crop"), text);
        var usual = ReportJson.map(draw(request("direct")).report());
        assertEquals(0.75, usual.get("strength"));
        assertEquals(null, usual.get("image_fit"));
    }

    @Test
    void requestsAreReadBack() {
        GenerationRequest request =
                request("asg").strength(0.4).imageFit(ImageFit.STRETCH).image(SQUARE).build();
        assertEquals(request, RequestJson.read(RequestJson.write(request)));
    }

    private static GenerationRequest.Builder painted(String method, InpaintOptions inpaint) {
        return request(method).image(picture("start-2x.png")).strength(0.8).inpaint(inpaint);
    }

    private static byte[] rgb(GeneratedImage image) {
        byte[] rgb = new byte[image.rgb().remaining()];
        image.rgb().duplicate().get(rgb);
        return rgb;
    }

    /** Where the mask is black the bytes are those of the given picture; white parts are drawn. */
    @ParameterizedTest
    @ValueSource(strings = {"asg", "cutdiffusion", "multidiffusion", "direct", "relay"})
    void whatIsNotMaskedKeepsItsBytes(String method) throws IOException {
        InpaintOptions inpaint = InpaintOptions.DEFAULT.withMask(picture("mask-2x.png"));
        byte[] drawn = rgb(draw(painted(method, inpaint)));
        byte[] inverse = rgb(draw(painted(method, inpaint.withInverted(true))));
        BufferedImage given = image("start-2x.png");
        BufferedImage mask = image("mask-2x.png");
        int changed = 0;
        for (int y = 0; y < 128; y++) {
            for (int x = 0; x < 128; x++) {
                boolean white = (mask.getRGB(x, y) & 255) == 255;
                int kept = given.getRGB(x, y) & 0xffffff;
                assertEquals(kept, pixel(white ? inverse : drawn, x, y), x + "," + y);
                changed += pixel(white ? drawn : inverse, x, y) == kept ? 0 : 1;
            }
        }
        assertTrue(changed > 128 * 128 * 0.9, changed + " pixels changed");
    }

    private static BufferedImage image(String name) throws IOException {
        return ImageIO.read(Tiny.resource("goldens").resolve(name).toFile());
    }

    private static int pixel(byte[] rgb, int x, int y) {
        int at = 3 * (128 * y + x);
        return (rgb[at] & 255) << 16 | (rgb[at + 1] & 255) << 8 | (rgb[at + 2] & 255);
    }

    @ParameterizedTest
    @ValueSource(strings = {"asg", "cutdiffusion", "multidiffusion", "relay"})
    void paintedBytesAreTheSameForAnyWorkers(String method) {
        InpaintOptions inpaint =
                InpaintOptions.DEFAULT.withMask(picture("mask-2x.png")).withBlur(3);
        GenerationRequest request = painted(method, inpaint).viewBatch(2).build();
        TestEngines.assertSameBytesForAnyWorkers(request);
    }

    @Test
    void masksThatMakeNoSenseAreRefused() {
        InpaintOptions mask = InpaintOptions.DEFAULT.withMask(picture("mask-2x.png"));
        refused("64x64", () -> draw(request("direct").inpaint(mask)));
        refused("give one with --image", () -> plan(request("direct").image(null).inpaint(mask)));
        refused("paints in none", () -> plan(request("superres").inpaint(mask)));
        refused(
                "needs the mask",
                () -> plan(request("asg").inpaint(mask.withMask(null).withBlur(2))));
        refused("between 0 and 64", () -> mask.withBlur(-1));
        Content white = picture("start-2x.png");
        Path black = folder.resolve("black.png");
        try {
            ImageIO.write(
                    new BufferedImage(128, 128, BufferedImage.TYPE_INT_RGB), "png", black.toFile());
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
        refused(
                "leaves nothing to draw",
                () ->
                        draw(
                                request("direct")
                                        .image(white)
                                        .inpaint(mask.withMask(Content.file(black)))));
    }

    @Test
    void theReportSaysWhatWasPainted() {
        InpaintOptions inpaint =
                InpaintOptions.DEFAULT
                        .withMask(picture("mask-2x.png"))
                        .withBlur(2)
                        .withInverted(true);
        GeneratedImage image = draw(painted("direct", inpaint));
        var json = ReportJson.map(image.report());
        assertTrue(String.valueOf(json.get("inpaint")).endsWith("mask-2x.png"));
        assertEquals(2.0, json.get("inpaint_blur"));
        assertEquals(true, json.get("inpaint_inverted"));
        String text = PngParameters.text(image.report());
        assertTrue(text.contains("Mask blur: 2, Inpaint inverted: true"), text);
        GenerationRequest request = painted("direct", inpaint).build();
        assertEquals(request, RequestJson.read(RequestJson.write(request)));
    }

    @Test
    void whatHasNoMeaningIsRefused() throws IOException {
        refused("give one with --image", () -> plan(request("asg").image(null).strength(0.5)));
        refused("has no strength", () -> plan(request("demofusion").strength(0.5)));
        refused("between 0.01 and 1", () -> request("asg").strength(0).build());
        refused("between 0.01 and 1", () -> request("asg").strength(Double.NaN).build());
        Path bundle =
                Tiny.changed(
                        "tiny",
                        Files.createDirectory(folder.resolve("bundle")),
                        m -> m.withObject("vae").putNull("encoder"));
        try (Engine engine = Engine.open(Tiny.options(1).withModel(bundle))) {
            refused(
                    "asg bundle CHECKPOINT --out BUNDLE",
                    () -> engine.plan(request("asg").build()));
        }
    }

    private static void refused(String part, Runnable action) {
        BadRequestException e = assertThrows(BadRequestException.class, action::run);
        assertTrue(String.valueOf(e.getMessage()).contains(part), e.getMessage());
    }

    /** A picture of just the pixels that the borders leave keeps them; what lies beside it is drawn. */
    @ParameterizedTest
    @ValueSource(strings = {"asg", "direct", "multidiffusion", "cutdiffusion", "relay"})
    void whatLiesBesideThePictureIsDrawn(String method) throws IOException {
        InpaintOptions beside =
                InpaintOptions.DEFAULT.withBorders(InpaintOptions.Borders.parse("40, 24,24,40"));
        GenerationRequest.Builder request = request(method).strength(1).inpaint(beside);
        byte[] drawn = rgb(draw(request));
        byte[] other = rgb(draw(request.seed(99)));
        BufferedImage start = image("start.png");
        assertEquals(64, start.getWidth());
        int changed = 0;
        for (int y = 0; y < 128; y++) {
            for (int x = 0; x < 128; x++) {
                int rgb = pixel(drawn, x, y);
                if (x >= 40 && x < 104 && y >= 24 && y < 88) {
                    assertEquals(start.getRGB(x - 40, y - 24) & 0xFFFFFF, rgb, x + ", " + y);
                } else {
                    changed += rgb == pixel(other, x, y) ? 0 : 1;
                }
            }
        }
        assertTrue(changed > 128 * 64, changed + " pixels depend on the seed");
    }

    @Test
    void bordersThatCannotBeDrawnAreRefused() {
        InpaintOptions none = InpaintOptions.DEFAULT;
        InpaintOptions wide = none.withBorders(new InpaintOptions.Borders(64, 0, 64, 0));
        refused("no room for the start picture", () -> plan(request("asg").inpaint(wide)));
        InpaintOptions left = none.withBorders(new InpaintOptions.Borders(64, 0, 0, 0));
        refused("give one with --image", () -> plan(request("asg").image(null).inpaint(left)));
        refused("paints in none", () -> plan(request("superres").inpaint(left)));
        refused("64x128", () -> draw(request("direct").inpaint(left)));
        for (String text : new String[] {"1,2,3", "1,2,3,4,5", "a,0,0,0", "-1,0,0,0", ""}) {
            refused(
                    "",
                    () ->
                            plan(
                                    request("asg")
                                            .inpaint(
                                                    none.withBorders(
                                                            InpaintOptions.Borders.parse(text)))));
        }
        GeneratedImage image =
                draw(request("direct").strength(0.5).imageFit(ImageFit.CROP).inpaint(left));
        assertEquals("64,0,0,0", ReportJson.map(image.report()).get("outpaint"));
        assertTrue(PngParameters.text(image.report()).contains("Outpaint: 64 0 0 0, Mask blur: 0"));
    }
}
