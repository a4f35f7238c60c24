// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import org.jspecify.annotations.Nullable;

import java.io.EOFException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** The chunks of a WebP file (a RIFF container) that say how its picture is meant. */
final class WebpFile {
    private static final byte PROFILE_FLAG = 0x20;

    private final Map<String, byte[]> chunks = new HashMap<>();
    private final byte[] coded;

    /**
     * Takes a file apart.
     *
     * @throws EOFException if it is shorter than it says
     */
    WebpFile(byte[] file) throws EOFException {
        ByteBuffer in = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
        if (file.length < 12 || Integer.toUnsignedLong(in.getInt(4)) + 8 > file.length) {
            throw new EOFException("it ends before its picture does");
        }
        coded = file.clone();
        in.position(12);
        while (in.remaining() >= 8) {
            byte[] name = new byte[4];
            in.get(name);
            long length = Integer.toUnsignedLong(in.getInt());
            if (length > in.remaining()) {
                throw new EOFException("it ends in the middle of a chunk");
            }
            byte[] content = new byte[0];
            int start = in.position() - 8;
            String type = new String(name, StandardCharsets.US_ASCII);
            if (type.equals("ICCP") || type.equals("EXIF")) {
                content = new byte[(int) length];
                in.get(in.position(), content);
            }
            if (type.equals("ICCP")) {
                coded[start] = 'x';
            } else if (type.equals("VP8X") && length > 0) {
                coded[start + 8] &= ~PROFILE_FLAG;
            }
            chunks.putIfAbsent(type, content);
            in.position((int) Math.min(in.limit(), in.position() + length + (length & 1)));
        }
    }

    /** The file without its profile: the reader would apply it, on its own terms. */
    byte[] coded() {
        return coded;
    }

    boolean isAnimated() {
        return chunks.containsKey("ANMF");
    }

    /** The embedded ICC profile, or null without. */
    byte @Nullable [] profile() {
        return chunks.get("ICCP");
    }

    /** Returns the orientation; see {@link Exif#orientation}. */
    int orientation() {
        byte @Nullable [] exif = chunks.get("EXIF");
        return exif == null ? Exif.UPRIGHT : Exif.orientation(exif);
    }

    /** Returns the texts; see {@link Exif#texts}. */
    Map<String, String> texts() {
        byte @Nullable [] exif = chunks.get("EXIF");
        return exif == null ? Map.of() : Exif.texts(exif);
    }
}
