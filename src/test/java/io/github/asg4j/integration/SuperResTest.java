// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.Content;
import io.github.asg4j.Engine;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PlanReport;
import io.github.asg4j.Size;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.image.PictureEncoding;
import io.github.asg4j.kernel.KernelChoice;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/** A native picture enlarged by the small random RRDBNets of resources upscaler/. */
class SuperResTest {
    @TempDir private Path temp;
    private Path bundle;

    @BeforeEach
    void bundle() throws Exception {
        bundle = Tiny.withUpscalers(Files.createDirectory(temp.resolve("bundle")), 2, 4);
    }

    private static GenerationRequest.Builder request() {
        return Tiny.request().method("superres");
    }

    private GeneratedImage draw(int workers, WorkerHook hook, GenerationRequest.Builder request) {
        try (Engine engine = TestEngines.open(Tiny.options(bundle, workers), hook)) {
            return engine.submit(request.build()).join();
        }
    }

    private GeneratedImage draw(GenerationRequest.Builder request) {
        return draw(2, WorkerHook.NONE, request);
    }

    /** 8x: a pass of x4 over one tile, one of x2 over two. */
    @Test
    void theSameBytesForAnyNumberOfWorkersAndAnyKernels() {
        GenerationRequest.Builder request = request().size(1024, 64);
        GeneratedImage one = draw(1, WorkerHook.NONE, request);
        assertEquals(2, one.report().plan().upscaling().tiles());
        assertEquals(List.of("upscaler_x4.onnx"), one.report().plan().upscaling().files());
        assertEquals(8L, one.report().plan().guidedEvaluations());
        for (int workers : new int[] {2, 4}) {
            assertEquals(Tiny.hash(one), Tiny.hash(draw(workers, WorkerHook.NONE, request)));
        }
        for (String kernels : KernelChoice.usable()) {
            try (Engine engine =
                    TestEngines.open(
                            Tiny.options(bundle, 2).withKernels(kernels), WorkerHook.NONE)) {
                assertEquals(
                        Tiny.hash(one), Tiny.hash(engine.submit(request.build()).join()), kernels);
            }
        }
    }

    /** Lost before its first tile and after; lost in phase 1, so that it is missing for the tiles. */
    @Test
    void theOthersTakeOverTheTilesOfALostWorker() {
        GenerationRequest.Builder request = request().size(1024, 64);
        String expected = Tiny.hash(draw(1, WorkerHook.NONE, request));
        for (String stage : List.of("upscale", "phase1")) {
            AtomicInteger lost = new AtomicInteger(-1); // one, though others begin beside it
            WorkerHook hook =
                    point -> {
                        if (lost.get() == point.worker()
                                || (point.stage().equals(stage)
                                        && lost.compareAndSet(-1, point.worker()))) {
                            point.spoil().run();
                            throw new IllegalStateException("unplugged");
                        }
                    };
            GeneratedImage image = draw(3, hook, request);
            assertTrue(lost.get() >= 0, "the loss did not happen");
            assertEquals(List.of("cpu#" + lost), image.report().devices().lost());
            assertEquals(expected, Tiny.hash(image));
        }
    }

    @Test
    void everyTileIsAnEvent() {
        List<GenerationEvent> events = new ArrayList<>();
        try (Engine engine = Engine.open(Tiny.options(bundle, 1))) {
            engine.submit(request().size(1024, 64).build(), events::add).join();
        }
        List<String> stages = events.stream().map(GenerationEvent::stage).distinct().toList();
        assertEquals(List.of("text", "phase1", "vae", "upscale"), stages);
        List<GenerationEvent> tiles =
                events.stream().filter(e -> e.stage().equals("upscale")).toList();
        assertEquals(0, tiles.getFirst().step());
        assertEquals(2, tiles.getLast().step());
        assertTrue(tiles.stream().allMatch(e -> e.of() == 2));
    }

