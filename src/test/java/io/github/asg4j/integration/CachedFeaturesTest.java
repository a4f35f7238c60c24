// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuidanceInterval;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.LegOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.MethodOptions.RelayOptions;
import io.github.asg4j.PlanReport;
import io.github.asg4j.RelayStage;
import io.github.asg4j.StageReport;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.image.PngParameters;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Features of a UNet that are kept from step to step (DeepCache); the values of the latents are in {@link
 * GoldenPipelineTest}, the networks that it takes in {@link io.github.asg4j.model.FeatureCutTest}.
 */
class CachedFeaturesTest {
    private static final Path BUNDLE = Tiny.resource("tiny-skip");

    /** Strips that are stepped one by one, jitter, windows of two kinds, steps of one and of two rows. */
    private static final String WINDOWS = "1x 0..0.6; full 0.3..1 windows=0.5 interval=0..5";

    private static GenerationRequest.Builder request(String method) {
        GenerationRequest.Builder request = Tiny.request().steps(9);
        return switch (method) {
            case "asg" ->
                    request.options(
                            AsgOptions.DEFAULT.withWindows(
                                    WindowOptions.DEFAULT.withObjectShare(0.5).withJitter(2)));
            case "relay" ->
                    request.options(
                            RelayOptions.DEFAULT.withLegs(
                                    LegOptions.DEFAULT.withStages(RelayStage.table(WINDOWS))));
            default -> request.method(method);
        };
    }

    private static String hash(EngineOptions options, GenerationRequest request) {
        try (Engine engine = Engine.open(options)) {
            return Tiny.hash(engine.submit(request).join());
        }
    }

    private static PlanReport plan(EngineOptions options, GenerationRequest.Builder request) {
        try (Engine engine = Engine.open(options)) {
            return engine.plan(request.build());
        }
    }

    private static PlanReport plan(GenerationRequest.Builder request) {
        return plan(Tiny.options(BUNDLE, 1), request);
    }

    /** One step is a whole one: the network that gives its features gives the same noise. */
    @ParameterizedTest
    @ValueSource(strings = {"direct", "multidiffusion", "asg", "cutdiffusion", "relay"})
    void wholeEvaluationsChangeNoByteAndShallowOnesDo(String method) {
        EngineOptions options = Tiny.options(BUNDLE, 2);
        GenerationRequest.Builder request = request(method);
        String plain = hash(options, request.build());
        assertNotEquals(plain, hash(options, request.cacheInterval(2).build()));
        boolean staged = List.of("asg", "cutdiffusion").contains(method);
        request.steps(staged ? 2 : 1); // one step of windows
        if (!method.equals("relay")) { // whose stages have more
            String alone = hash(options, request.cacheInterval(1).build());
            assertEquals(alone, hash(options, request.cacheInterval(5).build()));
        }
    }

    @ParameterizedTest
    @CsvSource({
        "direct, euler, 2",
        "multidiffusion, ddim, 3",
        "asg, euler, 2",
        "asg, dpmpp_2m, 4",
        "cutdiffusion, euler_a, 2",
        "relay, dpmpp_2m, 2"
    })
    void anyNumberOfWorkersGivesTheSameBytes(String method, String scheduler, int interval) {
        for (int viewBatch : new int[] {1, 2}) {
            GenerationRequest request =
                    request(method)
                            .scheduler(scheduler)
                            .cacheInterval(interval)
                            .viewBatch(viewBatch)
                            .build();
            String one = hash(Tiny.options(BUNDLE, 1), request);
            assertEquals(one, hash(Tiny.options(BUNDLE, 3), request));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"direct", "multidiffusion", "asg", "relay"})
    void gpusGiveTheSameBytes(String method) {
        GenerationRequest request = request(method).cacheInterval(3).build();
        EngineOptions options = Tiny.options(BUNDLE, 1).withDevices("cuda:0,cuda:1");
        try (Engine engine = TestEngines.open(options, WorkerHook.NONE, new EmulatedGpus())) {
            assertEquals(
                    Tiny.hash(Tiny.drawOnCpu(Tiny.options(BUNDLE, 1), request)),
                    Tiny.hash(engine.submit(request).join()));
        }
    }

    /** Whether it is lost in a whole or in a shallow step, before or while strips are stepped. */
    @ParameterizedTest
    @CsvSource({"0, false", "0, true", "1, false", "1, true", "3, true"})
    void theOthersRedoTheCallsOfALostWorker(int step, boolean joins) {
        GenerationRequest request = request("multidiffusion").cacheInterval(3).build();
        String whole = hash(Tiny.options(BUNDLE, 1), request);
        AtomicBoolean done = new AtomicBoolean();
        WorkerHook hook =
                point -> {
                    if (point.step() == step
                            && point.joins() == joins
                            && done.compareAndSet(false, true)) {
                        point.spoil().run();
                        throw new IllegalStateException("unplugged");
                    }
                };
        try (Engine engine = TestEngines.open(Tiny.options(BUNDLE, 3), hook)) {
            var image = engine.submit(request).join();
            assertEquals(whole, Tiny.hash(image));
            assertEquals(1, image.report().devices().lost().size());
        }
    }

