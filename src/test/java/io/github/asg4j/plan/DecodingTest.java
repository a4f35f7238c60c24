// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.model.Manifest;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.List;
import java.util.Objects;

class DecodingTest {
    private static final Manifest.Latent LATENT =
            new Manifest.Latent(4, 128, 128, 8, 0.13025, 0, 4, Manifest.Latent.UNLIMITED);

    private static Decoding of4096Pixels(int frontChannels) {
        Manifest.TiledNetwork tiled =
                new Manifest.TiledNetwork("front", "tail", 4, 4, frontChannels);
        Manifest.Vae vae = new Manifest.Vae("decoder", null, "fp32", tiled, null, null, 256, false);
        return new Decoding(vae, LATENT, 512, 512, Decoding.Tiling.usual(8), 1, false);
    }

    /** Sizes are pixels, whatever a latent cell is: a VAE of factor 1 has cells of one pixel. */
    @ParameterizedTest
    @CsvSource({
        "1, 256, 1, 256", "1, 1024, 1, 1024", "1, 1536, 16, 512", "2, 1024, 1, 1024",
        "4, 1152, 9, 512", "8, 256, 1, 256", "8, 1024, 1, 1024", "8, 1536, 16, 512",
        "16, 1536, 16, 512", "32, 2048, 25, 512"
    })
    void tilesAreOfPixels(int factor, int pixels, int tiles, int tilePixels) {
        Decoding decoding = decoding(factor, pixels, Decoding.Tiling.usual(factor));
        assertEquals(tiles, decoding.tiles().size());
        assertEquals(tilePixels, decoding.tiles().getFirst().seenWidth() * factor);
        assertEquals(tiles == 1, decoding.whole());
        List<Decoding.Tiling> byMemory = Decoding.Tiling.byMemory(factor, false);
        assertEquals(Decoding.Tiling.usual(factor), byMemory.getFirst());
        assertEquals(128, byMemory.getLast().tile() * factor);
        assertEquals(128 / factor, Decoding.Tiling.ofPixels(128, factor).tile());
        assertThrows(
                BadRequestException.class, () -> Decoding.Tiling.ofPixels(128 - factor, factor));
        Decoding smaller = decoding(factor, 512, Decoding.Tiling.usual(factor)).smaller();
        assertEquals(256, Objects.requireNonNull(smaller).tiling().tile() * factor);
    }

    /** In bf16 whole where memory suffices; else as in fp32. */
    @Test
    void compiledIsWholeUpToTwiceTheSide() {
        List<Decoding.Tiling> tilings = Decoding.Tiling.byMemory(8, true);
        assertTrue(tilings.getFirst().leavesWhole(256, 256));
        assertFalse(tilings.getFirst().leavesWhole(256, 264));
        assertEquals(512, tilings.getFirst().tile() * 8);
        assertEquals(Decoding.Tiling.byMemory(8, false), tilings.subList(1, tilings.size()));
        Manifest.Vae vae = new Manifest.Vae("decoder", null, "fp32", null, null, null, 8, false);
        Decoding whole = new Decoding(vae, LATENT, 256, 256, tilings.getFirst(), 1, true);
        assertTrue(whole.whole());
        assertEquals(Decoding.Tiling.usual(8), whole.by(vae).tiling(), "in fp32");
        Decoding tiles = new Decoding(vae, LATENT, 256, 256, Decoding.Tiling.of(32), 1, true);
        assertEquals(tiles.tiling(), tiles.by(vae).tiling());
    }

    private static Decoding decoding(int factor, int pixels, Decoding.Tiling tiling) {
        Manifest.Latent latent =
                new Manifest.Latent(3, 64, 64, factor, 1, 0, 4, Manifest.Latent.UNLIMITED);
        Manifest.Vae vae = new Manifest.Vae("decoder", null, "fp32", null, null, null, 8, false);
        return new Decoding(vae, latent, pixels / factor, pixels / factor, tiling, 1, false);
    }

    /** SDXL's front at 4096 x 4096: with all 512 channels a value more than an int can count. */
    @Test
    void largestTensorIsTheFrontsOrATiles() {
        assertEquals(1L << 31, of4096Pixels(512).largestTensor());
        assertEquals(1L << 30, of4096Pixels(256).largestTensor());
        assertEquals(256L * 528 * 528, of4096Pixels(1).largestTensor());
    }
}
