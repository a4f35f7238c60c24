// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;

/**
 * CLIP's byte-level BPE as a Hugging Face tokenizer.json describes it: text is normalised (NFC,
 * white space, lower case) and split into contractions, words, digits and runs of other characters;
 * the UTF-8 bytes of each piece are merged by rank, its last byte marked as the end of a word.
 * Immutable and thread-safe. Character classes and lower case are those of the JDK's Unicode.
 */
public final class ClipTokenizer implements Tokenizer {
    private static final String SPLIT =
            "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

    /** The same, of the original. */
    static final String SPLIT_WITH_MARKS = "<\\|startoftext\\|>|<\\|endoftext\\|>|" + SPLIT;

    /** What SPLIT_WITH_MARKS names beside SPLIT, as the splitter of ByteLevel splits it again. */
    private static final List<List<String>> MARKS =
            List.of(List.of("<|", "startoftext", "|>"), List.of("<|", "endoftext", "|>"));

    private static final String[] CONTRACTIONS = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    private static final String WORD_END = "</w>";
    private static final char[] CHAR_OF_BYTE = charOfByte();

    private static final int NONE = -1;

    /** Tokens that replace their own text wherever it stands. */
    private record Added(String content, int id) {}

    private final Map<Integer, String> tokens;

    /** Pair of left and right id to rank (high 32 bits) and merged id. */
    private final Map<Long, Long> merges;

    private final int[] byteIds;
    private final int[] lastByteIds;
    private final int unknownId;
    private final List<Added> addedToRaw;
    private final List<Added> addedToNormalized;
    private final boolean splitsMarks;
    private final int bosId;
    private final int eosId;
    private final int padId;

    ClipTokenizer(Json root) {
        checkNormalizer(root.get("normalizer"));
        splitsMarks = checkPreTokenizer(root.get("pre_tokenizer"));
        Json model = root.get("model");
        Map<String, Integer> vocabulary = vocabulary(model);
        tokens = new HashMap<>();
        vocabulary.forEach((token, id) -> tokens.put(id, token));
        merges = merges(model, vocabulary);
        byteIds = new int[256];
        lastByteIds = new int[256];
        for (int b = 0; b < 256; b++) {
            String token = String.valueOf(CHAR_OF_BYTE[b]);
            byteIds[b] = vocabulary.getOrDefault(token, NONE);
            lastByteIds[b] = vocabulary.getOrDefault(token + WORD_END, NONE);
        }
        Json unknown = model.optional("unk_token");
        unknownId = unknown == null ? NONE : id(unknown, vocabulary);

        addedToRaw = new ArrayList<>();
        addedToNormalized = new ArrayList<>();
        Json added = root.optional("added_tokens");
        for (Json token : added == null ? List.<Json>of() : added.items(0, Integer.MAX_VALUE)) {
            add(token);
        }
        Comparator<Added> longestFirst =
                Comparator.comparingInt((Added token) -> token.content().length()).reversed();
        addedToRaw.sort(longestFirst);
        addedToNormalized.sort(longestFirst);

        int[] marks = marks(root.get("post_processor"));
        bosId = marks[0];
        eosId = marks[1];
        Json padding = root.optional("padding");
        padId = padding == null ? eosId : padding.get("pad_id").integer(0, Integer.MAX_VALUE);
    }

    /**
     * Reads a tokenizer.json.
     *
     * @param shownName its path, for messages
     * @param json its bytes
     * @throws BadBundleException if it is damaged or describes another kind of tokenizer
     */
    public static ClipTokenizer parse(String shownName, byte[] json) {
        return new ClipTokenizer(Json.parse(shownName, json));
    }

    /** Id of the mark that begins a prompt. */
    public int bosId() {
        return bosId;
    }

    /** Id of the mark that ends a prompt. */
    public int eosId() {
        return eosId;
    }

    /** Id that fills a prompt up to its length. */
    public int padId() {
        return padId;
    }

    @Override
    public int idLimit() {
        return tokens.keySet().stream().mapToInt(id -> id).max().orElse(NONE) + 1;
    }

    /**
     * The ids of a prompt, marks included, padded or cut to {@code length}, which is at least 2. Text
     * of an added token, such as the end mark's, becomes that token, as with the original. Half a
     * surrogate pair counts as U+FFFD.
     */
    @Override
    public Tokens encode(String text, int length) {
        if (length < 2) {
            throw new IllegalArgumentException("length is " + length + ": both marks need 2");
        }
        Ids ids = new Ids();
        encode(wellFormed(text), ids);
        int room = length - 2;
        int real = Math.min(ids.size, room);
        int[] padded = new int[length];
        padded[0] = bosId;
        System.arraycopy(ids.values, 0, padded, 1, real);
        padded[real + 1] = eosId;
        Arrays.fill(padded, real + 2, length, padId);
        return new Tokens(padded, 1, real, decode(ids, real));
    }

