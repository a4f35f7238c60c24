// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.model.Flops;
import io.github.asg4j.model.Manifest;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Objects;

/**
 * How a picture becomes latents: whole up to a limit; beyond it, where the bundle has a {@code
 * tiled_encoder}, in tiles that take the statistics of the whole picture, as {@link Decoding} decodes: its
 * front runs in tiles, over the pixels, its tail whole, over features of half the resolution.
 *
 * @param vae has the encoder
 * @param latent what it gives
 * @param height latent rows
 * @param width latent columns
 * @param tiling when and how to encode in tiles
 * @param atOnce tiles that may be encoded at the same time in one memory
 * @param compiles whether the encoder is compiled for bf16
 */
public record Encoding(
        Manifest.Vae vae,
        Manifest.Latent latent,
        int height,
        int width,
        Decoding.Tiling tiling,
        int atOnce,
        boolean compiles) {

    /**
     * Bytes of a pixel and channel ({@link Manifest.Vae#width}) at the peak of the whole encoder, measured on
     * the CPU (benchmarks/NOTES.md): its first block has half of those channels, the decoder's last all.
     */
    static final long WHOLE_PIXEL_BYTES = 8;

    /** The same of an encoder that is compiled for bf16. */
    static final long COMPILED_PIXEL_BYTES = 4;

    /** The same of the front, which has more tensors at a time. */
    static final long FRONT_PIXEL_BYTES = 17;

    /** The same of the tail, at half of the picture's resolution. */
    static final long TAIL_PIXEL_BYTES = 4;

    /** The same way for a picture of another size, so many tiles at the same time. */
    public Encoding of(int rows, int columns) {
        return new Encoding(vae, latent, rows, columns, tiling, atOnce, compiles);
    }

    /** The same with so many tiles at the same time in one memory. */
    public Encoding atOnce(int tiles) {
        return new Encoding(vae, latent, height, width, tiling, tiles, compiles);
    }

    /** The same in the largest tiles, one at a time, that take less memory; null: there are none. */
    public @Nullable Encoding smaller() {
        if (vae.tiledEncoder() == null) {
            return null;
        }
        int cells = whole() ? Math.max(height, width) : tiling.tile();
        while ((cells /= 2) >= Decoding.Tiling.smallest(latent.vaeFactor())) {
            Encoding smaller =
                    new Encoding(
                            vae, latent, height, width, Decoding.Tiling.of(cells), 1, compiles);
            if (smaller.bytes() < bytes()) {
                return smaller;
            }
        }
        return null;
    }

    public boolean whole() {
        return vae.tiledEncoder() == null || tiling.leavesWhole(height, width);
    }

    /** Features per latent cell and axis. */
    public int scale() {
        Manifest.TiledNetwork tiled = vae.tiledEncoder();
        return whole() || tiled == null ? latent.vaeFactor() : tiled.scale();
    }

    /** Pixels per feature and axis. */
    public int pixels() {
        return latent.vaeFactor() / scale();
    }

    /** Tiles in features, row by row; all see as many, and keep each feature once. */
    public List<Tile> tiles() {
        Manifest.TiledNetwork tiled = vae.tiledEncoder();
        if (whole() || tiled == null) {
            return List.of(new Tile(0, 0, height, width, 0, 0, height, width));
        }
        return Tile.exact(height * scale(), width * scale(), tiling.tile() * scale(), tiled.halo());
    }

    /**
     * Floating-point operations of its networks in all tiles and passes.
     *
     * @param anew whether each pass begins anew, as on GPUs
     */
    double flops(Flops counts, boolean anew) {
        double cells = (double) height * width;
        Flops.Tiled tiled = counts.tiledEncoder();
        if (whole() || tiled == null) {
            return Objects.requireNonNull(counts.encoder()).of(cells);
        }
        List<Tile> tiles = tiles();
        double seen = tiles.getFirst().seenCells(scale());
        return tiled.whole().of(cells)
                + tiles.size() * (anew ? tiled.anew() : tiled.tile()).of(seen);
    }

    /** Values of the largest tensor in it. */
    public long largestTensor() {
        Manifest.TiledNetwork tiled = vae.tiledEncoder();
        long plane = (long) height * scale() * width * scale();
        return whole() || tiled == null
                ? vae.width() / 2 * plane
                : Math.max(vae.width() / 2 * tilePixels(), tiled.channels() * plane);
    }

    private long tilePixels() {
        Tile tile = tiles().getFirst();
        return (long) tile.seenHeight() * pixels() * tile.seenWidth() * pixels();
    }

    /** Bytes that its networks work in, those that run at once together; a lower bound. */
    public long bytes() {
        return onceBytes() + (whole() ? 0 : atOnce * tileBytes());
    }

    /** Bytes of what runs once, over all: the whole encoder, or its tail. */
    public long onceBytes() {
        long factor = latent.vaeFactor();
        long pixels = height * factor * width * factor;
        long bytes =
                compiles && whole()
                        ? COMPILED_PIXEL_BYTES
                        : whole() ? WHOLE_PIXEL_BYTES : TAIL_PIXEL_BYTES;
        long cells = (long) height * width;
        long scores = vae.keepsScores() ? Decoding.PAIR_BYTES * cells * cells : 0;
        return Math.max(bytes * vae.width() * pixels, scores);
    }

    /** Bytes of one tile, beside {@link #onceBytes}; 0 if encoded whole. */
    public long tileBytes() {
        long each = compiles ? Decoding.COMPILED_PASS_PIXEL_BYTES : FRONT_PIXEL_BYTES;
        return whole() ? 0 : each * vae.width() * tilePixels();
    }

    /**
     * Bytes of host memory for the features, and for what each worker's tiles lie in.
     *
     * @param workers that encode
     * @param keeps whether passes over tiles keep values, as on the CPU; what they keep of the whole picture
     *     the tail's ({@link #onceBytes}), which are as many, take the place of
     */
    public long hostBytes(int workers, boolean keeps) {
        if (whole()) {
            return 0;
        }
        // As many planes of features as channels leave the first block.
        long planes = vae.width() / 2;
        long all = (long) height * scale() * width * scale();
        Tile tile = tiles().getFirst();
        long cells = (long) tile.seenHeight() * tile.seenWidth();
        long values = keeps ? 2 * Decoding.keptPlanes(vae) * tilePixels() : 0;
        return 4 * (planes * all + workers * (planes * cells + 3 * tilePixels() + values));
    }

    /** In words, as a decode's: "whole", "whole in bf16", or "9 tiles of 512x512 pixels". */
    public String summary() {
        List<Tile> tiles = tiles();
        String how =
                whole()
                        ? "whole"
                        : tiles.size()
                                + " tiles of "
                                + tiles.getFirst().seenWidth() * pixels()
                                + "x"
                                + tiles.getFirst().seenHeight() * pixels()
                                + " pixels";
        return how + (compiles ? " in bf16" : "");
    }
}
