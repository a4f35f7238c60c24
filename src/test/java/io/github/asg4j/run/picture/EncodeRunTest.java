// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.GraphFiles;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.model.VaeEncoder;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.plan.Decoding;
import io.github.asg4j.plan.Encoding;
import io.github.asg4j.run.work.WorkUnits;
import io.github.asg4j.run.worker.InterruptibleRuns;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** Whole against tiles, on the encoder of a random AutoencoderKL (resources vae/). */
class EncodeRunTest {
    private static final Manifest.TiledNetwork PARTS =
            new Manifest.TiledNetwork("vae_encoder_front.onnx", "vae_encoder_tail.onnx", 4, 1, 4);
    private static final Manifest.Latent LATENT =
            new Manifest.Latent(4, 8, 8, 8, 1, 0, 1, Manifest.Latent.UNLIMITED);

    private final long bytesBefore = Memory.bytesInUse();
    private final Memory memory = new Memory("test");
    private final List<String> loaded = new ArrayList<>();

    @AfterEach
    void close() {
        memory.close();
        assertEquals(bytesBefore, Memory.bytesInUse(), "off-heap bytes in use");
    }

    /** Sizes that tiles divide and that they do not; one axis within a tile; the smallest tiles there are. */
    @ParameterizedTest
    @CsvSource({"16, 16, 8", "32, 32, 8", "13, 29, 8", "7, 40, 8", "17, 16, 5", "24, 24, 2"})
    void exactTilesGiveTheWholeEncode(int h, int w, int tile) {
        try (VaeEncoder encoder = encoder(PARTS)) {
            MemorySegment picture = scene(h, w);
            MemorySegment whole = whole(encoder, picture, h, w);
            MemorySegment tiled = memory.floats(4L * h * w, "latents");
            try (EncodeRun run = EncodeRun.of(job(encoder, PARTS, picture, h, w, tiled, tile, 1))) {
                run.carryOut(new InterruptibleRuns(), 0);
            }
            double error = largestDifference(whole, tiled);
            assertTrue(error < 2e-5 * largest(whole), error + " of " + largest(whole));
            // The front in as many passes as it has norms, and one.
            List<String> expected = new ArrayList<>(List.of("vae_encoder.onnx"));
            expected.addAll(Collections.nCopies(3, "vae_encoder_front.onnx"));
            expected.add("vae_encoder_tail.onnx");
            assertEquals(expected, loaded);
        }
    }

    /** As on GPUs: tiles have to see as far as the whole front does. */
    @Test
    void passesThatBeginAnewGiveTheWholeEncode() {
        var parts =
                new Manifest.TiledNetwork(
                        "vae_encoder_front.onnx", "vae_encoder_tail.onnx", 4, 2, 4);
        try (VaeEncoder encoder = encoder(parts, false)) {
            MemorySegment picture = scene(13, 29);
            MemorySegment whole = whole(encoder, picture, 13, 29);
            MemorySegment tiled = memory.floats(4L * 13 * 29, "latents");
            EncodeRun.Job job = job(encoder, parts, picture, 13, 29, tiled, 8, 1);
            try (EncodeRun run = EncodeRun.of(job)) {
                run.carryOut(new InterruptibleRuns(), 0);
            }
            double error = largestDifference(whole, tiled);
            assertTrue(error < 2e-5 * largest(whole), error + " of " + largest(whole));
        }
    }

    /** The reason for the statistics: a part of the picture has others than the whole. */
    @Test
    void aPartThatIsEncodedAloneDiffers() {
        try (VaeEncoder encoder = encoder(null)) {
            MemorySegment picture = scene(32, 16);
            MemorySegment whole = whole(encoder, picture, 32, 16);
            MemorySegment upper = memory.floats(3L * 16 * 8 * 16 * 8, "upper half");
            for (int plane = 0; plane < 3; plane++) {
                long bytes = upper.byteSize() / 3;
                MemorySegment.copy(picture, 2L * plane * bytes, upper, plane * bytes, bytes);
            }
            MemorySegment alone = whole(encoder, upper, 16, 16);
            // The first rows, which lie far from the cut.
            float ofWhole = whole.getAtIndex(ValueLayout.JAVA_FLOAT, 5);
            float ofPart = alone.getAtIndex(ValueLayout.JAVA_FLOAT, 5);
            assertTrue(Math.abs(ofWhole - ofPart) > 1e-2 * largest(whole), ofWhole + " " + ofPart);
        }
    }

