// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.DilationOptions;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.MethodOptions.ScaleCrafterOptions;
import io.github.asg4j.ReportJson;
import io.github.asg4j.Size;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.kernel.KernelChoice;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** ScaleCrafter at work: what dilation and damping change, and who may do it. */
class DilatedStepsTest {
    private static final Map<String, Double> ALL_ONE =
            Map.of("down_blocks", 1.0, "mid_block", 1.0, "up_blocks", 1.0);
    private static final Map<String, Double> TWO = Map.of("mid_block", 2.0, "up_blocks.0", 2.0);

    private static final Path TINY = Tiny.resource("tiny-methods");

    /** 2x1 native sizes of the demo, 4x2 of tiny; four steps, three dilated and two damped. */
    private static GenerationRequest.Builder request() {
        return GenerationRequest.builder("a pink cone on water")
                .seed(3)
                .size(256, 128)
                .steps(4)
                .method("scalecrafter")
                .options(
                        ScaleCrafterOptions.DEFAULT.withDilation(
                                DilationOptions.DEFAULT
                                        .withFactors(Map.of("mid_block", 3.0, "up_blocks.0", 2.5))
                                        .withShare(0.75)
                                        .withCourse(DilationOptions.Course.PROGRESSIVE)
                                        .withDampedFactors(TWO)
                                        .withDampedShare(0.5)));
    }

    private static EngineOptions options(int workers) {
        return EngineOptions.DEFAULT.withModel(TINY).withDevices("cpu:" + workers);
    }

    private static final EngineOptions DEMO = EngineOptions.DEFAULT.withDevices("cpu:2");

    private static GeneratedImage draw(Engine engine, GenerationRequest.Builder request) {
        return engine.submit(request.build()).join();
    }

    /** Largest difference of two pictures, in levels of 0..255. */
    private static int difference(GeneratedImage a, GeneratedImage b) {
        int largest = 0;
        for (int i = 0; i < a.rgb().remaining(); i++) {
            int difference = (a.rgb().get(i) & 0xff) - (b.rgb().get(i) & 0xff);
            largest = Math.max(largest, Math.abs(difference));
        }
        return largest;
    }

    @Test
    void factorsOfOneDrawWhatDirectDraws() {
        try (Engine engine = Engine.open(DEMO)) {
            GeneratedImage direct = draw(engine, request().method("direct"));
            DilationOptions one = DilationOptions.DEFAULT.withFactors(ALL_ONE).withShare(1);
            GeneratedImage plain =
                    draw(engine, request().options(ScaleCrafterOptions.DEFAULT.withDilation(one)));
            assertTrue(difference(direct, plain) <= 1, "levels: " + difference(direct, plain));
            GeneratedImage two =
                    draw(
                            engine,
                            request()
                                    .options(
                                            ScaleCrafterOptions.DEFAULT.withDilation(
                                                    one.withFactors(TWO))));
            assertTrue(difference(direct, two) > 20, "dilation makes no difference");
            DilationOptions share = DilationOptions.DEFAULT.withFactors(TWO).withShare(0.1);
            assertEquals(
                    Tiny.hash(direct),
                    Tiny.hash(
                            draw(
                                    engine,
                                    request()
                                            .options(
                                                    ScaleCrafterOptions.DEFAULT.withDilation(
                                                            share)))),
                    "a tenth of four steps is none");
        }
    }

    @Test
    void dampingWithTheSameFactorsIsPlainGuidance() {
        try (Engine engine = Engine.open(DEMO)) {
            DilationOptions two = DilationOptions.DEFAULT.withFactors(TWO).withShare(1);
            GeneratedImage plain =
                    draw(engine, request().options(ScaleCrafterOptions.DEFAULT.withDilation(two)));
            GeneratedImage same =
                    draw(
                            engine,
                            request()
                                    .options(
                                            ScaleCrafterOptions.DEFAULT.withDilation(
                                                    two.withDampedFactors(TWO))));
            assertEquals(4, ReportJson.map(same.report()).get("damped_steps"));
            assertTrue(difference(plain, same) <= 1, "levels: " + difference(plain, same));
            GeneratedImage other =
                    draw(
                            engine,
                            request()
                                    .options(
                                            ScaleCrafterOptions.DEFAULT.withDilation(
                                                    two.withDampedFactors(ALL_ONE))));
            assertTrue(difference(plain, other) > 5, "damping makes no difference");
        }
    }

