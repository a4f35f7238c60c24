// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Content;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.LegOptions;
import io.github.asg4j.MethodOptions.RelayOptions;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.PlanReport;
import io.github.asg4j.RelayStage;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.ffi.EmulatedCuda.Machine;
import io.github.asg4j.ffi.EmulatedCuda.Order;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/** The encode as work of all workers, on the CPU and on emulated GPUs. */
class EncodeTest {
    private static final int TILE = 128;
    private static final String TILES = "4 tiles of 136x136 pixels";

    private final long bytesBefore = Memory.bytesInUse();
    @TempDir private Path folder;
    private Path bundle;

    @BeforeEach
    void makeBundle() {
        bundle = Tiny.withTiledEncoder(folder);
    }

    @AfterEach
    void everyNativeByteIsFreed() {
        assertEquals(bytesBefore, Memory.bytesInUse(), "off-heap bytes in use");
    }

    private static GenerationRequest.Builder request(String kind) {
        GenerationRequest.Builder builder = Tiny.request().size(256, 256).steps(3);
        return switch (kind) {
            case "relay" ->
                    builder.options(
                            RelayOptions.DEFAULT.withLegs(
                                    LegOptions.DEFAULT.withStages(
                                            RelayStage.table("1x 0..0.7; full 0.7..1"))));
            default -> builder.method(kind).image(start());
        };
    }

    private static Content start() {
        return Content.file(Tiny.resource("goldens").resolve("start.png"));
    }

    private EngineOptions options(String devices) {
        return Tiny.options(bundle, 1).withDevices(devices);
    }

    private static GeneratedImage draw(
            EngineOptions options,
            WorkerHook hook,
            GenerationRequest request,
            List<GenerationEvent> events) {
        GeneratedImage image;
        try (Engine engine = TestEngines.open(options, hook, new EmulatedGpus())) {
            image = engine.submit(request, events::add).join();
        }
        assertEquals(0, EmulatedCuda.left(), "not freed on a GPU");
        return image;
    }

    /** A start picture, and the one that a relay enlarges, whoever takes which tile. */
    @ParameterizedTest
    @ValueSource(strings = {"asg", "direct", "relay"})
    void theSameBytesForAnyNumberOfWorkersAndAnyTiming(String kind) {
        GenerationRequest request = request(kind).vaeTile(TILE).build();
        String expected =
                Tiny.hash(draw(options("cpu:1"), WorkerHook.NONE, request, new ArrayList<>()));
        for (String devices : List.of("cpu:2", "cpu:3", "cuda:0", "cuda:0,cuda:1")) {
            boolean[] took = new boolean[3];
            WorkerHook hook =
                    point -> {
                        if (point.stage().equals("encode")) {
                            took[point.worker()] = true;
                            Tiny.sleep(point.worker() == 0 ? 20 : 5);
                        }
                    };
            List<GenerationEvent> events = new ArrayList<>();
            GeneratedImage image = draw(options(devices), hook, request, events);
            assertEquals(expected, Tiny.hash(image), devices);
            int workers = devices.startsWith("cpu") ? devices.charAt(4) - '0' : 1;
            workers = Math.max(workers, devices.split(",").length);
            for (int i = 0; i < workers; i++) {
                assertTrue(took[i], devices + ": worker " + i + " took no tile");
            }
            // Two norms and the features, then the tail.
            int units = 3 * 4 + 1;
            assertEquals(
                    new GenerationEvent("encode", units, units, 0),
                    events.stream()
                            .filter(event -> event.stage().equals("encode"))
                            .map(
                                    event ->
                                            new GenerationEvent(
                                                    "encode", event.step(), event.of(), 0))
                            .toList()
                            .getLast());
        }
    }

    /** Tiles change the last bits of the latents, and hardly a pixel. */
    @Test
    void tilesDrawWhatTheWholeEncodeDraws() {
        GenerationRequest whole = request("direct").build();
        GenerationRequest tiles = request("direct").vaeTile(TILE).build();
        try (Engine engine = Engine.open(options("cpu:2"))) {
            assertEquals("whole", encoded(engine, whole));
            assertEquals(TILES, encoded(engine, tiles));
            ByteBuffer expected = engine.submit(whole).join().rgb();
            ByteBuffer actual = engine.submit(tiles).join().rgb();
            int most = 0;
            for (int i = 0; i < expected.limit(); i++) {
                most = Math.max(most, Math.abs((expected.get(i) & 255) - (actual.get(i) & 255)));
            }
            // Those of the decode are exact too.
            assertTrue(most <= 1, "largest difference " + most);
        }
    }

