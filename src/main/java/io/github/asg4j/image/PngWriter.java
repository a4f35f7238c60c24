// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.CancelledException;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.OutputException;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.function.BooleanSupplier;

/**
 * Writes RGB8 pictures as PNG, on all cores: besides the caller's pixels it needs about 1 MiB per core (16 at
 * most), however large the picture. Same pixels and text, same bytes. Thread-safe.
 */
public final class PngWriter {
    /** Keyword of the text chunk under which other tools look for the settings of a picture. */
    public static final String KEYWORD = "parameters";

    private static final int CHANNELS = 3;

    private PngWriter() {}

    /**
     * Says before the work whether a picture could be written.
     *
     * @param file where the picture shall go
     * @param width pixels; 0: not known yet
     * @param height pixels; 0: not known yet
     * @throws OutputException if the folder is missing or not writable, the name is too long or not
     *     that of a regular file, or the disk has less space than the pixels take uncompressed
     */
    public static void checkWritable(Path file, int width, int height) {
        long pixels = (long) width * height;
        boolean countable = pixels <= Long.MAX_VALUE / CHANNELS;
        OutputFile.check(file, countable ? pixels * CHANNELS : Long.MAX_VALUE);
    }

    /**
     * Writes a finished picture; as {@link #write(Path, int, int, MemorySegment, String,
     * BooleanSupplier)}.
     */
    public static void write(Path file, GeneratedImage image, String parameters) {
        MemorySegment rgb = MemorySegment.ofBuffer(image.rgb());
        write(file, image.width(), image.height(), rgb, parameters, () -> false);
    }

    /**
     * Writes a picture under a temporary name and moves it into place; an existing file is replaced
     * only then.
     *
     * @param rgb RGB8, row-major, {@code width * height * 3} bytes, off-heap or on the heap; read by
     *     the calling thread only
     * @param parameters text of the chunk {@link #KEYWORD}; empty: none
     * @param cancelled asked before each row
     * @throws OutputException if the file cannot be written; no temporary file stays
     * @throws CancelledException if {@code cancelled} said so; no file stays
     */
    public static void write(
            Path file,
            int width,
            int height,
            MemorySegment rgb,
            String parameters,
            BooleanSupplier cancelled) {
        write(file, width, height, rgb, parameters, cancelled, OutputFile::open);
    }

    static void write(
            Path file,
            int width,
            int height,
            MemorySegment rgb,
            String parameters,
            BooleanSupplier cancelled,
            OutputFile.Opener opener) {
        RowImage image = new RowImage(width, height, rgb, cancelled);
        OutputFile.write(file, opener, out -> encode(image, parameters, out));
    }

    /**
     * A picture as the bytes of a PNG file.
     *
     * @param rgb RGB8, row-major, {@code width * height * 3} bytes
     * @param parameters text of the chunk {@link #KEYWORD}; empty: none
     */
    public static byte[] encode(int width, int height, MemorySegment rgb, String parameters) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try {
            encode(new RowImage(width, height, rgb, () -> false), parameters, out);
        } catch (IOException e) {
            throw new UncheckedIOException("an array cannot be written", e);
        }
        return out.toByteArray();
    }

    /**
     * Writes a picture to a stream as it is encoded; the stream stays open.
     *
     * @param rgb RGB8, row-major, {@code width * height * 3} bytes
     * @param parameters text of the chunk {@link #KEYWORD}; empty: none
     * @throws OutputException if the stream takes no more
     * @throws CancelledException if {@code cancelled} said so
     */
    public static void write(
            OutputStream out,
            int width,
            int height,
            MemorySegment rgb,
            String parameters,
            BooleanSupplier cancelled) {
        try {
            encode(new RowImage(width, height, rgb, cancelled), parameters, out);
            out.flush();
        } catch (IOException e) {
            throw new OutputException(
                    "cannot write the picture (" + e.getMessage() + "): check where it goes", e);
        }
    }

    static void encode(RowImage image, String parameters, OutputStream out) throws IOException {
        new PngEncoder(image).write(KEYWORD, printable(parameters), out);
    }

    /** The PNG specification allows no control characters but the line feed; NUL ends a chunk. */
    private static String printable(String text) {
        StringBuilder result = new StringBuilder(text.length());
        text.replace("\r\n", "\n")
                .codePoints()
                .map(c -> c != '\n' && Character.isISOControl(c) ? ' ' : c)
                .forEach(result::appendCodePoint);
        return result.toString();
    }
}
