// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Size;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Pictures of one size side by side and row below row, in their order, as many rows as columns or one
 * fewer, with labels above them if there are any. Owns its pixels; one thread.
 */
final class Grid implements AutoCloseable {
    private static final long CHANNELS = 3;
    private static final long MAX_BYTES = Integer.MAX_VALUE;
    private static final byte WHITE = (byte) 255;

    private final Arena arena = Arena.ofShared();
    private final Layout layout;
    private final List<String> labels;
    private int width;
    private int height;
    private int added;
    private MemorySegment rgb = MemorySegment.NULL;

    /** How many pictures are beside and below each other. */
    private record Layout(int columns, int rows) {
        static Layout of(int pictures) {
            int columns = (int) Math.ceil(Math.sqrt(pictures));
            return new Layout(columns, Math.ceilDiv(pictures, columns));
        }
    }

    /**
     * @param pictures how many there will be, at least 1
     * @param labels one for each; empty: none
     */
    Grid(int pictures, List<String> labels) {
        layout = Layout.of(pictures);
        this.labels = List.copyOf(labels);
    }

    /**
     * How large a grid will be.
     *
     * @param width of each picture, pixels
     * @param height of each picture, pixels
     */
    static Size size(int pictures, List<String> labels, int width, int height) {
        Layout layout = Layout.of(pictures);
        int cell = height + LabelText.of(labels, width).height();
        return new Size(
                Math.multiplyExact(layout.columns, width), Math.multiplyExact(layout.rows, cell));
    }

    /**
     * Puts the next picture to its place; places without one stay black.
     *
     * @throws BadRequestException if all of them are too many pixels for one file
     */
    void add(GeneratedImage picture) {
        LabelText text = LabelText.of(labels, picture.width());
        if (added == 0) {
            width = picture.width() * layout.columns;
            height = (picture.height() + text.height()) * layout.rows;
            long bytes = CHANNELS * width * height;
            if (bytes > MAX_BYTES) {
                throw new BadRequestException(
                        "a grid of "
                                + layout.columns
                                + "x"
                                + layout.rows
                                + " pictures of "
                                + picture.width()
                                + "x"
                                + picture.height()
                                + " pixels is too large for one file: leave out --grid, or draw"
                                + " fewer pictures");
            }
            rgb = arena.allocate(bytes);
        }
        MemorySegment from = MemorySegment.ofBuffer(picture.rgb());
        long row = CHANNELS * picture.width();
        long left = added % layout.columns * row;
        long top = (long) (added / layout.columns) * (picture.height() + text.height());
        for (int y = 0; y < text.height(); y++) {
            MemorySegment line = rgb.asSlice((top + y) * CHANNELS * width + left, row);
            line.fill(WHITE);
            for (int x = 0; x < picture.width(); x++) {
                if (text.isInk(labels.get(added), x, y)) {
                    line.asSlice(CHANNELS * x, CHANNELS).fill((byte) 0);
                }
            }
        }
        for (int y = 0; y < picture.height(); y++) {
            long to = (top + text.height() + y) * CHANNELS * width + left;
            MemorySegment.copy(from, y * row, rgb, to, row);
        }
        added++;
    }

    /** Pixels. */
    int width() {
        return width;
    }

    /** Pixels. */
    int height() {
        return height;
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
