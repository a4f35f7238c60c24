// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.CancelledException;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.ForkJoinPool;
import java.util.stream.IntStream;
import java.util.zip.Adler32;
import java.util.zip.CRC32;
import java.util.zip.Deflater;

/**
 * RGB8 pixels as a PNG stream, in strips of rows that are filtered and compressed side by side: a strip
 * begins with what the one before it ended with as its dictionary, as in pigz. Strips are the same on
 * every machine, so the bytes are as well. The pixels are read by the calling thread only. Besides
 * them it needs about 1 MiB per core (16 at most), however large the picture.
 */
final class PngEncoder {
    /** Of the text chunk under which other tools look for the settings of a picture. */
    private static final String KEYWORD = "parameters";

    private static final int CHANNELS = 3;

    /** Large enough that what a strip costs more is below a tenth of a percent of a picture. */
    static final int STRIP_BYTES = 1 << 18;

    /** Strips in memory at once, about three times their size each. */
    private static final int STRIPS = Math.min(16, ForkJoinPool.getCommonPoolParallelism() + 1);

    /** Of a strip, to see how it is compressed best. */
    private static final int SAMPLE_BYTES = 1 << 15;

    /** How far deflate looks back. */
    private static final int WINDOW_BYTES = 1 << 15;

    /** From here on time grows fast and files shrink little: level 6 takes up to nine times as long for 2 to 10 %. */
    private static final int LEVEL = 2;

    /** Of a zlib stream of that level. */
    private static final byte[] ZLIB_HEADER = {0x78, 0x5e};

