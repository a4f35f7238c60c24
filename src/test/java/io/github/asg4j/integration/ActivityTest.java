// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineActivity;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;

import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/** What an engine tells of its work beside pictures and their reports. */
class ActivityTest {
    private static GenerationRequest ball(long seed) {
        return GenerationRequest.builder("a red ball")
                .method("asg")
                .size(128, 128)
                .steps(4)
                .seed(seed)
                .build();
    }

    @Test
    void tellsWhatWaitsWhatRunsAndHowLongDevicesWorked() throws InterruptedException {
        CountDownLatch began = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        EngineOptions options = Tiny.options(2).withQueue(3, EngineOptions.WhenFull.REJECT);
        try (Engine engine =
                TestEngines.open(
                        options,
                        point -> {
                            began.countDown();
                            Tiny.await(go);
                        })) {
            EngineActivity idle = engine.activity();
            assertEquals(0, idle.waiting());
            assertEquals(0, idle.running());
            assertEquals(3, idle.capacity());
            assertEquals(List.of("cpu#0", "cpu#1"), List.copyOf(idle.busy().keySet()));
            assertEquals(Duration.ZERO, idle.busy().get("cpu#0"));
            Generation first = engine.submit(ball(1));
            began.await();
            Generation second = engine.submit(ball(2));
            Generation third = engine.submit(ball(3));
            assertEquals(2, engine.activity().waiting());
            assertEquals(1, engine.activity().running());
            third.cancel();
            assertEquals(1, engine.activity().waiting());
            go.countDown();
            first.join();
            second.join();
            assertEquals(0, engine.activity().waiting());
            assertEquals(0, engine.activity().running());
            Duration busy =
                    engine.activity().busy().values().stream()
                            .reduce(Duration.ZERO, Duration::plus);
            assertTrue(busy.compareTo(Duration.ZERO) > 0, busy::toString);
        }
    }

    @Test
    void flightRecorderHasPicturesStagesCallsAndWaits(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("flight.jfr");
        AtomicInteger calls = new AtomicInteger();
        try (Engine engine =
                        TestEngines.open(
                                Tiny.options(2),
                                point -> {
                                    calls.incrementAndGet();
                                    Tiny.sleep(2);
                                });
                Recording recording = new Recording()) {
            recording.enable("io.github.asg4j.Wait").withThreshold(Duration.ZERO);
            recording.start();
            engine.submit(ball(7)).join();
            int drawn = calls.get();
            Generation cancelled = engine.submit(ball(8));
            while (calls.get() == drawn) {
                Tiny.sleep(1);
            }
            cancelled.cancel();
            assertThrows(CompletionException.class, cancelled.future()::join);
            recording.stop();
            recording.dump(file);
            calls.set(drawn); // of the first picture
        }
        List<RecordedEvent> events = RecordingFile.readAllEvents(file);
        List<RecordedEvent> pictures = named(events, "Picture");
        assertEquals(2, pictures.size());
        RecordedEvent picture = pictures.getFirst();
        assertEquals("asg", picture.getString("method"));
        assertEquals(128, picture.getInt("width"));
        assertEquals(4, picture.getInt("steps"));
        assertEquals(7, picture.getLong("seed"));
        assertEquals("completed", picture.getString("outcome"));
        assertEquals("CancelledException", pictures.getLast().getString("outcome"));
        // of the first picture; that of the one that was cancelled may have been at work
        List<String> stages =
                named(events, "Stage").stream()
                        .filter(event -> !event.getEndTime().isAfter(picture.getEndTime()))
                        .map(event -> event.getString("stage"))
                        .toList();
        assertEquals(List.of("text", "stage1", "stage2", "vae"), stages);
        long done =
                named(events, "Call").stream()
                        .filter(event -> !event.getEndTime().isAfter(picture.getEndTime()))
                        .count();
        assertEquals(calls.get(), done);
        assertTrue(
                named(events, "Wait").stream()
                        .allMatch(event -> event.getString("device").startsWith("cpu#")));
        assertTrue(named(events, "Wait").size() > 0);
    }

    private static List<RecordedEvent> named(List<RecordedEvent> events, String name) {
        return events.stream()
                .filter(event -> event.getEventType().getName().equals("io.github.asg4j." + name))
                .sorted(java.util.Comparator.comparing(RecordedEvent::getEndTime))
                .toList();
    }
}
