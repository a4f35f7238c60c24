// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.PreviewImage;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** The library as a service uses it: queue, cancellation, progress, previews, closing. */
class EngineTest {
    @Test
    void concurrentRequestsGetTheBytesOfEachAlone() {
        GenerationRequest one = Tiny.request().build();
        GenerationRequest two = Tiny.request().seed(8).size(96, 128).build();
        try (Engine engine = Engine.open(Tiny.options(2))) {
            String first = Tiny.hash(engine.submit(one).join());
            String second = Tiny.hash(engine.submit(two).join());
            List<Generation> both = List.of(engine.submit(one), engine.submit(two));
            assertEquals(first, Tiny.hash(both.get(0).join()));
            assertEquals(second, Tiny.hash(both.get(1).join()));
            assertNotEquals(first, second);
        }
    }

    @Test
    void closingFreesEveryNativeByte() {
        long before = Engine.nativeBytesInUse();
        Engine engine = Engine.open(Tiny.options(2));
        engine.submit(Tiny.request().build()).join();
        engine.close();
        engine.close();
        assertEquals(before, Engine.nativeBytesInUse());
        assertThrows(RejectedExecutionException.class, () -> engine.submit(Tiny.request().build()));
    }

    @Test
    void networksThatWereFreedAreLoadedForTheNextPicture() {
        GenerationRequest request = Tiny.request().build();
        Engine engine = Engine.open(Tiny.options(2));
        String hash = Tiny.hash(engine.draw(request));
        long unetRuns = engine.plan(request).unetRuns();
        for (int i = 0; i < 2; i++) {
            engine.unload();
            engine.unload();
            assertEquals(unetRuns, engine.plan(request).unetRuns());
            assertEquals(hash, Tiny.hash(engine.draw(request)));
        }
        List<String> seen = Collections.synchronizedList(new ArrayList<>());
        Generation listened =
                engine.submit(
                        request,
                        event -> {
                            if (seen.isEmpty()) {
                                seen.add(event.stage());
                                engine.unload(); // takes effect behind this picture
                            }
                        });
        assertEquals(hash, Tiny.hash(listened.join()));
        assertEquals(hash, Tiny.hash(engine.draw(request)));
        engine.unload();
        engine.close();
        assertThrows(RejectedExecutionException.class, engine::unload);
    }

    @Test
    void memoryIsFreedAfterFailuresToo() {
        try (Engine engine =
                TestEngines.open(
                        Tiny.options(1),
                        point -> {
                            throw new IllegalStateException("unplugged");
                        })) {
            long before = Engine.nativeBytesInUse();
            assertThrows(DeviceException.class, () -> engine.submit(Tiny.request().build()).join());
            assertEquals(before, Engine.nativeBytesInUse());
        }
    }

    @Test
    void aFullQueueRejects() throws Exception {
        CountDownLatch started = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        EngineOptions options = Tiny.options(1).withQueue(1, EngineOptions.WhenFull.REJECT);
        try (Engine engine = TestEngines.open(options, holding(started, release))) {
            Generation drawing = engine.submit(Tiny.request().build());
            assertTrue(started.await(60, TimeUnit.SECONDS));
            Generation waiting = engine.submit(Tiny.request().build());
            RejectedExecutionException e =
                    assertThrows(
                            RejectedExecutionException.class,
                            () -> engine.submit(Tiny.request().build()));
            assertTrue(e.getMessage().contains("1 requests wait"), e.getMessage());
            release.countDown();
            drawing.join();
            waiting.join();
        }
    }

    /** Whoever has seen a picture done may ask for the next one, however fast. */
    @Test
    void anIdleEngineWithoutAQueueTakesARequest() {
        EngineOptions options = Tiny.options(1).withQueue(0, EngineOptions.WhenFull.REJECT);
        GenerationRequest request = Tiny.request().method("direct").size(64, 64).steps(1).build();
        try (Engine engine = Engine.open(options)) {
            for (int i = 0; i < 50; i++) {
                engine.submit(request).join();
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1})
    void closingEndsTheWaitForAPlace(int capacity) throws Exception {
        CountDownLatch started = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        EngineOptions options = Tiny.options(1).withQueue(capacity, EngineOptions.WhenFull.WAIT);
        Engine engine = TestEngines.open(options, holding(started, release));
        for (int i = 0; i <= capacity; i++) {
            engine.submit(Tiny.request().build());
        }
        assertTrue(started.await(60, TimeUnit.SECONDS));
        List<CompletableFuture<RejectedExecutionException>> refused = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            CompletableFuture<RejectedExecutionException> outcome = new CompletableFuture<>();
            refused.add(outcome);
            Thread waiting = Thread.ofPlatform().daemon().start(() -> refused(engine, outcome));
            while (waiting.getState() != Thread.State.WAITING) {
                assertFalse(outcome.isDone(), "it did not wait");
                Thread.onSpinWait();
            }
        }
        Thread closing = Thread.ofPlatform().daemon().start(engine::close);
        while (closing.getState() != Thread.State.TIMED_WAITING) {
            Thread.onSpinWait(); // for what is drawn
        }
        release.countDown();
        for (CompletableFuture<RejectedExecutionException> outcome : refused) {
            assertEquals("the engine is closed", outcome.get(60, TimeUnit.SECONDS).getMessage());
        }
        assertTrue(closing.join(Duration.ofSeconds(60)), "it is not closed");
    }