    private static final byte[] SIGNATURE = {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

    private final RowImage image;
    private final int width;
    private final int height;
    private final int strips;
    private final int rowBytes;
    private final int stripRows;

    PngEncoder(RowImage image) {
        this(image, STRIPS);
    }

    /**
     * @param strips in memory at once
     */
    PngEncoder(RowImage image, int strips) {
        this.image = image;
        this.width = image.getWidth();
        this.height = image.getHeight();
        this.strips = strips;
        rowBytes = Math.multiplyExact(width, CHANNELS);
        stripRows = Math.min(height, Math.max(1, STRIP_BYTES / rowBytes));
    }

    /**
     * Writes all of the file.
     *
     * @param parameters text of the chunk {@link #KEYWORD}; empty: none
     * @throws CancelledException if {@code cancelled} said so
     */
    void write(String parameters, OutputStream out) throws IOException {
        out.write(SIGNATURE);
        byte[] header =
                ByteBuffer.allocate(13)
                        .putInt(width)
                        .putInt(height)
                        .put(
                                new byte[] {
                                    8, 2, 0, 0, 0
                                }) // bits, RGB, deflate, filters, no interlace
                        .array();
        chunk(out, "IHDR", header);
        if (!parameters.isEmpty()) {
            writeText(printable(parameters), out);
        }
        writePixels(out);
        chunk(out, "IEND");
    }

    /** Latin-1 goes into the chunk that every reader knows, else UTF-8 into the one for it. */
    private static void writeText(String text, OutputStream out) throws IOException {
        boolean latin1 = text.chars().allMatch(c -> c < 0x7f || (c >= 0xa0 && c <= 0xff));
        if (latin1) {
            byte[] data = (KEYWORD + '\0' + text).getBytes(StandardCharsets.ISO_8859_1);
            chunk(out, "tEXt", data);
        } else {
            // not compressed, in no language, keyword not translated
            byte[] data = (KEYWORD + "\0\0\0\0\0" + text).getBytes(StandardCharsets.UTF_8);
            chunk(out, "iTXt", data);
        }
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

    private void writePixels(OutputStream out) throws IOException {
        int count = Math.ceilDiv(height, stripRows);
        Strip[] group = new Strip[Math.min(count, strips)];
        Arrays.setAll(group, i -> new Strip());
        Adler32 checksum = new Adler32();
        byte[] window = new byte[0];
        byte[] above = new byte[rowBytes];
        for (int first = 0; first < count; first += group.length) {
            int now = Math.min(group.length, count - first);
            for (int i = 0; i < now; i++) {
                group[i].read((first + i) * stripRows, above);
                group[i].lastRow(above);
            }
            IntStream.range(0, now).parallel().forEach(i -> group[i].filter());
            byte[] before = window;
            boolean last = first + now == count;
            IntStream.range(0, now)
                    .parallel()
                    .forEach(
                            i ->
                                    group[i].compress(
                                            i == 0 ? before : group[i - 1].window(),
                                            last && i == now - 1));
            for (int i = 0; i < now; i++) {
                checksum.update(group[i].filtered, 0, group[i].filteredBytes());
                boolean end = last && i == now - 1;
                int sum = (int) checksum.getValue();
                chunk(
                        out,
                        "IDAT",
                        first + i == 0 ? ZLIB_HEADER : new byte[0],
                        group[i].compressed,
                        end ? ByteBuffer.allocate(4).putInt(sum).array() : new byte[0]);
            }
            window = group[now - 1].window();
        }
    }

    /** Writes a chunk whose data is in parts. */
    private static void chunk(OutputStream out, String type, byte[]... parts) throws IOException {
        int length = 0;
        CRC32 crc = new CRC32();
        byte[] name = type.getBytes(StandardCharsets.US_ASCII);
        crc.update(name);
        for (byte[] part : parts) {
            length += part.length;
            crc.update(part);
        }
        out.write(ByteBuffer.allocate(8).putInt(length).put(name).array());
        for (byte[] part : parts) {
            out.write(part);
        }
        out.write(ByteBuffer.allocate(4).putInt((int) crc.getValue()).array());
    }

    /** Some rows of the picture; each thread has one at a time. */
    private final class Strip {
        /** From one row's start to the next; before each row lies a black pixel, which has no other on its left. */
        private final int pitch = rowBytes + CHANNELS;

        /** The row above, then the rows. */
        private final byte[] pixels = new byte[Math.multiplyExact(stripRows + 1, pitch)];

        private final byte[] filtered = new byte[Math.multiplyExact(stripRows, rowBytes + 1)];
        private byte[] compressed = {};
        private int rows;

        /**
         * Copies the rows from {@code top} on.
         *
         * @param above the row above them, if there is one
         */
        void read(int top, byte[] above) {
            rows = Math.min(stripRows, height - top);
            if (top == 0) {
                Arrays.fill(pixels, 0, pitch, (byte) 0);
            } else {
                System.arraycopy(above, 0, pixels, CHANNELS, rowBytes);
            }
            for (int row = 1; row <= rows; row++) {
                image.readRow(top + row - 1, pixels, row * pitch + CHANNELS);
            }
        }

        /** Copies the last row, which the next strip's first one is filtered by. */
        void lastRow(byte[] to) {
            System.arraycopy(pixels, rows * pitch + CHANNELS, to, 0, rowBytes);
        }

        int filteredBytes() {
            return rows * (rowBytes + 1);
        }

        /** The last that a decoder has seen of this strip. */
        byte[] window() {
            int end = filteredBytes();
            return Arrays.copyOfRange(filtered, Math.max(0, end - WINDOW_BYTES), end);
        }

        /** Filters every row in the way that leaves the smallest differences, as libpng chooses. */
        void filter() {
            for (int row = 0; row < rows; row++) {
                int from = (row + 1) * pitch + CHANNELS;
                int to = row * (rowBytes + 1);
                PngFilter.filter(pixels, from, from - pitch, rowBytes, filtered, to);
            }
        }

        /**
         * Compresses the rows in the way that is shorter for a sample of them. In a picture with grain hardly
         * anything repeats: Huffman codes alone are then shorter than with matches, by a fifth in the
         * demo's, and take half the time.
         *
         * @param dictionary what comes before it in the stream
         * @param last whether the stream ends here; else this ends at a byte's border
         */
        void compress(byte[] dictionary, boolean last) {
            int length = filteredBytes();
            int sample = Math.min(length, SAMPLE_BYTES);
            int from = (length - sample) / 2;
            byte[] none = {};
            int plain = compressed(none, from, sample, Deflater.HUFFMAN_ONLY, true).length;
            int matched = compressed(none, from, sample, Deflater.DEFAULT_STRATEGY, true).length;
            int strategy = plain < matched ? Deflater.HUFFMAN_ONLY : Deflater.DEFAULT_STRATEGY;
            compressed = compressed(dictionary, 0, length, strategy, last);
        }

        private byte[] compressed(
                byte[] dictionary, int from, int length, int strategy, boolean last) {
            Deflater deflater = new Deflater(LEVEL, true);
            try {
                deflater.setStrategy(strategy);
                if (dictionary.length > 0) {
                    deflater.setDictionary(dictionary);
                }
                deflater.setInput(filtered, from, length);
                if (last) {
                    deflater.finish();
                }
                int flush = last ? Deflater.NO_FLUSH : Deflater.SYNC_FLUSH;
                byte[] buffer = new byte[length / 2 + 64];
                int filled = 0;
                boolean full = false;
                // the first call may do no more than to set the strategy
                while (full || (last ? !deflater.finished() : !deflater.needsInput())) {
                    if (full) {
                        buffer = Arrays.copyOf(buffer, buffer.length * 2);
                    }
                    filled += deflater.deflate(buffer, filled, buffer.length - filled, flush);
                    full = filled == buffer.length;
                }
                return Arrays.copyOf(buffer, filled);
            } finally {
                deflater.end();
            }
        }
    }
}
