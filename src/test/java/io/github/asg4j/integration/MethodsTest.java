// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.AttentionReport;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.MethodOptions.MultiDiffusionOptions;
import io.github.asg4j.PatchReport;
import io.github.asg4j.ReportJson;
import io.github.asg4j.StageReport;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;

/** What methods have in common, what tells them apart, and what a listener is told of stage 1. */
class MethodsTest {
    private static GeneratedImage draw(int workers, GenerationRequest request) {
        try (Engine engine = TestEngines.open(Tiny.options(workers), WorkerHook.NONE)) {
            return engine.submit(request).join();
        }
    }

    private static String hash(GenerationRequest.Builder request) {
        return Tiny.hash(draw(2, request.build()));
    }

    @Test
    void cutDiffusionIsAsgWithoutGuide() {
        WindowOptions uniform =
                WindowOptions.DEFAULT.withWeight(WindowOptions.Weight.UNIFORM).withObjectShare(0);
        String asg =
                hash(
                        Tiny.request()
                                .options(
                                        AsgOptions.DEFAULT
                                                .withGuide(
                                                        GuideOptions.DEFAULT
                                                                .withWeight(0)
                                                                .withStage1Share(0.5))
                                                .withWindows(uniform)));
        assertEquals(asg, hash(Tiny.request().method("cutdiffusion")));
        assertNotEquals(asg, hash(Tiny.request().options(AsgOptions.DEFAULT.withWindows(uniform))));
    }

    @Test
    void multiDiffusionWithOneWindowIsDirect() {
        assertEquals(
                hash(Tiny.request().size(64, 64).method("direct")),
                hash(Tiny.request().size(64, 64).method("multidiffusion")));
    }

    @Test
    void paperDefaultsAreDecidedByTheMethod() {
        Map<String, Object> asg =
                ReportJson.map(draw(1, Tiny.request().paperDefaults(true).build()).report());
        assertEquals("noise", asg.get("guide_space"));
        assertEquals("uniform", asg.get("window_weight"));
        Map<String, Object> multi =
                ReportJson.map(
                        draw(1, Tiny.request().method("multidiffusion").paperDefaults(true).build())
                                .report());
        assertEquals("ddim", multi.get("scheduler"));
        assertEquals(7.5, multi.get("guidance_scale"));
        Map<String, Object> usual =
                ReportJson.map(draw(1, Tiny.request().method("multidiffusion").build()).report());
        assertEquals("euler", usual.get("scheduler"));
        assertEquals("whole", usual.get("window_conditioning"));
    }

    private static GenerationRequest.Builder scaled(String method, double scale) {
        return Tiny.request().method(method).steps(4).guidanceScale(scale);
    }

