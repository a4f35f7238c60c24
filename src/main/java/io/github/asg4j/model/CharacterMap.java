// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A precompiled normalisation of SentencePiece: a double-array trie from UTF-8 to what replaces it.
 * Applied as Hugging Face's tokenizers do: to whole grapheme clusters of less than 6 bytes first,
 * else to each character, and by the shortest match. Immutable.
 */
final class CharacterMap {
    private static final Pattern GRAPHEME = Pattern.compile("\\X");
    private static final int LONGEST_GRAPHEME = 6;

    private final int[] units;
    private final byte[] replacements;

    /**
     * @param json base64 of: u32 size of the trie, the trie as u32, replacements ended by NUL; all
     *     little-endian
     */
    CharacterMap(Json json) {
        ByteBuffer data;
        try {
            data = ByteBuffer.wrap(Base64.getDecoder().decode(json.text()));
        } catch (IllegalArgumentException e) {
            throw json.expected("base64");
        }
        data.order(ByteOrder.LITTLE_ENDIAN);
        int size = data.remaining() < 4 ? -1 : data.getInt();
        if (size < 4 || size % 4 != 0 || size > data.remaining()) {
            throw json.expected("a trie and its replacements");
        }
        units = new int[size / 4];
        data.asIntBuffer().get(units);
        replacements = Arrays.copyOfRange(data.array(), 4 + size, data.array().length);
    }

    String normalize(String text) {
        StringBuilder out = new StringBuilder(text.length());
        Matcher graphemes = GRAPHEME.matcher(text);
        while (graphemes.find()) {
            String grapheme = graphemes.group();
            byte[] bytes = grapheme.getBytes(StandardCharsets.UTF_8);
            String whole = bytes.length < LONGEST_GRAPHEME ? replacement(bytes) : null;
            if (whole != null) {
                out.append(whole);
                continue;
            }
            grapheme.codePoints()
                    .mapToObj(Character::toString)
                    .forEach(
                            c -> {
                                String one = replacement(c.getBytes(StandardCharsets.UTF_8));
                                out.append(one == null ? c : one);
                            });
        }
        return out.toString();
    }

    /** What replaces the shortest prefix of {@code key} that the trie holds; null: none. */
    private @Nullable String replacement(byte[] key) {
        int at = offset(units[0]);
        for (byte b : key) {
            int label = b & 0xFF;
            at ^= label;
            if (label == 0 || at >= units.length || (units[at] & 0x800000FF) != label) {
                return null;
            }
            int unit = units[at];
            at ^= offset(unit);
            if (at >= units.length) {
                return null;
            }
            if ((unit >>> 8 & 1) == 1) {
                int start = units[at] & 0x7FFFFFFF;
                int end = start;
                while (end < replacements.length && replacements[end] != 0) {
                    end++;
                }
                return start > end
                        ? ""
                        : new String(replacements, start, end - start, StandardCharsets.UTF_8);
            }
        }
        return null;
    }

    private static int offset(int unit) {
        return unit >>> 10 << ((unit & 1 << 9) >>> 6);
    }
}
