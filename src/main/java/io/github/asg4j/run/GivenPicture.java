// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.StartPicture;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.plan.Axis;
import io.github.asg4j.plan.Canvas;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/** A start picture at native size: of one patch of the canvas. */
final class GivenPicture {
    /** The most that a picture's aspect may differ from that of the size asked for, a factor. */
    private static final double MAX_STRETCH = 1.05;

    private GivenPicture() {}

    /**
     * Reads a picture and stretches it to the pixels of a patch, if it has not as many (SPEC §9).
     *
     * @param memory owns the result and all that it takes
     * @return float32 [3, h, w] in -1..1, h and w of one patch in pixels
     * @throws BadRequestException if it cannot be read, or its aspect is another one than that of the
     *     picture to draw
     */
    static MemorySegment read(Path file, Canvas canvas, Kernels kernels, Memory memory) {
        StartPicture given = StartPicture.read(file, memory);
        checkAspect(file, given, canvas);
        int height = canvas.y().patch() * canvas.y().factor();
        int width = canvas.x().patch() * canvas.x().factor();
        MemorySegment planes = given.planes(memory, (float) (1 / 127.5), -1);
        if (given.height() == height && given.width() == width) {
            return planes;
        }
        MemorySegment resized = memory.floats(3L * height * width, "start picture at native size");
        Resize.antialiasedBicubic(memory, 3, given.height(), given.width(), height, width)
                .run(kernels, resized, planes);
        return resized;
    }

    private static void checkAspect(Path file, StartPicture given, Canvas canvas) {
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
