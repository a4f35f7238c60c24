// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.InflaterInputStream;

/** Texts that a picture file carries: the text chunks of PNG, those in the EXIF data of JPEG and WebP. */
public final class PictureTexts {
    private static final long SIGNATURE = 0x89504E470D0A1A0AL;

    /** Of all texts of a file together: a kilobyte may inflate to a megabyte. */
    private static final int MAX_TEXT_BYTES = 1 << 20;

    private PictureTexts() {}

    /**
     * Texts by their keywords; the user comment of EXIF data is "parameters", as AUTOMATIC1111's web UI
     * writes it. None of other files, and those before the fault of a broken one.
     */
    public static Map<String, String> of(byte[] file) {
        Map<String, String> texts = new LinkedHashMap<>();
        ByteBuffer in = ByteBuffer.wrap(file);
        if (file.length < 8) {
            return texts;
        }
        switch (PictureFormat.of(Arrays.copyOf(file, PictureFormat.START_BYTES))) {
            case JPEG -> {
                return ofJpeg(in);
            }
            case WEBP -> {
                return ofWebp(file);
            }
            default -> {}
        }
        if (in.getLong() != SIGNATURE) {
            return texts;
        }
        int room = MAX_TEXT_BYTES;
        while (in.remaining() >= 12 && room > 0) {
            int length = in.getInt();
            byte[] name = new byte[4];
            in.get(name);
            if (length < 0 || length > in.remaining() - 4) {
                break;
            }
            byte[] data = new byte[length];
            in.get(data);
            in.getInt(); // the checksum
            try {
                room -= add(texts, new String(name, StandardCharsets.US_ASCII), data, room);
            } catch (IOException e) {
                break;
            }
        }
        return texts;
    }

    /** Those of the first segment APP1 that has some, before the picture's data. */
    private static Map<String, String> ofJpeg(ByteBuffer file) {
        int at = 2;
        while (at + 4 <= file.capacity() && file.get(at) == (byte) 0xFF) {
            int marker = Byte.toUnsignedInt(file.get(at + 1));
            int length = Short.toUnsignedInt(file.getShort(at + 2));
            if (marker == 0xDA || length < 2 || at + 2 + length > file.capacity()) {
                break;
            }
            if (marker == 0xE1) {
                byte[] data = new byte[length - 2];
                file.get(at + 4, data);
                Map<String, String> found = Exif.hasPrefix(data) ? Exif.texts(data) : Map.of();
                if (!found.isEmpty()) {
                    return found;
                }
            }
            at += 2 + length;
        }
        return Map.of();
    }

    private static Map<String, String> ofWebp(byte[] file) {
        try {
            return new WebpFile(file).texts();
        } catch (EOFException e) {
            return Map.of();
        }
    }

    /**
     * Adds what a chunk has, if it is a text.
     *
     * @param room bytes that a deflated text may have
     * @return bytes of the text
     */
    private static int add(Map<String, String> texts, String chunk, byte[] data, int room)
            throws IOException {
        int zero = indexOfZero(data, 0);
        String key = text(data, 0, zero, StandardCharsets.ISO_8859_1);
        byte[] value;
        switch (chunk) {
            case "tEXt" -> value = rest(data, zero + 1);
            case "zTXt" -> value = inflated(data, zero + 2, room);
            case "iTXt" -> {
                boolean deflated = zero + 1 < data.length && data[zero + 1] == 1;
                int language = indexOfZero(data, zero + 3);
                int start = indexOfZero(data, language + 1) + 1;
                value = deflated ? inflated(data, start, room) : rest(data, start);
            }
            default -> {
                return 0; // no text
            }
        }
        boolean utf8 = chunk.equals("iTXt");
        texts.put(
                key,
                new String(value, utf8 ? StandardCharsets.UTF_8 : StandardCharsets.ISO_8859_1));
        return value.length;
    }

    private static int indexOfZero(byte[] data, int from) {
        int i = from;
        while (i < data.length && data[i] != 0) {
            i++;
        }
        return i;
    }

    private static String text(byte[] data, int from, int to, Charset charset) {
        return from >= to ? "" : new String(data, from, to - from, charset);
    }

    private static byte[] rest(byte[] data, int from) {
        return Arrays.copyOfRange(data, Math.min(from, data.length), data.length);
    }

    private static byte[] inflated(byte[] data, int from, int room) throws IOException {
        try (InflaterInputStream in =
                new InflaterInputStream(new ByteArrayInputStream(rest(data, from)))) {
            return in.readNBytes(room);
        }
    }
}