    /** As in diffusers; 0 is what the cards of distilled networks name. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "asg",
                "direct",
                "multidiffusion",
                "cutdiffusion",
                "demofusion",
                "scalecrafter"
            })
    void guidanceScalesUpToOneMeanNoGuidance(String method) {
        EngineOptions options =
                Tiny.options(
                        method.equals("scalecrafter")
                                ? Tiny.resource("tiny-methods")
                                : Tiny.bundle(),
                        2);
        try (Engine engine = TestEngines.open(options, WorkerHook.NONE)) {
            GeneratedImage one = engine.submit(scaled(method, 1).build()).join();
            for (double scale : new double[] {0, 0.5}) {
                GeneratedImage less = engine.submit(scaled(method, scale).build()).join();
                assertEquals(Tiny.hash(one), Tiny.hash(less), "scale " + scale);
                assertEquals(1.0, less.report().sampling().guidanceScale());
            }
            GenerationRequest.Builder zero = scaled(method, 0);
            assertEquals(
                    Tiny.hash(one),
                    Tiny.hash(engine.submit(zero.negativePrompt("grass").build()).join()),
                    "no unconditional row");
            GenerationRequest other =
                    GenerationRequest.builder("the blue grass")
                            .seed(7)
                            .size(128, 128)
                            .method(method)
                            .steps(4)
                            .guidanceScale(0)
                            .build();
            assertNotEquals(
                    Tiny.hash(one), Tiny.hash(engine.submit(other).join()), "the prompt is drawn");
            assertNotEquals(
                    Tiny.hash(one),
                    Tiny.hash(engine.submit(scaled(method, 2).build()).join()),
                    "and 2 is guided");
            for (StageReport stage : engine.plan(scaled(method, 0).build()).stages()) {
                assertEquals(1, stage.rowsPerView(), stage::toString);
            }
            for (StageReport stage : engine.plan(scaled(method, 2).build()).stages()) {
                assertEquals(2, stage.rowsPerView(), stage::toString);
            }
        }
    }

    private static GenerationRequest.Builder windowed(WindowOptions windows) {
        return Tiny.request().options(AsgOptions.DEFAULT.withWindows(windows));
    }

    @Test
    void scalesUpToOneOfStageTwoAndBackgroundMeanNoGuidance() {
        WindowOptions some = WindowOptions.DEFAULT.withObjectShare(0.4);
        for (double scale : new double[] {0, 0.5}) {
            assertEquals(
                    hash(windowed(some.withGuidanceScale(1))),
                    hash(windowed(some.withGuidanceScale(scale))));
            assertEquals(
                    hash(windowed(some.withBackgroundGuidanceScale(1))),
                    hash(windowed(some.withBackgroundGuidanceScale(scale))));
        }
        assertEquals(
                1.0,
                ReportJson.map(draw(1, Tiny.request().guidanceScale(0.5).build()).report())
                        .get("background_guidance_scale"),
                "an eighth of no excess");
    }

    @Test
    void aGuidanceScaleBelowZeroIsRefused() {
        for (Executable request :
                List.<Executable>of(
                        () -> Tiny.request().guidanceScale(-0.5).build(),
                        () -> WindowOptions.DEFAULT.withGuidanceScale(-1),
                        () -> WindowOptions.DEFAULT.withBackgroundGuidanceScale(-1))) {
            String message = assertThrows(BadRequestException.class, request).getMessage();
            assertTrue(message.contains("guidance scale is -"), message);
            assertTrue(message.contains("between 0 and 100"), message);
        }
    }

    @Test
    void nineBackgroundWindowsAreNineWindows() {
        WindowOptions all = WindowOptions.DEFAULT.withObjectShare(1);
        WindowOptions none = WindowOptions.DEFAULT.withObjectShare(0);
        GenerationRequest.Builder request = Tiny.request().seed(2);
        GeneratedImage image =
                draw(
                        2,
                        request.options(
                                        AsgOptions.DEFAULT.withWindows(
                                                all.withBackgroundGuidanceScale(2)))
                                .build());
        assertEquals(OptionalInt.of(9), image.report().backgroundWindows());
        assertEquals(
                hash(request.options(AsgOptions.DEFAULT.withWindows(none.withGuidanceScale(2)))),
                Tiny.hash(image),
                "with seed 2 no window is all object: at scale 2 all are windows at scale 2");
        String plain = hash(request.options(AsgOptions.DEFAULT.withWindows(none)));
        WindowOptions alike = all.withBackgroundGuidanceScale(5);
        assertEquals(
                plain,
                hash(request.options(AsgOptions.DEFAULT.withWindows(alike))),
                "nothing else was asked for them");
        assertNotEquals(
                plain,
                hash(
                        request.options(
                                AsgOptions.DEFAULT.withWindows(
                                        alike.withBackgroundPrompt("grass")))));
        // the default: 1 + (5 - 1) / 8
        assertEquals(
                hash(request.options(AsgOptions.DEFAULT.withWindows(all))),
                hash(
                        request.options(
                                AsgOptions.DEFAULT.withWindows(
                                        all.withBackgroundGuidanceScale(1.5)))));
    }

    @Test
    void backgroundWindowsAreTheSameForAnyNumberOfWorkers() {
        WindowOptions some =
                WindowOptions.DEFAULT
                        .withObjectShare(0.4)
                        .withBackgroundPrompt("grass")
                        .withBackgroundGuidanceScale(1);
        GenerationRequest request =
                Tiny.request().options(AsgOptions.DEFAULT.withWindows(some)).viewBatch(2).build();
        GeneratedImage one = draw(1, request);
        int background = one.report().backgroundWindows().getAsInt();
        assertTrue(background > 0 && background < 9, "both kinds: " + background);
        assertEquals(Tiny.hash(one), Tiny.hash(draw(3, request)));
    }

    @Test
    void backgroundNeedsAShareAndAStageOne() {
        WindowOptions prompt =
                WindowOptions.DEFAULT.withObjectShare(0).withBackgroundPrompt("grass");
        refused("--object-share", Tiny.request().options(AsgOptions.DEFAULT.withWindows(prompt)));
        refused(
                "stage 1",
                Tiny.request()
                        .options(
                                MultiDiffusionOptions.DEFAULT.withWindows(
                                        WindowOptions.DEFAULT.withObjectShare(0.1))));
    }

    @Test
    void anUpsampledGuideIsTheSameForAnyNumberOfWorkers() {
        for (GuideOptions.Mask mask : GuideOptions.Mask.values()) {
            GuideOptions bicubic =
                    GuideOptions.DEFAULT
                            .withUpsampling(GuideOptions.Upsampling.BICUBIC)
                            .withMask(mask);
            GenerationRequest request =
                    Tiny.request()
                            .options(AsgOptions.DEFAULT.withGuide(bicubic))
                            .viewBatch(2)
                            .build();
            String one = Tiny.hash(draw(1, request));
            assertEquals(one, Tiny.hash(draw(3, request)));
            GuideOptions nearest = bicubic.withUpsampling(GuideOptions.Upsampling.NEAREST);
            assertNotEquals(
                    one,
                    hash(
                            Tiny.request()
                                    .options(AsgOptions.DEFAULT.withGuide(nearest))
                                    .viewBatch(2)));
        }
    }

    @Test
    void noiseEstimatesAreNotInterpolated() {
        GuideOptions noise = GuideOptions.DEFAULT.withSpace(GuideOptions.Space.NOISE);
        refused(
                "--guide-space latent",
                Tiny.request()
                        .options(
                                AsgOptions.DEFAULT.withGuide(
                                        noise.withUpsampling(GuideOptions.Upsampling.BICUBIC))));
        assertEquals(
                "nearest",
                ReportJson.map(
                                draw(
                                                1,
                                                Tiny.request()
                                                        .options(
                                                                AsgOptions.DEFAULT.withGuide(noise))
                                                        .build())
                                        .report())
                        .get("guide_upsampling"));
    }

    private static void refused(String part, GenerationRequest.Builder request) {
        String message =
                assertThrows(BadRequestException.class, () -> draw(1, request.build()))
                        .getMessage();
        assertTrue(message.contains(part), message);
    }

    /** Everything that a listener can be told. */
    private static final class Watcher implements GenerationListener {
        final List<AttentionReport> attention = new ArrayList<>();
        final List<PatchReport> patches = new ArrayList<>();

