// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.JavaKernels;
import io.github.asg4j.model.GraphFiles;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.model.VaeDecoder;
import io.github.asg4j.plan.Decoding;
import io.github.asg4j.run.work.WorkUnits;
import io.github.asg4j.run.worker.DeviceLane;
import io.github.asg4j.run.worker.InterruptibleRuns;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntFunction;

/**
 * Whole against tiles, on a random AutoencoderKL with group normalisation (resources vae/) and on
 * the local decoder of the tiny bundle.
 */
class DecodeRunTest {
    private static final Manifest.TiledNetwork PARTS =
            new Manifest.TiledNetwork("vae_front.onnx", "vae_tail.onnx", 4, 1, 512);
    private static final Manifest.Latent LATENT =
            new Manifest.Latent(4, 8, 8, 8, 1, 0, 1, Manifest.Latent.UNLIMITED);
    private static final Decoding.Tiling WHOLE = new Decoding.Tiling(1 << 20, 8, 4);
    private static final double LEVEL = 2.0 / 255;

    private final long bytesBefore = Memory.bytesInUse();
    private final Memory memory = new Memory("test");
    private final List<String> loaded = new ArrayList<>();

    @AfterEach
    void close() {
        memory.close();
        assertEquals(bytesBefore, Memory.bytesInUse(), "off-heap bytes in use");
    }

    /** Sizes that tiles divide and that they do not; one axis within a tile; 2x and 4x. */
    @ParameterizedTest
    @CsvSource({"16, 16, 8", "32, 32, 8", "13, 29, 8", "7, 40, 8", "17, 16, 5", "24, 24, 2"})
    void exactTilesGiveTheWholeDecode(int h, int w, int tile) {
        try (VaeDecoder decoder = random(PARTS)) {
            MemorySegment latents = scene(h, w);
            MemorySegment whole = decode(decoder, latents, h, w, WHOLE);
            MemorySegment tiled = decode(decoder, latents, h, w, new Decoding.Tiling(1, tile, 1));
            double error = largestDifference(whole, tiled);
            assertTrue(error < 0.05 * LEVEL, error / LEVEL + " of 255");
            // The tail in as many passes as it has norms, and one.
            List<String> expected = new ArrayList<>(List.of("vae_decoder.onnx", "vae_tail.onnx"));
            expected.add("vae_front.onnx");
            expected.addAll(Collections.nCopies(5, "vae_tail.onnx"));
            assertEquals(expected, loaded);
        }
    }

    /** What is kept between passes loses nothing of halves, which round as they do in one tile. */
    @Test
    void tilesOfHalvesAreNearToTheWholeDecode() {
        var halves = new Manifest.TiledNetwork("vae_front.onnx", "vae_tail_halves.onnx", 4, 1, 512);
        try (VaeDecoder decoder = random(halves)) {
            MemorySegment latents = scene(13, 29);
            MemorySegment whole = decode(decoder, latents, 13, 29, WHOLE);
            MemorySegment tiled = decode(decoder, latents, 13, 29, new Decoding.Tiling(1, 8, 1));
            double error = largestDifference(whole, tiled);
            assertTrue(error > 0 && error < 2 * LEVEL, error / LEVEL + " of 255");
        }
    }

    /** The reason for the tiled decoder: without it a tile takes its own statistics. */
    @Test
    void featheredTilesDifferInTone() {
        try (VaeDecoder decoder = random(null)) {
            MemorySegment latents = scene(32, 32);
            MemorySegment whole = decode(decoder, latents, 32, 32, WHOLE);
            MemorySegment tiled = decode(decoder, latents, 32, 32, new Decoding.Tiling(1, 16, 8));
            double error = largestDifference(whole, tiled);
            assertTrue(error > 3 * LEVEL, error / LEVEL + " of 255");
            assertEquals(List.of("vae_decoder.onnx"), loaded);
        }
    }

    /** A decoder without norms reaches 3 cells: feathered tiles beyond them are exact. */
    @ParameterizedTest
    @CsvSource({"32, 32, 16, 8", "19, 45, 18, 8", "9, 40, 24, 12", "33, 16, 16, 8"})
    void featheredTilesOfALocalDecoderGiveTheWholeDecode(int h, int w, int tile, int overlap) {
        try (VaeDecoder decoder =
                decoder(Tiny.resource("tiny"), "vae_decoder.onnx", vae(null, null))) {
            MemorySegment latents = scene(h, w);
            MemorySegment whole = decode(decoder, latents, h, w, WHOLE);
            MemorySegment tiled =
                    decode(decoder, latents, h, w, new Decoding.Tiling(1, tile, overlap));
            double error = largestDifference(whole, tiled);
            assertTrue(error < 0.5 * LEVEL, error / LEVEL + " of 255");
        }
    }