    private static void refused(
            Engine engine, CompletableFuture<RejectedExecutionException> outcome) {
        try {
            engine.submit(Tiny.request().build());
            outcome.completeExceptionally(new AssertionError("accepted"));
        } catch (RejectedExecutionException e) {
            outcome.complete(e);
        } catch (Throwable e) {
            outcome.completeExceptionally(e);
        }
    }

    @Test
    void cancellingEndsTheWorkAndTheNextRequestIsDrawn() throws Exception {
        CountDownLatch started = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        try (Engine engine = TestEngines.open(Tiny.options(2), holding(started, release))) {
            Generation generation = engine.submit(Tiny.request().steps(100).build());
            assertTrue(started.await(60, TimeUnit.SECONDS));
            Generation waiting = engine.submit(Tiny.request().build());
            waiting.cancel();
            generation.cancel();
            release.countDown();
            assertThrows(CancelledException.class, generation::join);
            assertThrows(CancelledException.class, waiting::join);
            assertEquals(128, engine.submit(Tiny.request().build()).join().width());
        }
    }

    @Test
    void cancellingWhatWaitsEndsItAtOnceAndFreesItsPlace() throws Exception {
        int capacity = 16;
        CountDownLatch started = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        EngineOptions options = Tiny.options(1).withQueue(capacity, EngineOptions.WhenFull.REJECT);
        try (Engine engine = TestEngines.open(options, holding(started, release))) {
            Generation drawing = engine.submit(Tiny.request().build());
            assertTrue(started.await(60, TimeUnit.SECONDS));
            for (int round = 0; round < 2; round++) {
                List<Generation> waiting = new ArrayList<>();
                for (int i = 0; i < capacity; i++) {
                    waiting.add(engine.submit(Tiny.request().build()));
                }
                assertThrows(
                        RejectedExecutionException.class,
                        () -> engine.submit(Tiny.request().build()));
                for (Generation generation : waiting) {
                    generation.cancel();
                    assertTrue(generation.future().isCompletedExceptionally());
                    assertThrows(CancelledException.class, generation::join);
                    generation.cancel(); // a second time it frees no other's place
                }
            }
            Generation last = engine.submit(Tiny.request().build());
            release.countDown();
            assertEquals(Tiny.hash(drawing.join()), Tiny.hash(last.join()));
        }
    }

    /** What else is wrong with it is not looked for. */
    @Test
    void aRequestThatIsCancelledWhileItWaitsIsNotBegun() throws Exception {
        CountDownLatch started = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        try (Engine engine = TestEngines.open(Tiny.options(1), holding(started, release))) {
            engine.submit(Tiny.request().build());
            assertTrue(started.await(60, TimeUnit.SECONDS));
            Generation waiting =
                    engine.submit(Tiny.request().dumpDirectory(Path.of("no such folder")).build());
            waiting.cancel();
            release.countDown();
            assertThrows(CancelledException.class, waiting::join);
        }
    }

    @Test
    void closingCancelsWhatIsDrawnAndWhatWaits() throws Exception {
        CountDownLatch started = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        Engine engine = TestEngines.open(Tiny.options(1), holding(started, release));
        Generation drawing = engine.submit(Tiny.request().steps(200).build());
        Generation waiting = engine.submit(Tiny.request().build());
        assertTrue(started.await(60, TimeUnit.SECONDS));
        release.countDown();
        engine.close();
        assertThrows(CancelledException.class, drawing::join);
        assertThrows(CancelledException.class, waiting::join);
    }

