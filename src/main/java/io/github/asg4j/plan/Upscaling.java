// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.PlanReport;
import io.github.asg4j.Size;
import io.github.asg4j.model.Manifest;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * How a picture of native size becomes the one asked for once it is decoded (SPEC.md §9, superres):
 * networks enlarge it, one after the other and tile by tile, until it is large enough, then it is
 * resampled to its size.
 *
 * @param passes in order; empty for a picture that is large enough already
 * @param height pixels of the result, at most those after the last pass
 * @param width pixels of the result
 */
public record Upscaling(List<Pass> passes, int height, int width) {
    /** Input pixels of a tile per axis, without its border. */
    public static final int TILE = 192;

    public Upscaling {
        passes = List.copyOf(passes);
    }

    /**
     * Plans to enlarge a picture of {@code height} x {@code width} pixels {@code scale} times: each
     * time by the smallest upscaler that suffices, else by the largest.
     *
     * @param available at least one for a scale above 1
     */
    public static Upscaling of(
            int height, int width, int scale, List<Manifest.Upscaler> available) {
        Comparator<Manifest.Upscaler> byScale = Comparator.comparingInt(Manifest.Upscaler::scale);
        List<Pass> passes = new ArrayList<>();
        for (int reached = 1; reached < scale; ) {
            int missing = Math.ceilDiv(scale, reached);
            Manifest.Upscaler next =
                    available.stream()
                            .filter(u -> u.scale() >= missing)
                            .min(byScale)
                            .orElseGet(() -> available.stream().max(byScale).orElseThrow());
            passes.add(new Pass(next, height * reached, width * reached));
            reached *= next.scale();
        }
        return new Upscaling(passes, height * scale, width * scale);
    }

    /** Whether the result is smaller than what the passes give. */
    public boolean resamples() {
        return !passes.isEmpty() && passes.getLast().outHeight() != height;
    }

    /** Calls of upscalers. */
    public int tiles() {
        return passes.stream().mapToInt(p -> p.tiles().size()).sum();
    }

    /**
     * One upscaler over a picture of {@code height} x {@code width} pixels.
     *
     * @param upscaler that runs
     */
    public record Pass(Manifest.Upscaler upscaler, int height, int width) {
        public int outHeight() {
            return height * upscaler.scale();
        }

        public int outWidth() {
            return width * upscaler.scale();
        }

        /**
         * Their cores cover the picture once. The largest first: what ONNX Runtime's arena has taken for it
         * serves all others, and would not the other way round.
         */
        public List<Tile> tiles() {
            List<Tile> tiles = new ArrayList<>();
            for (int top = 0; top < height; top += TILE) {
                for (int left = 0; left < width; left += TILE) {
                    tiles.add(tile(top, left));
                }
            }
            tiles.sort(Comparator.comparingLong(Pass::seen).reversed());
            return tiles;
        }

        private Tile tile(int top, int left) {
            int border = upscaler.overlap();
            int seenTop = Math.max(0, top - border);
            int seenLeft = Math.max(0, left - border);
            return new Tile(
                    top,
                    left,
                    Math.min(TILE, height - top),
                    Math.min(TILE, width - left),
                    seenTop,
                    seenLeft,
                    Math.min(height, top + TILE + border) - seenTop,
                    Math.min(width, left + TILE + border) - seenLeft);
        }

        /** Pixels that the upscaler sees in all tiles over those of the picture. */
        public double cost() {
            return tiles().stream().mapToDouble(Pass::seen).sum() / ((double) height * width);
        }

        private static long seen(Tile tile) {
            return (long) tile.seenHeight() * tile.seenWidth();
        }

        /** Floats of the largest tile that the upscaler sees. */
        public long tileFloats() {
            return 3 * seen(tiles().getFirst());
        }

        /** Floats of what the upscaler makes of the largest tile. */
        public long upscaledTileFloats() {
            return tileFloats() * upscaler.scale() * upscaler.scale();
        }
    }

    /** Bytes of the pictures between the passes, and of the result where it is resampled. */
    public long pictureBytes() {
        long bytes = passes.stream().mapToLong(p -> 12L * p.outHeight() * p.outWidth()).sum();
        if (resamples()) {
            Pass last = passes.getLast();
            bytes += 12L * last.outHeight() * width + 12L * height * width;
        }
        return bytes;
    }

    /** Bytes of one worker's tiles. */
    public long workerBytes() {
        long in = passes.stream().mapToLong(Pass::tileFloats).max().orElse(0);
        long out = passes.stream().mapToLong(Pass::upscaledTileFloats).max().orElse(0);
        return 4 * (in + out);
    }

    /**
     * Working memory of the upscalers over one worker's tiles, those whose width is unknown left out: each
     * keeps what its largest tile has taken.
     *
     * @param bytes of an output pixel and channel
     */
    long workspace(double bytes) {
        Map<String, Double> most = new LinkedHashMap<>();
        for (Pass pass : passes) {
            double pixels = pass.upscaledTileFloats() / 3.0;
            most.merge(pass.upscaler().file(), bytes * pass.upscaler().width() * pixels, Math::max);
        }
        return (long) most.values().stream().mapToDouble(Double::doubleValue).sum();
    }

    /** What a caller is told of it. */
    PlanReport.Upscaling report() {
        return new PlanReport.Upscaling(
                passes.stream()
                        .map(
                                p ->
                                        new PlanReport.Pass(
                                                p.upscaler().file(),
                                                p.upscaler().scale(),
                                                new Size(p.width(), p.height()),
                                                p.tiles().size(),
                                                p.upscaler().overlap(),
                                                Math.rint(100 * p.cost()) / 100,
                                                p.upscaler().tileError()))
                        .toList(),
                resamples() ? new Size(width, height) : null,
                pictureBytes(),
                workerBytes());
    }
}
