// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.zip.CRC32;
import java.util.zip.InflaterInputStream;

/**
 * A PNG file (PNG specification, third edition) taken apart: the chunks that say how its samples are
 * meant, and a stream that holds the coded samples alone, which is what ImageIO is given.
 */
final class PngFile {
    /** A profile of a printing press with fine tables has a few megabytes. */
    private static final int MAX_PROFILE_BYTES = 16 << 20;

    private static final int HEADER_BYTES = 13;
    private static final int PALETTE = 3;
    private static final Set<String> CRITICAL = Set.of("IHDR", "PLTE", "IDAT", "IEND");

    private final ByteArrayOutputStream coded = new ByteArrayOutputStream();

    /** The first chunk of each type but IDAT. */
    private final Map<String, ByteBuffer> chunks = new LinkedHashMap<>();

    private final ByteBuffer header;

    /**
     * Takes a file apart.
     *
     * @throws EOFException if the file ends before its picture does
     * @throws IOException if it is damaged
     */
    PngFile(byte[] file) throws IOException {
        ByteBuffer in = ByteBuffer.wrap(file);
        byte[] signature = new byte[8];
        get(in, signature);
        coded.writeBytes(signature);
        boolean data = false;
        // The end chunk may be missing: by then the picture is there.
        while (!chunks.containsKey("IEND") && !(data && in.remaining() < 12)) {
            int start = in.position();
            byte[] start8 = new byte[8];
            get(in, start8);
            int length = ByteBuffer.wrap(start8).getInt();
            String type = new String(start8, 4, 4, StandardCharsets.US_ASCII);
            if (length < 0 || length + 4L > in.remaining()) {
                throw new EOFException("it ends in the middle of a chunk");
            }
            ByteBuffer content = in.slice(in.position(), length);
            in.position(in.position() + length);
            CRC32 crc = new CRC32();
            crc.update(file, start + 4, length + 4);
            boolean whole = in.getInt() == (int) crc.getValue();
            if (CRITICAL.contains(type)) {
                if (!whole) {
                    throw new IOException("its chunk " + type + " has a wrong check sum");
                }
                coded.write(file, start, length + 12);
            }
            data |= type.equals("IDAT");
            if (whole && !type.equals("IDAT")) {
                chunks.putIfAbsent(type, content);
            }
        }
        if (chunks.putIfAbsent("IEND", ByteBuffer.allocate(0)) == null) {
            coded.writeBytes(
                    new byte[] {
                        0, 0, 0, 0, 'I', 'E', 'N', 'D', (byte) 0xAE, 0x42, 0x60, (byte) 0x82
                    });
        }
        @Nullable ByteBuffer first = chunk("IHDR", HEADER_BYTES);
        if (first == null || !data) {
            throw new IOException("it has no header or no picture");
        }
        header = first;
    }

    private static void get(ByteBuffer in, byte[] target) throws EOFException {
        if (in.remaining() < target.length) {
            throw new EOFException("it ends before its picture does");
        }
        in.get(target);
    }

    int width() {
        return header.getInt(0);
    }

    int height() {
        return header.getInt(4);
    }

    int bitDepth() {
        return header.get(8);
    }

    boolean isGrey() {
        return colourType() == 0 || colourType() == 4;
    }

    boolean isPalette() {
        return colourType() == PALETTE;
    }

    boolean hasAlpha() {
        return colourType() >= 4;
    }

    private int colourType() {
        return header.get(9);
    }

    /** The coded samples with what it takes to decode them and nothing else. */
    byte[] coded() {
        return coded.toByteArray();
    }

    /** Whether the file holds further pictures (APNG). */
    boolean isAnimated() {
        return chunks.containsKey("acTL");
    }

    /** Returns the orientation; see {@link Exif#orientation}. */
    int orientation() {
        @Nullable ByteBuffer exif = chunk("eXIf", 8);
        return exif == null ? Exif.UPRIGHT : Exif.orientation(bytes(exif));
    }

