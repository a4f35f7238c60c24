// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GeneratedImage;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Pictures of one size side by side and row below row, in their order, as many rows as columns or one
 * fewer. Owns its pixels; one thread.
 */
final class Grid implements AutoCloseable {
    private static final long CHANNELS = 3;
    private static final long MAX_BYTES = Integer.MAX_VALUE;

    private final Arena arena = Arena.ofShared();
    private final int columns;
    private final int rows;
    private int width;
    private int height;
    private int added;
    private MemorySegment rgb = MemorySegment.NULL;

    /**
     * @param pictures how many there will be, at least 1
     */
    Grid(int pictures) {
        columns = (int) Math.ceil(Math.sqrt(pictures));
        rows = Math.ceilDiv(pictures, columns);
    }

    /**
     * Puts the next picture to its place; places without one stay black.
     *
     * @throws BadRequestException if all of them are too many pixels for one file
     */
    void add(GeneratedImage picture) {
        if (added == 0) {
            width = picture.width();
            height = picture.height();
            long bytes = CHANNELS * width * columns * height * rows;
            if (bytes > MAX_BYTES) {
                throw new BadRequestException(
                        "a grid of "
                                + columns
                                + "x"
                                + rows
                                + " pictures of "
                                + width
                                + "x"
                                + height
                                + " pixels is too large for one file: leave out --grid, or draw"
                                + " fewer pictures");
            }
            rgb = arena.allocate(bytes);
        }
        MemorySegment from = MemorySegment.ofBuffer(picture.rgb());
        long row = CHANNELS * width;
        long left = added % columns * row;
        long top = (long) (added / columns) * height;
        for (int y = 0; y < height; y++) {
            long to = (top + y) * row * columns + left;
            MemorySegment.copy(from, y * row, rgb, to, row);
        }
        added++;
    }

    /** Pixels. */
    int width() {
        return width * columns;
    }

    /** Pixels. */
    int height() {
        return height * rows;
    }

    /** RGB8, row by row. */
    MemorySegment rgb() {
        return rgb;
    }

    @Override
    public void close() {
        arena.close();
    }
}