        @Override
        public void onEvent(GenerationEvent event) {}

        @Override
        public boolean wantsPatches() {
            return true;
        }

        @Override
        public void onPatches(PatchReport report) {
            patches.add(report);
        }

        @Override
        public boolean wantsAttention() {
            return true;
        }

        @Override
        public void onAttention(AttentionReport report) {
            attention.add(report);
        }
    }

    @Test
    void aListenerSeesPatchesAndAttention() {
        for (String method : List.of("asg", "cutdiffusion")) {
            Watcher watcher = new Watcher();
            GenerationRequest request = Tiny.request().method(method).build();
            try (Engine engine = TestEngines.open(Tiny.options(2), WorkerHook.NONE)) {
                GeneratedImage watched = engine.submit(request, watcher).join();
                assertEquals(hash(request.toBuilder()), Tiny.hash(watched), "watching changes it");
            }
            int steps = method.equals("asg") ? 5 : 4; // of 8: 65 %, 50 %
            assertEquals(steps, watcher.attention.size(), "steps of stage 1");
            AttentionReport first = watcher.attention.getFirst();
            assertEquals(64, first.mask().values().remaining());
            assertEquals(2, first.blocks().size());
            PatchReport report = watcher.patches.getFirst();
            assertEquals(4, report.pictures().size());
            assertEquals(64, report.pictures().getFirst().width());
            assertEquals(4 * 4 * 64, report.latents().remaining());
            close(report);
        }
    }

    /** latents = alpha * clean + sigma * noise, and noise of about unit variance. */
    private static void close(PatchReport report) {
        double sum = 0;
        int n = report.latents().remaining();
        for (int i = 0; i < n; i++) {
            double noise =
                    (report.latents().get(i) - report.alpha() * report.clean().get(i))
                            / report.sigma();
            sum += noise * noise;
        }
        double deviation = Math.sqrt(sum / n);
        assertTrue(deviation > 0.3 && deviation < 3, "noise " + deviation);
    }
}