    /** As a continuation runs in the engine's thread, and may come while another thread closes. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aContinuationMayCloseTheEngine(boolean closing) throws Exception {
        long before = Engine.nativeBytesInUse();
        CountDownLatch started = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        Engine engine = TestEngines.open(Tiny.options(1), holding(started, release));
        CompletableFuture<Void> closed =
                engine.submit(Tiny.request().build())
                        .future()
                        .handle((image, e) -> null)
                        .thenRun(engine::close);
        assertTrue(started.await(60, TimeUnit.SECONDS));
        Thread closes = Thread.ofPlatform().daemon().unstarted(engine::close);
        if (closing) {
            closes.start();
        }
        release.countDown();
        closed.get(60, TimeUnit.SECONDS);
        if (!closing) {
            closes.start();
        }
        assertTrue(closes.join(Duration.ofSeconds(60)), "it is not closed");
        assertEquals(before, Engine.nativeBytesInUse());
    }

    @Test
    void aListenerMaySubmitCancelAndClose() throws Exception {
        EngineOptions options = Tiny.options(1).withQueue(1, EngineOptions.WhenFull.WAIT);
        List<Generation> more = Collections.synchronizedList(new ArrayList<>());
        CompletableFuture<String> refusal = new CompletableFuture<>();
        Engine engine = Engine.open(options);
        Generation generation =
                engine.submit(
                        Tiny.request().build(),
                        event -> {
                            if (more.isEmpty()) {
                                more.add(engine.submit(Tiny.request().build()));
                                try {
                                    engine.submit(Tiny.request().build());
                                } catch (RejectedExecutionException e) {
                                    refusal.complete(e.getMessage());
                                }
                                more.getFirst().cancel();
                                engine.close();
                            }
                        });
        String message = refusal.get(60, TimeUnit.SECONDS);
        assertTrue(message.contains("1 requests wait"), message);
        ExecutionException e =
                assertThrows(
                        ExecutionException.class,
                        () -> generation.future().get(60, TimeUnit.SECONDS));
        assertInstanceOf(CancelledException.class, e.getCause());
        engine.close();
        assertThrows(CancelledException.class, more.getFirst()::join);
    }

    @Test
    void eventsComeInOrderAndPreviewsHaveTheSizeOfThePicture() {
        List<GenerationEvent> events = Collections.synchronizedList(new ArrayList<>());
        List<PreviewImage> previews = Collections.synchronizedList(new ArrayList<>());
        GenerationListener listener =
                new GenerationListener() {
                    @Override
                    public void onEvent(GenerationEvent event) {
                        events.add(event);
                    }

                    @Override
                    public int previewEvery() {
                        return 2;
                    }

                    @Override
                    public void onPreview(PreviewImage preview) {
                        previews.add(preview);
                    }
                };
        try (Engine engine = TestEngines.open(Tiny.options(2), p -> Tiny.sleep(5))) {
            GeneratedImage image = engine.submit(Tiny.request().build(), listener).join();
            String plain = Tiny.hash(engine.submit(Tiny.request().build()).join());
            assertEquals(plain, Tiny.hash(image), "previews may not change the picture");
        }
        assertEquals("text", events.getFirst().stage());
        assertEquals("vae", events.getLast().stage());
        assertTrue(events.stream().anyMatch(e -> e.stage().equals("stage1") && e.step() == e.of()));
        assertTrue(events.stream().anyMatch(e -> e.stage().equals("stage2") && e.step() == e.of()));
        assertFalse(previews.isEmpty());
        previews.forEach(p -> assertEquals(128, p.width()));
        assertTrue(previews.stream().anyMatch(p -> "stage2".equals(p.stage())));
    }

    @Test
    void aThrowingListenerHarmsNothing() {
        try (Engine engine = Engine.open(Tiny.options(1))) {
            engine.submit(
                            Tiny.request().build(),
                            e -> {
                                throw new IllegalStateException("listener");
                            })
                    .join();
            engine.submit(
                            Tiny.request().build(),
                            e -> {
                                throw new AssertionError("listener");
                            })
                    .join();
        }
    }

    /** Else a listener whose methods lock what another thread holds while it cancels ends in a deadlock. */
    @Test
    void aRequestCanBeCancelledWhileItsListenerIsAsked() throws Exception {
        AtomicReference<Generation> generation = new AtomicReference<>();
        CountDownLatch submitted = new CountDownLatch(1);
        GenerationListener listener =
                new GenerationListener() {
                    private boolean asked;

                    @Override
                    public void onEvent(GenerationEvent event) {
                        Tiny.await(submitted);
                    }

                    @Override
                    public int previewEvery() {
                        if (asked) {
                            CompletableFuture.runAsync(generation.get()::cancel)
                                    .orTimeout(10, TimeUnit.SECONDS)
                                    .join();
                        }
                        asked = true;
                        return 1;
                    }
                };
        try (Engine engine = Engine.open(Tiny.options(1))) {
            generation.set(engine.submit(Tiny.request().build(), listener));
            submitted.countDown();
            assertEquals(128, generation.get().join().width());
        }
    }

