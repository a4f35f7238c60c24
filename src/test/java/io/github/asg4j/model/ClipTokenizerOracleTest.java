// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;

/**
 * Our tokenizer gives the ids of Hugging Face's own (through DJL) on more than 10,000 strings from
 * all of Unicode. Left out are only sequences whose composition (NFC) is newer than the tables of
 * that library, Unicode 9: combining marks added since are tried alone, not in sequences, and so
 * are the scripts added since whose letters compose.
 */
class ClipTokenizerOracleTest {
    private static final Map<String, String> BARE =
            Map.of("truncation", "false", "padding", "false", "addSpecialTokens", "false");

    /** Those whose doubling composes since Unicode 16. */
    private static final Set<Integer> COMPOSE_WITH_THEMSELVES = Set.of(0x113C2, 0x1611E, 0x16D67);

    private static final Set<Character.UnicodeBlock> NEWLY_COMPOSING =
            Set.of(
                    Character.UnicodeBlock.of(0x105D2), // Todhri
                    Character.UnicodeBlock.of(0x11382), // Tulu-Tigalari
                    Character.UnicodeBlock.of(0x11935), // Dives Akuru
                    Character.UnicodeBlock.of(0x1611E), // Gurung Khema
                    Character.UnicodeBlock.of(0x16D67)); // Kirat Rai

    /** Combining marks of Unicode 9, of many combining classes. */
    private static final int[][] OLD_MARKS = {
        {0x300, 0x36F}, {0x483, 0x489}, {0x591, 0x5BD}, {0x64B, 0x65F}, {0x93C, 0x93C},
        {0x94D, 0x94D}, {0xE38, 0xE3A}, {0xE48, 0xE4B}, {0x302A, 0x302F}, {0x3099, 0x309A},
        {0x1AB0, 0x1ABD}, {0x1DC0, 0x1DF5}, {0x20D0, 0x20F0}, {0xFE20, 0xFE2F}, {0x1D165, 0x1D169}
    };

    private static final long SEED = Long.getLong("asg.test.seed", 20261123L);

    /** The forms in which CLIP tokenizers are found. */
    enum Form {
        /** As saved by transformers 4. */
        PLAIN,
        /** The marks in the split pattern, and tried after normalisation (transformers 5). */
        MARKS_IN_PATTERN,
        /** Merges as "a b", TemplateProcessing, no token added: marks in the text are text. */
        LEGACY,
        /** As LEGACY, and with the marks in the split pattern. */
        PATTERN_ONLY;

        private String json() throws IOException {
            String json = ClipTokenizerTest.json();
            return switch (this) {
                case PLAIN -> json;
                case MARKS_IN_PATTERN ->
                        ClipTokenizerTest.marksInPattern(json)
                                .replace("\"normalized\": false", "\"normalized\": true");
                case LEGACY -> ClipTokenizerTest.legacy(json);
                case PATTERN_ONLY ->
                        ClipTokenizerTest.legacy(ClipTokenizerTest.marksInPattern(json));
            };
        }
    }

    /** Before any class of DJL is initialised: its factories report home unless told not to. */
    @BeforeAll
    static void keepDjlQuiet() {
        System.setProperty("OPT_OUT_TRACKING", "true");
        System.setProperty("ai.djl.offline", "true");
        System.setProperty("DJL_CACHE_DIR", "target/djl");
    }

    @ParameterizedTest
    @EnumSource
    void sameIds(Form form) throws IOException {
        byte[] json = form.json().getBytes(StandardCharsets.UTF_8);
        ClipTokenizer ours = (ClipTokenizer) Tokenizer.parse("clip.json", json);
        List<String> texts = form == Form.PLAIN ? allTexts() : handPicked();
        if (form == Form.PLAIN) {
            assertTrue(texts.size() >= 10_000, "only " + texts.size() + " strings");
        }
        try (HuggingFaceTokenizer theirs =
                HuggingFaceTokenizer.newInstance(new ByteArrayInputStream(json), BARE)) {
            for (String text : texts) {
                long[] expected = theirs.encode(text).getIds();
                int[] found = ours.ids(text);
                if (found.length != expected.length || !same(found, expected)) {
                    assertArrayEquals(
                            expected,
                            java.util.Arrays.stream(found).asLongStream().toArray(),
                            () -> "seed " + SEED + ", UTF-16 " + hex(text));
                }
            }
        }
    }

    private static boolean same(int[] found, long[] expected) {
        for (int i = 0; i < found.length; i++) {
            if (found[i] != expected[i]) {
                return false;
            }
        }
        return true;
    }

    static String hex(String text) {
        return HexFormat.ofDelimiter(" ").formatHex(text.getBytes(StandardCharsets.UTF_16BE));
    }

    static List<String> allTexts() {
        List<String> texts = new ArrayList<>(handPicked());
        everyCodePoint(texts);
        Random random = new Random(SEED);
        int[] mixable = mixable();
        for (int i = 0; i < 2500; i++) {
            texts.add(mixture(random, mixable));
        }
        for (int i = 0; i < 300; i++) {
            texts.add(longWord(random));
        }
        return texts;
    }

