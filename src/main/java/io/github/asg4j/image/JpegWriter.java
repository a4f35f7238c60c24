// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.CancelledException;
import io.github.asg4j.OutputException;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.function.BooleanSupplier;

import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriteParam;
import javax.imageio.ImageWriter;
import javax.imageio.stream.MemoryCacheImageOutputStream;

/**
 * Writes RGB8 pictures as JPEG; the pixels are copied to the heap. Their settings become the user comment of
 * EXIF, where AUTOMATIC1111's web UI looks for them. Thread-safe.
 */
public final class JpegWriter {
    /** Longest side of a JPEG picture that libjpeg writes, pixels. */
    public static final int MAX_SIDE = 65_500;

    /** Quality of files that name no other, 0..100. */
    public static final int DEFAULT_QUALITY = 95;

    private static final int EXIF_IFD = 0x8769;
    private static final int USER_COMMENT = 0x9286;
    private static final int LONG = 4;
    private static final int UNDEFINED = 7;

    /** Bytes from the TIFF header to the comment: header and two directories of one entry. */
    private static final int COMMENT_OFFSET = 8 + 2 * (2 + 12 + 4);

    /** A segment has 64 KiB. */
    private static final int MAX_COMMENT_CHARACTERS = (65_533 - 6 - COMMENT_OFFSET - 8) / 2;

    private JpegWriter() {}

    /**
     * Writes a picture under a temporary name and moves it into place, as {@link PngWriter#write(
     * Path, int, int, MemorySegment, String, BooleanSupplier)}.
     *
     * @param parameters settings; what is beyond 64 KiB of them is left out, with a warning
     * @param quality 0..100, libjpeg's
     * @throws OutputException if the file cannot be written, or a side is longer than {@link
     *     #MAX_SIDE}
     * @throws CancelledException if {@code cancelled} said so; no file stays
     */
    public static void write(
            Path file,
            int width,
            int height,
            MemorySegment rgb,
            String parameters,
            int quality,
            BooleanSupplier cancelled) {
        checkSize(file, width, height);
        RowImage image = new RowImage(width, height, rgb, cancelled);
        OutputFile.write(file, out -> encode(image, parameters, quality / 100f, out));
    }

    /**
     * A picture as the bytes of a JPEG file.
     *
     * @param rgb RGB8, row-major, {@code width * height * 3} bytes
     * @param parameters settings; what is beyond 64 KiB of them is left out, with a warning
     * @param quality 0..100, libjpeg's
     * @throws OutputException if a side is longer than {@link #MAX_SIDE}
     */
    public static byte[] encode(
            int width, int height, MemorySegment rgb, String parameters, int quality) {
        checkSize(Path.of("picture.jpg"), width, height);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try {
            RowImage image = new RowImage(width, height, rgb, () -> false);
            encode(image, parameters, quality / 100f, out);
        } catch (IOException e) {
            throw new UncheckedIOException("an array cannot be written", e);
        }
        return out.toByteArray();
    }

    /**
     * Says before the work whether a picture could be written.
     *
     * @throws OutputException if a side is longer than {@link #MAX_SIDE}
     */
    public static void checkSize(Path file, int width, int height) {
        if (Math.max(width, height) > MAX_SIDE) {
            throw new OutputException(
                    "'"
                            + file
                            + "' cannot have "
                            + width
                            + "x"
                            + height
                            + " pixels, a JPEG file has at most "
                            + MAX_SIDE
                            + " a side: name it .png");
        }
    }

    private static void encode(RowImage image, String parameters, float quality, OutputStream out)
            throws IOException {
        Iterator<ImageWriter> writers = ImageIO.getImageWritersByFormatName("jpeg");
        if (!writers.hasNext()) {
            throw new OutputException(
                    "this Java has no JPEG writer: use a JDK that has the module java.desktop");
        }
        ImageWriter writer = writers.next();
        try (MemoryCacheImageOutputStream stream =
                new MemoryCacheImageOutputStream(new WithExif(out, exif(parameters)))) {
            ImageWriteParam settings = writer.getDefaultWriteParam();
            settings.setCompressionMode(ImageWriteParam.MODE_EXPLICIT);
            settings.setCompressionQuality(quality);
            writer.setOutput(stream);
            writer.write(null, new IIOImage(whole(image), null, null), settings);
        } finally {
            writer.dispose();
        }
    }

    /** ImageIO's writer wants all rows at once. */
    private static BufferedImage whole(RowImage rows) {
        BufferedImage image =
                new BufferedImage(rows.getWidth(), rows.getHeight(), BufferedImage.TYPE_3BYTE_BGR);
        for (int y = 0; y < rows.getHeight(); y++) {
            image.setData(rows.getTile(0, y));
        }
        return image;
    }

    /** A segment APP1, or nothing without settings. */
    private static byte[] exif(String parameters) {
        if (parameters.isEmpty()) {
            return new byte[0];
        }
        String text = parameters;
        if (text.length() > MAX_COMMENT_CHARACTERS) {
            text = text.substring(0, MAX_COMMENT_CHARACTERS);
            System.getLogger(JpegWriter.class.getName())
                    .log(
                            System.Logger.Level.WARNING,
                            "a JPEG file has room for {0} characters of settings, not for all {1}:"
                                    + " the rest is left out",
                            MAX_COMMENT_CHARACTERS,
                            parameters.length());
        }
        byte[] comment = text.getBytes(StandardCharsets.UTF_16BE);
        int length = 6 + COMMENT_OFFSET + 8 + comment.length;
        ByteBuffer segment = ByteBuffer.allocate(4 + length);
        segment.putShort((short) 0xFFE1).putShort((short) (2 + length));
        segment.put("Exif\0\0MM\0*".getBytes(StandardCharsets.US_ASCII)).putInt(8);
        directory(segment, EXIF_IFD, LONG, 1, 8 + 18);
        directory(segment, USER_COMMENT, UNDEFINED, 8 + comment.length, COMMENT_OFFSET);
        segment.put("UNICODE\0".getBytes(StandardCharsets.US_ASCII)).put(comment);
        return segment.array();
    }

    private static void directory(ByteBuffer to, int tag, int type, int count, int value) {
        to.putShort((short) 1).putShort((short) tag).putShort((short) type);
        to.putInt(count).putInt(value).putInt(0);
    }

    /** Puts a segment behind the first marker, which has two bytes. */
    private static final class WithExif extends FilterOutputStream {
        private final byte[] exif;
        private int written;

        WithExif(OutputStream out, byte[] exif) {
            super(out);
            this.exif = exif;
        }

        @Override
        public void write(int b) throws IOException {
            out.write(b);
            if (++written == 2) {
                out.write(exif);
            }
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            int head = Math.min(length, Math.max(0, 2 - written));
            for (int i = 0; i < head; i++) {
                write(bytes[offset + i]);
            }
            out.write(bytes, offset + head, length - head);
        }
    }
}
