// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.asg4j.model.Manifest;

import org.junit.jupiter.api.Test;

class DecodingTest {
    private static final Manifest.Latent LATENT =
            new Manifest.Latent(4, 128, 128, 8, 0.13025, 0, 4, Manifest.Latent.UNLIMITED);

    private static Decoding of4096Pixels(int frontChannels) {
        Manifest.TiledDecoder tiled =
                new Manifest.TiledDecoder("front", "tail", 4, 4, frontChannels);
        Manifest.Vae vae = new Manifest.Vae("decoder", null, "fp32", tiled, null, 256, false);
        return new Decoding(vae, LATENT, 512, 512, Decoding.Tiling.DEFAULT, 1);
    }

    /** SDXL's front at 4096 x 4096: with all 512 channels a value more than an int can count. */
    @Test
    void largestTensorIsTheFrontsOrATiles() {
        assertEquals(1L << 31, of4096Pixels(512).largestTensor());
        assertEquals(1L << 30, of4096Pixels(256).largestTensor());
        assertEquals(256L * 512 * 512, of4096Pixels(1).largestTensor());
    }
}