    /** Networks with features stay loaded beside the others, which give what they gave before. */
    @Test
    void oneEngineDrawsBoth() {
        GenerationRequest plain = request("asg").build();
        GenerationRequest cached = request("asg").cacheInterval(2).build();
        try (Engine engine = Engine.open(Tiny.options(BUNDLE, 2))) {
            String first = Tiny.hash(engine.submit(plain).join());
            String other = Tiny.hash(engine.submit(cached).join());
            assertEquals(first, Tiny.hash(engine.submit(plain).join()));
            assertEquals(other, Tiny.hash(engine.submit(cached).join()));
        }
    }

    @Test
    void thePlanCountsWholeAndShallowEvaluations() {
        GenerationRequest.Builder request =
                Tiny.request().method("multidiffusion").scheduler("euler").steps(50);
        PlanReport plain = plan(request);
        assertEquals(450, plain.guidedEvaluations());
        assertEquals(0, plain.shallowEvaluations());
        assertNull(windows(plain).cache());
        PlanReport cached = plan(request.cacheInterval(3));
        assertEquals(new StageReport.Cache(3, 17, 33), windows(cached).cache());
        assertEquals(9 * 17, cached.guidedEvaluations());
        assertEquals(9 * 33, cached.shallowEvaluations());
        assertEquals(2 * 9 * 17, cached.unetRows());
        assertEquals(0.34 * plain.nativeEvaluations(), cached.nativeEvaluations(), 1e-9);
        assertEquals(plain.unetRuns(), cached.unetRuns());
        // Two rows of 4 channels: 9 windows of 8x8 and the canvas of 16x16; the call's own.
        long features = 4L * 2 * 4 * (9 * 64 + 256);
        assertEquals(plain.memory().latents() + features, cached.memory().latents());
        assertEquals(plain.memory().workers() + 4L * 2 * 4 * 64, cached.memory().workers());
        assertTrue(cached.memory().weights() > plain.memory().weights());
    }

    private static StageReport.Windows windows(PlanReport plan) {
        return Objects.requireNonNull(plan.stages().getLast().settings().windowed());
    }

    /** The unconditional rows' features are not there where guidance sets in. */
    @Test
    void whereGuidanceSetsInTheWholeNetworkRuns() {
        PlanReport plan =
                plan(
                        Tiny.request()
                                .method("direct")
                                .scheduler("euler")
                                .steps(50)
                                .guidanceInterval(new GuidanceInterval(0.28, 5.42))
                                .cacheInterval(20));
        // 0, 20, 40; 9 where it sets in, 46 behind it.
        assertEquals(new StageReport.Cache(20, 5, 45), windows(plan).cache());
        assertEquals(1 + 2 + 2 + 2 + 1, plan.unetRows());
    }

    @Test
    void stage1IsEvaluatedWhole() {
        PlanReport plain = plan(Tiny.request().steps(20));
        PlanReport cached = plan(Tiny.request().steps(20).cacheInterval(2));
        assertEquals(plain.stages().getFirst(), cached.stages().getFirst());
        assertEquals(new StageReport.Cache(2, 4, 3), windows(cached).cache());
        assertEquals(4 * 13 + 9 * 4, cached.guidedEvaluations());
    }

    @Test
    void whatIsToldOfAPictureHasTheInterval() {
        try (Engine engine = Engine.open(Tiny.options(BUNDLE, 1))) {
            var report = engine.submit(request("direct").cacheInterval(4).build()).join().report();
            assertEquals(
                    "4", PngParameters.settings(PngParameters.text(report)).get("Cache interval"));
            assertEquals(4, report.request().cacheInterval());
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "tiny-skip | demofusion | has no stage of plain windows",
                "families/sd3 | direct | has a transformer",
            })
    void whatKeepsNoFeaturesIsRefused(String bundle, String method, String message) {
        BadRequestException e =
                assertThrows(
                        BadRequestException.class,
                        () ->
                                plan(
                                        Tiny.options(Tiny.resource(bundle), 1),
                                        Tiny.request().size(0, 0).method(method).cacheInterval(2)));
        assertTrue(e.getMessage().contains(message), e.getMessage());
        assertTrue(e.getMessage().startsWith("a cache interval of 2 "), e.getMessage());
    }

    @Test
    void dilatedStepsAreRefused() {
        GenerationRequest.Builder dilated = Tiny.damped().toBuilder().cacheInterval(2);
        EngineOptions options = Tiny.options(Tiny.resource("tiny-methods"), 1);
        assertThrows(BadRequestException.class, () -> plan(options, dilated));
    }

    @Test
    void anAsgOfPatchesAloneIsRefused() {
        GenerationRequest.Builder patches =
                Tiny.request()
                        .options(
                                AsgOptions.DEFAULT.withGuide(
                                        GuideOptions.DEFAULT.withStage1Share(1)));
        plan(patches);
        assertThrows(BadRequestException.class, () -> plan(patches.cacheInterval(2)));
    }

    @Test
    void aNetworkWithoutASkipConnectionIsRefused() {
        try (Engine engine = Engine.open(Tiny.options(1))) {
            var e =
                    assertThrows(
                            BadRequestException.class,
                            () -> engine.submit(request("direct").cacheInterval(2).build()).join());
            assertTrue(e.getMessage().contains("has no skip connection"), e.getMessage());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, -1, 1001})
    void anIntervalOutOfRangeIsRefused(int interval) {
        BadRequestException e =
                assertThrows(
                        BadRequestException.class,
                        () -> Tiny.request().cacheInterval(interval).build());
        assertTrue(e.getMessage().contains("cache interval"), e.getMessage());
    }
}