    /** Ids of a text without marks, padding or cut. */
    public int[] ids(String text) {
        Ids ids = new Ids();
        encode(wellFormed(text), ids);
        return Arrays.copyOf(ids.values, ids.size);
    }

    private void encode(String text, Ids ids) {
        // Every part between added tokens is normalised and split on its own.
        forEachPart(
                text,
                addedToRaw,
                ids,
                raw ->
                        forEachPart(
                                normalize(raw), addedToNormalized, ids, part -> split(part, ids)));
    }

    private interface Part {
        void accept(String text);
    }

    private static void forEachPart(String text, List<Added> added, Ids ids, Part action) {
        int start = 0;
        for (int at = 0; at < text.length() && !added.isEmpty(); ) {
            Added found = startingAt(text, at, added);
            if (found == null) {
                at++;
                continue;
            }
            if (at > start) {
                action.accept(text.substring(start, at));
            }
            ids.add(found.id());
            at += found.content().length();
            start = at;
        }
        if (start < text.length()) {
            action.accept(text.substring(start));
        }
    }

    private static @Nullable Added startingAt(String text, int at, List<Added> longestFirst) {
        for (Added token : longestFirst) {
            if (text.startsWith(token.content(), at)) {
                return token;
            }
        }
        return null;
    }

    private static String wellFormed(String text) {
        StringBuilder out = new StringBuilder(text.length());
        text.codePoints()
                .forEach(c -> out.appendCodePoint(c >= 0xD800 && c <= 0xDFFF ? 0xFFFD : c));
        return out.toString();
    }

    /** NFC, then each run of white space one space, then each character in lower case by itself. */
    private static String normalize(String text) {
        String composed = Normalizer.normalize(text, Normalizer.Form.NFC);
        StringBuilder out = new StringBuilder(composed.length());
        boolean afterSpace = false;
        for (int at = 0; at < composed.length(); ) {
            int c = composed.codePointAt(at);
            at += Character.charCount(c);
            boolean space = isSpace(c);
            if (c == 0x130) {
                out.append("i\u0307"); // the only character whose lower case is two
            } else if (!space) {
                out.appendCodePoint(Character.toLowerCase(c));
            } else if (!afterSpace) {
                out.append(' ');
            }
            afterSpace = space;
        }
        return out.toString();
    }

    private void split(String text, Ids ids) {
        for (int at = 0; at < text.length(); ) {
            int c = text.codePointAt(at);
            if (isSpace(c)) {
                at += Character.charCount(c);
                continue;
            }
            if (splitsMarks && c == '<') {
                int mark = mark(text, at);
                if (mark != NONE) {
                    for (String part : MARKS.get(mark)) {
                        merge(part, ids);
                        at += part.length();
                    }
                    continue;
                }
            }
            int end = at + contraction(text, at);
            if (end == at) {
                end += Character.charCount(c);
                int kind = kind(c);
                while (kind != NUMBER
                        && end < text.length()
                        && kind(text.codePointAt(end)) == kind) {
                    end += Character.charCount(text.codePointAt(end));
                }
            }
            merge(text.substring(at, end), ids);
            at = end;
        }
    }

    private static int mark(String text, int at) {
        for (int i = 0; i < MARKS.size(); i++) {
            if (text.startsWith(String.join("", MARKS.get(i)), at)) {
                return i;
            }
        }
        return NONE;
    }

    private static int contraction(String text, int at) {
        if (text.charAt(at) == '\'') {
            for (String contraction : CONTRACTIONS) {
                if (text.startsWith(contraction, at)) {
                    return contraction.length();
                }
            }
        }
        return 0;
    }

    private static final int SPACE = 0;
    private static final int LETTER = 1;
    private static final int NUMBER = 2;
    private static final int OTHER = 3;

    private static int kind(int c) {
        if (isSpace(c)) {
            return SPACE;
        }
        if (Character.isLetter(c)) {
            return LETTER;
        }
        return switch (Character.getType(c)) {
            case Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER ->
                    NUMBER;
            default -> OTHER;
        };
    }

    /** The Unicode property White_Space, which is not Character.isWhitespace. */
    private static boolean isSpace(int c) {
        return (c >= 9 && c <= 13)
                || c == 0x85
                || Character.isSpaceChar(c); // categories Zs, Zl, Zp
    }

