// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * T5's unigram model (Kudo 2018) as a Hugging Face tokenizer.json describes it: text is normalised,
 * split at white space, each word marked with a leading U+2581 and cut into the pieces whose scores
 * have the largest sum. Immutable and thread-safe.
 */
public final class UnigramTokenizer implements Tokenizer {
    private static final char WORD = '\u2581';
    private static final double UNKNOWN_PENALTY = 10;

    private final List<String> pieces = new ArrayList<>();
    private final List<Double> scores = new ArrayList<>();
    private final Map<String, Integer> ids = new HashMap<>();
    private final Map<String, Integer> added = new HashMap<>();
    private final List<UnaryOperator<String>> normalizers = new ArrayList<>();
    private final boolean splitsAtSpace;
    private final int longestPiece;
    private final double unknownScore;
    private final int unknownId;
    private final int endId;
    private final int padId;

    UnigramTokenizer(Json root) {
        Json model = root.get("model");
        double lowest = Double.MAX_VALUE;
        int longest = 0;
        for (Json entry : model.get("vocab").items(1, Integer.MAX_VALUE)) {
            List<Json> pair = entry.items(2, 2);
            String piece = pair.get(0).text();
            double score = pair.get(1).number(-1e9, 1e9);
            // A piece that comes twice keeps its last id, as the original's table does.
            ids.put(piece, pieces.size());
            pieces.add(piece);
            scores.add(score);
            lowest = Math.min(lowest, score);
            longest = Math.max(longest, piece.length());
        }
        longestPiece = longest;
        unknownScore = lowest - UNKNOWN_PENALTY;
        unknownId = model.get("unk_id").integer(0, pieces.size() - 1);
        Json fallback = model.optional("byte_fallback");
        if (fallback != null && fallback.bool()) {
            throw fallback.expected("false, as T5's tokenizers have it");
        }
        Json normalizer = root.optional("normalizer");
        if (normalizer != null) {
            addNormalizer(normalizer);
        }
        splitsAtSpace = splitsAtSpace(root.get("pre_tokenizer"));
        for (Json token : addedTokens(root)) {
            added.put(token.get("content").text(), token.get("id").integer(0, Integer.MAX_VALUE));
        }
        endId = endMark(root.get("post_processor"));
        padId = root.get("padding").get("pad_id").integer(0, Integer.MAX_VALUE);
    }

    private static List<Json> addedTokens(Json root) {
        Json tokens = root.optional("added_tokens");
        return tokens == null ? List.of() : tokens.items(0, Integer.MAX_VALUE);
    }

    private void addNormalizer(Json json) {
        String type =
                json.get("type").oneOf(List.of("Sequence", "Precompiled", "Strip", "Replace"));
        switch (type) {
            case "Sequence" -> json.get("normalizers").items(0, 16).forEach(this::addNormalizer);
            case "Precompiled" -> {
                CharacterMap map = new CharacterMap(json.get("precompiled_charsmap"));
                normalizers.add(map::normalize);
            }
            case "Strip" -> {
                boolean left = json.get("strip_left").bool();
                boolean right = json.get("strip_right").bool();
                normalizers.add(
                        text -> {
                            String rest = right ? text.stripTrailing() : text;
                            return left ? rest.stripLeading() : rest;
                        });
            }
            default -> {
                Json pattern = json.get("pattern");
                Json regex = pattern.optional("Regex");
                if (regex == null || !regex.text().equals(" {2,}")) {
                    throw pattern.expected("the regular expression \" {2,}\", as T5 has it");
                }
                String content = json.get("content").text();
                normalizers.add(
                        text ->
                                text.replaceAll(
                                        " {2,}",
                                        java.util.regex.Matcher.quoteReplacement(content)));
            }
        }
    }

    /** Whether words are split at all white space, or only at spaces. */
    private static boolean splitsAtSpace(Json json) {
        String type = json.get("type").oneOf(List.of("Sequence", "Metaspace"));
        Json metaspace = json;
        if (type.equals("Sequence")) {
            List<Json> parts = json.get("pretokenizers").items(2, 2);
            parts.get(0).get("type").oneOf(List.of("WhitespaceSplit"));
            metaspace = parts.get(1);
            metaspace.get("type").oneOf(List.of("Metaspace"));
        }
        Json replacement = metaspace.get("replacement");
        if (!replacement.text().equals(String.valueOf(WORD))) {
            throw replacement.expected("\"" + WORD + "\", as T5's tokenizers have it");
        }
        Json scheme = metaspace.optional("prepend_scheme");
        if (scheme != null) {
            scheme.oneOf(List.of("always"));
        }
        Json split = metaspace.optional("split");
        if (split != null && !split.bool()) {
            throw split.expected("true, as T5's tokenizers have it");
        }
        return type.equals("Sequence");
    }