    private static List<String> handPicked() {
        List<String> texts =
                new ArrayList<>(
                        List.of(
                                "",
                                " ",
                                "a red ball on grass",
                                "  A  Red\tBall\n\non\r\ngrass ",
                                "don't we'll THEY'RE i'm it's you've he'd 'S 'll' ''s !'s 'tis",
                                "rock'n'roll '’s ’s \u02BCs",
                                "x1y22z333 ½ Ⅷ ² ٣ १२ 𝟙𝟚",
                                "!!!...???---###,,, a,b.c;d",
                                "nul \u0000 inside \u0000\u0000",
                                "\u0001\u0007\u001B\u001C\u001F\u007F\u0080\u0085\u009F\u00AD",
                                "a\u0085b\u00A0c\u1680d\u2000e\u200Bf\u2028g\u2029h\u202Fi\u3000j",
                                "\u180E \uFEFF a\uFEFFb \u200C\u200D\u2060",
                                "İstanbul ISTANBUL ıI İ\u0307",
                                "ΣΊΣΥΦΟΣ ΟΔΟΣ Σ Σ. ΑΣ Σ",
                                "ẞ ß ﬁ ﬀ Ǆ ǅ ǆ Ω K Å",
                                "e\u0301 é E\u0301 a\u0323\u0307 a\u0307\u0323 s\u0323\u0307",
                                "각 \u1100\u1161\u11A8 \u1100\u1161 \uAC00\u11A8",
                                "क\u093C ड\u093C \u0958",
                                "👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 ❤️ ☺︎"
                                        + " 🏴\uDB40\uDC67\uDB40\uDC62\uDB40\uDC7F",
                                "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \uD801\uDC00 \uD83A\uDD00",
                                "\uFFFD \uFFFE \uFFFF \uE000 \uF8FF \uDBFF\uDFFF \u0378",
                                "日本語の文章 をカタカナ ｶﾀｶﾅ ㈱",
                                "<|startoftext|>",
                                "a <|endoftext|> b<|endoftext|>c",
                                "<|startoftext|><|startoftext|>a<|endoftext|><|endoftext|>",
                                "<|STARTOFTEXT|> <|EndOfText|>!! !<|ENDOFTEXT|>",
                                "<|startoftext|!!<|endoftext|>!! <|<|endoftext|>|>",
                                "<|start\u00F6ftext|> <|endoftext\u0301|>"));
        texts.add("a".repeat(10_000));
        texts.add("ab".repeat(3_000) + "c".repeat(777));
        texts.add("🎉".repeat(1_000));
        texts.add("lighthouse ".repeat(1_000));
        return texts;
    }

    /** Each assigned one, whether letter, digit or other, between its like, alone among marks. */
    private static void everyCodePoint(List<String> texts) {
        StringBuilder text = new StringBuilder();
        int count = 0;
        for (int c = 0; c <= Character.MAX_CODE_POINT; c++) {
            int type = Character.getType(c);
            if (type == Character.UNASSIGNED
                    || type == Character.SURROGATE
                    || type == Character.PRIVATE_USE) {
                continue;
            }
            text.append('a').appendCodePoint(c);
            if (!COMPOSE_WITH_THEMSELVES.contains(c)) {
                text.appendCodePoint(c);
            }
            text.append("7 +").appendCodePoint(c).append(' ');
            if (++count % 16 == 0) {
                texts.add(text.toString());
                text.setLength(0);
            }
        }
        texts.add(text.toString());
    }

    private static int[] mixable() {
        List<Integer> points = new ArrayList<>();
        for (int c = 0; c <= Character.MAX_CODE_POINT; c++) {
            switch (Character.getType(c)) {
                case Character.UNASSIGNED,
                        Character.SURROGATE,
                        Character.PRIVATE_USE,
                        Character.NON_SPACING_MARK,
                        Character.COMBINING_SPACING_MARK,
                        Character.ENCLOSING_MARK -> {}
                default -> {
                    Character.UnicodeBlock block =
                            Objects.requireNonNull(Character.UnicodeBlock.of(c));
                    if (!NEWLY_COMPOSING.contains(block)) {
                        points.add(c);
                    }
                }
            }
        }
        return points.stream().mapToInt(c -> c).toArray();
    }

    /** Characters from everywhere, often below U+0250, with marks in any order, spaces, marks. */
    private static String mixture(Random random, int[] mixable) {
        StringBuilder text = new StringBuilder();
        int length = 1 + random.nextInt(40);
        for (int i = 0; i < length; i++) {
            int bound = random.nextInt(3) == 0 ? mixable.length : 500;
            text.appendCodePoint(mixable[random.nextInt(bound)]);
            while (random.nextInt(4) == 0) {
                int[] range = OLD_MARKS[random.nextInt(OLD_MARKS.length)];
                text.appendCodePoint(range[0] + random.nextInt(range[1] - range[0] + 1));
            }
            switch (random.nextInt(12)) {
                case 0 -> text.append(' ');
                case 1 -> text.append("'s");
                case 2 -> text.append(random.nextBoolean() ? "<|endoftext|>" : "<|StartOfText|>");
                default -> {}
            }
        }
        return text.toString();
    }

    /** Words over few letters, in which merges compete. */
    private static String longWord(Random random) {
        String letters = random.nextBoolean() ? "abe" : "onairestlhb";
        StringBuilder word = new StringBuilder();
        int length = 1 + random.nextInt(400);
        for (int i = 0; i < length; i++) {
            word.append(letters.charAt(random.nextInt(letters.length())));
        }
        return word.toString();
    }
}
