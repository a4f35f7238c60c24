// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** The orientation tag of EXIF data, which is a TIFF file without its picture. */
final class Exif {
    /** How a picture is stored if nothing else is said: upright. */
    static final int UPRIGHT = 1;

    private static final byte[] PREFIX = "Exif\0\0".getBytes(StandardCharsets.US_ASCII);
    private static final int TIFF_MAGIC = 42;
    private static final int ENTRY_BYTES = 12;
    private static final int ORIENTATION = 0x0112;
    private static final int DETAILS = 0x8769;
    private static final int USER_COMMENT = 0x9286;
    private static final int CHARSET_BYTES = 8;
    private static final int SHORT = 3;
    private static final int LONG = 4;

    private Exif() {}

    /** Whether the data begins with the prefix that JPEG files, and some WebP files, have. */
    static boolean hasPrefix(byte[] data) {
        return data.length >= PREFIX.length
                && Arrays.equals(data, 0, PREFIX.length, PREFIX, 0, PREFIX.length);
    }

    /** The user comment (tag 0x9286) of the prefix on; empty: there is none, or it cannot be read. */
    static String userComment(byte[] data) {
        if (!hasPrefix(data)) {
            return "";
        }
        ByteBuffer tiff = ByteBuffer.wrap(data, PREFIX.length, data.length - PREFIX.length).slice();
        try {
            tiff.order(tiff.getShort(0) == 0x4949 ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
            int details = entry(tiff, tiff.getInt(4), DETAILS);
            int comment = details == 0 ? 0 : entry(tiff, tiff.getInt(details + 8), USER_COMMENT);
            int length = comment == 0 ? 0 : tiff.getInt(comment + 4) - CHARSET_BYTES;
            if (length <= 0) {
                return "";
            }
            byte[] charset = new byte[CHARSET_BYTES];
            byte[] text = new byte[length];
            tiff.get(tiff.getInt(comment + 8), charset);
            tiff.get(tiff.getInt(comment + 8) + CHARSET_BYTES, text);
            if (charset[0] != 'U') {
                return new String(text, StandardCharsets.UTF_8).strip();
            }
            // Our own and piexif's are big-endian; others follow the file's order.
            boolean little = text.length > 1 && text[1] == 0;
            return new String(text, little ? StandardCharsets.UTF_16LE : StandardCharsets.UTF_16BE)
                    .strip();
        } catch (IndexOutOfBoundsException | NegativeArraySizeException e) {
            return "";
        }
    }

    /** Where an entry of a directory begins; 0: it has none. */
    private static int entry(ByteBuffer tiff, int directory, int tag) {
        int entries = Short.toUnsignedInt(tiff.getShort(directory));
        for (int i = 0; i < entries; i++) {
            int at = directory + 2 + i * ENTRY_BYTES;
            if (Short.toUnsignedInt(tiff.getShort(at)) == tag) {
                return at;
            }
        }
        return 0;
    }

    /**
     * The orientation, 1 to 8 (EXIF 2.32, tag 0x0112): where row 0 and column 0 of the stored picture
     * belong. Whatever cannot be read is {@link #UPRIGHT}.
     *
     * @param data of a TIFF header on, or of the prefix before it
     */
    static int orientation(byte[] data) {
        int from = hasPrefix(data) ? PREFIX.length : 0;
        ByteBuffer tiff = ByteBuffer.wrap(data, from, data.length - from).slice();
        try {
            switch (tiff.getShort(0)) {
                case 0x4949 -> tiff.order(ByteOrder.LITTLE_ENDIAN);
                case 0x4D4D -> tiff.order(ByteOrder.BIG_ENDIAN);
                default -> {
                    return UPRIGHT;
                }
            }
            if (tiff.getShort(2) != TIFF_MAGIC) {
                return UPRIGHT;
            }
            int directory = tiff.getInt(4);
            int entries = Short.toUnsignedInt(tiff.getShort(directory));
            for (int i = 0; i < entries; i++) {
                int entry = directory + 2 + i * ENTRY_BYTES;
                if (Short.toUnsignedInt(tiff.getShort(entry)) == ORIENTATION) {
                    int type = tiff.getShort(entry + 2);
                    int value =
                            type == SHORT
                                    ? tiff.getShort(entry + 8)
                                    : type == LONG ? tiff.getInt(entry + 8) : UPRIGHT;
                    return value >= 1 && value <= 8 ? value : UPRIGHT;
                }
            }
        } catch (IndexOutOfBoundsException e) {
            // Broken EXIF data says nothing.
        }
        return UPRIGHT;
    }
}
