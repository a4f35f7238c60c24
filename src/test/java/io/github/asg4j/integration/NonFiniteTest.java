// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;

/**
 * A NaN that a network returns, in every kind of call: whatever operation reads it has to find it,
 * and the error names stage and step.
 */
class NonFiniteTest {
    private static final Path METHODS = Tiny.resource("tiny-methods");

    private static GenerationRequest asg(int staleness, int viewBatch) {
        return Tiny.request()
                .options(
                        AsgOptions.DEFAULT.withGuide(GuideOptions.DEFAULT.withStaleness(staleness)))
                .viewBatch(viewBatch)
                .build();
    }

    private static GenerationRequest method(String name) {
        return Tiny.request().method(name).viewBatch(16).build();
    }

    private static final GenerationRequest BACKGROUND =
            Tiny.request()
                    .options(
                            AsgOptions.DEFAULT.withWindows(
                                    WindowOptions.DEFAULT
                                            .withObjectShare(0.4)
                                            .withBackgroundPrompt("grass")
                                            .withBackgroundGuidanceScale(1.5)))
                    .viewBatch(4)
                    .build();

    /** Bundle, request, a run of the network on a single device, where that is. */
    static Stream<Arguments> runs() {
        Path tiny = Tiny.bundle();
        return Stream.of(
                Arguments.of(tiny, asg(1, 4), 2, "stage1, step 3 of 5"),
                Arguments.of(tiny, asg(0, 4), 2, "stage1, step 3 of 5"),
                Arguments.of(tiny, asg(0, 1), 7, "stage1, step 2 of 5"),
                Arguments.of(tiny, BACKGROUND, 9, "stage2, step 2 of 3"),
                Arguments.of(tiny, method("cutdiffusion"), 1, "stage1, step 2 of 4"),
                Arguments.of(tiny, method("multidiffusion"), 7, "denoise, step 8 of 8"),
                Arguments.of(tiny, method("direct"), 0, "denoise, step 1 of 8"),
                Arguments.of(tiny, method("demofusion"), 4, "phase1, step 5 of 8"),
                Arguments.of(tiny, method("demofusion"), 10, "phase2, step 2 of 8"),
                Arguments.of(tiny, method("demofusion"), 11, "phase2, step 2 of 8"),
                Arguments.of(METHODS, Tiny.damped(), 2, "dilated, step 2 of 3"),
                Arguments.of(METHODS, Tiny.damped(), 3, "dilated, step 2 of 3"),
                Arguments.of(METHODS, Tiny.damped(), 4, "dilated, step 3 of 3"));
    }

    @ParameterizedTest
    @MethodSource("runs")
    void anOutputOnAGpuThatIsNotFiniteNamesStageAndStep(
            Path bundle, GenerationRequest request, int run, String where) {
        EmulatedGpus gpus = new EmulatedGpus();
        EngineOptions options = Tiny.options(bundle, 1).withDevices("cuda:0");
        try (Engine engine = TestEngines.open(options, WorkerHook.NONE, gpus)) {
            gpus.spoilInputOf(run);
            refused(engine.submit(request), where);
            engine.submit(request).join();
        }
        assertEquals(0, EmulatedCuda.left());
    }

    private static void refused(Generation generation, String where) {
        BadBundleException e = assertThrows(BadBundleException.class, generation::join);
        String expected =
                "the denoiser returned a NaN or an infinity from finite input in " + where;
        assertTrue(String.valueOf(e.getMessage()).startsWith(expected + ":"), e.getMessage());
    }

    /** Of the host a call's text is spoilt, before one of its steps. */
    static Stream<Arguments> calls() {
        Path tiny = Tiny.bundle();
        return Stream.of(
                Arguments.of(tiny, asg(1, 4), "stage1", 0, 2),
                Arguments.of(tiny, asg(1, 1), "stage1", 0, 1),
                Arguments.of(tiny, asg(1, 1), "stage1", 3, 4),
                Arguments.of(tiny, asg(0, 4), "stage1", 0, 2),
                Arguments.of(tiny, BACKGROUND, "stage2", 1, 2),
                Arguments.of(tiny, method("demofusion"), "phase2", 0, 3),
                Arguments.of(tiny, method("demofusion"), "phase2", 1, 3),
                Arguments.of(METHODS, Tiny.damped(), "dilated", 0, 1),
                Arguments.of(METHODS, Tiny.damped(), "dilated", 1, 1),
                Arguments.of(METHODS, Tiny.damped(), "dilated", 0, 2));
    }

    @ParameterizedTest
    @MethodSource("calls")
    void anOutputOnTheHostThatIsNotFiniteNamesStageAndStep(
            Path bundle, GenerationRequest request, String stage, int unit, int step) {
        AtomicBoolean spoilt = new AtomicBoolean();
        AtomicBoolean afterwards = new AtomicBoolean();
        WorkerHook hook =
                point -> {
                    if (spoilt.get()) {
                        afterwards.set(true);
                    } else if (point.stage().equals(stage)
                            && point.unit() == unit
                            && point.step() == step) {
                        spoilt.set(true);
                        point.spoil().run();
                    }
                };
        try (Engine engine = TestEngines.open(Tiny.options(bundle, 1), hook)) {
            Generation generation = engine.submit(request);
            BadBundleException e = assertThrows(BadBundleException.class, generation::join);
            String where = "in " + stage + ", step " + (step + 1) + " of ";
            assertTrue(String.valueOf(e.getMessage()).contains(where), e.getMessage());
            assertTrue(!afterwards.get(), "another call began");
        }
    }
}
