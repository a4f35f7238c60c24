// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuidanceInterval;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.kernel.KernelChoice;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.SplittableRandom;
import java.util.stream.Stream;

/** The promise: the same bytes for any number of workers and any timing. */
class DeterminismTest {
    static Stream<GuideOptions> guides() {
        return Stream.of(0, 1, 3)
                .flatMap(
                        staleness ->
                                Stream.of(0, 2, GuideOptions.EVERY_STEP)
                                        .map(
                                                steps ->
                                                        GuideOptions.DEFAULT
                                                                .withStaleness(staleness)
                                                                .withInteractionSteps(steps)));
    }

    private static String draw(EngineOptions options, GenerationRequest request, WorkerHook hook) {
        try (Engine engine = TestEngines.open(options, hook)) {
            return Tiny.hash(engine.submit(request).join());
        }
    }

    @ParameterizedTest
    @MethodSource("guides")
    void bytesAreTheSameForAnyWorkersTimingAndKernels(GuideOptions guide) {
        sameBytes(Tiny.request().options(AsgOptions.DEFAULT.withGuide(guide)).build());
    }

    /** 3x2 native pictures: windows and dilated views of two phases, of different shapes. */
    @Test
    void bytesOfDemoFusionAreTheSameForAnyWorkersTimingAndKernels() {
        GenerationRequest.Builder request =
                Tiny.request().method("demofusion").size(192, 128).steps(4);
        sameBytes(request.build());
        sameBytes(request.scheduler("ddim").eta(1).build());
    }

    /** Past predictions follow the pixels of stage 1, the strips of stage 2 and the paths of a phase. */
    @ParameterizedTest
    @ValueSource(strings = {"asg", "multidiffusion", "demofusion"})
    void bytesOfASolverWithAMemoryAreTheSameForAnyWorkersTimingAndKernels(String method) {
        GenerationRequest.Builder request =
                Tiny.request().method(method).scheduler("dpmpp_2m_karras").steps(8);
        sameBytes(
                method.equals("asg")
                        ? request.options(
                                        AsgOptions.DEFAULT.withGuide(
                                                GuideOptions.DEFAULT.withInteractionSteps(2)))
                                .build()
                        : request.build());
    }

    /** Calls of one row and of two in turn. */
    @Test
    void bytesWithGuidanceInAnIntervalAreTheSameForAnyWorkersTimingAndKernels() {
        sameBytes(
                Tiny.request()
                        .scheduler("dpmpp_2m_karras")
                        .guidanceInterval(new GuidanceInterval(0.28, 5.42))
                        .steps(8)
                        .build());
    }

    private static void sameBytes(GenerationRequest asked) {
        for (int viewBatch : new int[] {1, 3}) {
            GenerationRequest request = asked.toBuilder().viewBatch(viewBatch).build();
            String expected = draw(Tiny.options(1), request, WorkerHook.NONE);
            for (int workers : new int[] {2, 4}) {
                assertEquals(
                        expected,
                        draw(Tiny.options(workers), request, WorkerHook.NONE),
                        "workers " + workers);
            }
            long seed = 42;
            WorkerHook delays =
                    point -> {
                        var random =
                                new SplittableRandom(
                                        seed
                                                + point.worker() * 1000L
                                                + point.step() * 10L
                                                + point.unit());
                        Tiny.sleep(random.nextInt(4));
                    };
            assertEquals(expected, draw(Tiny.options(3), request, delays), "with delays");
            for (String kernels : KernelChoice.usable()) {
                assertEquals(
                        expected,
                        draw(Tiny.options(2).withKernels(kernels), request, WorkerHook.NONE),
                        kernels);
            }
        }
    }

    @Test
    void differentSettingsGiveDifferentPictures() {
        String plain = draw(Tiny.options(1), Tiny.request().build(), WorkerHook.NONE);
        assertNotEquals(
                plain, draw(Tiny.options(1), Tiny.request().seed(8).build(), WorkerHook.NONE));
        assertNotEquals(
                plain,
                draw(
                        Tiny.options(1),
                        Tiny.request()
                                .options(
                                        AsgOptions.DEFAULT.withGuide(
                                                GuideOptions.DEFAULT.withStaleness(0)))
                                .build(),
                        WorkerHook.NONE),
                "a step-dependent denoiser has to show the age of its guidance");
    }

    @Test
    void aDenoiserConstantInTheStepDoesNotShowStaleness() {
        EngineOptions options = Tiny.options(2).withModel(Tiny.stepless());
        GuideOptions guide =
                GuideOptions.DEFAULT
                        .withInteractionSteps(0)
                        .withSpace(GuideOptions.Space.NOISE)
                        .withWeight(0.5)
                        .withStage1Share(1);
        String fresh =
                draw(
                        options,
                        Tiny.request()
                                .options(AsgOptions.DEFAULT.withGuide(guide.withStaleness(0)))
                                .build(),
                        WorkerHook.NONE);
        for (int staleness : new int[] {1, 3}) {
            assertEquals(
                    fresh,
                    draw(
                            options,
                            Tiny.request()
                                    .options(
                                            AsgOptions.DEFAULT.withGuide(
                                                    guide.withStaleness(staleness)))
                                    .build(),
                            WorkerHook.NONE),
                    "staleness " + staleness);
        }
    }

    @Test
    void onePatchIsPlainSamplingAtNativeSize() {
        GenerationRequest asg = Tiny.request().size(64, 64).build();
        String direct =
                draw(Tiny.options(1), asg.toBuilder().method("direct").build(), WorkerHook.NONE);
        assertEquals(direct, draw(Tiny.options(1), asg, WorkerHook.NONE));
    }
}
