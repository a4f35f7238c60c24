// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.PlanReport;
import io.github.asg4j.Size;
import io.github.asg4j.model.Flops;
import io.github.asg4j.model.Manifest;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * How latents become pixels: whole up to a limit, in tiles beyond it.
 *
 * <p>Tiles decoded on their own differ in tone, since group normalisation takes its statistics from
 * the tile; feathering only blurs the seams. A bundle with a {@code tiled_decoder} has the decoder
 * in two parts instead (onnx-export/asg4j_export/vae_stats.py): its front runs whole, its tail in
 * tiles with the statistics of the whole picture, which gives the whole decode but for rounding.
 *
 * @param vae the decoder
 * @param latent what it takes
 * @param height latent rows
 * @param width latent columns
 * @param tiling when and how to decode in tiles
 * @param atOnce tiles that may be decoded at the same time in one memory
 * @param compiles whether the decoder is compiled for bf16
 */
public record Decoding(
        Manifest.Vae vae,
        Manifest.Latent latent,
        int height,
        int width,
        Tiling tiling,
        int atOnce,
        boolean compiles) {

    /**
     * Bytes of a pixel and channel ({@link Manifest.Vae#width}) at the peak of a decode, measured on
     * the CPU and counted for GPUs (benchmarks/NOTES.md): four float32 tensors at the picture's resolution,
     * and a little. The front of a tiled decoder takes half, with a quarter of the cells and twice the
     * channels.
     */
    static final long PIXEL_BYTES = 17;

    /** The same of a decoder that is compiled for bf16. */
    static final long COMPILED_PIXEL_BYTES = 7;

    /** The same of the whole tail, which has more tensors at a time. */
    static final long TAIL_PIXEL_BYTES = 23;

    /** The same of a pass of it that goes on from what earlier ones kept. */
    static final long PASS_PIXEL_BYTES = 15;

    /** The same of one that is compiled for bf16, an encoder's too. */
    static final long COMPILED_PASS_PIXEL_BYTES = 6;

    /** Bytes of a pair of latent cells whose scores are kept: scores, and their softmax. */
    static final long PAIR_BYTES = 8;

    /**
     * When and how to decode in tiles.
     *
     * @param wholeCells latent cells h * w up to which the picture is decoded whole
     * @param tile latent cells of a tile per axis
     * @param overlap latent cells that feathered neighbours share; without use for a bundle with a
     *     tiled_decoder, whose tiles overlap by what its convolutions reach
     */
    public record Tiling(long wholeCells, int tile, int overlap) {
        private static final int WHOLE_PIXELS = 1024;

        /** The same in bf16, which works in little more memory whole than what tiles keep. */
        private static final int COMPILED_WHOLE_PIXELS = 2048;

        private static final int TILE_PIXELS = 512;

        /** Pixels of the smallest tile: below, most of what is computed is thrown away. */
        private static final int SMALLEST_PIXELS = 128;

        private static final int SMALLEST_CELLS = 4;

        public Tiling {
            if (tile < 2 || overlap < 1 || 2 * overlap > tile) {
                throw new IllegalArgumentException(
                        "tiles of "
                                + tile
                                + " cells overlapping by "
                                + overlap
                                + ": the overlap has to be at least 1 and at most half of a tile");
            }
        }

        /** Whole up to 1024 x 1024 pixels, then tiles of 512 pixels that share 128. */
        public static Tiling usual(int factor) {
            return usual(factor, WHOLE_PIXELS);
        }

        private static Tiling usual(int factor, int wholePixels) {
            long whole = wholePixels / factor;
            return new Tiling(whole * whole, TILE_PIXELS / factor, TILE_PIXELS / factor / 4);
        }

        /** Latent cells of the smallest tile, 128 pixels. */
        static int smallest(int factor) {
            return Math.max(SMALLEST_CELLS, SMALLEST_PIXELS / factor);
        }

        /** Makes a tiling of {@code cells} whatever the size, overlapping by a quarter. */
        public static Tiling of(int cells) {
            return new Tiling(0, cells, cells / 4);
        }

        /**
         * The same from pixels.
         *
         * @throws BadRequestException unless a whole number of cells, at least 128 pixels
         */
        public static Tiling ofPixels(int pixels, int factor) {
            if (pixels % factor != 0 || pixels / factor < smallest(factor)) {
                throw new BadRequestException(
                        "VAE tiles of "
                                + pixels
                                + " pixels cannot be: they are a multiple of "
                                + factor
                                + ", at least "
                                + smallest(factor) * factor);
            }
            return of(pixels / factor);
        }

        /** Whether a picture of so many latent cells is not cut in tiles. */
        boolean leavesWhole(int height, int width) {
            return (long) height * width <= wholeCells || (height <= tile && width <= tile);
        }

        /**
         * The usual one, then ever smaller tiles for as long as memory does not suffice.
         *
         * @param compiles whether the VAE is compiled for bf16: whole up to 2048 x 2048 then comes first
         */
        public static List<Tiling> byMemory(int factor, boolean compiles) {
            Tiling usual = usual(factor);
            List<Tiling> tilings = new ArrayList<>();
            if (compiles) {
                tilings.add(usual(factor, COMPILED_WHOLE_PIXELS));
            }
            tilings.add(usual);
            for (int cells = usual.tile(); cells >= smallest(factor); cells /= 2) {
                tilings.add(of(cells));
            }
            return tilings;
        }
    }

    /** The same way for latents of another size. */
    public Decoding of(int rows, int columns) {
        return new Decoding(vae, latent, rows, columns, tiling, atOnce, compiles);
    }

    /** The same with so many tiles at the same time in one memory. */
    public Decoding atOnce(int tiles) {
        return new Decoding(vae, latent, height, width, tiling, tiles, compiles);
    }

    /**
     * The same in the largest tiles, one at a time, that take less memory; null: there are none.
     */
    public @Nullable Decoding smaller() {
        int cells = whole() ? Math.max(height, width) : tiling.tile();
        while ((cells /= 2) >= Tiling.smallest(latent.vaeFactor())) {
            Decoding smaller =
                    new Decoding(vae, latent, height, width, Tiling.of(cells), 1, compiles);
            if (smaller.onceBytes() + smaller.tileBytes(false)
                    < onceBytes() + atOnce * tileBytes(false)) {
                return smaller;
            }
        }
        return null;
    }

    /** The same by another decoder of the bundle, which is not compiled: that one would need more memory whole. */
    public Decoding by(Manifest.Vae other) {
        long whole = Math.min(tiling.wholeCells, Tiling.usual(latent.vaeFactor()).wholeCells);
        Tiling own = new Tiling(whole, tiling.tile, tiling.overlap);
        return new Decoding(other, latent, height, width, own, atOnce, false);
    }

    public boolean whole() {
        return tiling.leavesWhole(height, width);
    }

    /** Whether its tiles take the statistics of the whole picture. */
    public boolean exact() {
        return !whole() && vae.tiledDecoder() != null;
    }

    /** Cells of what is cut in tiles, per latent cell and axis: features, or latents themselves. */
    public int scale() {
        Manifest.TiledNetwork tiled = vae.tiledDecoder();
        return !whole() && tiled != null ? tiled.scale() : 1;
    }

    /** Pixels per cell and axis of what is cut in tiles. */
    public int pixels() {
        return latent.vaeFactor() / scale();
    }

    /** Row by row; all see as many cells. Exact ones keep each cell once, feathered ones all. */
    public List<Tile> tiles() {
        return whole()
                ? List.of(new Tile(0, 0, height, width, 0, 0, height, width))
                : Tile.of(spans(height), spans(width));
    }

    private List<Tile.Span> spans(int latentExtent) {
        int extent = latentExtent * scale();
        Manifest.TiledNetwork exact = vae.tiledDecoder();
        if (exact != null) {
            return Tile.Span.exact(extent, tiling.tile() * scale(), exact.halo());
        }
        List<Tile.Span> spans = new ArrayList<>();
        int tile = Math.min(tiling.tile(), extent);
        int stride = tile - tiling.overlap();
        int count = extent <= tile ? 1 : Math.ceilDiv(extent - tile, stride) + 1;
        for (int i = 0; i < count; i++) {
            // The last one is moved back, so that all have one shape.
            int start = Math.min(i * stride, extent - tile);
            spans.add(new Tile.Span(start, tile, start, tile));
        }
        return spans;
    }

    /** Where tiles meet, in pixels from the left of the decoded picture. */
    public List<Integer> columnBorders() {
        return borders(width);
    }

    /** Where tiles meet, in pixels from the top of the decoded picture. */
    public List<Integer> rowBorders() {
        return borders(height);
    }

    private List<Integer> borders(int extent) {
        Set<Integer> borders = new TreeSet<>();
        if (!whole()) {
            for (Tile.Span span : spans(extent)) {
                borders.add(span.start() * pixels());
                borders.add((span.start() + span.size()) * pixels());
            }
        }
        borders.remove(0);
        borders.remove(extent * latent.vaeFactor());
        return List.copyOf(borders);
    }

    /**
     * Floating-point operations of its networks in all tiles and passes.
     *
     * @param anew whether each pass begins anew, as on GPUs
     */
    double flops(Flops counts, boolean anew) {
        double cells = (double) height * width;
        if (whole()) {
            return counts.decoder().of(cells);
        }
        List<Tile> tiles = tiles();
        double seen = tiles.getFirst().seenCells(scale());
        Flops.Tiled tiled = counts.tiledDecoder();
        return tiled == null
                ? tiles.size() * counts.decoder().of(seen)
                : tiled.whole().of(cells)
                        + tiles.size() * (anew ? tiled.anew() : tiled.tile()).of(seen);
    }

    /** Values of the largest tensor in it. */
    public long largestTensor() {
        Tile tile = tiles().getFirst();
        long image = (long) tile.seenHeight() * pixels() * tile.seenWidth() * pixels();
        long values = vae.width() * image;
        Manifest.TiledNetwork tiled = vae.tiledDecoder();
        return whole() || tiled == null
                ? values
                : Math.max(values, (long) tiled.channels() * height * scale() * width * scale());
    }

    /**
     * Bytes that the network works in which runs once, over all: the whole decoder, or the front of
     * exact tiles. A lower bound: on the CPU ONNX Runtime may hold up to half more.
     */
    public long onceBytes() {
        if (whole()) {
            return wholeBytes(height, width);
        }
        if (!exact()) {
            return 0;
        }
        // Passes keep less than the front took, unless that is in bf16.
        long pixels = (long) height * latent.vaeFactor() * width * latent.vaeFactor();
        long kept = compiles ? Float.BYTES * keptPlanes(vae) * pixels : 0;
        return Math.max(Math.max(pixelBytes(height, width) / 2, kept), scoreBytes(height, width));
    }

    /**
     * Bytes that the network works in for one tile, beside {@link #onceBytes}: what a network has
     * had it keeps while the next one runs, or what exact tiles keep is in its place. 0 if decoded whole; a
     * lower bound.
     *
     * @param keeps whether passes over tiles keep values, as on the CPU
     */
    public long tileBytes(boolean keeps) {
        if (whole()) {
            return 0;
        }
        Tile tile = tiles().getFirst();
        if (!exact()) {
            return wholeBytes(tile.seenHeight(), tile.seenWidth());
        }
        long pixels = (long) tile.seenHeight() * pixels() * tile.seenWidth() * pixels();
        long each =
                compiles ? COMPILED_PASS_PIXEL_BYTES : keeps ? PASS_PIXEL_BYTES : TAIL_PIXEL_BYTES;
        return each * vae.width() * pixels;
    }

    private long wholeBytes(int rows, int columns) {
        return Math.max(pixelBytes(rows, columns), scoreBytes(rows, columns));
    }

    private long pixelBytes(int rows, int columns) {
        long factor = latent.vaeFactor();
        long each = compiles ? COMPILED_PIXEL_BYTES : PIXEL_BYTES;
        return each * vae.width() * rows * factor * columns * factor;
    }

    private long scoreBytes(int rows, int columns) {
        long cells = (long) rows * columns;
        return vae.keepsScores() ? PAIR_BYTES * cells * cells : 0;
    }

    /** Tiles that wait to be blended, so that no worker waits for a slower one before it. */
    public static int slots(int workers) {
        return 2 * workers;
    }

    /**
     * Bytes of host memory beside the picture: features, and what each worker's tiles lie in.
     *
     * @param workers that decode
     * @param keeps whether passes over tiles keep values, as on the CPU
     */
    public long hostBytes(int workers, boolean keeps) {
        if (whole()) {
            return 0;
        }
        Tile tile = tiles().getFirst();
        long cells = (long) tile.seenHeight() * tile.seenWidth();
        long image = 3 * cells * pixels() * pixels();
        if (!exact()) {
            return 4 * (workers * (latent.channels() * cells + image) + slots(workers) * image);
        }
        // As many planes of features as channels enter the last block; of pixels, what a tile reads
        // and gives.
        long all = (long) height * scale() * width * scale();
        long values = keeps ? 2 * keptPlanes(vae) * cells * pixels() * pixels() : 0;
        return 4 * (vae.width() * all + workers * (vae.width() * cells + image + values));
    }

    /**
     * Planes that exact tiles on the CPU keep of the whole picture from pass to pass (model/PassCut.java): a
     * residual, and what a convolution made of it, each of half the {@link Manifest.Vae#width}. They take the
     * place of the front's memory, which is given back before ({@link #onceBytes} is what more is needed for).
     */
    static long keptPlanes(Manifest.Vae vae) {
        return vae.width();
    }

    /** Returns a summary, as {@link PlanReport.Decoding#summary}. */
    public String summary() {
        return report(1, 1).summary();
    }

    /**
     * What a caller is told of it.
     *
     * @param canvas of the picture; larger than the latents where the decoded picture is enlarged
     */
    PlanReport.Decoding report(Canvas canvas) {
        return report(canvas.width() / width, canvas.height() / height);
    }

    private PlanReport.Decoding report(int enlargedX, int enlargedY) {
        List<Tile> tiles = tiles();
        return new PlanReport.Decoding(
                tiles.size(),
                !whole() && !exact(),
                compiles,
                new Size(
                        tiles.getFirst().seenWidth() * pixels(),
                        tiles.getFirst().seenHeight() * pixels()),
                whole() ? 0 : tiling.tile() * latent.vaeFactor(),
                whole() ? 1 : atOnce,
                columnBorders().stream().map(x -> x * enlargedX).toList(),
                rowBorders().stream().map(y -> y * enlargedY).toList());
    }
}