    @Test
    void badRequestsAreRefusedAtOnce() {
        try (Engine engine = Engine.open(Tiny.options(1))) {
            expect("width 100", engine, Tiny.request().size(100, 128));
            expect(
                    "unknown mask block",
                    engine,
                    Tiny.request()
                            .options(
                                    AsgOptions.DEFAULT.withGuide(
                                            GuideOptions.DEFAULT.withMaskBlocks(
                                                    List.of("down_blocks.0")))));
            expect("scheduler \"heun\"", engine, Tiny.request().scheduler("heun"));
            expect(
                    "window stride 99",
                    engine,
                    Tiny.request()
                            .options(
                                    AsgOptions.DEFAULT.withWindows(
                                            WindowOptions.DEFAULT.withStride(99))));
            expect(
                    "jitter 7",
                    engine,
                    Tiny.request()
                            .options(
                                    AsgOptions.DEFAULT.withWindows(
                                            WindowOptions.DEFAULT.withJitter(7))));
        }
        String unknown =
                assertThrows(BadRequestException.class, () -> Tiny.request().method("magic"))
                        .getMessage();
        assertTrue(unknown.startsWith("unknown method \"magic\": there are asg,"), unknown);
        assertThrows(BadRequestException.class, () -> GenerationRequest.builder("  ").build());
        assertThrows(BadRequestException.class, () -> Tiny.request().steps(0).build());
        assertThrows(
                BadRequestException.class, () -> Tiny.request().guidanceScale(Double.NaN).build());
        assertThrows(
                BadRequestException.class,
                () -> GuideOptions.DEFAULT.withWeight(Double.POSITIVE_INFINITY));
        assertThrows(
                BadRequestException.class, () -> Engine.open(Tiny.options(1).withDevices("tpu")));
        assertThrows(
                DeviceException.class, () -> Engine.open(Tiny.options(1).withDevices("cuda:0")));
        assertThrows(
                BadRequestException.class, () -> Engine.open(Tiny.options(1).withDevices("cpu:0")));
    }

    /** The message has no map of bytes, and advises nothing that is in use already. */
    @ParameterizedTest
    @CsvSource({
        "asg, 1, false, false",
        "direct, 1, false, true",
        "multidiffusion, 3, true, false",
        "direct, 2, true, true"
    })
    void aPictureBeyondMemoryIsRefusedBeforeTheWork(
            String method, int workers, boolean fewerWorkers, boolean patches) {
        EngineOptions options = Tiny.options(workers).withMaxMemoryBytes(3 << 20);
        try (Engine engine = Engine.open(options)) {
            GenerationRequest request = Tiny.request().size(1024, 1024).method(method).build();
            String message =
                    assertThrows(OutOfMemoryException.class, () -> engine.submit(request).join())
                            .getMessage();
            assertTrue(message.startsWith("1024x1024 by " + method + " needs at "), message);
            assertTrue(message.contains("the limit is 3.0 MiB. It takes "), message);
            assertTrue(message.contains("Allow more (--max-memory), or draw a smaller"), message);
            assertFalse(message.contains("{") || message.contains("view batch"), message);
            assertEquals(fewerWorkers, message.contains("--devices cpu:1"), message);
            assertEquals(patches, message.contains("--method asg"), message);
        }
    }

    @Test
    void weightsBeyondMemoryAreNotBlamedOnThePicture() {
        try (Engine engine = Engine.open(Tiny.options(1).withMaxMemoryBytes(1000))) {
            String message =
                    assertThrows(
                                    OutOfMemoryException.class,
                                    () -> engine.submit(Tiny.request().build()).join())
                            .getMessage();
            assertTrue(message.contains("model's weights alone do not fit"), message);
            assertFalse(message.contains("smaller picture"), message);
        }
    }

    private static void expect(String message, Engine engine, GenerationRequest.Builder request) {
        BadRequestException e =
                assertThrows(BadRequestException.class, () -> engine.submit(request.build()));
        assertTrue(e.getMessage().contains(message), e.getMessage());
    }

    private static WorkerHook holding(CountDownLatch started, CountDownLatch release) {
        return point -> {
            started.countDown();
            Tiny.await(release);
        };
    }
}
