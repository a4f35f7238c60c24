// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.OutputException;
import io.github.asg4j.ffi.NativeLoadException;
import io.github.asg4j.ffi.WebpLibrary;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.OptionalInt;

/**
 * Writes RGB8 pictures as WebP with libwebp; the pixels are copied off the heap. Their settings become the
 * user comment of EXIF data in an extended file (RFC 9649, VP8X), where AUTOMATIC1111's web UI looks for
 * them. Same pixels and text and same libwebp, same bytes. Thread-safe.
 */
final class WebpWriter {
    /** Longest side of a WebP picture, pixels: 14 bits. */
    static final int MAX_SIDE = 16_383;

    private static final int HEADER_BYTES = 12;
    private static final int CHUNK_HEADER_BYTES = 8;
    private static final int EXTENDED_BYTES = 10;
    private static final int EXIF_FLAG = 0x08;
    private static final int COPY_BYTES = 1 << 16;

    private WebpWriter() {}

    /**
     * Opens the library.
     *
     * @throws OutputException if there is none, with what to install
     */
    static WebpLibrary library() {
        try {
            return WebpLibrary.load();
        } catch (NativeLoadException e) {
            throw new OutputException("WebP cannot be written: " + e.getMessage(), e);
        }
    }

    /**
     * Writes a picture to a stream.
     *
     * @param parameters settings; empty: none
     * @param quality 0..100; empty: lossless
     * @throws OutputException if there is no library, or it has not enough memory
     */
    static void encode(RowImage image, String parameters, OptionalInt quality, OutputStream out)
            throws IOException {
        WebpLibrary library = library();
        try (Arena arena = Arena.ofConfined()) {
            int width = image.getWidth();
            int height = image.getHeight();
            MemorySegment coded =
                    library.encode(pixels(image, arena), width, height, quality, arena);
            if (parameters.isEmpty()) {
                copy(coded, 0, out);
                return;
            }
            byte[] exif = Exif.ofUserComment(parameters);
            long picture = coded.byteSize() - HEADER_BYTES;
            long bytes = CHUNK_HEADER_BYTES + EXTENDED_BYTES + picture + chunkBytes(exif);
            out.write(header(width, height, bytes));
            copy(coded, HEADER_BYTES, out);
            out.write(chunk("EXIF", exif));
        }
    }

    private static MemorySegment pixels(RowImage image, Arena arena) {
        byte[] samples = new byte[Math.multiplyExact(3, image.getWidth())];
        long row = samples.length;
        MemorySegment pixels = arena.allocate(row * image.getHeight());
        for (int y = 0; y < image.getHeight(); y++) {
            image.readRow(y, samples, 0);
            MemorySegment.copy(samples, 0, pixels, ValueLayout.JAVA_BYTE, y * row, samples.length);
        }
        return pixels;
    }

    /**
     * The file's header, and the chunk that says that there is more than a picture.
     *
     * @param bytes of all chunks, this one too
     */
    private static byte[] header(int width, int height, long bytes) {
        ByteBuffer header =
                ByteBuffer.allocate(HEADER_BYTES + CHUNK_HEADER_BYTES + EXTENDED_BYTES)
                        .order(ByteOrder.LITTLE_ENDIAN);
        header.put(ascii("RIFF")).putInt((int) (4 + bytes)).put(ascii("WEBP"));
        header.put(ascii("VP8X")).putInt(EXTENDED_BYTES).putInt(EXIF_FLAG);
        putInt24(header, width - 1);
        putInt24(header, height - 1);
        return header.array();
    }

    private static void putInt24(ByteBuffer to, int value) {
        to.putShort((short) value).put((byte) (value >> Short.SIZE));
    }

    private static byte[] chunk(String name, byte[] content) {
        ByteBuffer chunk = ByteBuffer.allocate(chunkBytes(content)).order(ByteOrder.LITTLE_ENDIAN);
        chunk.put(ascii(name)).putInt(content.length).put(content);
        return chunk.array();
    }

    /** Chunks have an even number of bytes. */
    private static int chunkBytes(byte[] content) {
        return CHUNK_HEADER_BYTES + content.length + (content.length & 1);
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    private static void copy(MemorySegment from, long start, OutputStream out) throws IOException {
        byte[] buffer = new byte[COPY_BYTES];
        for (long at = start; at < from.byteSize(); at += buffer.length) {
            int length = (int) Math.min(buffer.length, from.byteSize() - at);
            MemorySegment.copy(from, ValueLayout.JAVA_BYTE, at, buffer, 0, length);
            out.write(buffer, 0, length);
        }
    }
}
