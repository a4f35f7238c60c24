// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.start;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.ImageFit;
import io.github.asg4j.Size;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.StartPicture;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.plan.Axis;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.run.worker.RequestContext;

import java.lang.foreign.MemorySegment;

/**
 * A start picture, resampled. It lies in what it fills, the canvas or one patch of it, as the picture to
 * draw lies in the canvas, so that what is cropped from the result is not of the picture.
 */
public final class GivenPicture {
    /** The most that a picture's aspect may differ from that of the size asked for, a factor. */
    private static final double MAX_STRETCH = 1.05;

    private GivenPicture() {}

    /** What a start picture fills. */
    public enum Extent {
        /** One patch: it is made native size. */
        PATCH,
        /** The whole canvas. */
        CANVAS;

        /** Pixels of it along an axis. */
        private int pixels(Axis axis) {
            return (this == PATCH ? axis.patch() : axis.canvas()) * axis.factor();
        }
    }

    /** What samples of 8 bits become. */
    public enum Values {
        /** 0 to 255. */
        LEVELS(1, 0),
        /** 0 to 1. */
        UNIT(1 / 255f, 0),
        /** -1 to 1. */
        SIGNED((float) (1 / 127.5), -1);

        private final float scale;
        private final float shift;

        Values(float scale, float shift) {
            this.scale = scale;
            this.shift = shift;
        }
    }

    /**
     * Reads a request's picture and resamples it (SPEC §9).
     *
     * @param margins about it
     * @param memory owns the result and all that it takes
     * @return float32 [3, h, w], the pixels of {@code extent}
     * @throws BadRequestException if it cannot be read, or its aspect is another one than that of the
     *     picture to draw and the request does not say what becomes of it
     */
    public static MemorySegment read(
            RequestContext context,
            Content file,
            Extent extent,
            Margins margins,
            Values values,
            Memory memory) {
        StartPicture given = StartPicture.read(file, memory);
        requireAspect(context, file, given, margins);
        return resampled(context, given, extent, margins, values, memory);
    }

    /**
     * The same at any resolution of the whole canvas.
     *
     * @param size pixels
     * @return float32 [3, height, width]
     */
    public static MemorySegment readAt(
            RequestContext context,
            Content file,
            Size size,
            Margins margins,
            Values values,
            Memory memory) {
        StartPicture given = StartPicture.read(file, memory);
        requireAspect(context, file, given, margins);
        MemorySegment planes = given.planes(memory, values.scale, values.shift);
        Frame frame = new Frame(size.height(), size.width(), 0, 0);
        return framed(context, planes, given.height(), given.width(), frame, margins, memory);
    }

    /** The same of a picture that was read already, and is of the right aspect. */
    public static MemorySegment resampled(
            RequestContext context,
            StartPicture given,
            Extent extent,
            Margins margins,
            Values values,
            Memory memory) {
        Canvas canvas = context.canvas();
        Frame frame = new Frame(extent.pixels(canvas.y()), extent.pixels(canvas.x()), 0, 0);
        MemorySegment planes = given.planes(memory, values.scale, values.shift);
        return framed(context, planes, given.height(), given.width(), frame, margins, memory);
    }

    /**
     * A plane of a given picture's size on the whole canvas.
     *
     * @param plane float32 [height, width]
     * @param margins about it
     * @param memory owns the result and all that it takes
     * @return float32 [H * f, W * f]
     */
    public static MemorySegment onCanvas(
            RequestContext context,
            MemorySegment plane,
            int height,
            int width,
            Margins margins,
            Memory memory) {
        Canvas canvas = context.canvas();
        Frame frame = new Frame(canvas.heightPixels(), canvas.widthPixels(), 0, 0);
        return framed(context, plane, height, width, frame, margins, memory);
    }

    /**
     * A resolution of the whole canvas.
     *
     * @param height pixels
     * @param width pixels
     * @param down latent cells of the canvas by which it lies below it
     * @param right latent cells of the canvas by which it lies right of it
     */
    record Frame(int height, int width, double down, double right) {}

    /** Refuses a picture of another aspect, unless the request says what becomes of it. */
    public static void requireAspect(
            RequestContext context, Content file, StartPicture given, Margins margins) {
        if (context.request().imageFit() == ImageFit.EXACT) {
            checkAspect(file, given, context.canvas(), margins);
        }
    }

