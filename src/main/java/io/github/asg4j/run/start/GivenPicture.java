// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.start;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.StartPicture;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.plan.Axis;
import io.github.asg4j.plan.Canvas;

import java.lang.foreign.MemorySegment;

/**
 * A start picture at native size: of one patch of the canvas. It lies in the patch as the picture to
 * draw lies in the canvas, so that what is cropped from the result is not of the picture.
 */
public final class GivenPicture {
    /** The most that a picture's aspect may differ from that of the size asked for, a factor. */
    private static final double MAX_STRETCH = 1.05;

    private GivenPicture() {}

    /**
     * Reads a picture and resamples it to the pixels of a patch (SPEC §9).
     *
     * @param memory owns the result and all that it takes
     * @param scale values are bytes * scale + shift
     * @return float32 [3, h, w], h and w of one patch in pixels
     * @throws BadRequestException if it cannot be read, or its aspect is another one than that of the
     *     picture to draw
     */
    public static MemorySegment read(
            Content file, Canvas canvas, Kernels kernels, Memory memory, float scale, float shift) {
        StartPicture given = StartPicture.read(file, memory);
        checkAspect(file, given, canvas);
        MemorySegment planes = given.planes(memory, scale, shift);
        if (fills(canvas.y(), given.height()) && fills(canvas.x(), given.width())) {
            return planes;
        }
        MemorySegment resized =
                memory.floats(
                        3L * patchPixels(canvas.y()) * patchPixels(canvas.x()),
                        "start picture at native size");
        new Resize(
                        memory,
                        3,
                        axis(memory, canvas.y(), given.height()),
                        axis(memory, canvas.x(), given.width()))
                .run(kernels, resized, planes);
        return resized;
    }

    private static int patchPixels(Axis axis) {
        return axis.patch() * axis.factor();
    }

    private static boolean fills(Axis axis, int pixels) {
        return pixels == patchPixels(axis) && axis.canvas() * axis.factor() == axis.pixels();
    }

    /** Source pixels and canvas pixels are in the ratio of the given picture and the one to draw. */
    private static ResampleAxis axis(Memory memory, Axis axis, int pixels) {
        double ratio = (double) pixels / axis.pixels();
        return ResampleAxis.antialiasedBicubic(
                memory,
                pixels,
                patchPixels(axis),
                -axis.cropPixels() * ratio,
                axis.canvas() * axis.factor() * ratio);
    }

    private static void checkAspect(Content file, StartPicture given, Canvas canvas) {
        Axis x = canvas.x();
        Axis y = canvas.y();
        double asked = (double) x.pixels() / y.pixels();
        double found = (double) given.width() / given.height();
        if (Math.max(asked / found, found / asked) <= MAX_STRETCH) {
            return;
        }
        // The largest size of the picture's aspect within the one asked for.
        double fit =
                Math.min((double) x.pixels() / given.width(), (double) y.pixels() / given.height());
        throw new BadRequestException(
                "the picture '"
                        + file
                        + "' has "
                        + given.width()
                        + "x"
                        + given.height()
                        + " pixels, of another aspect than the "
                        + x.pixels()
                        + "x"
                        + y.pixels()
                        + " to draw: it would be stretched by more than 5 %. Crop it, or ask for"
                        + " --size "
                        + multiple(given.width() * fit, x.factor())
                        + "x"
                        + multiple(given.height() * fit, y.factor()));
    }

    private static long multiple(double pixels, int factor) {
        return Math.max(1, Math.round(pixels / factor)) * factor;
    }
}
