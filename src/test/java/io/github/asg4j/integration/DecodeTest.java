// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.PlanReport;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** The decode as work of all workers: exact and feathered tiles, on the CPU and on emulated GPUs. */
@Tag("optimised")
class DecodeTest {
    private static final int TILE = 128;

    private final long bytesBefore = Memory.bytesInUse();
    @TempDir private Path folder;

    @AfterEach
    void everyNativeByteIsFreed() {
        assertEquals(bytesBefore, Memory.bytesInUse(), "off-heap bytes in use");
    }

    /** Few steps: what is drawn does not matter here. */
    private static GenerationRequest.Builder request() {
        return Tiny.request().size(256, 256).steps(2);
    }

    private EngineOptions options(boolean exact, String devices) {
        Path bundle = exact ? tiled("", false) : Tiny.bundle();
        return Tiny.options(bundle, 1).withDevices(devices);
    }

    private Path tiled(String suffix, boolean fallback) {
        try {
            return Tiny.withTiledVae(Files.createTempDirectory(folder, "bundle"), suffix, fallback);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static GeneratedImage draw(
            EngineOptions options, WorkerHook hook, GenerationRequest request) {
        return draw(options, hook, request, event -> {});
    }

    private static GeneratedImage draw(
            EngineOptions options,
            WorkerHook hook,
            GenerationRequest request,
            GenerationListener listener) {
        GeneratedImage image;
        try (Engine engine = TestEngines.open(options, hook, new EmulatedGpus())) {
            image = engine.submit(request, listener).join();
        }
        assertEquals(0, EmulatedCuda.left(), "not freed on a GPU");
        return image;
    }

    /** Those that are fast and those that are slow take their tiles in whatever order. */
    @ParameterizedTest
    @CsvSource({"true, 4 tiles of 140x140 pixels", "false, 9 feathered tiles of 128x128 pixels"})
    void theSameBytesForAnyNumberOfWorkersAndAnyTiming(boolean exact, String tiles) {
        GenerationRequest request = request().vaeTile(TILE).build();
        EngineOptions options = options(exact, "cpu:1");
        String expected = Tiny.hash(draw(options, WorkerHook.NONE, request));
        for (String devices :
                List.of("cpu:2", "cpu:3", "cuda:0", "cuda:1,cuda:0", "cuda:0,cuda:1,cuda:0")) {
            for (int slow = 0; slow < 2; slow++) {
                boolean[] took = new boolean[3];
                int late = slow;
                WorkerHook hook =
                        point -> {
                            if (point.stage().equals("vae")) {
                                took[point.worker()] = true;
                                Tiny.sleep(point.worker() == late ? 20 : 5);
                            }
                        };
                List<GenerationEvent> events = new ArrayList<>();
                GeneratedImage image =
                        draw(options.withDevices(devices), hook, request, events::add);
                assertEquals(expected, Tiny.hash(image), devices);
                assertEquals(tiles, image.report().decoded());
                assertEquals(List.of(), image.report().devices().lost());
                int workers = devices.startsWith("cpu") ? devices.charAt(4) - '0' : 1;
                workers = Math.max(workers, devices.split(",").length);
                for (int i = 0; i < workers; i++) {
                    assertTrue(took[i], "worker " + i + " of " + devices + " took no tile");
                }
                checkEvents(events);
            }
        }
        assertNotEquals(
                expected,
                Tiny.hash(draw(options, WorkerHook.NONE, request().build())),
                "tiles change the bytes of the whole, or this test sees nothing");
    }

    private static void checkEvents(List<GenerationEvent> events) {
        List<GenerationEvent> vae = events.stream().filter(e -> e.stage().equals("vae")).toList();
        assertEquals(0, vae.getFirst().step());
        assertTrue(vae.getFirst().of() >= 9, vae.toString());
        assertEquals(vae.getLast().of(), vae.getLast().step());
        for (int i = 1; i < vae.size(); i++) {
            assertTrue(vae.get(i).step() > vae.get(i - 1).step(), vae.toString());
        }
    }

    /** Previews are decoded in the same tiles. */
    @Test
    void previewsAreDecodedWhileWorkersDraw() {
        AtomicInteger previews = new AtomicInteger();
        GenerationListener listener = Tiny.previews(image -> previews.incrementAndGet());
        GenerationRequest request = request().steps(8).vaeTile(TILE).build();
        EngineOptions options = options(true, "cpu:2");
        GeneratedImage image = draw(options, WorkerHook.NONE, request, listener);
        assertTrue(previews.get() > 0);
        assertEquals(Tiny.hash(draw(options, WorkerHook.NONE, request)), Tiny.hash(image));
    }

    @ParameterizedTest
    @CsvSource({"true, cpu:2", "false, cpu:2", "true, 'cuda:0,cuda:1'", "false, 'cuda:0,cuda:1'"})
    void cancellingEndsTheDecode(boolean exact, String devices) throws Exception {
        CountDownLatch reached = new CountDownLatch(1);
        CountDownLatch cancelled = new CountDownLatch(1);
        AtomicInteger after = new AtomicInteger();
        WorkerHook hook =
                point -> {
                    if (point.stage().equals("vae")) {
                        if (cancelled.getCount() == 0) {
                            after.incrementAndGet();
                        } else if (point.unit() >= 3) {
                            reached.countDown();
                            Tiny.await(cancelled);
                        }
                    }
                };
        try (Engine engine = TestEngines.open(options(exact, devices), hook, new EmulatedGpus())) {
            Generation generation = engine.submit(request().vaeTile(TILE).build());
            assertTrue(reached.await(60, TimeUnit.SECONDS));
            generation.cancel();
            cancelled.countDown();
            assertThrows(CancelledException.class, generation::join);
            assertEquals(0, after.get(), "tiles begun after the cancellation");
        }
        assertEquals(0, EmulatedCuda.left(), "not freed on a GPU");
    }

    @ParameterizedTest
    @ValueSource(strings = {"cpu:2", "cuda:0,cuda:1"})
    void tilesThatAreNotFiniteAreDecodedByTheFallbackOrRefused(String devices) {
        GenerationRequest tiles = request().vaeTile(TILE).build();
        EngineOptions good = options(true, "cpu:1");
        EngineOptions alone = good.withModel(tiled("_overflow", false)).withDevices(devices);
        EngineOptions both = good.withModel(tiled("_overflow", true)).withDevices(devices);
        for (GenerationRequest request : List.of(tiles, request().build())) {
            AsgException e =
                    assertThrows(
                            BadBundleException.class, () -> draw(alone, WorkerHook.NONE, request));
            assertTrue(e.getMessage().contains("the VAE decoder returned a NaN"), e.getMessage());
            String expected = Tiny.hash(draw(good, WorkerHook.NONE, request));
            assertEquals(expected, Tiny.hash(draw(both, WorkerHook.NONE, request)));
        }
    }

    /** More tiles than wait to be blended: those that are left have to be given up too. */
    @ParameterizedTest
    @ValueSource(strings = {"cpu:2", "cuda:0,cuda:1"})
    void featheredTilesThatAreNotFiniteAreDecodedByTheFallback(String devices) throws IOException {
        GenerationRequest request = request().size(512, 512).vaeTile(TILE).build();
        Path bundle = Tiny.withOverflowingVae(Files.createTempDirectory(folder, "bundle"));
        EngineOptions options = Tiny.options(bundle, 1).withDevices(devices);
        GeneratedImage image = draw(options, WorkerHook.NONE, request);
        assertEquals("25 feathered tiles of 128x128 pixels", image.report().decoded());
    }

    /** The latents are there still: they are decoded again in tiles that memory suffices for. */
    @ParameterizedTest
    @CsvSource({"true, cuda:0", "false, cuda:0", "true, 'cuda:0,cuda:1'", "false, 'cuda:0,cuda:1'"})
    void aDecodeThatRunsOutOfMemoryTakesSmallerTiles(boolean exact, String devices) {
        GenerationRequest request = request().build();
        String expected =
                Tiny.hash(
                        draw(
                                options(exact, "cpu:1"),
                                WorkerHook.NONE,
                                request.toBuilder().vaeTile(TILE).build()));
        EmulatedGpus gpus = new EmulatedGpus();
        gpus.limitFront(300_000); // the picture has 786,432 bytes, a tile 196,608
        try (Engine engine = TestEngines.open(options(exact, devices), WorkerHook.NONE, gpus)) {
            GeneratedImage image = engine.submit(request).join();
            assertEquals(expected, Tiny.hash(image));
            String tiles = image.report().decoded();
            assertTrue(
                    tiles.endsWith("tiles of " + (exact ? "140x140" : "128x128") + " pixels"),
                    tiles);
            assertEquals(List.of(), image.report().devices().lost());
            gpus.limitFront(100_000);
            OutOfMemoryException e =
                    assertThrows(OutOfMemoryException.class, () -> engine.submit(request).join());
            assertTrue(e.getMessage().contains("vae_"), e.getMessage());
            gpus.limitFront(Long.MAX_VALUE);
            assertEquals("whole", engine.submit(request).join().report().decoded());
        }
    }

    /** Its memory is overwritten; what it had decoded before stays. */
    @ParameterizedTest
    @CsvSource({"true, 1", "true, 14", "true, 22", "false, 0", "false, 4"})
    void theOthersDecodeTheTilesOfALostWorker(boolean exact, int unit) {
        GenerationRequest request = request().vaeTile(TILE).build();
        EngineOptions options = options(exact, "cpu:3");
        AtomicInteger lost = new AtomicInteger(-1);
        WorkerHook hook =
                point -> {
                    boolean now = point.stage().equals("vae") && point.unit() >= unit;
                    if (point.worker() == lost.get()
                            || (now && lost.compareAndSet(-1, point.worker()))) {
                        point.spoil().run();
                        throw new IllegalStateException("unplugged");
                    }
                };
        GeneratedImage image = draw(options, hook, request);
        assertEquals(List.of("cpu#" + lost.get()), image.report().devices().lost());
        assertEquals(
                Tiny.hash(draw(options.withDevices("cpu:1"), WorkerHook.NONE, request)),
                Tiny.hash(image));
    }

    /** Of the whole decode too: the picture is begun again on the other. */
    @ParameterizedTest
    @CsvSource({"true, 0, 128", "true, 1, 128", "false, 0, 128", "false, 1, 128", "true, 0, 256"})
    void theOtherGpuDecodesTheTilesOfALostOne(boolean exact, int device, int tile) {
        GenerationRequest request = request().vaeTile(tile).build();
        EngineOptions options = options(exact, "cuda:0,cuda:1");
        String expected = Tiny.hash(draw(options.withDevices("cpu:1"), WorkerHook.NONE, request));
        EmulatedGpus gpus = new EmulatedGpus();
        CountDownLatch gone = new CountDownLatch(1);
        WorkerHook hook =
                point -> {
                    if (!point.stage().equals("vae") || gone.getCount() == 0) {
                        return;
                    }
                    if (point.worker() == device) {
                        gpus.lose(device);
                        gone.countDown();
                    } else if (!exact || point.unit() > 0) {
                        // It might have all tiles before the lost one has any; the front it runs
                        // alone.
                        Tiny.await(gone);
                    }
                };
        try (Engine engine = TestEngines.open(options, hook, gpus)) {
            for (int i = 0; i < 2; i++) {
                GeneratedImage image = engine.submit(request).join();
                assertEquals(List.of("cuda:" + device), image.report().devices().lost());
                assertEquals(expected, Tiny.hash(image));
            }
        }
    }

    /** 512 x 512 whole takes 1 GiB by the estimate, tiles of 256 pixels a quarter of it. */
    @Test
    void tilesAreSmallerWhereMemoryIsShort() {
        GenerationRequest request = request().size(512, 512).steps(1).build();
        EngineOptions options = options(false, "cpu:1").withMaxMemoryBytes(700L << 20);
        try (Engine engine = Engine.open(options.withMaxMemoryBytes(2L << 30))) {
            assertEquals("whole", vae(engine, request).summary());
        }
        String expected =
                Tiny.hash(
                        draw(
                                options.withMaxMemoryBytes(2L << 30),
                                WorkerHook.NONE,
                                request.toBuilder().vaeTile(256).build()));
        for (int workers = 1; workers <= 3; workers += 2) {
            EngineOptions some = options.withDevices("cpu:" + workers);
            try (Engine engine = Engine.open(some)) {
                PlanReport.Decoding vae = vae(engine, request);
                assertEquals("9 feathered tiles of 256x256 pixels", vae.summary());
                assertEquals(256, vae.tilePixels());
                assertEquals(Math.min(workers, 2), vae.atOnce());
                assertEquals(
                        Math.min(workers, 2) * (272L << 20), engine.plan(request).memory().vae());
                assertEquals(expected, Tiny.hash(engine.submit(request).join()));
            }
        }
    }

    /** The front of exact tiles runs whole: below its half a GiB no tile helps. */
    @Test
    void aPictureOfWhichNoTileFitsIsRefused() {
        GenerationRequest request = request().size(512, 512).build();
        EngineOptions options = options(true, "cpu:1").withMaxMemoryBytes(500L << 20);
        try (Engine engine = Engine.open(options)) {
            assertEquals(128, vae(engine, request).tilePixels());
            Generation generation = engine.submit(request);
            OutOfMemoryException e = assertThrows(OutOfMemoryException.class, generation::join);
            assertTrue(e.getMessage().contains("the limit is 500.0 MiB"), e.getMessage());
            assertTrue(e.getMessage().contains("for the VAE's working memory"), e.getMessage());
        }
    }

    @Test
    void tilesFitTheMemoryOfEveryGpu() {
        EmulatedCuda.Machine small =
                new EmulatedCuda.Machine(2, 13010, 90, 700L << 20, EmulatedCuda.Order.ASCENDING);
        EngineOptions options = options(true, "cuda:0,cuda:1");
        GenerationRequest request = request().size(512, 512).build();
        try (Engine engine = TestEngines.open(options, WorkerHook.NONE, new EmulatedGpus(small))) {
            assertEquals(128, vae(engine, request).tilePixels());
            Map<String, PlanReport.Memory> devices = engine.plan(request).deviceMemory();
            long tile = 23L * 256 * 140 * 140; // with 3 features of 2 pixels around 128
            assertEquals((544L << 20) + tile, devices.get("cuda:0").vae());
            assertEquals(tile, devices.get("cuda:1").vae());
        }
    }

    private static PlanReport.Decoding vae(Engine engine, GenerationRequest request) {
        return engine.plan(request).decoding();
    }

    @ParameterizedTest
    @CsvSource({"100, multiple of 8", "120, at least 128"})
    void impossibleTileSizesAreRefused(int pixels, String message) {
        try (Engine engine = Engine.open(options(false, "cpu:1"))) {
            GenerationRequest request = request().vaeTile(pixels).build();
            AsgException e = assertThrows(BadRequestException.class, () -> engine.submit(request));
            assertTrue(e.getMessage().contains(pixels + " pixels"), e.getMessage());
            assertTrue(e.getMessage().contains(message), e.getMessage());
        }
    }
}
