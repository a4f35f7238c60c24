// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import java.util.ArrayList;
import java.util.List;

/**
 * Part of what a network is run over in tiles, in cells of its input: what is kept of its output,
 * and what it sees for it.
 *
 * @param height of the part that is kept
 * @param width of the part that is kept
 * @param seenTop first row that the network sees: {@code top} less a border, within the whole
 * @param seenLeft first column that the network sees
 * @param seenHeight rows that the network sees
 * @param seenWidth columns that the network sees
 */
public record Tile(
        int top,
        int left,
        int height,
        int width,
        int seenTop,
        int seenLeft,
        int seenHeight,
        int seenWidth) {

    /**
     * Latent cells that the network sees.
     *
     * @param scale cells of its input per latent cell and axis
     */
    double seenCells(int scale) {
        return (double) seenHeight * seenWidth / (scale * scale);
    }

    /** A tile along an axis. */
    record Span(int start, int size, int seen, int seenSize) {
        /**
         * Spans that keep each cell once, at most {@code cells} of them, and see {@code halo} more on both
         * sides, all as many cells.
         */
        static List<Span> exact(int extent, int cells, int halo) {
            // What is kept has to be more than the halos.
            int count = Math.ceilDiv(extent, Math.max(cells, 2 * halo));
            int core = Math.ceilDiv(extent, count);
            int tile = Math.min(extent, core + 2 * halo);
            List<Span> spans = new ArrayList<>();
            for (int at = 0; at < extent; at += core) {
                int seen = Math.clamp(at - halo, 0, extent - tile);
                spans.add(new Span(at, Math.min(core, extent - at), seen, tile));
            }
            return spans;
        }
    }

    /** Tiles of all pairs of spans, row by row. */
    static List<Tile> of(List<Span> rows, List<Span> columns) {
        List<Tile> tiles = new ArrayList<>();
        for (Span y : rows) {
            for (Span x : columns) {
                tiles.add(
                        new Tile(
                                y.start(),
                                x.start(),
                                y.size(),
                                x.size(),
                                y.seen(),
                                x.seen(),
                                y.seenSize(),
                                x.seenSize()));
            }
        }
        return tiles;
    }

    /** Tiles that keep each cell once, row by row: at most {@code cells} a side, with {@code halo} around. */
    static List<Tile> exact(int height, int width, int cells, int halo) {
        return of(Span.exact(height, cells, halo), Span.exact(width, cells, halo));
    }
}