    /** In whatever order tiles are done, they are put together in theirs. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void theSameForAnyNumberOfWorkersInAnyOrder(int count) {
        try (VaeEncoder encoder = encoder(PARTS)) {
            MemorySegment picture = scene(29, 20);
            MemorySegment expected = memory.floats(4L * 29 * 20, "latents");
            MemorySegment latents = memory.floats(4L * 29 * 20, "latents");
            try (EncodeRun run =
                    EncodeRun.of(job(encoder, PARTS, picture, 29, 20, expected, 8, 1))) {
                run.carryOut(new InterruptibleRuns(), 0);
            }
            try (EncodeRun run =
                    EncodeRun.of(job(encoder, PARTS, picture, 29, 20, latents, 8, count))) {
                HostWorkers.inAnyOrder(run, count);
            }
            assertEquals(-1, expected.mismatch(latents), "first byte");
        }
    }

    @Test
    void partsThatDoNotFitAreNamed() {
        var swapped =
                new Manifest.TiledNetwork(
                        "vae_encoder_tail.onnx", "vae_encoder_front.onnx", 4, 2, 4);
        try (VaeEncoder encoder = encoder(swapped)) {
            BadBundleException e = assertThrows(BadBundleException.class, encoder::front);
            assertTrue(e.getMessage().contains("vae_encoder_tail.onnx"), e.getMessage());
        }
        BadBundleException e =
                assertThrows(
                        BadBundleException.class,
                        () -> encoder(new Manifest.TiledNetwork("a", "b", 3, 3, 4)).close());
        assertTrue(e.getMessage().contains("vae.tiled_encoder.scale"), e.getMessage());
    }

    private VaeEncoder encoder(Manifest.TiledNetwork parts) {
        return encoder(parts, true);
    }

    private VaeEncoder encoder(Manifest.TiledNetwork parts, boolean keeps) {
        return new VaeEncoder(
                LATENT,
                vae(parts),
                GraphFiles.of(
                        Tiny.resource("vae"),
                        part -> {
                            loaded.add(part);
                            return part;
                        }),
                keeps);
    }

    private static Manifest.Vae vae(Manifest.TiledNetwork parts) {
        return new Manifest.Vae(
                "vae_decoder.onnx", "vae_encoder.onnx", "fp32", null, parts, null, 8, false);
    }

    private MemorySegment whole(VaeEncoder encoder, MemorySegment picture, int h, int w) {
        MemorySegment latents = memory.floats(4L * h * w, "latents");
        try (Binding binding = encoder.bind(picture, latents, h, w)) {
            binding.run();
        }
        return latents;
    }

    private static EncodeRun.Job job(
            VaeEncoder encoder,
            Manifest.TiledNetwork parts,
            MemorySegment picture,
            int h,
            int w,
            MemorySegment latents,
            int tile,
            int workers) {
        Encoding encoding =
                new Encoding(vae(parts), LATENT, h, w, new Decoding.Tiling(1, tile, 1), 1, false);
        return new EncodeRun.Job(
                encoding, worker -> encoder, WorkUnits.NOBODY, workers, workers, picture, latents);
    }

    /** Noise whose mean and spread change over the picture: tiles differ in their statistics. */
    private MemorySegment scene(int h, int w) {
        Random random = new Random(11);
        MemorySegment picture = memory.floats(3L * h * 8 * w * 8, "picture");
        for (int i = 0; i < 3 * h * 8 * w * 8; i++) {
            double y = (double) (i / (w * 8) % (h * 8)) / (h * 8);
            double x = (double) (i % (w * 8)) / (w * 8);
            double value = x - y + (0.2 + x) * random.nextGaussian() / 3;
            picture.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) Math.clamp(value, -1, 1));
        }
        return picture;
    }

    private static double largest(MemorySegment a) {
        return IntStream.range(0, (int) (a.byteSize() / 4))
                .mapToDouble(i -> Math.abs(a.getAtIndex(ValueLayout.JAVA_FLOAT, i)))
                .max()
                .orElseThrow();
    }

    private static double largestDifference(MemorySegment a, MemorySegment b) {
        return IntStream.range(0, (int) (a.byteSize() / 4))
                .mapToDouble(
                        i ->
                                Math.abs(
                                        a.getAtIndex(ValueLayout.JAVA_FLOAT, i)
                                                - b.getAtIndex(ValueLayout.JAVA_FLOAT, i)))
                .max()
                .orElseThrow();
    }
}