    /** As one in half precision does on some pictures, this decoder gives infinities. */
    @ParameterizedTest
    @ValueSource(ints = {1, 1 << 20})
    void whatOverflowsIsDecodedAgain(int wholeCells) {
        var tiling = new Decoding.Tiling(wholeCells, 8, 1);
        var overflowing =
                new Manifest.TiledNetwork("vae_front.onnx", "vae_tail_overflow.onnx", 4, 1, 512);
        try (VaeDecoder good = random(PARTS);
                VaeDecoder halves =
                        decoder(
                                Tiny.resource("vae"),
                                "vae_decoder_overflow.onnx",
                                halves(overflowing, vae(PARTS, null)));
                VaeDecoder alone =
                        decoder(
                                Tiny.resource("vae"),
                                "vae_decoder_overflow.onnx",
                                halves(overflowing, null))) {
            MemorySegment latents = scene(16, 16);
            MemorySegment expected = decode(good, latents, 16, 16, tiling);
            assertEquals(
                    -1, expected.mismatch(decode(halves, latents, 16, 16, tiling)), "first byte");
            BadBundleException e =
                    assertThrows(
                            BadBundleException.class, () -> decode(alone, latents, 16, 16, tiling));
            assertTrue(e.getMessage().contains("NaN or an infinity"), e.getMessage());
        }
    }

    /** In whatever order tiles are done, they are put together in theirs. */
    @ParameterizedTest
    @CsvSource({"true, 1", "true, 2", "true, 3", "false, 1", "false, 2", "false, 3"})
    void theSameForAnyNumberOfWorkersInAnyOrder(boolean exact, int count) {
        var tiling = new Decoding.Tiling(1, 8, 4);
        try (VaeDecoder decoder = random(exact ? PARTS : null)) {
            MemorySegment latents = scene(29, 20);
            MemorySegment expected = decode(decoder, latents, 29, 20, tiling);
            MemorySegment image = memory.floats(expected.byteSize() / 4, "image");
            try (DecodeRun run =
                    DecodeRun.of(job(decoder, latents, 29, 20, image, tiling, count))) {
                HostWorkers.inAnyOrder(run, count);
            }
            assertEquals(-1, expected.mismatch(image), "first byte");
        }
    }

    /** Of two workers with room for one tile the second waits for the first. */
    @Test
    void noMoreTilesAtOnceThanThereIsRoomFor() throws Exception {
        CountDownLatch first = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        AtomicInteger inside = new AtomicInteger();
        try (VaeDecoder decoder = random(null);
                ExecutorService threads = Executors.newFixedThreadPool(2)) {
            MemorySegment latents = scene(16, 16);
            MemorySegment image = memory.floats(3L * 128 * 128, "image");
            DecodeRun.Job usual =
                    job(decoder, latents, 16, 16, image, new Decoding.Tiling(1, 8, 4), 2);
            IntFunction<VaeDecoder> slow =
                    worker -> {
                        inside.incrementAndGet();
                        first.countDown();
                        try {
                            assertTrue(go.await(60, TimeUnit.SECONDS));
                        } catch (InterruptedException e) {
                            throw new IllegalStateException(e);
                        }
                        return decoder;
                    };
            DecodeRun.Job job =
                    new DecodeRun.Job(
                            usual.decoding(), slow, -1, 2, 1, latents, image, new JavaKernels());
            DeviceLane lane = HostWorkers.lane("cpu", threads);
            try (DecodeRun run = DecodeRun.of(job);
                    Worker one = new Worker(0, 2, lane, WorkerHook.NONE, null);
                    Worker two = new Worker(1, 2, lane, WorkerHook.NONE, null)) {
                Future<?> a = threads.submit(() -> run.execute(one, 0, 0));
                assertTrue(first.await(60, TimeUnit.SECONDS));
                Future<?> b = threads.submit(() -> run.execute(two, 1, 0));
                assertThrows(TimeoutException.class, () -> b.get(200, TimeUnit.MILLISECONDS));
                assertEquals(1, inside.get());
                go.countDown();
                a.get();
                b.get();
                assertEquals(2, inside.get());
            }
        }
    }

    @Test
    void partsThatDoNotFitAreNamed() {
        Manifest.TiledNetwork swapped =
                new Manifest.TiledNetwork("vae_tail.onnx", "vae_front.onnx", 4, 3, 512);
        try (VaeDecoder decoder = random(swapped)) {
            MemorySegment latents = scene(16, 16);
            BadBundleException e =
                    assertThrows(
                            BadBundleException.class,
                            () -> decode(decoder, latents, 16, 16, new Decoding.Tiling(1, 8, 4)));
            assertTrue(e.getMessage().contains("vae_front.onnx"), e.getMessage());
        }
        BadBundleException e =
                assertThrows(
                        BadBundleException.class,
                        () -> random(new Manifest.TiledNetwork("a", "b", 3, 3, 512)).close());
        assertTrue(e.getMessage().contains("vae.tiled_decoder.scale"), e.getMessage());
    }