    /** Appends the tokens of one piece: always the pair of lowest rank, the leftmost first. */
    private void merge(String piece, Ids out) {
        byte[] bytes = piece.getBytes(StandardCharsets.UTF_8);
        int[] ids = new int[bytes.length];
        int count = 0;
        for (int i = 0; i < bytes.length; i++) {
            int[] table = i == bytes.length - 1 ? lastByteIds : byteIds;
            int id = table[bytes[i] & 0xFF];
            if (id == NONE) {
                id = unknownId;
            }
            if (id != NONE) {
                ids[count++] = id;
            }
        }
        // A doubly linked list over positions; dead positions have next = DEAD.
        int[] next = new int[count];
        int[] previous = new int[count];
        PriorityQueue<Long> queue = new PriorityQueue<>(); // rank << 32 | position of the left one
        for (int i = 0; i < count; i++) {
            next[i] = i + 1 < count ? i + 1 : NONE;
            previous[i] = i - 1;
        }
        for (int i = 0; i + 1 < count; i++) {
            offer(queue, ids, i, i + 1);
        }
        while (!queue.isEmpty()) {
            long entry = queue.remove();
            int left = (int) entry;
            int right = next[left];
            if (right == NONE || right == DEAD) {
                continue;
            }
            Long merge = merges.get(pair(ids[left], ids[right]));
            if (merge == null || merge >>> 32 != entry >>> 32) {
                continue; // the pair at this place was merged into something else meanwhile
            }
            ids[left] = merge.intValue();
            int after = next[right];
            next[left] = after;
            next[right] = DEAD;
            if (after != NONE) {
                previous[after] = left;
                offer(queue, ids, left, after);
            }
            if (previous[left] != NONE) {
                offer(queue, ids, previous[left], left);
            }
        }
        for (int i = 0; i != NONE && i < count; i = next[i]) {
            out.add(ids[i]);
        }
    }

    private static final int DEAD = -2;

    private void offer(PriorityQueue<Long> queue, int[] ids, int left, int right) {
        Long merge = merges.get(pair(ids[left], ids[right]));
        if (merge != null) {
            queue.add((merge >>> 32 << 32) | left);
        }
    }

    private static long pair(int left, int right) {
        return (long) left << 32 | right;
    }

