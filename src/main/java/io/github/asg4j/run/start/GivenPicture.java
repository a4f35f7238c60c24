// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.start;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.ImageFit;
import io.github.asg4j.InpaintOptions.Borders;
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

    /**
     * Reads a request's picture and resamples it (SPEC §9).
     *
     * @param memory owns the result and all that it takes
     * @param scale values are bytes * scale + shift
     * @return float32 [3, h, w], the pixels of {@code extent}
     * @throws BadRequestException if it cannot be read, or its aspect is another one than that of the
     *     picture to draw and the request does not say what becomes of it
     */
    public static MemorySegment read(
            RequestContext context,
            Content file,
            Extent extent,
            Memory memory,
            float scale,
            float shift) {
        StartPicture given = StartPicture.read(file, memory);
        return resampled(context, file, given, extent, memory, scale, shift);
    }

    /** The same of a picture that was read already. */
    public static MemorySegment resampled(
            RequestContext context,
            Content file,
            StartPicture given,
            Extent extent,
            Memory memory,
            float scale,
            float shift) {
        requireAspect(context, file, given, context.request().inpaint().borders());
        Canvas canvas = context.canvas();
        Frame frame = new Frame(extent.pixels(canvas.y()), extent.pixels(canvas.x()), 0, 0);
        MemorySegment planes = given.planes(memory, scale, shift);
        Borders borders = context.request().inpaint().borders();
        return framed(context, planes, given.height(), given.width(), frame, borders, memory);
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
    static void requireAspect(
            RequestContext context, Content file, StartPicture given, Borders borders) {
        if (context.request().imageFit() == ImageFit.EXACT) {
            checkAspect(file, given, context.canvas(), borders);
        }
    }

    /**
     * Resamples a picture.
     *
     * @param planes float32 [3, height, width], the picture
     * @param borders what it leaves free beside it
     * @param memory owns the result and all that it takes
     * @return float32 [3, h, w] of the frame; the picture itself, where that is the same
     */
    static MemorySegment framed(
            RequestContext context,
            MemorySegment planes,
            int height,
            int width,
            Frame frame,
            Borders borders,
            Memory memory) {
        Canvas canvas = context.canvas();
        ImageFit fit = context.request().imageFit();
        Room rows = new Room(canvas.y(), borders.top(), borders.bottom());
        Room columns = new Room(canvas.x(), borders.left(), borders.right());
        Lie y = lie(fit, rows, height, columns, width, frame.down());
        Lie x = lie(fit, columns, width, rows, height, frame.right());
        if (y.fills(frame.height()) && x.fills(frame.width())) {
            return planes;
        }
        MemorySegment resized =
                memory.floats(3L * frame.height() * frame.width(), "picture, resized");
        new Resize(memory, 3, y.axis(memory, frame.height()), x.axis(memory, frame.width()))
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
     * @param before pixels before it
     * @param after pixels behind it
     */
    private record Room(Axis axis, int before, int after) {
        int pixels() {
            return axis.pixels() - before - after;
        }
    }

    private static Lie lie(
            ImageFit fit, Room room, int pixels, Room other, int otherPixels, double shift) {
        double own = (double) pixels / room.pixels();
        double across = (double) otherPixels / other.pixels();
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
            Content file, StartPicture given, Canvas canvas, Borders borders) {
        Axis x = canvas.x();
        Axis y = canvas.y();
        int beside = borders.left() + borders.right();
        int over = borders.top() + borders.bottom();
        int width = x.pixels() - beside;
        int height = y.pixels() - over;
        double asked = (double) width / height;
        double found = (double) given.width() / given.height();
        if (Math.max(asked / found, found / asked) <= MAX_STRETCH) {
            return;
        }
        // The largest size of the picture's aspect within the one asked for.
        double fit = Math.min((double) width / given.width(), (double) height / given.height());
        throw new BadRequestException(
                "the picture '"
                        + file
                        + "' has "
                        + given.width()
                        + "x"
                        + given.height()
                        + " pixels, of another aspect than the "
                        + width
                        + "x"
                        + height
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