    /**
     * Resamples a picture.
     *
     * @param planes float32 [planes, height, width], the picture
     * @param margins about it
     * @param memory owns the result and all that it takes
     * @return float32 [planes, h, w] of the frame; the picture itself, where that is the same
     */
    static MemorySegment framed(
            RequestContext context,
            MemorySegment planes,
            int height,
            int width,
            Frame frame,
            Margins margins,
            Memory memory) {
        Canvas canvas = context.canvas();
        ImageFit fit = context.request().imageFit();
        Room rows = new Room(canvas.y(), margins.top(), margins.bottom());
        Room columns = new Room(canvas.x(), margins.left(), margins.right());
        Lie y = lie(fit, rows, height, columns, width, frame.down());
        Lie x = lie(fit, columns, width, rows, height, frame.right());
        if (y.fills(frame.height()) && x.fills(frame.width())) {
            return planes;
        }
        int count = (int) (planes.byteSize() / ((long) Float.BYTES * height * width));
        MemorySegment resized =
                memory.floats((long) count * frame.height() * frame.width(), "picture, resized");
        new Resize(memory, count, y.axis(memory, frame.height()), x.axis(memory, frame.width()))
                .run(context.kernels(), resized, planes);
        return resized;
    }

    /**
     * How a picture lies along an axis of the picture to draw.
     *
     * @param pixels of the given picture
     * @param ratio of its pixels to those of the picture to draw
     * @param first of its pixels where the picture to draw begins; negative: it begins before the given
     *     one
     */
    private record Lie(Axis axis, int pixels, double ratio, double first) {
        private boolean fills(int filled) {
            boolean whole = axis.canvas() * axis.factor() == axis.pixels() && first == 0;
            return whole && pixels == filled && ratio * axis.pixels() == pixels;
        }

        private ResampleAxis axis(Memory memory, int filled) {
            return ResampleAxis.antialiasedBicubic(
                    memory,
                    pixels,
                    filled,
                    first - axis.cropPixels() * ratio,
                    axis.canvas() * axis.factor() * ratio);
        }
    }

    /**
     * What a given picture fills of an axis of the picture to draw: all but what is drawn beside it.
     *
     * @param before pixels before it; negative: it begins before the picture to draw
     * @param after pixels behind it
     */
    private record Room(Axis axis, double before, double after) {
        double pixels() {
            return axis.pixels() - before - after;
        }
    }

    private static Lie lie(
            ImageFit fit, Room room, int pixels, Room other, int otherPixels, double shift) {
        double own = pixels / room.pixels();
        double across = otherPixels / other.pixels();
        double ratio =
                switch (fit) {
                    case EXACT, STRETCH -> own;
                    case CROP -> Math.min(own, across);
                    case PAD -> Math.max(own, across);
                };
        double first =
                (pixels - ratio * room.pixels()) / 2
                        + ratio * (shift * room.axis().factor() - room.before());
        return new Lie(room.axis(), pixels, ratio, first);
    }

    private static void checkAspect(
            Content file, StartPicture given, Canvas canvas, Margins margins) {
        Axis x = canvas.x();
        Axis y = canvas.y();
        double beside = margins.left() + margins.right();
        double over = margins.top() + margins.bottom();
        double width = x.pixels() - beside;
        double height = y.pixels() - over;
        double asked = width / height;
        double found = (double) given.width() / given.height();
        if (Math.max(asked / found, found / asked) <= MAX_STRETCH) {
            return;
        }
        if (margins.cut()) {
            throw new BadRequestException(
                    "the picture '"
                            + file
                            + "' is of another aspect than the start picture, of which a part is"
                            + " drawn: it would be stretched by more than 5 %. Say what becomes of"
                            + " it (--image-fit crop, pad or stretch), or cut it to that aspect");
        }
        // The largest size of the picture's aspect within the one asked for.
        double fit = Math.min(width / given.width(), height / given.height());
        throw new BadRequestException(
                "the picture '"
                        + file
                        + "' has "
                        + given.width()
                        + "x"
                        + given.height()
                        + " pixels, of another aspect than the "
                        + Math.round(width)
                        + "x"
                        + Math.round(height)
                        + " to draw: it would be stretched by more than 5 %. Say what becomes of it"
                        + " (--image-fit crop, pad or stretch), or ask for --size "
                        + multiple(given.width() * fit + beside, x.factor())
                        + "x"
                        + multiple(given.height() * fit + over, y.factor()));
    }

    private static long multiple(double pixels, int factor) {
        return Math.max(1, Math.round(pixels / factor)) * factor;
    }
}
