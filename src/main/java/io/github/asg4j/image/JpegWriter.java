// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.OutputException;

import java.awt.image.BufferedImage;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.Iterator;

import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriteParam;
import javax.imageio.ImageWriter;
import javax.imageio.stream.MemoryCacheImageOutputStream;

/**
 * Writes RGB8 pictures as JPEG; the pixels are copied to the heap. Their settings become the user comment of
 * EXIF, where AUTOMATIC1111's web UI looks for them. Thread-safe.
 */
final class JpegWriter {
    /** Longest side of a JPEG picture that libjpeg writes, pixels. */
    static final int MAX_SIDE = 65_500;

    /** A segment has 64 KiB. */
    private static final int MAX_COMMENT_CHARACTERS =
            (65_533 - Exif.PREFIX.length - Exif.COMMENT_OFFSET - Exif.CHARSET_BYTES) / 2;

    private JpegWriter() {}

    /**
     * Writes a picture to a stream.
     *
     * @param parameters settings; what is beyond 64 KiB of them is left out, with a warning
     * @param quality 0..100, libjpeg's
     */
    static void encode(RowImage image, String parameters, int quality, OutputStream out)
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
            settings.setCompressionQuality(quality / 100f);
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
        byte[] tiff = Exif.ofUserComment(text);
        ByteBuffer segment = ByteBuffer.allocate(4 + Exif.PREFIX.length + tiff.length);
        segment.putShort((short) 0xFFE1).putShort((short) (2 + Exif.PREFIX.length + tiff.length));
        return segment.put(Exif.PREFIX).put(tiff).array();
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
