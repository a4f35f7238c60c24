// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.JavaKernels;
import io.github.asg4j.ort.OrtSession;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * Whole against tiles, on a random AutoencoderKL with group normalisation (resources vae/) and on
 * the local decoder of the tiny bundle.
 */
@Timeout(60)
class VaeDecoderTest {
    private static final Manifest.TiledDecoder PARTS =
            new Manifest.TiledDecoder("vae_front.onnx", "vae_tail.onnx", 4, 3);
    private static final Manifest.Latent LATENT =
            new Manifest.Latent(4, 8, 8, 8, 1, 0, 1, Manifest.Latent.UNLIMITED);
    private static final VaeDecoder.Tiling WHOLE = new VaeDecoder.Tiling(1 << 20, 8, 4);
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
            MemorySegment tiled = decode(decoder, latents, h, w, new VaeDecoder.Tiling(1, tile, 1));
            double error = largestDifference(whole, tiled);
            assertTrue(error < 0.05 * LEVEL, error / LEVEL + " of 255");
            assertEquals(List.of("vae_front.onnx", "vae_tail.onnx"), loaded);
        }
    }

    /** The reason for the tiled decoder: without it a tile takes its own statistics. */
    @Test
    void featheredTilesDifferInTone() {
        try (VaeDecoder decoder = random(null)) {
            MemorySegment latents = scene(32, 32);
            MemorySegment whole = decode(decoder, latents, 32, 32, WHOLE);
            MemorySegment tiled = decode(decoder, latents, 32, 32, new VaeDecoder.Tiling(1, 16, 8));
            double error = largestDifference(whole, tiled);
            assertTrue(error > 3 * LEVEL, error / LEVEL + " of 255");
            assertEquals(List.of(), loaded);
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
                    decode(decoder, latents, h, w, new VaeDecoder.Tiling(1, tile, overlap));
            double error = largestDifference(whole, tiled);
            assertTrue(error < 0.5 * LEVEL, error / LEVEL + " of 255");
        }
    }

    /** As one in half precision does on some pictures, this decoder gives infinities. */
    @ParameterizedTest
    @ValueSource(ints = {1, 1 << 20})
    void whatOverflowsIsDecodedAgain(int wholeCells) {
        var tiling = new VaeDecoder.Tiling(wholeCells, 8, 1);
        var overflowing =
                new Manifest.TiledDecoder("vae_front.onnx", "vae_tail_overflow.onnx", 4, 3);
        try (VaeDecoder good = random(PARTS);
                VaeDecoder halves =
                        decoder(
                                Tiny.resource("vae"),
                                "vae_decoder_overflow.onnx",
                                vae(overflowing, vae(PARTS, null)));
                VaeDecoder alone =
                        decoder(
                                Tiny.resource("vae"),
                                "vae_decoder_overflow.onnx",
                                vae(overflowing, null))) {
            MemorySegment latents = scene(16, 16);
            MemorySegment expected = decode(good, latents, 16, 16, tiling);
            assertEquals(
                    -1, expected.mismatch(decode(halves, latents, 16, 16, tiling)), "first byte");
            assertTrue(loaded.contains("vae_decoder.onnx"));
            MemorySegment bad = decode(alone, latents, 16, 16, tiling);
            assertTrue(new JavaKernels().firstNonFinite(bad, bad.byteSize() / 4) >= 0);
        }
    }

    @Test
    void partsThatDoNotFitAreNamed() {
        Manifest.TiledDecoder swapped =
                new Manifest.TiledDecoder("vae_tail.onnx", "vae_front.onnx", 4, 3);
        try (VaeDecoder decoder = random(swapped)) {
            MemorySegment latents = scene(16, 16);
            BadBundleException e =
                    assertThrows(
                            BadBundleException.class,
                            () -> decode(decoder, latents, 16, 16, new VaeDecoder.Tiling(1, 8, 4)));
            assertTrue(e.getMessage().contains("vae_tail.onnx"), e.getMessage());
        }
        BadBundleException e =
                assertThrows(
                        BadBundleException.class,
                        () -> random(new Manifest.TiledDecoder("a", "b", 3, 3)).close());
        assertTrue(e.getMessage().contains("vae.tiled_decoder.scale"), e.getMessage());
    }

    @Test
    void badTilingIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> new VaeDecoder.Tiling(1, 8, 5));
        assertThrows(IllegalArgumentException.class, () -> new VaeDecoder.Tiling(1, 8, 0));
    }

    private VaeDecoder random(Manifest.TiledDecoder parts) {
        return decoder(Tiny.resource("vae"), "vae_decoder.onnx", vae(parts, null));
    }

    private VaeDecoder decoder(Path folder, String file, Manifest.Vae vae) {
        OrtSession whole = OrtSession.open(folder.resolve(file), 1);
        try {
            return new VaeDecoder(
                    whole,
                    LATENT,
                    vae,
                    part -> {
                        loaded.add(part);
                        return OrtSession.open(folder.resolve(part), 1);
                    });
        } catch (RuntimeException e) {
            whole.close();
            throw e;
        }
    }

    @Test
    void tileBordersAreWhereTilesMeet() {
        Manifest.TiledDecoder entry = new Manifest.TiledDecoder("front", "tail", 4, 6);
        // Whole up to 128 x 128 cells.
        assertEquals(List.of(), VaeDecoder.tileBorders(vae(entry, null), 8, 128, 128));
        // Tiles of 64 cells keep 61 of them: 12 features of 4 a cell are halo.
        assertEquals(
                List.of(61 * 8, 122 * 8), VaeDecoder.tileBorders(vae(entry, null), 8, 160, 128));
        // Feathered tiles begin every 48 cells, the last one moved back.
        assertEquals(
                List.of(48 * 8, 64 * 8, 96 * 8, 112 * 8),
                VaeDecoder.tileBorders(vae(null, null), 8, 160, 128));
        assertEquals(List.of(), VaeDecoder.tileBorders(vae(null, null), 8, 64, 1000));
    }

    private static Manifest.Vae vae(Manifest.TiledDecoder parts, Manifest.Vae fallback) {
        return new Manifest.Vae("vae_decoder.onnx", null, "fp32", parts, fallback);
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
            VaeDecoder decoder, MemorySegment latents, int h, int w, VaeDecoder.Tiling tiling) {
        MemorySegment image = memory.floats(3L * h * w * 64, "image");
        decoder.decode(latents, h, w, image, new JavaKernels(), tiling);
        return image;
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
