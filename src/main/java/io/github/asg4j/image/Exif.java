// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Orientation and texts of EXIF data, which is a TIFF file without its picture. */
final class Exif {
    /** How a picture is stored if nothing else is said: upright. */
    static final int UPRIGHT = 1;

    /** What JPEG files have before the data. */
    static final byte[] PREFIX = "Exif\0\0".getBytes(StandardCharsets.US_ASCII);

    private static final int TIFF_MAGIC = 42;
    private static final int ENTRY_BYTES = 12;
    private static final int ORIENTATION = 0x0112;
    private static final int DETAILS = 0x8769;
    private static final int USER_COMMENT = 0x9286;
    static final int CHARSET_BYTES = 8;
    private static final int ASCII = 2;
    private static final int SHORT = 3;
    private static final int LONG = 4;
    private static final int UNDEFINED = 7;
    private static final short LITTLE = 0x4949;
    private static final short BIG = 0x4D4D;

    /** A directory of one entry. */
    private static final int DIRECTORY_BYTES = 2 + ENTRY_BYTES + 4;

    /** Bytes before the comment of data that have nothing else: header and two directories. */
    static final int COMMENT_OFFSET = 8 + 2 * DIRECTORY_BYTES;

    private static final Pattern NAMED = Pattern.compile("(\\w+):(\\{.*)", Pattern.DOTALL);

    private Exif() {}

    /** Whether the data begins with the prefix that JPEG files, and some WebP files, have. */
    static boolean hasPrefix(byte[] data) {
        return data.length >= PREFIX.length
                && Arrays.equals(data, 0, PREFIX.length, PREFIX, 0, PREFIX.length);
    }

    /**
     * EXIF data with a user comment and nothing else, from its TIFF header on. Other programs read the
     * comment as piexif writes it: "UNICODE" and big-endian UTF-16.
     */
    static byte[] ofUserComment(String text) {
        byte[] comment = text.getBytes(StandardCharsets.UTF_16BE);
        ByteBuffer tiff = ByteBuffer.allocate(COMMENT_OFFSET + CHARSET_BYTES + comment.length);
        tiff.put("MM\0*".getBytes(StandardCharsets.US_ASCII)).putInt(8);
        directory(tiff, DETAILS, LONG, 1, 8 + DIRECTORY_BYTES);
        directory(tiff, USER_COMMENT, UNDEFINED, CHARSET_BYTES + comment.length, COMMENT_OFFSET);
        tiff.put("UNICODE\0".getBytes(StandardCharsets.US_ASCII)).put(comment);
        return tiff.array();
    }

    private static void directory(ByteBuffer to, int tag, int type, int count, int value) {
        to.putShort((short) 1).putShort((short) tag).putShort((short) type);
        to.putInt(count).putInt(value).putInt(0);
    }

    /**
     * Texts by their keywords: the user comment as "parameters", as AUTOMATIC1111's web UI means it, and
     * what ComfyUI puts in tags of other meanings, "prompt:{...}" as "prompt". None that cannot be read.
     *
     * @param data of a TIFF header on, or of the prefix before it
     */
    static Map<String, String> texts(byte[] data) {
        Map<String, String> texts = new LinkedHashMap<>();
        try {
            ByteBuffer tiff = tiff(data);
            int directory = tiff.getInt(4);
            String comment = userComment(tiff, directory);
            if (!comment.isEmpty()) {
                texts.put("parameters", comment);
            }
            for (int entry : entries(tiff, directory)) {
                Matcher named = NAMED.matcher(ascii(tiff, entry));
                if (named.matches()) {
                    texts.put(named.group(1), named.group(2));
                }
            }
        } catch (IndexOutOfBoundsException | NegativeArraySizeException e) {
            // Broken EXIF data says no more.
        }
        return texts;
    }

