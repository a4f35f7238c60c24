// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.run.picture.Pixels;
import io.github.asg4j.run.start.Margins;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;

/**
 * The part of a start picture about what its mask has drawn. It has the aspect of the picture to draw,
 * and reaches beyond the start picture only where that is too narrow for it.
 *
 * @param y rows
 * @param x columns
 * @param kernels of host memory
 */
record MaskedArea(Span y, Span x, Kernels kernels) {
    /**
     * An axis of it.
     *
     * @param pixels of the start picture
     * @param first of them, where the part begins
     * @param length of the part, pixels of the start picture
     * @param drawn pixels that the part is drawn with
     */
    record Span(int pixels, double first, double length, int drawn) {
        /** The part about the middle of a box, within the picture if it fits, beginning with a pixel. */
        static Span about(double middle, double length, int pixels, int drawn) {
            double first =
                    length < pixels
                            ? Math.clamp(
                                    (double) Math.round(middle - length / 2), 0, pixels - length)
                            : (pixels - length) / 2;
            return new Span(pixels, first, length, drawn);
        }

        private double enlargement() {
            return drawn / length;
        }

        private double before() {
            return -first * enlargement();
        }

        private double after() {
            return (first + length - pixels) * enlargement();
        }

        /** First pixel of the start picture that it touches. */
        private int from() {
            return Math.max(0, (int) Math.floor(first));
        }

        /** Pixels of the start picture that it touches. */
        private int touched() {
            return Math.min(pixels, (int) Math.ceil(first + length)) - from();
        }

        private ResampleAxis back(Memory memory) {
            return ResampleAxis.antialiasedBicubic(
                    memory,
                    drawn,
                    touched(),
                    (from() - first) * enlargement(),
                    touched() * enlargement());
        }
    }

    /**
     * The part about all pixels of which anything is drawn.
     *
     * @param share float32 [height, width] how much of a pixel is drawn; of one at least something
     * @param padding pixels that it is wider on each side, as far as the picture goes
     */
    static MaskedArea about(
            MemorySegment share,
            int height,
            int width,
            int padding,
            Canvas canvas,
            Kernels kernels) {
        int top = height;
        int bottom = 0;
        int left = width;
        int right = 0;
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                if (share.getAtIndex(ValueLayout.JAVA_FLOAT, (long) y * width + x) > 0) {
                    top = Math.min(top, y);
                    bottom = y + 1;
                    left = Math.min(left, x);
                    right = Math.max(right, x + 1);
                }
            }
        }
        top = Math.max(0, top - padding);
        left = Math.max(0, left - padding);
        bottom = Math.min(height, bottom + padding);
        right = Math.min(width, right + padding);
        double aspect = (double) canvas.x().pixels() / canvas.y().pixels();
        double rows = Math.max(bottom - top, (right - left) / aspect);
        double columns = Math.max(right - left, (bottom - top) * aspect);
        return new MaskedArea(
                Span.about((top + bottom) / 2.0, rows, height, canvas.y().pixels()),
                Span.about((left + right) / 2.0, columns, width, canvas.x().pixels()),
                kernels);
    }

    /** Where the start picture lies about the picture to draw. */
    Margins margins() {
        return new Margins(x.before(), y.before(), x.after(), y.after());
    }

    /** A picture of the start picture's size with the drawn one in its place, black about it. */
    Pixels placed(Pixels drawn) {
        ByteBuffer rgb = ByteBuffer.allocate(Math.multiplyExact(3 * y.pixels(), x.pixels()));
        try (Memory work = new Memory("the drawn part")) {
            MemorySegment planes = planes(drawn, work);
            int rows = y.touched();
            int columns = x.touched();
            MemorySegment back = work.floats(3L * rows * columns, "drawn part at its own size");
            new Resize(work, 3, y.back(work), x.back(work)).run(kernels, back, planes);
            for (int row = 0; row < rows; row++) {
                rgb.position(3 * ((y.from() + row) * x.pixels() + x.from()));
                for (int i = row * columns; i < (row + 1) * columns; i++) {
                    for (int c = 0; c < 3; c++) {
                        long at = (long) c * rows * columns + i;
                        rgb.put(KeptPixels.level(back.getAtIndex(ValueLayout.JAVA_FLOAT, at)));
                    }
                }
            }
        }
        return new Pixels(x.pixels(), y.pixels(), rgb.rewind());
    }

    /** float32 [3, h, w] of RGB8. */
    private static MemorySegment planes(Pixels drawn, Memory memory) {
        long area = (long) drawn.width() * drawn.height();
        MemorySegment planes = memory.floats(3 * area, "drawn part");
        ByteBuffer from = drawn.rgb().duplicate();
        for (long i = 0; i < area; i++) {
            for (int c = 0; c < 3; c++) {
                planes.setAtIndex(ValueLayout.JAVA_FLOAT, c * area + i, from.get() & 255);
            }
        }
        return planes;
    }
}
