// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.CancelledException;
import io.github.asg4j.OutputException;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.BooleanSupplier;

/**
 * How a picture becomes a file. All forms carry the settings as text: PNG as the text
 * {@code parameters}, JPEG and WebP as the user comment of EXIF data. Thread-safe.
 *
 * <p>WebP is encoded by libwebp, which is an artifact of its own: {@code org.bytedeco:leptonica} with the
 * classifier {@code linux-x86_64}, or a file that {@code -Dasg.webp.path} names.
 *
 * @param format of the file
 * @param quality 0..100, of {@link Format#JPEG} and {@link Format#WEBP}; of the others, which keep every
 *     pixel, 100
 */
public record PictureEncoding(Format format, int quality) {
    /** Quality where none is asked for. */
    public static final int DEFAULT_QUALITY = 95;

    public static final PictureEncoding PNG = new PictureEncoding(Format.PNG, 100);

    /** WebP that keeps every pixel. */
    public static final PictureEncoding LOSSLESS_WEBP =
            new PictureEncoding(Format.LOSSLESS_WEBP, 100);

    private static final int CHANNELS = 3;

    /** Formats of files. */
    public enum Format {
        PNG("png", false, "png"),
        JPEG("jpeg", true, "jpg", "jpeg", "jpe", "jfif"),
        WEBP("webp", true, "webp"),
        LOSSLESS_WEBP("webp", false, "webp");

        private final String word;
        private final boolean lossy;

        @SuppressWarnings("ImmutableEnumChecker") // never changed
        private final String[] endings;

        Format(String word, boolean lossy, String... endings) {
            this.word = word;
            this.lossy = lossy;
            this.endings = endings;
        }

        /** The name of the kind of file, as in "webp". */
        public String word() {
            return word;
        }

        /** The media type, as in "image/webp". */
        public String mediaType() {
            return "image/" + word;
        }

        /** The usual ending of files' names, with the full stop. */
        public String ending() {
            return "." + endings[0];
        }

        /** Whether it has a quality. */
        public boolean isLossy() {
            return lossy;
        }

        /**
         * The format of a file name's ending; of WebP the usual one, {@link #WEBP}.
         *
         * @param ending without the full stop, in lower case
         */
        public static Optional<Format> ofEnding(String ending) {
            return Arrays.stream(values())
                    .filter(format -> Arrays.asList(format.endings).contains(ending))
                    .findFirst();
        }
    }

    public PictureEncoding {
        if (quality < 0 || quality > 100) {
            throw new IllegalArgumentException("quality " + quality + " is not in 0..100");
        }
        quality = format.isLossy() ? quality : 100;
    }

    /** A format with {@link #DEFAULT_QUALITY}, if it has one. */
    public static PictureEncoding of(Format format) {
        return new PictureEncoding(format, DEFAULT_QUALITY);
    }

    /** As in "png", "jpeg, quality 90" or "webp, lossless". */
    @Override
    public String toString() {
        return format.word()
                + (format.isLossy() ? ", quality " + quality : "")
                + (format == Format.LOSSLESS_WEBP ? ", lossless" : "");
    }

    /**
     * Says before the work whether a picture could be encoded.
     *
     * @param width pixels; 0: not known yet
     * @param height pixels; 0: not known yet
     * @throws OutputException if a side is longer than the format allows, or its library is missing
     */
    public void check(int width, int height) {
        int most =
                switch (format) {
                    case PNG -> Integer.MAX_VALUE;
                    case JPEG -> JpegWriter.MAX_SIDE;
                    case WEBP, LOSSLESS_WEBP -> WebpWriter.MAX_SIDE;
                };
        if (Math.max(width, height) > most) {
            throw new OutputException(
                    "a picture of "
                            + width
                            + "x"
                            + height
                            + " pixels cannot be written as "
                            + format.word()
                            + ", which has at most "
                            + most
                            + " a side: write it as png");
        }
        if (format == Format.WEBP || format == Format.LOSSLESS_WEBP) {
            WebpWriter.library();
        }
    }

    /**
     * Says before the work whether a picture could be written to a file.
     *
     * @param file where the picture shall go
     * @param width pixels; 0: not known yet
     * @param height pixels; 0: not known yet
     * @throws OutputException as {@link #check(int, int)} does, or if the folder is missing or not
     *     writable, the name is too long or not that of a regular file, or the disk has less space than
     *     the pixels take uncompressed
     */
    public void check(Path file, int width, int height) {
        check(width, height);
        long pixels = (long) width * height;
        boolean countable = pixels <= Long.MAX_VALUE / CHANNELS;
        OutputFile.check(file, countable ? pixels * CHANNELS : Long.MAX_VALUE);
    }

    /**
     * Writes a picture under a temporary name and moves it into place; an existing file is replaced
     * only then.
     *
     * @param rgb RGB8, row-major, {@code width * height * 3} bytes, off-heap or on the heap; read by
     *     the calling thread only
     * @param parameters settings; empty: none
     * @param cancelled asked before each row; while WebP is encoded it is not
     * @throws OutputException if the file cannot be written; no temporary file stays
     * @throws CancelledException if {@code cancelled} said so; no file stays
     */
    public void write(
            Path file,
            int width,
            int height,
            MemorySegment rgb,
            String parameters,
            BooleanSupplier cancelled) {
        write(file, width, height, rgb, parameters, cancelled, OutputFile::open);
    }

    void write(
            Path file,
            int width,
            int height,
            MemorySegment rgb,
            String parameters,
            BooleanSupplier cancelled,
            OutputFile.Opener opener) {
        check(width, height);
        RowImage image = new RowImage(width, height, rgb, cancelled);
        OutputFile.write(file, opener, out -> encode(image, parameters, out));
    }

    /**
     * Writes a picture to a stream as it is encoded; the stream stays open.
     *
     * @param rgb RGB8, row-major, {@code width * height * 3} bytes
     * @param parameters settings; empty: none
     * @param cancelled as for a file
     * @throws OutputException if the stream takes no more, or as {@link #check} does
     * @throws CancelledException if {@code cancelled} said so
     */
    public void write(
            OutputStream out,
            int width,
            int height,
            MemorySegment rgb,
            String parameters,
            BooleanSupplier cancelled) {
        check(width, height);
        try {
            encode(new RowImage(width, height, rgb, cancelled), parameters, out);
            out.flush();
        } catch (IOException e) {
            throw new OutputException(
                    "cannot write the picture (" + e.getMessage() + "): check where it goes", e);
        }
    }

    /**
     * A picture as the bytes of a file.
     *
     * @param rgb RGB8, row-major, {@code width * height * 3} bytes
     * @param parameters settings; empty: none
     * @throws OutputException as {@link #check} does
     */
    public byte[] encode(int width, int height, MemorySegment rgb, String parameters) {
        check(width, height);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try {
            encode(new RowImage(width, height, rgb, () -> false), parameters, out);
        } catch (IOException e) {
            throw new UncheckedIOException("an array cannot be written", e);
        }
        return out.toByteArray();
    }

    private void encode(RowImage image, String parameters, OutputStream out) throws IOException {
        switch (format) {
            case PNG -> new PngEncoder(image).write(parameters, out);
            case JPEG -> JpegWriter.encode(image, parameters, quality, out);
            case WEBP -> WebpWriter.encode(image, parameters, OptionalInt.of(quality), out);
            case LOSSLESS_WEBP -> WebpWriter.encode(image, parameters, OptionalInt.empty(), out);
        }
    }
}