    private static String userComment(ByteBuffer tiff, int directory) {
        int details = entry(tiff, directory, DETAILS);
        int comment = details == 0 ? 0 : entry(tiff, tiff.getInt(details + 8), USER_COMMENT);
        int length = comment == 0 ? 0 : tiff.getInt(comment + 4) - CHARSET_BYTES;
        if (length <= 0) {
            return "";
        }
        int start = tiff.getInt(comment + 8);
        byte[] text = bytes(tiff, start + CHARSET_BYTES, length);
        if (tiff.get(start) != 'U') {
            return new String(text, StandardCharsets.UTF_8).strip();
        }
        // Our own and piexif's are big-endian; others follow the file's order.
        boolean little = text.length > 1 && text[1] == 0;
        return new String(text, little ? StandardCharsets.UTF_16LE : StandardCharsets.UTF_16BE)
                .strip();
    }

    /** The text of an entry that is one and has more than the 4 bytes that an entry itself holds; else "". */
    private static String ascii(ByteBuffer tiff, int entry) {
        int length = tiff.getInt(entry + 4) - 1; // without the zero at its end
        boolean text = tiff.getShort(entry + 2) == ASCII && length >= 4;
        return text
                ? new String(bytes(tiff, tiff.getInt(entry + 8), length), StandardCharsets.UTF_8)
                : "";
    }

    private static byte[] bytes(ByteBuffer tiff, int start, int length) {
        if (length > tiff.limit()) {
            throw new IndexOutOfBoundsException("a text is longer than the data that has it");
        }
        byte[] bytes = new byte[length];
        tiff.get(start, bytes);
        return bytes;
    }

    /** Where an entry of a directory begins; 0: it has none. */
    private static int entry(ByteBuffer tiff, int directory, int tag) {
        for (int entry : entries(tiff, directory)) {
            if (Short.toUnsignedInt(tiff.getShort(entry)) == tag) {
                return entry;
            }
        }
        return 0;
    }

    /** Where the entries of a directory begin. */
    private static int[] entries(ByteBuffer tiff, int directory) {
        int[] entries = new int[Short.toUnsignedInt(tiff.getShort(directory))];
        Arrays.setAll(entries, i -> directory + 2 + i * ENTRY_BYTES);
        return entries;
    }

    /**
     * EXIF data from its TIFF header on, in its byte order.
     *
     * @throws IndexOutOfBoundsException if there is no such header
     */
    private static ByteBuffer tiff(byte[] data) {
        int from = hasPrefix(data) ? PREFIX.length : 0;
        ByteBuffer tiff = ByteBuffer.wrap(data, from, data.length - from).slice();
        short order = tiff.getShort(0);
        tiff.order(order == LITTLE ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
        if ((order != LITTLE && order != BIG) || tiff.getShort(2) != TIFF_MAGIC) {
            throw new IndexOutOfBoundsException("no TIFF header");
        }
        return tiff;
    }

    /**
     * How many pages a TIFF file has, as far as it can be read. Each names the next one; a page that was
     * there before is the last, where ImageIO's reader goes in circles until the heap is full.
     */
    static int pages(byte[] data) {
        Set<Integer> directories = new HashSet<>();
        try {
            ByteBuffer tiff = tiff(data);
            int directory = tiff.getInt(4);
            while (directory != 0 && !directories.contains(directory)) {
                int entries = Short.toUnsignedInt(tiff.getShort(directory));
                directories.add(directory);
                directory = tiff.getInt(directory + 2 + entries * ENTRY_BYTES);
            }
        } catch (IndexOutOfBoundsException e) {
            // The file ends here.
        }
        return directories.size();
    }

    /**
     * The orientation, 1 to 8 (EXIF 2.32, tag 0x0112): where row 0 and column 0 of the stored picture
     * belong. Whatever cannot be read is {@link #UPRIGHT}.
     *
     * @param data of a TIFF header on, or of the prefix before it
     */
    static int orientation(byte[] data) {
        try {
            ByteBuffer tiff = tiff(data);
            int entry = entry(tiff, tiff.getInt(4), ORIENTATION);
            if (entry == 0) {
                return UPRIGHT;
            }
            int value =
                    switch (tiff.getShort(entry + 2)) {
                        case SHORT -> tiff.getShort(entry + 8);
                        case LONG -> tiff.getInt(entry + 8);
                        default -> UPRIGHT;
                    };
            return value >= 1 && value <= 8 ? value : UPRIGHT;
        } catch (IndexOutOfBoundsException e) {
            return UPRIGHT; // broken EXIF data says nothing
        }
    }
}
