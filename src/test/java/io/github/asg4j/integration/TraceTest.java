// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.TraceReport;
import io.github.asg4j.TraceReport.Call;
import io.github.asg4j.TraceReport.Use;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;

/** Every run of a network is in the trace, once, in order, where it ran. */
class TraceTest {
    private static final class Tracing implements GenerationListener {
        final AtomicReference<TraceReport> report = new AtomicReference<>();

        @Override
        public void onEvent(GenerationEvent event) {}

        @Override
        public boolean wantsTrace() {
            return true;
        }

        @Override
        public void onTrace(TraceReport trace) {
            assertTrue(report.compareAndSet(null, trace), "told twice");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"cpu:1", "cpu:3", "cuda:0", "cuda:0,cuda:1"})
    void everyRunIsReportedOnce(String devices) {
        Tracing tracing = new Tracing();
        GeneratedImage image;
        EngineOptions options = Tiny.options(1).withDevices(devices);
        try (Engine engine = TestEngines.open(options, WorkerHook.NONE, new EmulatedGpus())) {
            image = engine.submit(Tiny.request().build(), tracing).join();
        }
        TraceReport report = tracing.report.get();
        List<Call> runs = report.calls().stream().filter(call -> call.network() > 0).toList();
        assertEquals(image.report().plan().unetRuns(), (long) runs.size());
        assertEquals(
                runs.size(),
                runs.stream()
                        .map(call -> call.stage() + " " + call.unit() + " " + call.step())
                        .distinct()
                        .count());
        assertEquals(
                image.report().devices().names(),
                report.calls().stream().map(Call::device).distinct().toList());
        Map<String, List<Call>> byDevice =
                report.calls().stream().collect(Collectors.groupingBy(Call::device));
        byDevice.values().forEach(TraceTest::inOrder);
        int counted = report.uses().values().stream().mapToInt(Use::runs).sum();
        assertEquals(runs.size(), counted);
    }

    private static void inOrder(List<Call> calls) {
        long before = 0;
        for (Call call : calls) {
            assertTrue(before <= call.begin(), calls::toString);
            assertTrue(call.begin() <= call.networkBegin(), calls::toString);
            assertTrue(call.networkBegin() <= call.networkEnd(), calls::toString);
            assertTrue(call.networkEnd() <= call.end(), calls::toString);
            before = call.end();
        }
    }

    @Test
    void useOfADeviceIsSummedFromItsCalls() {
        TraceReport report =
                new TraceReport(
                        List.of(
                                new Call("a", "stage1", 0, 0, 10, 20, 100, 110),
                                new Call("a", "stage1", 1, 0, 115, 120, 200, 210),
                                new Call("a", "stage1", 2, 0, 220, 220, 220, 230),
                                new Call("a", "vae", 0, 0, 300, 300, 300, 900),
                                new Call("b", "stage1", 3, 0, 0, 0, 50, 50)));
        Map<String, Use> uses = report.uses();
        assertEquals(new Use(2, 80, 160, 45, 15), uses.get("a"));
        assertEquals(new Use(1, 50, 50, 0, 0), uses.get("b"));
        assertEquals(220, uses.get("a").total());
        assertTrue(new TraceReport(List.of()).uses().isEmpty());
    }

    @Test
    void aListenerThatDoesNotAskGetsNoTrace() {
        AtomicReference<TraceReport> told = new AtomicReference<>();
        GenerationListener listener =
                new GenerationListener() {
                    @Override
                    public void onEvent(GenerationEvent event) {}

                    @Override
                    public void onTrace(TraceReport trace) {
                        told.set(trace);
                    }
                };
        try (Engine engine = Engine.open(Tiny.options(1))) {
            engine.submit(Tiny.request().build(), listener).join();
        }
        assertFalse(told.get() != null, "told without being asked");
    }
}
