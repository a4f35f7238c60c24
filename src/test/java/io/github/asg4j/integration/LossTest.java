// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.DeviceException;
import io.github.asg4j.Engine;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/**
 * A lost worker: its memory is overwritten with NaN and every call it makes fails. The others redo
 * its calls from the last step boundary, and the picture has the same bytes.
 */
class LossTest {
    /** Loses each worker from the first point on that {@code when} accepts. */
    private static WorkerHook losing(Predicate<WorkerHook.Point> when, Set<Integer> lost) {
        return point -> {
            synchronized (lost) { // of two that come at the same time the second sees the first
                if (!lost.contains(point.worker()) && !when.test(point)) {
                    return;
                }
                lost.add(point.worker());
            }
            point.spoil().run();
            throw new IllegalStateException("device " + point.worker() + " was unplugged");
        };
    }

    @ParameterizedTest
    @CsvSource({
        "stage1, 0, 2, false", // the key patch's worker
        "stage1, 1, 2, false", // another one
        "stage1, 0, 0, false", // before the first guidance
        "stage1, 0, 0, true", // at the stage switch
        "stage2, -1, 1, false", // in stage 2, where whoever is idle takes a call
        "stage2, -1, 2, false",
        "stage2, -1, 1, true" // while a strip of the canvas is stepped
    })
    void theOthersRedoTheCallsOfALostWorker(String stage, int worker, int step, boolean joins) {
        for (int staleness : new int[] {0, 1}) {
            for (int interaction : new int[] {0, GuideOptions.EVERY_STEP}) {
                GenerationRequest request =
                        Tiny.request()
                                .options(
                                        AsgOptions.DEFAULT.withGuide(
                                                GuideOptions.DEFAULT
                                                        .withStaleness(staleness)
                                                        .withInteractionSteps(interaction)))
                                .build();
                takeOver(request, stage, worker, step, joins);
            }
        }
    }

    /** What the lost worker predicted in the steps before is there for those that redo its calls. */
    @ParameterizedTest
    @CsvSource({
        "asg, stage1, 0, 2, false",
        "asg, stage1, 1, 3, false",
        "asg, stage2, -1, 2, false",
        "asg, stage2, -1, 2, true",
        "demofusion, phase2, 2, 6, true",
        "relay, relay2, -1, 0, false"
    })
    void theOthersTakeThePastPredictionsOfALostWorker(
            String method, String stage, int worker, int step, boolean joins) {
        GenerationRequest request =
                Tiny.request().method(method).scheduler("dpmpp_2m_karras").build();
        takeOver(request, stage, worker, step, joins);
    }

    @ParameterizedTest
    @CsvSource({
        "phase1, -1, 3, false",
        "phase2, 0, 0, true", // before the phase has begun
        "phase2, 0, 2, false", // a window's call
        "phase2, 1, 2, false",
        "phase2, 2, 3, true", // between two steps
        "phase2, 0, 8, true" // at the phase's end
    })
    void theOthersRedoTheCallsOfALostWorkerInAPhase(
            String stage, int worker, int step, boolean joins) {
        GenerationRequest request = Tiny.request().method("demofusion").build();
        takeOver(request, stage, worker, step, joins);
        takeOver(request.toBuilder().viewBatch(4).build(), stage, worker, step, joins);
    }

    /** As where the heap is full: the log of a failure fails as well, and nothing may wait for ever. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void aFailureThatCannotBeLoggedLosesTheWorkerToo(int workers) throws Exception {
        WorkerHook hook =
                point -> {
                    if (point.worker() == 0) {
                        throw new IllegalStateException() {
                            @Override
                            public String getMessage() {
                                throw new OutOfMemoryError("no heap for a message");
                            }
                        };
                    }
                };
        try (Engine engine = TestEngines.open(Tiny.options(workers), hook)) {
            Generation generation = engine.submit(Tiny.request().build());
            if (workers == 1) {
                ExecutionException e =
                        assertThrows(
                                ExecutionException.class,
                                () -> generation.future().get(60, TimeUnit.SECONDS));
                assertInstanceOf(OutOfMemoryError.class, e.getCause());
            } else {
                GeneratedImage image = generation.future().get(60, TimeUnit.SECONDS);
                assertEquals(List.of("cpu#0"), image.report().devices().lost());
            }
        }
    }

    private static void takeOver(
            GenerationRequest request, String stage, int worker, int step, boolean joins) {
        String expected;
        try (Engine engine = Engine.open(Tiny.options(1))) {
            expected = Tiny.hash(engine.submit(request).join());
        }
        Set<Integer> lost = ConcurrentHashMap.newKeySet();
        // Calls of stage 1 and of phases are shared out in turn; else (-1), and where units join,
        // whoever gets there first is lost.
        Predicate<WorkerHook.Point> when =
                p ->
                        lost.isEmpty()
                                && p.stage().equals(stage)
                                && p.joins() == joins
                                && (joins || worker < 0 || p.worker() == worker)
                                && p.step() >= step;
        try (Engine engine = TestEngines.open(Tiny.options(3), losing(when, lost))) {
            GeneratedImage image = engine.submit(request).join();
            assertEquals(1, lost.size(), "the loss did not happen");
            assertEquals(List.of("cpu#" + lost.iterator().next()), image.report().devices().lost());
            assertEquals(expected, Tiny.hash(image), request.toString());
        }
    }

    @Test
    void losingEveryWorkerFailsTheRequestAndSaysWhy() {
        Set<Integer> lost = ConcurrentHashMap.newKeySet();
        WorkerHook hook = losing(p -> p.step() >= 1, lost);
        try (Engine engine = TestEngines.open(Tiny.options(2), hook)) {
            Generation generation = engine.submit(Tiny.request().build());
            DeviceException e = assertThrows(DeviceException.class, generation::join);
            assertTrue(e.getMessage().contains("cpu#0"), e.getMessage());
            assertTrue(e.getMessage().contains("cpu#1"), e.getMessage());
            assertTrue(e.getMessage().contains("unplugged"), e.getMessage());
        }
    }
}