    @Test
    void cancellingEndsTheWorkBetweenTiles() {
        long before = Engine.nativeBytesInUse();
        CompletableFuture<Generation> running = new CompletableFuture<>();
        Set<Integer> begun = ConcurrentHashMap.newKeySet();
        WorkerHook hook =
                point -> {
                    if (point.stage().equals("upscale")) {
                        begun.add(point.unit());
                        running.join().cancel();
                    }
                };
        try (Engine engine = TestEngines.open(Tiny.options(bundle, 1), hook)) {
            Generation generation = engine.submit(request().size(1024, 64).build());
            running.complete(generation);
            assertThrows(CancelledException.class, generation::join);
            assertEquals(Set.of(0), begun);
            assertEquals(before, Engine.nativeBytesInUse());
        }
    }

    /** At native size nothing is enlarged: but for rounding it is direct inference. */
    @Test
    void atNativeSizeItIsDirectInference() {
        GeneratedImage direct = draw(request().method("direct").size(64, 64));
        GeneratedImage image = draw(request().size(64, 64));
        assertEquals(0, image.report().plan().upscaling().tiles());
        for (int i = 0; i < direct.rgb().remaining(); i++) {
            int difference = (direct.rgb().get(i) & 255) - (image.rgb().get(i) & 255);
            assertTrue(Math.abs(difference) <= 1, "byte " + i + " differs by " + difference);
        }
    }

    @Test
    void thePlanSaysWhatIsEnlarged() {
        try (Engine engine = Engine.open(Tiny.options(bundle, 2))) {
            PlanReport plan = engine.plan(request().size(192, 136).build());
            assertEquals(new Size(3, 3), plan.patches());
            assertEquals(1, plan.upscaling().tiles());
            assertEquals(1, plan.barriers(), "before the tiles");
            assertEquals(new Size(192, 144), plan.upscaling().resampledTo());
            GeneratedImage image = draw(request().size(192, 136));
            assertEquals(192, image.width());
            assertEquals(136, image.height());
            assertTrue(image.report().times().upscale().getAsDouble() > 0);
        }
    }

    @Test
    void aGivenPictureIsEnlargedWhateverThePrompt() throws Exception {
        Path given = picture(50, 49);
        GenerationRequest.Builder request = request().image(Content.file(given));
        GeneratedImage image = draw(request);
        assertEquals(128, image.width());
        assertEquals(0L, image.report().plan().guidedEvaluations());
        assertEquals(Tiny.hash(image), Tiny.hash(draw(1, WorkerHook.NONE, request.seed(8))));
        assertNotEquals(
                Tiny.hash(image), Tiny.hash(draw(request().image(Content.file(picture(49, 50))))));
        BadRequestException e =
                assertThrows(
                        BadRequestException.class,
                        () -> draw(request().image(Content.file(temp.resolve("none.png")))));
        assertTrue(e.getMessage().contains("none.png"), e.getMessage());
    }

    @Test
    void aBundleWithoutUpscalersSaysHowToAddOne() {
        try (Engine engine = Engine.open(Tiny.options(1))) {
            BadRequestException e =
                    assertThrows(BadRequestException.class, () -> engine.submit(request().build()));
            assertTrue(e.getMessage().contains("no upscalers in its manifest"), e.getMessage());
            assertTrue(e.getMessage().contains("asg4j-export upscaler"), e.getMessage());
            assertEquals(64, engine.submit(request().size(64, 64).build()).join().width());
        }
    }

    private Path picture(int width, int height) {
        Path file = temp.resolve(width + "x" + height + ".png");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment rgb = arena.allocate(3L * width * height);
            for (long i = 0; i < rgb.byteSize(); i++) {
                rgb.set(ValueLayout.JAVA_BYTE, i, (byte) (i * 7 % 251));
            }
            PictureEncoding.PNG.write(file, width, height, rgb, "", () -> false);
        }
        return file;
    }
}
