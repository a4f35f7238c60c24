// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.DilationOptions;
import io.github.asg4j.DilationOptions.Course;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions.ScaleCrafterOptions;
import io.github.asg4j.StageReport;
import io.github.asg4j.Tiny;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.schedule.NoiseLevels;
import io.github.asg4j.schedule.Solver;
import io.github.asg4j.schedule.Spacing;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** The published tables at the published sizes, and what options change. */
class ScaleCrafterTest {
    private static final List<String> THREE_LEVELS =
            List.of(
                    "down_blocks.0",
                    "down_blocks.0.downsamplers",
                    "down_blocks.1",
                    "down_blocks.1.downsamplers",
                    "down_blocks.2",
                    "mid_block",
                    "up_blocks.0",
                    "up_blocks.1",
                    "up_blocks.2");
    private static final List<String> FOUR_LEVELS =
            List.of(
                    "down_blocks.0",
                    "down_blocks.0.downsamplers",
                    "down_blocks.1",
                    "down_blocks.1.downsamplers",
                    "down_blocks.2",
                    "down_blocks.2.downsamplers",
                    "down_blocks.3",
                    "mid_block",
                    "up_blocks.0",
                    "up_blocks.1",
                    "up_blocks.2",
                    "up_blocks.3");

    /** A network: cells of a native latent, and how many there are per cell of its deepest level. */
    enum Model {
        SDXL(128, 4),
        SD(64, 8),
        DEMO(16, 4);

        final int nativeSize;
        final int multiple;

        Model(int nativeSize, int multiple) {
            this.nativeSize = nativeSize;
            this.multiple = multiple;
        }

        List<String> groups() {
            return this == SD ? FOUR_LEVELS : THREE_LEVELS;
        }

        Canvas canvas(int width, int height) {
            return Canvas.of(
                    width,
                    height,
                    8,
                    multiple,
                    4,
                    nativeSize,
                    nativeSize,
                    GuideOptions.PatchAspect.AXIS);
        }
    }

    private static Manifest manifest(Model model, @Nullable String file) {
        return new Manifest(
                1,
                "a model",
                "Apache-2.0",
                "test",
                new Manifest.Latent(
                        4,
                        model.nativeSize,
                        model.nativeSize,
                        8,
                        1,
                        0,
                        model.multiple,
                        Manifest.Latent.UNLIMITED),
                List.of(),
                new Manifest.Denoiser(
                        "denoiser.onnx",
                        file,
                        file == null ? List.of() : model.groups(),
                        "epsilon",
                        "fp32",
                        Tiny.DENOISER_INPUTS,
                        List.of(),
                        false,
                        320,
                        8),
                new Manifest.Vae("vae_decoder.onnx", null, "fp32", null, null, null, 256, true),
                List.of(),
                new Manifest.Scheduler(
                        new NoiseLevels.Betas("epsilon", "scaled_linear", 0.00085, 0.012, 1000, 1),
                        Solver.EULER,
                        Spacing.LEADING),
                new Manifest.Conditioning(true, true, true, 0, 0),
                new Manifest.Defaults(50, 5, 0.75, "asg"),
                null,
                null,
                null,
                Map.of());
    }

    private static List<Stage> stages(
            Model model, int width, int height, DilationOptions options, double guidance) {
        GenerationRequest request =
                GenerationRequest.builder("a ball")
                        .size(width, height)
                        .method("scalecrafter")
                        .options(ScaleCrafterOptions.DEFAULT.withDilation(options))
                        .build();
        Setting setting =
                new Setting(
                        request,
                        manifest(model, "denoiser_dilated.onnx"),
                        model.canvas(width, height),
                        50,
                        0,
                        guidance);
        return Method.of(request).stages(setting);
    }