    @Test
    void theSameBytesForAnyNumberOfWorkersAndAnyKernels() {
        String expected;
        try (Engine engine = Engine.open(options(1))) {
            GeneratedImage first = draw(engine, request());
            expected = Tiny.hash(first);
            assertEquals(
                    "mid_block=3,up_blocks.0=2.5", ReportJson.map(first.report()).get("dilation"));
            assertEquals(3, ReportJson.map(first.report()).get("dilated_steps"));
            assertEquals(2, ReportJson.map(first.report()).get("damped_steps"));
            // 3 dilated steps and a half more in two of them, 1 plain one; 5 calls and 1
            assertEquals(5L, first.report().plan().guidedEvaluations());
            assertEquals(6L, first.report().plan().unetRuns());
            Size view = first.report().plan().stages().getFirst().viewLatents();
            assertEquals(
                    (4 * 2 + 2) / 2.0 * view.width() * view.height() / 64,
                    first.report().plan().nativeEvaluations());
            assertEquals(expected, Tiny.hash(draw(engine, request())));
            assertNotEquals(expected, Tiny.hash(draw(engine, request().seed(4))));
        }
        for (int workers : new int[] {2, 3}) {
            try (Engine engine = Engine.open(options(workers))) {
                assertEquals(expected, Tiny.hash(draw(engine, request())), workers + " workers");
            }
        }
        for (String kernels : List.of("java", KernelChoice.usable().getLast())) {
            try (Engine engine = Engine.open(options(2).withKernels(kernels))) {
                assertEquals(expected, Tiny.hash(draw(engine, request())), kernels);
            }
        }
    }

    private static double loadMillis(GeneratedImage image) {
        return image.report().times().load();
    }

    /** Units: the view, its damped pass, the canvas's step; shared out in turn to three workers. */
    @ParameterizedTest
    @CsvSource({"0, 0", "0, 2", "1, 0", "1, 1", "2, 0", "2, 2"})
    void aLostWorkersUnitsAreRedone(int unit, int step) {
        String expected;
        try (Engine engine = Engine.open(options(1))) {
            expected = Tiny.hash(draw(engine, request()));
        }
        Set<Integer> lost = ConcurrentHashMap.newKeySet();
        WorkerHook hook =
                point -> {
                    boolean now =
                            lost.isEmpty()
                                    && point.stage().equals("dilated")
                                    && point.unit() == unit
                                    && point.step() == step;
                    if (now || lost.contains(point.worker())) {
                        lost.add(point.worker());
                        point.spoil().run();
                        throw new IllegalStateException("unplugged");
                    }
                };
        try (Engine engine = TestEngines.open(options(3), hook)) {
            GeneratedImage image = draw(engine, request());
            assertEquals(Set.of(unit), lost);
            assertEquals(expected, Tiny.hash(image));
        }
    }

    @Test
    void paperDefaultsAreStochasticDdim() {
        try (Engine engine = Engine.open(DEMO)) {
            GeneratedImage paper =
                    draw(
                            engine,
                            request()
                                    .options(
                                            ScaleCrafterOptions.DEFAULT.withDilation(
                                                    DilationOptions.DEFAULT))
                                    .paperDefaults(true));
            assertEquals("ddim", paper.report().sampling().scheduler());
            assertEquals(1.0, paper.report().sampling().eta());
            assertEquals("constant", ReportJson.map(paper.report()).get("dilation_course"));
            assertEquals(2, ReportJson.map(paper.report()).get("dilated_steps"));
            GeneratedImage again =
                    draw(
                            engine,
                            request()
                                    .options(
                                            ScaleCrafterOptions.DEFAULT.withDilation(
                                                    DilationOptions.DEFAULT))
                                    .paperDefaults(true));
            assertEquals(Tiny.hash(paper), Tiny.hash(again));
            assertTrue(
                    loadMillis(again) < loadMillis(paper) / 2,
                    "the dilated graph is loaded once: " + loadMillis(again));
        }
    }
}