    @Test
    void badTilingIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> new Decoding.Tiling(1, 8, 5));
        assertThrows(IllegalArgumentException.class, () -> new Decoding.Tiling(1, 8, 0));
    }

    /** As on GPUs: tiles have to see as far as the whole tail does. */
    @ParameterizedTest
    @CsvSource({"13, 29, 8", "24, 24, 2"})
    void passesThatBeginAnewGiveTheWholeDecode(int h, int w, int tile) {
        var parts = new Manifest.TiledNetwork("vae_front.onnx", "vae_tail.onnx", 4, 3, 512);
        try (VaeDecoder decoder =
                decoder(Tiny.resource("vae"), "vae_decoder.onnx", vae(parts, null), false)) {
            MemorySegment latents = scene(h, w);
            MemorySegment whole = decode(decoder, latents, h, w, WHOLE);
            MemorySegment tiled = decode(decoder, latents, h, w, new Decoding.Tiling(1, tile, 1));
            double error = largestDifference(whole, tiled);
            assertTrue(error < 0.05 * LEVEL, error / LEVEL + " of 255");
        }
    }

    private VaeDecoder random(Manifest.TiledNetwork parts) {
        return decoder(Tiny.resource("vae"), "vae_decoder.onnx", vae(parts, null));
    }

    private VaeDecoder decoder(Path folder, String file, Manifest.Vae vae) {
        return decoder(folder, file, vae, true);
    }

    private VaeDecoder decoder(Path folder, String file, Manifest.Vae vae, boolean keeps) {
        return new VaeDecoder(
                LATENT,
                vae,
                GraphFiles.of(
                        folder,
                        part -> {
                            loaded.add(part);
                            return part.equals(vae.decoder()) ? file : part;
                        }),
                keeps);
    }

    @Test
    void tileBordersAreWhereTilesMeet() {
        Manifest.TiledNetwork entry = new Manifest.TiledNetwork("front", "tail", 4, 6, 512);
        // Whole up to 128 x 128 cells.
        assertEquals(List.of(), borders(entry, 128, 128));
        // Tiles keep at most 64 cells, all as many: 3 of 214 features, of which 4 are a cell.
        assertEquals(List.of(214 * 2, 2 * 214 * 2), borders(entry, 160, 128));
        assertEquals(List.of(64 * 8), borders(entry, 128, 160));
        // Feathered tiles begin every 48 cells, the last one moved back.
        assertEquals(List.of(48 * 8, 64 * 8, 96 * 8, 112 * 8), borders(null, 160, 128));
        assertEquals(List.of(), borders(null, 64, 1000));
    }

    private static Manifest.Vae halves(Manifest.TiledNetwork parts, Manifest.Vae fallback) {
        return new Manifest.Vae("halves.onnx", null, "fp16", parts, null, fallback, 32, true);
    }

    private static List<Integer> borders(Manifest.TiledNetwork entry, int width, int height) {
        return new Decoding(
                        vae(entry, null), LATENT, height, width, Decoding.Tiling.usual(8), 1, false)
                .columnBorders();
    }

    private static Manifest.Vae vae(Manifest.TiledNetwork parts, Manifest.Vae fallback) {
        return new Manifest.Vae("vae_decoder.onnx", null, "fp32", parts, null, fallback, 32, true);
    }

    /** Noise whose mean and spread change over the picture: tiles differ in their statistics. */
    private MemorySegment scene(int h, int w) {
        Random random = new Random(11);
        MemorySegment latents = memory.floats(4L * h * w, "latents");
        for (int i = 0; i < 4 * h * w; i++) {
            double y = (double) (i / w % h) / h;
            double x = (double) (i % w) / w;
            double value = 2 * (x - y) + (0.2 + x) * random.nextGaussian();
            latents.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) value);
        }
        return latents;
    }

    private MemorySegment decode(
            VaeDecoder decoder, MemorySegment latents, int h, int w, Decoding.Tiling tiling) {
        MemorySegment image = memory.floats(3L * h * w * 64, "image");
        DecodeRun.Job job = job(decoder, latents, h, w, image, tiling, 1);
        boolean again;
        try (DecodeRun run = DecodeRun.of(job)) {
            run.carryOut(new InterruptibleRuns());
            again = run.overflowed();
        }
        if (again) {
            try (DecodeRun run = DecodeRun.of(job.byFallback())) {
                run.carryOut(new InterruptibleRuns());
            }
        }
        return image;
    }

    private static DecodeRun.Job job(
            VaeDecoder decoder,
            MemorySegment latents,
            int h,
            int w,
            MemorySegment image,
            Decoding.Tiling tiling,
            int workers) {
        Decoding decoding = new Decoding(decoder.entry(), LATENT, h, w, tiling, 1, false);
        return new DecodeRun.Job(
                decoding,
                worker -> decoder,
                WorkUnits.NOBODY,
                workers,
                workers,
                latents,
                image,
                new JavaKernels());
    }

    private static double largestDifference(MemorySegment a, MemorySegment b) {
        double largest = 0;
        for (long i = 0; i < a.byteSize() / 4; i++) {
            double difference =
                    Math.abs(
                            a.getAtIndex(ValueLayout.JAVA_FLOAT, i)
                                    - b.getAtIndex(ValueLayout.JAVA_FLOAT, i));
            largest = Double.isNaN(difference) ? difference : Math.max(largest, difference);
        }
        return largest;
    }
}