    /** The palette as 0xAARRGGBB, 256 entries: what the file leaves out is opaque black. */
    int[] palette() {
        int[] palette = new int[256];
        Arrays.fill(palette, 0xFF000000);
        @Nullable ByteBuffer colours = chunk("PLTE", 3);
        @Nullable ByteBuffer alphas = chunk("tRNS", 1);
        for (int i = 0; colours != null && i < palette.length && 3 * i + 2 < colours.limit(); i++) {
            int alpha = alphas != null && i < alphas.limit() ? alphas.get(i) & 255 : 255;
            palette[i] =
                    alpha << 24
                            | (colours.get(3 * i) & 255) << 16
                            | (colours.get(3 * i + 1) & 255) << 8
                            | (colours.get(3 * i + 2) & 255);
        }
        return palette;
    }

    /** The samples of the one colour that is transparent, or null if there is none. */
    int @Nullable [] transparentColour() {
        int channels = isGrey() ? 1 : 3;
        @Nullable ByteBuffer colour = chunk("tRNS", 2 * channels);
        if (colour == null || isPalette() || hasAlpha()) {
            return null;
        }
        int[] samples = new int[channels];
        for (int c = 0; c < channels; c++) {
            samples[c] = colour.getShort(2 * c) & ((1 << bitDepth()) - 1);
        }
        return samples;
    }

    /** Coding-independent code points: primaries, transfer, matrix, full range; null without. */
    int @Nullable [] codePoints() {
        @Nullable ByteBuffer chunk = chunk("cICP", 4);
        return chunk == null
                ? null
                : new int[] {
                    chunk.get(0) & 255, chunk.get(1) & 255, chunk.get(2) & 255, chunk.get(3) & 255
                };
    }

    boolean hasProfile() {
        return chunks.containsKey("iCCP");
    }

    /** The embedded ICC profile, or null if it cannot be unpacked. */
    byte @Nullable [] profile() {
        @Nullable ByteBuffer chunk = chunk("iCCP", 3);
        if (chunk == null) {
            return null;
        }
        byte[] data = bytes(chunk);
        int name = 0;
        while (name < data.length && data[name] != 0) {
            name++;
        }
        if (name + 2 > data.length || data[name + 1] != 0) {
            return null;
        }
        try (InflaterInputStream in =
                new InflaterInputStream(
                        new ByteArrayInputStream(data, name + 2, data.length - name - 2))) {
            byte[] profile = in.readNBytes(MAX_PROFILE_BYTES + 1);
            return profile.length > MAX_PROFILE_BYTES ? null : profile;
        } catch (IOException e) {
            return null;
        }
    }

    boolean isSrgb() {
        return chunks.containsKey("sRGB");
    }

    /** The encoding exponent, 1 / 2.2 say; 0 without. */
    double gamma() {
        @Nullable ByteBuffer chunk = chunk("gAMA", 4);
        return chunk == null ? 0 : Integer.toUnsignedLong(chunk.getInt(0)) / 1e5;
    }

    /** x and y of white, red, green and blue, or null without. */
    double @Nullable [] chromaticities() {
        @Nullable ByteBuffer chunk = chunk("cHRM", 32);
        if (chunk == null) {
            return null;
        }
        double[] result = new double[8];
        for (int i = 0; i < result.length; i++) {
            result[i] = Integer.toUnsignedLong(chunk.getInt(4 * i)) / 1e5;
        }
        return result;
    }

    private @Nullable ByteBuffer chunk(String type, int minimumBytes) {
        @Nullable ByteBuffer chunk = chunks.get(type);
        return chunk == null || chunk.limit() < minimumBytes ? null : chunk;
    }

    private static byte[] bytes(ByteBuffer chunk) {
        byte[] bytes = new byte[chunk.limit()];
        chunk.get(0, bytes);
        return bytes;
    }
}
