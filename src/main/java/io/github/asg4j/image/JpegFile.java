// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;

/**
 * A JPEG file (ITU-T T.81) taken apart: what its markers say, and a stream that holds the coded
 * picture alone. ImageIO is given that stream: it stumbles over what other programs leave between
 * the segments, guesses colour spaces otherwise than libjpeg, and applies some profiles only.
 */
final class JpegFile {
    private static final int SOI = 0xD8;
    private static final int EOI = 0xD9;
    private static final int SOS = 0xDA;
    private static final int DQT = 0xDB;
    private static final int DRI = 0xDD;
    private static final int DHT = 0xC4;
    private static final int DAC = 0xCC;
    private static final int APP0 = 0xE0;
    private static final int APP1 = 0xE1;
    private static final int APP2 = 0xE2;
    private static final int APP14 = 0xEE;
    private static final int COEFFICIENTS = 64;

    private static final byte[] ICC = "ICC_PROFILE\0".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] ADOBE = "Adobe".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] JFIF = {'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0};
    private static final byte[] ADOBE_RGB_OR_CMYK = {
        'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 0
    };

    private final byte[] file;
    private final ByteArrayOutputStream coded = new ByteArrayOutputStream();
    private final Map<Integer, byte[]> profileParts = new TreeMap<>();

    /** The coefficients that have arrived to their last bit, by component. */
    private final Map<Integer, boolean[]> arrived = new TreeMap<>();

    private int at = 2;
    private byte[] frame = {};
    private boolean jfif;
    private int adobeTransform = -1;
    private int needlessBytes;
    private int orientation = Exif.UPRIGHT;

    /**
     * Takes a file apart.
     *
     * @throws EOFException if the file ends before its picture does
     * @throws IOException if it is of a kind that is not read
     */
    JpegFile(byte[] file) throws IOException {
        this.file = file;
        for (int marker = marker(); marker != EOI; marker = marker()) {
            segment(marker);
        }
        if (frame.length == 0 || !isComplete()) {
            throw new EOFException("it ends before its picture does");
        }
    }

    int width() {
        return u16(frame, 3);
    }

    int height() {
        return u16(frame, 1);
    }

    /** 1: grey, 3: RGB or YCbCr, 4: CMYK or YCCK. */
    int components() {
        return frame[5];
    }

    /** Whether four components are Y, Cb, Cr and K. */
    boolean isYcck() {
        return components() == 4 && adobeTransform == 2;
    }

    /** Returns the orientation; see {@link Exif#orientation}. */
    int orientation() {
        return orientation;
    }

    /** Bytes between the segments that belong to nothing. */
    int needlessBytes() {
        return needlessBytes;
    }

    /** The embedded ICC profile, or null if there is none that is whole. */
    byte @Nullable [] profile() {
        ByteArrayOutputStream profile = new ByteArrayOutputStream();
        int next = 1;
        for (Map.Entry<Integer, byte[]> part : profileParts.entrySet()) {
            byte[] data = part.getValue();
            if (part.getKey() != next++ || (data[ICC.length + 1] & 255) != profileParts.size()) {
                return null;
            }
            profile.write(data, ICC.length + 2, data.length - ICC.length - 2);
        }
        return profile.size() == 0 ? null : profile.toByteArray();
    }

    /**
     * The coded picture behind a header that leaves nothing to guess: ImageIO decodes three
     * components to RGB and leaves four as they are.
     */
    byte[] coded() {
        ByteArrayOutputStream result = new ByteArrayOutputStream(coded.size() + COEFFICIENTS);
        result.write(0xFF);
        result.write(SOI);
        if (components() == 4 || (components() == 3 && isRgb())) {
            write(result, APP14, ADOBE_RGB_OR_CMYK);
        } else {
            write(result, APP0, JFIF);
        }
        result.writeBytes(coded.toByteArray());
        result.write(0xFF);
        result.write(EOI);
        return result.toByteArray();
    }

    /** Tells whether the components are RGB, by the rules of libjpeg. */
    private boolean isRgb() {
        if (jfif || adobeTransform >= 0) {
            return !jfif && adobeTransform == 0;
        }
        return frame[6] == 'R' && frame[9] == 'G' && frame[12] == 'B';
    }

    private boolean isComplete() {
        if (arrived.size() != components()) {
            return false;
        }
        for (boolean[] coefficients : arrived.values()) {
            for (boolean coefficient : coefficients) {
                if (!coefficient) {
                    return false;
                }
            }
        }
        return true;
    }

    /** The next marker; the end of the file is an end of the picture, which may be complete. */
    private int marker() {
        while (at < file.length) {
            if (file[at++] != (byte) 0xFF) {
                needlessBytes++;
                continue;
            }
            while (at < file.length && file[at] == (byte) 0xFF) {
                at++; // padding
            }
            int marker = at < file.length ? file[at++] & 255 : EOI;
            if (marker > 0x01 && !isRestart(marker)) {
                return marker;
            }
            needlessBytes += 2;
        }
        return EOI;
    }

    private static boolean isRestart(int marker) {
        return marker >= 0xD0 && marker <= 0xD7;
    }

    private void segment(int marker) throws IOException {
        int length = at + 2 <= file.length ? u16(file, at) : 0;
        if (length < 2 || at + length > file.length) {
            throw new EOFException("it ends in the middle of a segment");
        }
        byte[] data = Arrays.copyOfRange(file, at + 2, at + length);
        at += length;
        switch (marker) {
            case DQT, DHT, DRI -> write(coded, marker, data);
            case SOS -> scan(data);
            case APP0 -> jfif |= startsWith(data, Arrays.copyOf(JFIF, 5));
            case APP1 -> {
                if (Exif.hasPrefix(data)) {
                    orientation = Exif.orientation(data);
                }
            }
            case APP2 -> {
                if (startsWith(data, ICC) && data.length > ICC.length + 2) {
                    profileParts.put(data[ICC.length] & 255, data);
                }
            }
            case APP14 -> {
                if (startsWith(data, ADOBE) && data.length >= ADOBE_RGB_OR_CMYK.length) {
                    adobeTransform = data[11] & 255;
                }
            }
            default -> {
                if (marker >= 0xC0 && marker <= 0xCF) {
                    frame(marker, data);
                }
            }
        }
    }

    private void frame(int marker, byte[] data) throws IOException {
        if (marker == DAC || marker > 0xC8) {
            throw new IOException("arithmetic coding is not read");
        }
        if (marker > 0xC2) {
            throw new IOException("lossless and hierarchical coding are not read");
        }
        if (data.length < 6 || data.length < 6 + 3 * data[5] || frame.length > 0) {
            throw new IOException("its frame header is wrong");
        }
        if (data[0] != 8) {
            throw new IOException("it has samples of " + data[0] + " bits, 8 are read");
        }
        if (data[5] != 1 && data[5] != 3 && data[5] != 4) {
            throw new IOException("it has " + data[5] + " components; 1, 3 and 4 are read");
        }
        frame = data;
        for (int i = 0; i < data[5]; i++) {
            arrived.put(data[6 + 3 * i] & 255, new boolean[COEFFICIENTS]);
        }
        write(coded, marker, data);
    }

    private void scan(byte[] header) throws IOException {
        int components = header.length == 0 ? 0 : header[0];
        if (frame.length == 0 || components < 1 || header.length < 4 + 2 * components) {
            throw new IOException("it has a scan before its frame");
        }
        int first = header[1 + 2 * components];
        int last = header[2 + 2 * components];
        int missingBits = header[3 + 2 * components] & 15;
        for (int i = 0; i < components && missingBits == 0; i++) {
            boolean @Nullable [] coefficients = arrived.get(header[1 + 2 * i] & 255);
            if (coefficients == null || first < 0 || last < first || last >= COEFFICIENTS) {
                throw new IOException("its scan header is wrong");
            }
            Arrays.fill(coefficients, first, last + 1, true);
        }
        write(coded, SOS, header);
        int start = at;
        while (at + 1 < file.length) {
            int next = file[at + 1] & 255;
            if (file[at] == (byte) 0xFF && next != 0 && next != 0xFF && !isRestart(next)) {
                break;
            }
            at++;
        }
        int end = at + 1 < file.length ? at : file.length;
        while (end > start && file[end - 1] == (byte) 0xFF) {
            end--; // padding, or half a marker at the end of the file
        }
        at = Math.max(at, end);
        coded.write(file, start, end - start);
    }

    private static void write(ByteArrayOutputStream out, int marker, byte[] data) {
        out.write(0xFF);
        out.write(marker);
        out.write((data.length + 2) >> 8);
        out.write(data.length + 2);
        out.writeBytes(data);
    }

    private static boolean startsWith(byte[] data, byte[] start) {
        return data.length >= start.length
                && Arrays.equals(data, 0, start.length, start, 0, start.length);
    }

    private static int u16(byte[] data, int offset) {
        return (data[offset] & 255) << 8 | (data[offset + 1] & 255);
    }
}