    private static int endMark(Json json) {
        json.get("type").oneOf(List.of("TemplateProcessing"));
        List<Json> single = json.get("single").items(2, 2);
        single.get(0).get("Sequence");
        String name = single.get(1).get("SpecialToken").get("id").text();
        return json.get("special_tokens")
                .get(name)
                .get("ids")
                .items(1, 1)
                .getFirst()
                .integer(0, Integer.MAX_VALUE);
    }

    @Override
    public int idLimit() {
        int limit = pieces.size();
        for (int id : added.values()) {
            limit = Math.max(limit, id + 1);
        }
        return limit;
    }

    @Override
    public Tokens encode(String text, int length) {
        if (length < 1) {
            throw new IllegalArgumentException("length is " + length + ": the end mark needs 1");
        }
        List<Integer> all = ids(text);
        int real = Math.min(all.size(), length - 1);
        int[] padded = new int[length];
        Arrays.fill(padded, padId);
        for (int i = 0; i < real; i++) {
            padded[i] = all.get(i);
        }
        padded[real] = endId;
        StringBuilder cut = new StringBuilder();
        for (int id : all.subList(real, all.size())) {
            cut.append(id < pieces.size() ? pieces.get(id) : "");
        }
        return new Tokens(padded, 0, real, cut.toString().replace(WORD, ' ').strip());
    }

    /** Ids without end mark, padding or cut. */
    List<Integer> ids(String text) {
        List<Integer> out = new ArrayList<>();
        int start = 0;
        for (int at = 0; at < text.length(); ) {
            String token = addedAt(text, at);
            if (token == null) {
                at++;
                continue;
            }
            encodePart(text.substring(start, at), out);
            out.add(added.getOrDefault(token, unknownId));
            at += token.length();
            start = at;
        }
        encodePart(text.substring(start), out);
        return out;
    }

    /** The longest token that stands for itself at this place. */
    private @Nullable String addedAt(String text, int at) {
        String longest = null;
        for (String token : added.keySet()) {
            if (text.startsWith(token, at)
                    && (longest == null || token.length() > longest.length())) {
                longest = token;
            }
        }
        return longest;
    }

    private void encodePart(String part, List<Integer> out) {
        String text = part;
        for (UnaryOperator<String> normalizer : normalizers) {
            text = normalizer.apply(text);
        }
        if (text.isEmpty()) {
            return;
        }
        for (String word :
                splitsAtSpace ? text.split("\\p{IsWhite_Space}+") : new String[] {text}) {
            if (!word.isEmpty()) {
                encodeMarked(mark(word), out);
            }
        }
    }

    private static String mark(String word) {
        String marked = word.replace(' ', WORD);
        return marked.charAt(0) == WORD ? marked : WORD + marked;
    }

    /** Cuts before every mark, so that no piece goes over it. */
    private void encodeMarked(String text, List<Integer> out) {
        int start = 0;
        for (int at = 1; at <= text.length(); at++) {
            if (at == text.length() || text.charAt(at) == WORD) {
                bestPieces(text.substring(start, at), out);
                start = at;
            }
        }
    }

    /** Viterbi: the pieces with the largest sum of scores; unknown characters in a row are one. */
    private void bestPieces(String word, List<Integer> out) {
        int n = word.length();
        double[] best = new double[n + 1];
        int[] from = new int[n + 1];
        int[] id = new int[n + 1];
        Arrays.fill(from, -1);
        for (int start = 0; start < n; ) {
            int character = Character.charCount(word.codePointAt(start));
            boolean known = false;
            for (int end = start + 1; end <= Math.min(n, start + longestPiece); end++) {
                Integer piece = ids.get(word.substring(start, end));
                if (piece != null) {
                    known |= end == start + character;
                    offer(best, from, id, start, end, scores.get(piece), piece);
                }
            }
            if (!known) {
                offer(best, from, id, start, start + character, unknownScore, unknownId);
            }
            start += character;
        }
        List<Integer> backwards = new ArrayList<>();
        for (int end = n; end > 0; end = from[end]) {
            boolean again = !backwards.isEmpty() && backwards.getLast() == unknownId;
            if (!(id[end] == unknownId && again)) {
                backwards.add(id[end]);
            }
        }
        Collections.reverse(backwards);
        out.addAll(backwards);
    }

    private static void offer(
            double[] best, int[] from, int[] id, int start, int end, double score, int piece) {
        double sum = best[start] + score;
        if (from[end] < 0 || sum > best[end]) {
            best[end] = sum;
            from[end] = start;
            id[end] = piece;
        }
    }
}