    private static Stage.Dilated dilated(
            Model model, int width, int height, DilationOptions options) {
        return assertInstanceOf(
                Stage.Dilated.class, stages(model, width, height, options, 5).getFirst());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                // published: of SDXL's table the groups that its UNet has
                "SDXL|2048|2048|30|0|mid_block=2,up_blocks.0=2|",
                "SDXL|2560|2560|30|0|mid_block=2.5,up_blocks.0=2.5|",
                "SDXL|4096|4096|35|35|down_blocks.2=4,mid_block=4,up_blocks.0=4,up_blocks.1=3,"
                        + "up_blocks.2=2|mid_block=2,up_blocks.0=2",
                "SDXL|4096|2048|35|35|down_blocks.2=3,mid_block=4,up_blocks.0=4,up_blocks.1=3,"
                        + "up_blocks.2=2|mid_block=2,up_blocks.0=2",
                "SD|1024|1024|30|0|down_blocks.1=2,down_blocks.1.downsamplers=2,down_blocks.2=2,"
                        + "down_blocks.2.downsamplers=2,down_blocks.3=2,mid_block=2,up_blocks.0=2,"
                        + "up_blocks.1=2,up_blocks.2=2|",
                "SD|1280|1280|35|0|down_blocks.1=2.5,down_blocks.1.downsamplers=2.5,"
                        + "down_blocks.2=2.5,down_blocks.2.downsamplers=2.5,down_blocks.3=2.5,"
                        + "mid_block=2.5,up_blocks.0=2.5,up_blocks.1=2.5,up_blocks.2=2.5|",
                "SD|2048|1024|35|35|down_blocks.1=2,down_blocks.1.downsamplers=2,down_blocks.2=3,"
                    + "down_blocks.2.downsamplers=3,down_blocks.3=4,mid_block=4,up_blocks.0=4,"
                    + "up_blocks.1=3,up_blocks.2=2|down_blocks.2=3,down_blocks.2.downsamplers=3,"
                    + "down_blocks.3=4,mid_block=4,up_blocks.0=4,up_blocks.1=3",
                // not published: the demo's network is cut as Stable Diffusion's
                "DEMO|256|256|30|0|down_blocks.1=2,down_blocks.1.downsamplers=2,down_blocks.2=2,"
                        + "mid_block=2,up_blocks.0=2,up_blocks.1=2|",
                "DEMO|512|512|35|35|down_blocks.1=3,down_blocks.1.downsamplers=3,down_blocks.2=4,"
                        + "mid_block=4,up_blocks.0=4,up_blocks.1=3|down_blocks.2=4,mid_block=4,"
                        + "up_blocks.0=4",
                // nor are these sizes
                "SDXL|3072|3072|30|0|mid_block=3,up_blocks.0=3|",
                "SDXL|1024|2048|30|0|mid_block=2,up_blocks.0=2|",
                "SDXL|1536|1536|30|0|mid_block=1.5,up_blocks.0=1.5|",
                "SDXL|2176|1024|30|0|mid_block=2,up_blocks.0=2|",
            })
    void tables(
            Model model,
            int width,
            int height,
            int steps,
            int dampedSteps,
            String factors,
            @Nullable String damped) {
        Stage.Dilated stage = dilated(model, width, height, DilationOptions.DEFAULT);
        assertEquals(steps, stage.steps());
        assertEquals(dampedSteps, stage.dampedSteps());
        StageReport.Dilated settings = stage.settings();
        assertEquals(factors(factors), settings.dilation());
        assertEquals(damped == null ? Map.of() : factors(damped), settings.damping());
        assertEquals(dampedSteps > 0 ? Course.PROGRESSIVE : Course.CONSTANT, settings.course());
        Stage rest = stages(model, width, height, DilationOptions.DEFAULT, 5).getLast();
        assertEquals(steps, rest.firstStep());
        assertEquals(50 - steps, rest.steps());
        assertEquals(rest.viewHeight(), stage.viewHeight());
        assertEquals(rest.viewWidth(), stage.viewWidth());
    }

    /** Steps of a factor of 4, 3 and 2 in SDXL's 35 dilated steps at 4096 x 4096. */
    @Test
    void progressiveCourse() {
        Stage.Dilated stage = dilated(Model.SDXL, 4096, 4096, DilationOptions.DEFAULT);
        for (int k = 0; k < 35; k++) {
            assertEquals(k <= 8 ? 4 : k <= 17 ? 3 : 2, stage.dilation().at("mid_block", k));
            assertEquals(k <= 11 ? 3 : 2, stage.dilation().at("up_blocks.1", k));
            assertEquals(2, stage.dilation().at("up_blocks.2", k));
            assertEquals(1, stage.dilation().at("down_blocks.0", k));
            assertEquals(2, stage.damping().at("mid_block", k));
        }
        // One view a step and a damped row in each of 35: 35 + 35/2, rounded up, and 70 calls.
        assertEquals(53, stage.evaluations());
        assertEquals(70, stage.runs(1));
    }

    @Test
    void nativeSizeIsDirect() {
        List<Stage> stages = stages(Model.SDXL, 1024, 1024, DilationOptions.DEFAULT, 5);
        assertEquals(1, stages.size());
        assertInstanceOf(Stage.Windows.class, stages.getFirst());
        assertEquals(50, stages.getFirst().steps());
    }

    /** Of "mid_block=2,up_blocks.0=2.5". */
    private static Map<String, Double> factors(String text) {
        return Arrays.stream(text.split(","))
                .map(part -> part.split("="))
                .collect(Collectors.toMap(pair -> pair[0], pair -> Double.valueOf(pair[1])));
    }

    @Test
    void optionsReplaceTheTable() {
        DilationOptions asked =
                DilationOptions.DEFAULT
                        .withFactors(
                                Map.of("down_blocks", 3.0, "down_blocks.1", 2.5, "mid_block", 1.0))
                        .withShare(1)
                        .withCourse(Course.PROGRESSIVE);
        List<Stage> stages = stages(Model.SDXL, 2048, 2048, asked, 5);
        assertEquals(1, stages.size(), "all steps are dilated");
        Stage.Dilated stage = (Stage.Dilated) stages.getFirst();
        assertEquals(
                factors(
                        "down_blocks.0=3,down_blocks.0.downsamplers=3,down_blocks.1=2.5,"
                                + "down_blocks.1.downsamplers=2.5,down_blocks.2=3,mid_block=1"),
                stage.settings().dilation());
        assertEquals(0, stage.dampedSteps());
        // named factors without a share are for all dilated steps
        Stage.Dilated damped =
                dilated(
                        Model.SDXL,
                        2048,
                        2048,
                        DilationOptions.DEFAULT.withDampedFactors(Map.of("mid_block", 1.5)));
        assertEquals(30, damped.dampedSteps());
        assertEquals(1.5, damped.damping().at("mid_block", 3));
        assertEquals(
                12,
                dilated(Model.SDXL, 4096, 4096, DilationOptions.DEFAULT.withShare(0.24))
                        .dampedSteps(),
                "never more damped than dilated steps");
        Stage.Dilated unguided =
                (Stage.Dilated)
                        stages(Model.SDXL, 4096, 4096, DilationOptions.DEFAULT, 1).getFirst();
        assertEquals(0, unguided.dampedSteps(), "without guidance there is nothing to damp");
    }

    @Test
    void unknownBlocksAndImpossibleSettingsAreRefused() {
        DilationOptions unknown = DilationOptions.DEFAULT.withFactors(Map.of("mid", 2.0));
        assertTrue(
                refusal(Model.SDXL, unknown).contains("\"mid\": the bundle has down_blocks.0, "));
        DilationOptions damped = DilationOptions.DEFAULT.withDampedFactors(Map.of("up", 2.0));
        assertTrue(refusal(Model.SDXL, damped).contains("\"up\""));
        GenerationRequest request =
                GenerationRequest.builder("a ball").method("scalecrafter").build();
        Canvas canvas = Model.SDXL.canvas(2048, 2048);
        Setting plain = new Setting(request, manifest(Model.SDXL, null), canvas, 50, 0, 5);
        String message =
                assertThrows(BadRequestException.class, () -> Method.of(request).stages(plain))
                        .getMessage();
        assertTrue(message.contains("denoiser_dilated.onnx"), message);
        assertTrue(message.contains("dilated_file"), message);
        assertTrue(message.contains("asg bundle CHECKPOINT --out BUNDLE"), message);
    }

    private static String refusal(Model model, DilationOptions options) {
        return assertThrows(BadRequestException.class, () -> stages(model, 2048, 2048, options, 5))
                .getMessage();
    }
}