    private static String encoded(Engine engine, GenerationRequest request) {
        return engine.plan(request).encoded();
    }

    @Test
    void theOthersEncodeTheTilesOfALostWorker() {
        GenerationRequest request = request("asg").vaeTile(TILE).build();
        AtomicInteger lost = new AtomicInteger(-1);
        WorkerHook hook =
                point -> {
                    boolean now = point.stage().equals("encode") && point.unit() >= 10;
                    if (point.worker() == lost.get()
                            || (now && lost.compareAndSet(-1, point.worker()))) {
                        point.spoil().run();
                        throw new IllegalStateException("unplugged");
                    }
                };
        GeneratedImage image = draw(options("cpu:3"), hook, request, new ArrayList<>());
        assertEquals(List.of("cpu#" + lost.get()), image.report().devices().lost());
        assertEquals(
                Tiny.hash(draw(options("cpu:1"), WorkerHook.NONE, request, new ArrayList<>())),
                Tiny.hash(image));
    }

    /** As a decode: the picture is there still, and it is encoded again in tiles that take less. */
    @Test
    void anEncodeThatRunsOutOfMemoryTakesSmallerTiles() {
        GenerationRequest request = request("direct").size(512, 512).steps(1).build();
        GenerationRequest tiles = request.toBuilder().vaeTile(TILE).build();
        ByteBuffer expected =
                draw(options("cpu:1"), WorkerHook.NONE, tiles, new ArrayList<>()).rgb();
        // What is planned finds room: only the provider runs out of memory.
        EmulatedGpus gpus = new EmulatedGpus(new Machine(2, 13010, 90, 4L << 30, Order.ASCENDING));
        gpus.limitFront(1_200_000); // the picture has 3,145,728 bytes, its features 1,048,576
        List<GenerationEvent> events = new ArrayList<>();
        try (Engine engine = TestEngines.open(options("cuda:0,cuda:1"), WorkerHook.NONE, gpus)) {
            ByteBuffer actual = engine.submit(request, events::add).join().rgb();
            for (int i = 0; i < expected.limit(); i++) {
                assertEquals(expected.get(i) & 255, actual.get(i) & 255, 1, "byte " + i);
            }
            assertTrue(events.stream().anyMatch(event -> event.stage().equals("encode")));
            gpus.limitFront(100_000);
            OutOfMemoryException e =
                    assertThrows(OutOfMemoryException.class, () -> engine.submit(request).join());
            assertTrue(e.getMessage().contains("vae_encoder"), e.getMessage());
        }
    }

    /** What is planned is what a limit allows; a bundle without the parts encodes whole whatever it takes. */
    @Test
    void thePlanCountsTiles() {
        GenerationRequest request = request("direct").size(512, 512).steps(1).build();
        EngineOptions options = options("cpu:1");
        PlanReport whole = plan(options.withMaxMemoryBytes(4L << 30), request);
        assertEquals("whole", whole.encoded());
        PlanReport tiles = plan(options, request.toBuilder().vaeTile(TILE).build());
        assertTrue(tiles.encoded().endsWith(" tiles of 136x136 pixels"), tiles.encoded());
        assertTrue(tiles.memory().vae() < whole.memory().vae(), tiles + " " + whole);
        PlanReport few = plan(options.withMaxMemoryBytes(1450L << 20), request);
        assertNotEquals("whole", few.encoded());
        assertTrue(few.memory().total() <= 1450L << 20, few.memory().toString());
        PlanReport noParts =
                plan(
                        Tiny.options(Tiny.bundle(), 1).withMaxMemoryBytes(900L << 20),
                        request.toBuilder().vaeTile(TILE).build());
        assertEquals("whole", noParts.encoded());
        assertEquals(null, plan(options, Tiny.request().build()).encoded());
    }

    private static PlanReport plan(EngineOptions options, GenerationRequest request) {
        try (Engine engine = Engine.open(options)) {
            return engine.plan(request);
        }
    }
}
