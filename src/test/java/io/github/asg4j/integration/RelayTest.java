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
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.LegOptions;
import io.github.asg4j.LegOptions.Preset;
import io.github.asg4j.LegOptions.Views;
import io.github.asg4j.MethodOptions.RelayOptions;
import io.github.asg4j.PlanReport;
import io.github.asg4j.RelayStage;
import io.github.asg4j.ReportJson;
import io.github.asg4j.StageReport;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.Npy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import javax.imageio.ImageIO;

/** Relays of stages; the values of their latents are in {@link GoldenPipelineTest}. */
class RelayTest {
    @TempDir private Path folder = Path.of("");

    private static GenerationRequest.Builder request(LegOptions legs) {
        return Tiny.request().options(RelayOptions.DEFAULT.withLegs(legs)).steps(5);
    }

    private static GenerationRequest.Builder stages(String table) {
        return request(LegOptions.DEFAULT.withStages(RelayStage.table(table)));
    }

    private static GeneratedImage draw(GenerationRequest.Builder request) {
        try (Engine engine = Engine.open(Tiny.options(2))) {
            return engine.submit(request.build()).join();
        }
    }

    private static PlanReport plan(GenerationRequest.Builder request) {
        try (Engine engine = Engine.open(Tiny.options(1))) {
            return engine.plan(request.build());
        }
    }

    /**
     * Evaluations of 50 steps in native windows half their size apart: RectifiedHR 30 + 20 * 9 at 2x, 40
     * + 7 * 16 + 3 * 49 at 4x, and so on.
     */
    @ParameterizedTest
    @CsvSource({
        "RECTIFIEDHR, 128, 210",
        "RECTIFIEDHR, 256, 299",
        "FRECAS, 128, 130",
        "FRECAS, 256, 810",
        "DIFFUSEHIGH, 128, 245",
        "DIFFUSEHIGH, 256, 1295",
        "MEGAFUSION, 128, 130",
        "HIRES_FIX, 128, 500"
    })
    void evaluationsAreThoseOfThePapersSteps(Preset preset, int size, long evaluations) {
        LegOptions legs = LegOptions.DEFAULT.withPreset(preset);
        PlanReport whole = plan(request(legs).size(size, size).steps(50));
        PlanReport windows =
                plan(request(legs.withViews(Views.WINDOWS)).size(size, size).steps(50));
        assertEquals(evaluations, windows.guidedEvaluations());
        assertEquals((double) evaluations, windows.nativeEvaluations(), "views are of native size");
        assertEquals(
                whole.stages().stream().mapToLong(StageReport::steps).sum(),
                whole.guidedEvaluations(),
                "one view a step where the latents are whole");
        assertTrue(whole.nativeEvaluations() > whole.guidedEvaluations(), "larger views");
        assertEquals(
                whole.stages().stream()
                        .mapToDouble(
                                s ->
                                        s.steps()
                                                * s.viewLatents().width()
                                                * s.viewLatents().height()
                                                / 64.0)
                        .sum(),
                whole.nativeEvaluations(),
                1e-9);
    }

    @Test
    void thePlanTellsStagesTheirSizesAndWhatTheyAreTold() {
        LegOptions legs = LegOptions.DEFAULT.withPreset(Preset.FRECAS);
        PlanReport plan = plan(request(legs).size(256, 256).steps(50));
        List<String> rows =
                plan.stages().stream()
                        .map(s -> ((StageReport.Leg) s.settings()).row())
                        .map(RelayStage::toString)
                        .toList();
        assertEquals(
                List.of(
                        "1x t999..400/30 enlarge=nearest told=native",
                        "2x t606..200/5 guidance=4.666666666666667 low=1 enlarge=nearest"
                                + " told=native",
                        "full t395..0/15 guidance=4.666666666666667 low=1 enlarge=nearest"
                                + " told=native"),
                rows);
        StageReport.Leg last = (StageReport.Leg) plan.stages().getLast().settings();
        assertEquals(64, last.told().width());
        assertEquals(32, last.windows().canvasLatents().width());
        assertEquals(35, last.windows().guidanceScale(), 1e-12);
        assertEquals(7.5, last.lowBand().guidanceScale());
        // One before each refresh, and the low band of every step is of the whole canvas.
        assertEquals(2 + 5 + 15, plan.barriers());
    }