    private String decode(Ids ids, int from) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (int i = from; i < ids.size; i++) {
            String token = tokens.getOrDefault(ids.values[i], "");
            boolean ends = token.endsWith(WORD_END);
            int length = token.length() - (ends ? WORD_END.length() : 0);
            for (int at = 0; at < length; at++) {
                bytes.write(byteOfChar(token.charAt(at)));
            }
            if (ends) {
                bytes.write(' ');
            }
        }
        return bytes.toString(StandardCharsets.UTF_8).strip();
    }

    /** Bytes that print as themselves stay; the others, in order, become U+0100 and on (GPT-2). */
    private static char[] charOfByte() {
        char[] chars = new char[256];
        int spare = 0x100;
        for (int b = 0; b < 256; b++) {
            boolean prints = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
            chars[b] = (char) (prints ? b : spare++);
        }
        return chars;
    }

    private static int byteOfChar(char c) {
        for (int b = 0; b < 256; b++) {
            if (CHAR_OF_BYTE[b] == c) {
                return b;
            }
        }
        return '?';
    }

    /** A list of int that grows. */
    private static final class Ids {
        private int[] values = new int[80];
        private int size;

        void add(int id) {
            if (size == values.length) {
                values = Arrays.copyOf(values, 2 * size);
            }
            values[size++] = id;
        }
    }

    private static void checkNormalizer(Json json) {
        type(json, "Sequence");
        List<Json> parts = json.get("normalizers").items(3, 3);
        type(parts.get(0), "NFC");
        type(parts.get(1), "Replace");
        exactly(parts.get(1).get("pattern").get("Regex"), "\\s+");
        exactly(parts.get(1).get("content"), " ");
        type(parts.get(2), "Lowercase");
    }

    /** Returns whether the split pattern names the marks. */
    private static boolean checkPreTokenizer(Json json) {
        type(json, "Sequence");
        List<Json> parts = json.get("pretokenizers").items(2, 2);
        Json split = parts.get(0);
        type(split, "Split");
        String pattern = split.get("pattern").get("Regex").oneOf(List.of(SPLIT, SPLIT_WITH_MARKS));
        exactly(split.get("behavior"), "Removed");
        exactly(split.get("invert"), true);
        Json byteLevel = parts.get(1);
        type(byteLevel, "ByteLevel");
        exactly(byteLevel.get("add_prefix_space"), false);
        exactly(byteLevel.get("use_regex"), true);
        return pattern.equals(SPLIT_WITH_MARKS);
    }

    private static Map<String, Integer> vocabulary(Json model) {
        type(model, "BPE");
        for (String off : List.of("fuse_unk", "byte_fallback", "ignore_merges")) {
            Json flag = model.optional(off);
            if (flag != null) {
                exactly(flag, false);
            }
        }
        Json prefix = model.optional("continuing_subword_prefix");
        if (prefix != null) {
            exactly(prefix, "");
        }
        if (model.optional("dropout") != null) {
            throw model.get("dropout").expected("null");
        }
        exactly(model.get("end_of_word_suffix"), WORD_END);
        Json json = model.get("vocab");
        Map<String, Integer> vocabulary = new HashMap<>();
        for (String token : json.keys()) {
            vocabulary.put(token, json.get(token).integer(0, Integer.MAX_VALUE));
        }
        return vocabulary;
    }

    private static Map<Long, Long> merges(Json model, Map<String, Integer> vocabulary) {
        Map<Long, Long> merges = new HashMap<>();
        long rank = 0;
        for (Json json : model.get("merges").items(0, Integer.MAX_VALUE)) {
            String left;
            String right;
            if (json.isText()) {
                String[] both = json.text().split(" ", -1);
                if (both.length != 2) {
                    throw json.expected("two tokens with a space between them");
                }
                left = both[0];
                right = both[1];
            } else {
                List<Json> both = json.items(2, 2);
                left = both.get(0).text();
                right = both.get(1).text();
            }
            Integer leftId = vocabulary.get(left);
            Integer rightId = vocabulary.get(right);
            Integer mergedId = vocabulary.get(left + right);
            if (leftId == null || rightId == null || mergedId == null) {
                throw json.refused(
                        "the merge of \""
                                + left
                                + "\" and \""
                                + right
                                + "\" needs both tokens and"
                                + " \""
                                + left
                                + right
                                + "\" in model.vocab");
            }
            merges.put(pair(leftId, rightId), rank++ << 32 | mergedId);
        }
        return merges;
    }

    private void add(Json token) {
        for (String off : List.of("single_word", "lstrip", "rstrip")) {
            Json flag = token.optional(off);
            if (flag != null) {
                exactly(flag, false);
            }
        }
        String content = token.get("content").text();
        int id = token.get("id").integer(0, Integer.MAX_VALUE);
        tokens.put(id, content);
        boolean normalized = token.get("normalized").bool();
        String sought = normalized ? normalize(content) : content;
        if (!sought.isEmpty()) {
            (normalized ? addedToNormalized : addedToRaw).add(new Added(sought, id));
        }
    }

    /** Ids of the begin and end mark. */
    private static int[] marks(Json json) {
        String type =
                json.get("type")
                        .oneOf(List.of("RobertaProcessing", "TemplateProcessing", "Sequence"));
        if (type.equals("Sequence")) {
            for (Json processor : json.get("processors").items(1, 8)) {
                if (!processor.get("type").text().equals("ByteLevel")) { // it only moves offsets
                    return marks(processor);
                }
            }
            throw json.get("processors").expected("RobertaProcessing or TemplateProcessing");
        }
        if (type.equals("RobertaProcessing")) {
            return new int[] {
                json.get("cls").items(2, 2).get(1).integer(0, Integer.MAX_VALUE),
                json.get("sep").items(2, 2).get(1).integer(0, Integer.MAX_VALUE)
            };
        }
        List<Json> single = json.get("single").items(3, 3);
        exactly(single.get(1).get("Sequence").get("id"), "A");
        return new int[] {templateId(json, single.get(0)), templateId(json, single.get(2))};
    }

    private static int templateId(Json processor, Json piece) {
        String name = piece.get("SpecialToken").get("id").text();
        return processor
                .get("special_tokens")
                .get(name)
                .get("ids")
                .items(1, 1)
                .get(0)
                .integer(0, Integer.MAX_VALUE);
    }

    private static int id(Json token, Map<String, Integer> vocabulary) {
        Integer id = vocabulary.get(token.text());
        if (id == null) {
            throw token.expected("a token of model.vocab");
        }
        return id;
    }

    private static void type(Json json, String wanted) {
        exactly(json.get("type"), wanted);
    }

    private static void exactly(Json json, String wanted) {
        if (!json.isText() || !json.text().equals(wanted)) {
            throw json.expected('"' + wanted + "\", as CLIP's tokenizers have it");
        }
    }

    private static void exactly(Json json, boolean wanted) {
        if (json.bool() != wanted) {
            throw json.expected(wanted + ", as CLIP's tokenizers have it");
        }
    }
}
