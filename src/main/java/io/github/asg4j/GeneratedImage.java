// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import io.github.asg4j.image.PictureEncoding;
import io.github.asg4j.image.PngParameters;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * A picture and how it came about. The pixels are on the Java heap and belong to the caller.
 *
 * @param width pixels
 * @param height pixels
 * @param rgb RGB8, row-major, {@code width * height * 3} bytes, read-only
 * @param report settings and measurements
 */
public record GeneratedImage(int width, int height, ByteBuffer rgb, PictureReport report) {
    public GeneratedImage {
        rgb = checked(width, height, rgb);
    }

    static ByteBuffer checked(int width, int height, ByteBuffer rgb) {
        if (rgb.remaining() != Math.multiplyExact(Math.multiplyExact(width, height), 3)) {
            throw new IllegalArgumentException(
                    rgb.remaining() + " bytes are no RGB8 picture of " + width + "x" + height);
        }
        return rgb.asReadOnlyBuffer();
    }

    @Override
    public ByteBuffer rgb() {
        return rgb.duplicate();
    }

    /** The picture as the content of a PNG file that carries its settings. */
    public byte[] png() {
        return encoded(PictureEncoding.PNG);
    }

    /**
     * The picture as the content of a file that carries its settings.
     *
     * @throws OutputException as {@link PictureEncoding#check} does
     */
    public byte[] encoded(PictureEncoding encoding) {
        MemorySegment pixels = MemorySegment.ofBuffer(rgb());
        return encoding.encode(width, height, pixels, PngParameters.text(report));
    }

    /**
     * Writes a PNG file that carries the picture's settings. An existing file is replaced when the new
     * one is complete.
     *
     * @throws OutputException if it cannot be written; no half of it stays
     */
    public void writePng(Path file) {
        write(file, PictureEncoding.PNG);
    }

    /**
     * Writes a file that carries the picture's settings, as {@link #writePng} does.
     *
     * @throws OutputException if it cannot be written, or as {@link PictureEncoding#check} does
     */
    public void write(Path file, PictureEncoding encoding) {
        MemorySegment pixels = MemorySegment.ofBuffer(rgb());
        String parameters = PngParameters.text(report);
        encoding.write(file, width, height, pixels, parameters, () -> false);
    }
}