    @Test
    void tablesAreReadAsTheyAreWritten() {
        String text =
                "1x 0..0.6 density=0.5; 1.5x t606..200/5 guidance=2 low=1 windows=0.75 sharpen=1"
                        + " hold=0.25 lowpass=db4; full 0.6..1 enlarge=upscaler told=picture";
        assertEquals(text, RelayStage.text(RelayStage.table(text)));
        assertEquals(
                RelayStage.table(text),
                RelayStage.table(" 1X  0..0.6  density=0.5 ;" + text.substring(22) + ";"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "1x 0.6..0.2 | noise has to fall within a stage",
                "1x t200..400/5 | timesteps have to fall within a stage",
                "0.5x 0..1 | below native size",
                "2x 0..1 | a relay begins at native size",
                "1x 0..0.5; 2x 0.5..1; 1.5x 0.5..1 | stands behind one of 2.0x",
                "1x 0..0.5; full 0.5..1; 2x 0.5..1 | stands before others",
                "1x 0..0.5; 3x 0.5..1 | the picture is 2x of native size",
                "1x 0..0.5; 1.5x 0.5..1 | the picture is 2x of native size",
                "1x 0..0.5; full 0.5..1 size=3 | is no setting of a stage",
                "1x | has no size or no noise levels",
                "1x 0-1 | are no noise levels",
                "1x t99..0 | are no noise levels",
                "big 0..1 | is no size of a stage",
                "1x 0..1 density=x | the density of a stage",
                "1x t99..0/3 density=2 | leave it out",
                "1x 0..1 told=all | the told of a stage",
                "1x t1000..0/5; full 0.5..1 | was trained on 0 to 999"
            })
    void wrongTablesAreRefused(String table, String part) {
        BadRequestException e = assertThrows(BadRequestException.class, () -> plan(stages(table)));
        assertTrue(e.getMessage().contains(part), e.getMessage());
    }

    @Test
    void whatDoesNotGoTogetherIsRefused() {
        LegOptions usual = LegOptions.DEFAULT;
        refused(
                "not both",
                () -> usual.withPreset(Preset.FRECAS).withStages(RelayStage.table("1x 0..1")));
        refused(
                "names its timesteps",
                () -> plan(request(usual.withPreset(Preset.FRECAS)).spacing("trailing")));
        refused(
                "leaves the stage",
                () ->
                        plan(
                                stages("1x 0..1; full 0..0.5")
                                        .options(
                                                RelayOptions.DEFAULT.withLegs(
                                                        usual.withStages(
                                                                RelayStage.table(
                                                                        "1x 0..1; full 0..0.5"))))
                                        .strength(0.4)));
        refused(
                "has no upscalers",
                () -> plan(request(usual.withEnlarge(RelayStage.Enlarge.UPSCALER))));
        refused(
                "no guidance scale and no background",
                () -> RelayOptions.DEFAULT.withWindows(WindowOptions.DEFAULT.withGuidanceScale(2)));
        Content picture = Content.file(Tiny.resource("goldens").resolve("start.png"));
        refused("its native size", () -> plan(request(usual).size(64, 64).image(picture)));
        refused(
                "has no latents to enlarge",
                () -> plan(request(usual.withPreset(Preset.HIRES_FIX)).image(picture)));
    }

    private static void refused(String part, Runnable action) {
        BadRequestException e = assertThrows(BadRequestException.class, action::run);
        assertTrue(e.getMessage().contains(part), e.getMessage());
    }

    @Test
    void withoutAnEncoderOnlyLatentsAreEnlarged() throws IOException {
        Path bundle =
                Tiny.changed(
                        "tiny",
                        Files.createDirectory(folder.resolve("bundle")),
                        m -> m.withObject("vae").putNull("encoder"));
        try (Engine engine = Engine.open(Tiny.options(1).withModel(bundle))) {
            BadRequestException e =
                    assertThrows(
                            BadRequestException.class,
                            () -> engine.plan(request(LegOptions.DEFAULT).build()));
            assertTrue(e.getMessage().contains("vae.encoder"), e.getMessage());
            assertTrue(e.getMessage().contains("--enlarge latent"), e.getMessage());
            LegOptions latent = LegOptions.DEFAULT.withEnlarge(RelayStage.Enlarge.LATENT);
            engine.submit(request(latent).build()).join();
        }
    }

    @Test
    void atNativeSizeItIsDirectInference() {
        assertEquals(
                Tiny.hash(draw(Tiny.request().method("direct").steps(5).size(64, 64))),
                Tiny.hash(draw(request(LegOptions.DEFAULT).size(64, 64))));
    }

    /** Windows, low frequencies apart, and step noise, which is drawn by cells of the canvas. */
    @ParameterizedTest
    @EnumSource(Preset.class)
    void bytesAreTheSameForAnyWorkers(Preset preset) {
        GenerationRequest.Builder builder =
                request(LegOptions.DEFAULT.withPreset(preset).withViews(Views.WINDOWS));
        if (preset == Preset.RECTIFIEDHR) {
            builder.eta(1);
        }
        GenerationRequest request = builder.build();
        TestEngines.assertSameBytesForAnyWorkers(request);
    }

    @Test
    void optionsChangeThePictureAndAreReported() {
        LegOptions megaFusion = LegOptions.DEFAULT.withPreset(Preset.MEGAFUSION);
        GeneratedImage usual = draw(request(megaFusion));
        var json = ReportJson.map(usual.report());
        assertEquals("megafusion", json.get("preset"));
        assertEquals("1x 0..0.8; full 0.8..1", json.get("stages"));
        assertEquals("ddim", json.get("scheduler"));
        assertEquals(7.0, json.get("guidance_scale"));
        for (GenerationRequest.Builder other :
                List.of(
                        request(megaFusion.withEnlarge(RelayStage.Enlarge.NEAREST)),
                        request(megaFusion.withEnlarge(RelayStage.Enlarge.LATENT)),
                        request(megaFusion.withViews(Views.WINDOWS)),
                        request(megaFusion).strength(0.6))) {
            assertNotEquals(Tiny.hash(usual), Tiny.hash(draw(other)), "" + other.build());
        }
    }

    /** The strength is how far a given picture is noised: a share of the schedule. */
    @Test
    void aGivenPictureTakesThePlaceOfTheFirstStage() {
        Content picture = Content.file(Tiny.resource("goldens").resolve("start.png"));
        LegOptions legs = LegOptions.DEFAULT.withPreset(Preset.MEGAFUSION);
        GeneratedImage image = draw(request(legs).image(picture).strength(0.4));
        assertEquals(1, image.report().plan().stages().size());
        assertEquals(2, image.report().plan().guidedEvaluations());
        assertNotEquals(
                Tiny.hash(image), Tiny.hash(draw(request(legs).image(picture).strength(0.8))));
    }

    /** In every stage, of any size, kept cells end as the start picture's own latents at that size. */
    @ParameterizedTest
    @CsvSource({"0", "0.5"})
    void keptCellsAreTheStartPicturesAtTheSizeOfEachStage(double hold) throws IOException {
        String table =
                "1x 0..0.6; 1.5x 0.4..0.8 windows=0.5 hold=" + hold + "; full 0.6..1 hold=" + hold;
        InpaintOptions left = InpaintOptions.DEFAULT.withMask(leftHalf());
        Path painted = Files.createDirectory(folder.resolve("painted"));
        draw(stages(table).size(128, 128).image(start()).inpaint(left).dumpDirectory(painted));
        for (int size : new int[] {96, 128}) {
            Path own = Files.createDirectory(folder.resolve("direct" + size));
            draw(
                    Tiny.request()
                            .method("direct")
                            .size(size, size)
                            .steps(2)
                            .image(start())
                            .dumpDirectory(own));
            float[] given = values(own.resolve("start.npy"));
            Path stage =
                    painted.resolve(
                            size == 96 ? "relay2-001-latents.npy" : "relay3-001-latents.npy");
            float[] drawn = values(stage);
            int cells = size / 8;
            int changed = 0;
            for (int i = 0; i < given.length; i++) {
                if (i % cells >= cells / 2) {
                    assertEquals(given[i], drawn[i], 1e-6f * Math.max(1, Math.abs(given[i])));
                } else {
                    changed += given[i] == drawn[i] ? 0 : 1;
                }
            }
            assertTrue(changed > given.length * 0.4, changed + " values changed");
        }
    }

    private static Content start() {
        return Content.file(Tiny.resource("goldens").resolve("start-2x.png"));
    }

    /** White in the left half of 128 x 128 pixels. */
    private static Content leftHalf() throws IOException {
        BufferedImage image = new BufferedImage(128, 128, BufferedImage.TYPE_INT_RGB);
        Graphics2D graphics = image.createGraphics();
        graphics.setColor(Color.WHITE);
        graphics.fillRect(0, 0, 64, 128);
        graphics.dispose();
        ByteArrayOutputStream png = new ByteArrayOutputStream();
        ImageIO.write(image, "png", png);
        return Content.bytes(png.toByteArray());
    }

    private static float[] values(Path file) {
        try (Memory memory = new Memory("test")) {
            return Npy.read(
                            Content.file(file),
                            Npy.Type.FLOAT32,
                            (b, a) -> memory.allocate(b, "npy"))
                    .data()
                    .toArray(ValueLayout.JAVA_FLOAT);
        }
    }
}
