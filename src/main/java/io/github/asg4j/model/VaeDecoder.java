// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * Latents to pixels: whole up to a limit, in tiles beyond it. Thread-safe; every call allocates its
 * working memory and frees it.
 *
 * <p>Tiles decoded on their own differ in tone, since group normalisation takes its statistics from
 * the tile; feathering only blurs the seams. A bundle with a {@code tiled_decoder} has the decoder
 * in two parts instead (onnx-export/asg4j_export/vae_stats.py): its front runs whole, its tail in
 * tiles with the statistics of the whole picture, which gives the whole decode but for rounding.
 *
 * <p>A decoder in half precision may overflow (SDXL's does). What it gives is looked through, and
 * decoded once more by the bundle's fp32 decoder if there is one.
 */
public final class VaeDecoder implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(VaeDecoder.class.getName());
    private static final long ANY = GraphContract.ANY;

    private final OrtSession decoder;
    private final Manifest.Latent latent;
    private final Manifest.Vae vae;
    private final Function<String, OrtSession> loader;
    private final int channels;
    private final int factor;
    private @Nullable Parts parts;
    private @Nullable VaeDecoder fallback;
    private boolean closed;

    /**
     * When and how to decode in tiles.
     *
     * @param wholeCells latent cells h * w up to which the picture is decoded whole
     * @param tile latent cells of a tile per axis
     * @param overlap latent cells that feathered neighbours share; without use for a bundle with a
     *     tiled_decoder, whose tiles overlap by what its convolutions reach
     */
    public record Tiling(long wholeCells, int tile, int overlap) {
        /** Whole up to 1024 x 1024 pixels at a factor of 8, then tiles of 512 pixels. */
        public static final Tiling DEFAULT = new Tiling(128L * 128, 64, 16);

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
    }

    /** The decoder cut in two: norms of the tail, and their groups. */
    private record Parts(OrtSession front, OrtSession tail, int width, int norms, int groups)
            implements AutoCloseable {
        @Override
        public void close() {
            tail.close();
            front.close();
        }
    }

    /**
     * @param decoder closed with this object
     * @param loader opens the parts of the tiled decoder, and the fallback, when a picture first
     *     needs them
     */
    VaeDecoder(
            OrtSession decoder,
            Manifest.Latent latent,
            Manifest.Vae vae,
            Function<String, OrtSession> loader) {
        this.decoder = decoder;
        this.latent = latent;
        this.vae = vae;
        this.loader = loader;
        channels = latent.channels();
        factor = latent.vaeFactor();
        GraphContract graph = new GraphContract(decoder);
        graph.onlyInputs(List.of("latents"));
        graph.input("latents", "float32", ANY, channels, ANY, ANY);
        graph.output("image", "float32", ANY, 3, ANY, ANY);
        Manifest.TiledDecoder tiled = vae.tiledDecoder();
        if (tiled != null && factor % tiled.scale() != 0) {
            throw new BadBundleException(
                    Manifest.FILE_NAME
                            + ": vae.tiled_decoder.scale: found "
                            + tiled.scale()
                            + ", expected a divisor of vae_factor, "
                            + factor
                            + ": export the bundle again");
        }
    }

    /** {@link #decode(MemorySegment, int, int, MemorySegment, Kernels, Tiling)}, by default. */
    public void decode(MemorySegment latents, int h, int w, MemorySegment out, Kernels kernels) {
        decode(latents, h, w, out, kernels, Tiling.DEFAULT);
    }

    /**
     * Decodes.
     *
     * @param latents float32 [C, h, w], scaled and shifted for the VAE
     * @param h latent rows
     * @param w latent columns
     * @param out float32 [3, h * f, w * f], about -1 to 1
     * @param kernels to blend tiles with, and to look for values that are not finite
     * @param tiling when and how to decode in tiles
     */
    public void decode(
            MemorySegment latents,
            int h,
            int w,
            MemorySegment out,
            Kernels kernels,
            Tiling tiling) {
        decodeOnce(latents, h, w, out, kernels, tiling);
        if (vae.fallback() != null && kernels.firstNonFinite(out, out.byteSize() / 4) >= 0) {
            LOG.log(
                    System.Logger.Level.WARNING,
                    decoder.name()
                            + " overflows on this picture: decoded again by "
                            + vae.fallback().decoder());
            fallback(vae.fallback()).decode(latents, h, w, out, kernels, tiling);
        }
    }

    private synchronized VaeDecoder fallback(Manifest.Vae entry) {
        if (closed) {
            throw new IllegalStateException(decoder.name() + " is closed");
        }
        VaeDecoder loaded = fallback;
        if (loaded == null) {
            OrtSession session = loader.apply(entry.decoder());
            try {
                loaded = new VaeDecoder(session, latent, entry, loader);
                fallback = loaded;
            } finally {
                if (loaded == null) {
                    session.close();
                }
            }
        }
        return loaded;
    }

    private void decodeOnce(
            MemorySegment latents,
            int h,
            int w,
            MemorySegment out,
            Kernels kernels,
            Tiling tiling) {
        if ((long) h * w <= tiling.wholeCells() || (h <= tiling.tile() && w <= tiling.tile())) {
            run(decoder, "latents", latents(latents, h, w), "image", image(out, h, w));
        } else if (vae.tiledDecoder() != null) {
            exactTiles(latents, h, w, out, vae.tiledDecoder(), tiling.tile());
        } else {
            featheredTiles(latents, h, w, out, kernels, tiling);
        }
    }

    /**
     * Where tiles meet by {@link Tiling#DEFAULT}, in pixels from the start of one axis of the decoded
     * picture; empty if it is decoded whole.
     *
     * @param factor pixels per latent cell
     * @param extent latent cells along the axis
     * @param other latent cells along the other axis
     */
    public static List<Integer> tileBorders(Manifest.Vae vae, int factor, int extent, int other) {
        Tiling tiling = Tiling.DEFAULT;
        Manifest.TiledDecoder exact = vae.tiledDecoder();
        if ((long) extent * other <= tiling.wholeCells() || extent <= tiling.tile()) {
            return List.of();
        }
        Set<Integer> borders = new TreeSet<>();
        if (exact != null) {
            int core = coreOf(exact, tiling.tile(), extent * exact.scale());
            for (int at = core; at < extent * exact.scale(); at += core) {
                borders.add(at * (factor / exact.scale()));
            }
        } else {
            int stride = tiling.tile() - tiling.overlap();
            for (int i = 0; i < count(extent, tiling.tile(), stride); i++) {
                int start = start(i, extent, tiling.tile(), stride);
                borders.add(start * factor);
                borders.add((start + tiling.tile()) * factor);
            }
        }
        borders.remove(0);
        borders.remove(extent * factor);
        return List.copyOf(borders);
    }

    /** Features of a tile along an axis of {@code extent}; it has to hold more than its halos. */
    private static int tileOf(Manifest.TiledDecoder entry, int tileCells, int extent) {
        return Math.min(extent, Math.max(tileCells * entry.scale(), 4 * entry.halo()));
    }

    /** What of a tile is kept. */
    private static int coreOf(Manifest.TiledDecoder entry, int tileCells, int extent) {
        int tile = tileOf(entry, tileCells, extent);
        return tile == extent ? extent : tile - 2 * entry.halo();
    }

    private Tensor latents(MemorySegment data, int h, int w) {
        return Tensor.floats(data, 1, channels, h, w);
    }

    private Tensor image(MemorySegment data, int h, int w) {
        return Tensor.floats(data, 1, 3, (long) h * factor, (long) w * factor);
    }

    private static void run(
            OrtSession session, String inName, Tensor in, String outName, Tensor out) {
        try (Binding binding = session.bind(Map.of(inName, in), Map.of(outName, out))) {
            binding.run();
        }
    }

    private void featheredTiles(
            MemorySegment latents,
            int h,
            int w,
            MemorySegment out,
            Kernels kernels,
            Tiling tiling) {
        int th = Math.min(tiling.tile(), h);
        int tw = Math.min(tiling.tile(), w);
        int rows = count(h, th, th - tiling.overlap());
        int columns = count(w, tw, tw - tiling.overlap());
        try (Memory memory = new Memory("VAE tiles")) {
            MemorySegment in = memory.floats((long) channels * th * tw, "latents of a tile");
            MemorySegment tile = memory.floats(3L * th * tw * factor * factor, "tile");
            MemorySegment sum = memory.floats((long) h * w * factor * factor, "tile weights");
            MemorySegment weightY = memory.floats((long) th * factor, "weights");
            MemorySegment weightX = memory.floats((long) tw * factor, "weights");
            out.fill((byte) 0);
            try (Binding binding =
                    decoder.bind(
                            Map.of("latents", latents(in, th, tw)),
                            Map.of("image", image(tile, th, tw)))) {
                for (int row = 0; row < rows; row++) {
                    int top = start(row, h, th, th - tiling.overlap());
                    ramp(weightY, tiling.overlap(), row > 0, row < rows - 1);
                    for (int column = 0; column < columns; column++) {
                        int left = start(column, w, tw, tw - tiling.overlap());
                        ramp(weightX, tiling.overlap(), column > 0, column < columns - 1);
                        copy(latents, h, w, top, left, in, th, tw, 0, 0, th, tw, channels);
                        binding.run();
                        kernels.addTile(
                                out,
                                sum,
                                3,
                                h * factor,
                                w * factor,
                                tile,
                                top * factor,
                                left * factor,
                                th * factor,
                                tw * factor,
                                weightY,
                                weightX);
                    }
                }
            }
            kernels.divideTiles(out, sum, 3, (long) h * w * factor * factor);
        }
    }

    /**
     * Weights of a tile along an axis: 0 next to a neighbour, where zeros stood in for what the
     * convolutions would have seen, then a linear ramp over the rest of the overlap.
     */
    private void ramp(MemorySegment weights, int overlap, boolean before, boolean after) {
        int length = (int) (weights.byteSize() / 4);
        int blind = overlap / 4 * factor;
        int slope = overlap * factor - 2 * blind;
        for (int i = 0; i < length; i++) {
            int edge = Math.min(before ? i : length, after ? length - 1 - i : length);
            double weight = Math.clamp((edge - blind + 0.5) / slope, 0, 1);
            weights.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) weight);
        }
    }

    private void exactTiles(
            MemorySegment latents,
            int h,
            int w,
            MemorySegment out,
            Manifest.TiledDecoder entry,
            int tileCells) {
        Parts both = parts(entry);
        int scale = entry.scale();
        int fh = h * scale;
        int fw = w * scale;
        int th = tileOf(entry, tileCells, fh);
        int tw = tileOf(entry, tileCells, fw);
        int pixels = factor / scale;
        try (Memory memory = new Memory("VAE tiles")) {
            MemorySegment features = memory.floats((long) both.width() * fh * fw, "features");
            run(
                    both.front(),
                    "latents",
                    latents(latents, h, w),
                    "features",
                    Tensor.floats(features, 1, both.width(), fh, fw));
            Tail tail = new Tail(both, memory, th, tw, pixels);
            int coreY = coreOf(entry, tileCells, fh);
            int coreX = coreOf(entry, tileCells, fw);
            try (Binding binding = tail.bind()) {
                // The statistics of norm p are right once those of all norms before it are.
                for (int pass = 0; pass <= both.norms(); pass++) {
                    boolean draw = pass == both.norms();
                    for (int y = 0; y < fh; y += coreY) {
                        for (int x = 0; x < fw; x += coreX) {
                            int top = Math.clamp(y - entry.halo(), 0, fh - th);
                            int left = Math.clamp(x - entry.halo(), 0, fw - tw);
                            int rows = Math.min(coreY, fh - y);
                            int columns = Math.min(coreX, fw - x);
                            copy(
                                    features,
                                    fh,
                                    fw,
                                    top,
                                    left,
                                    tail.features,
                                    th,
                                    tw,
                                    0,
                                    0,
                                    th,
                                    tw,
                                    both.width());
                            tail.core(y - top, rows, x - left, columns);
                            binding.run();
                            if (draw) {
                                copy(
                                        tail.image,
                                        th * pixels,
                                        tw * pixels,
                                        (y - top) * pixels,
                                        (x - left) * pixels,
                                        out,
                                        h * factor,
                                        w * factor,
                                        y * pixels,
                                        x * pixels,
                                        rows * pixels,
                                        columns * pixels,
                                        3);
                            } else {
                                tail.addMoments(pass, (double) rows * columns);
                            }
                        }
                    }
                    if (!draw) {
                        tail.setStatistics(pass);
                    }
                }
            }
        }
    }

    /** Buffers of the decoder's tail, and the statistics of its norms as they are gathered. */
    private static final class Tail {
        private final Parts parts;
        private final int th;
        private final int tw;
        private final int pixels;
        private final MemorySegment features;
        private final MemorySegment statistics;
        private final MemorySegment coreY;
        private final MemorySegment coreX;
        private final MemorySegment image;
        private final MemorySegment moments;

        /** Of one norm, per group in float64: sum of weights, of means, of squares. */
        private final MemorySegment sums;

        Tail(Parts parts, Memory memory, int th, int tw, int pixels) {
            this.parts = parts;
            this.th = th;
            this.tw = tw;
            this.pixels = pixels;
            features = memory.floats((long) parts.width() * th * tw, "features of a tile");
            statistics = memory.floats(2L * parts.norms() * parts.groups(), "statistics");
            moments = memory.floats(2L * parts.norms() * parts.groups(), "moments");
            coreY = memory.floats(th, "core rows");
            coreX = memory.floats(tw, "core columns");
            image = memory.floats(3L * th * tw * pixels * pixels, "tile");
            sums = memory.allocate(3L * 8 * parts.groups(), "sums of moments");
            for (int norm = 0; norm < parts.norms(); norm++) {
                for (int group = 0; group < parts.groups(); group++) {
                    // Any finite start will do: see the passes.
                    statistics.setAtIndex(ValueLayout.JAVA_FLOAT, variance(norm, group), 1);
                }
            }
        }

        private long mean(int norm, int group) {
            return 2L * norm * parts.groups() + group;
        }

        private long variance(int norm, int group) {
            return mean(norm, group) + parts.groups();
        }

        Binding bind() {
            long norms = parts.norms();
            long groups = parts.groups();
            return parts.tail()
                    .bind(
                            Map.of(
                                    "features",
                                    Tensor.floats(features, 1, parts.width(), th, tw),
                                    "norm_stats",
                                    Tensor.floats(statistics, norms, 2, groups),
                                    "core_y",
                                    Tensor.floats(coreY, th),
                                    "core_x",
                                    Tensor.floats(coreX, tw)),
                            Map.of(
                                    "image",
                                    Tensor.floats(
                                            image, 1, 3, (long) th * pixels, (long) tw * pixels),
                                    "moments",
                                    Tensor.floats(moments, norms, 2, groups)));
        }

        /** Which cells of the tile count: every cell of the picture does in one tile. */
        void core(int top, int rows, int left, int columns) {
            indicator(coreY, top, rows);
            indicator(coreX, left, columns);
        }

        private static void indicator(MemorySegment core, int from, int count) {
            for (int i = 0; i < core.byteSize() / 4; i++) {
                core.setAtIndex(ValueLayout.JAVA_FLOAT, i, i >= from && i < from + count ? 1 : 0);
            }
        }

        void addMoments(int norm, double cells) {
            for (int group = 0; group < parts.groups(); group++) {
                double mean = moments.getAtIndex(ValueLayout.JAVA_FLOAT, mean(norm, group));
                double variance = moments.getAtIndex(ValueLayout.JAVA_FLOAT, variance(norm, group));
                add(3L * group, cells);
                add(3L * group + 1, cells * mean);
                add(3L * group + 2, cells * (variance + mean * mean));
            }
        }

        private void add(long index, double value) {
            sums.setAtIndex(
                    ValueLayout.JAVA_DOUBLE,
                    index,
                    sums.getAtIndex(ValueLayout.JAVA_DOUBLE, index) + value);
        }

        void setStatistics(int norm) {
            for (int group = 0; group < parts.groups(); group++) {
                double cells = sums.getAtIndex(ValueLayout.JAVA_DOUBLE, 3L * group);
                double mean = sums.getAtIndex(ValueLayout.JAVA_DOUBLE, 3L * group + 1) / cells;
                double square = sums.getAtIndex(ValueLayout.JAVA_DOUBLE, 3L * group + 2) / cells;
                statistics.setAtIndex(ValueLayout.JAVA_FLOAT, mean(norm, group), (float) mean);
                statistics.setAtIndex(
                        ValueLayout.JAVA_FLOAT,
                        variance(norm, group),
                        (float) Math.max(0, square - mean * mean));
            }
            sums.fill((byte) 0);
        }
    }

    private synchronized Parts parts(Manifest.TiledDecoder entry) {
        if (closed) {
            throw new IllegalStateException(decoder.name() + " is closed");
        }
        Parts loaded = parts;
        if (loaded == null) {
            OrtSession front = loader.apply(entry.front());
            OrtSession tail = null;
            try {
                tail = loader.apply(entry.tail());
                loaded = checked(front, tail);
                parts = loaded;
            } finally {
                if (loaded == null) {
                    front.close();
                    if (tail != null) {
                        tail.close();
                    }
                }
            }
        }
        return loaded;
    }

    private Parts checked(OrtSession front, OrtSession tail) {
        GraphContract first = new GraphContract(front);
        first.onlyInputs(List.of("latents"));
        first.input("latents", "float32", ANY, channels, ANY, ANY);
        int width = first.fixed(first.output("features", "float32", ANY, ANY, ANY, ANY), 1);
        GraphContract second = new GraphContract(tail);
        second.onlyInputs(List.of("features", "norm_stats", "core_y", "core_x"));
        second.input("features", "float32", ANY, width, ANY, ANY);
        var statistics = second.input("norm_stats", "float32", ANY, 2, ANY);
        second.input("core_y", "float32", ANY);
        second.input("core_x", "float32", ANY);
        int norms = second.fixed(statistics, 0);
        int groups = second.fixed(statistics, 2);
        second.output("image", "float32", ANY, 3, ANY, ANY);
        second.output("moments", "float32", norms, 2, groups);
        return new Parts(front, tail, width, norms, groups);
    }

    private static int count(int extent, int tile, int stride) {
        return extent <= tile ? 1 : Math.ceilDiv(extent - tile, stride) + 1;
    }

    /** Where a tile starts; the last one is moved back, so that all have one shape. */
    private static int start(int index, int extent, int tile, int stride) {
        return Math.min(index * stride, extent - tile);
    }

    /** Copies a rectangle of {@code planes} planes from [fromH, fromW] to [toH, toW]. */
    private static void copy(
            MemorySegment from,
            int fromH,
            int fromW,
            int fromTop,
            int fromLeft,
            MemorySegment to,
            int toH,
            int toW,
            int toTop,
            int toLeft,
            int rows,
            int columns,
            int planes) {
        for (int plane = 0; plane < planes; plane++) {
            for (int row = 0; row < rows; row++) {
                MemorySegment.copy(
                        from,
                        4 * (((long) plane * fromH + fromTop + row) * fromW + fromLeft),
                        to,
                        4 * (((long) plane * toH + toTop + row) * toW + toLeft),
                        4L * columns);
            }
        }
    }

    /** Closes the decoder, its parts and its fallback. Idempotent. */
    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            if (parts != null) {
                parts.close();
            }
            if (fallback != null) {
                fallback.close();
            }
            decoder.close();
        }
    }
}
