// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;

import io.github.asg4j.BadBundleException;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPInputStream;

/** T5's tokenizer, also against Hugging Face's own (through DJL) on strings from all of Unicode. */
class UnigramTokenizerTest {
    private static final String RULES = "\"normalizer\": ";
    private static final String WORDS = "\"pre_tokenizer\": ";

    /** The forms in which T5 tokenizers are found. */
    enum Form {
        /** As published. */
        PLAIN,
        /** As transformers converts a SentencePiece model: only spaces part words. */
        CONVERTED,
        /** Without rules for characters. */
        BARE;

        private String json() throws IOException {
            String json = UnigramTokenizerTest.json();
            String rules = part(json, RULES, ", " + WORDS);
            String words = part(json, WORDS, ", \"post_processor\"");
            String metaspace =
                    "{\"type\": \"Metaspace\", \"replacement\": \"▁\", \"prepend_scheme\":"
                            + " \"always\", \"split\": true}";
            return switch (this) {
                case PLAIN -> json;
                case CONVERTED ->
                        json.replace(
                                        RULES + rules,
                                        RULES
                                                + "{\"type\": \"Sequence\", \"normalizers\": ["
                                                + rules
                                                + ", {\"type\": \"Strip\", \"strip_left\": false,"
                                                + " \"strip_right\": true}, {\"type\": \"Replace\","
                                                + " \"pattern\": {\"Regex\": \" {2,}\"},"
                                                + " \"content\": \"▁\"}]}")
                                .replace(WORDS + words, WORDS + metaspace);
                case BARE -> json.replace(RULES + rules, RULES + "null");
            };
        }
    }

    private static String part(String json, String from, String to) {
        int start = json.indexOf(from) + from.length();
        return json.substring(start, json.indexOf(to, start));
    }

    private static String json() throws IOException {
        try (InputStream in =
                new GZIPInputStream(
                        UnigramTokenizerTest.class.getResourceAsStream("/tokenizer/t5.json.gz"))) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static UnigramTokenizer parse(String json) {
        return assertInstanceOf(
                UnigramTokenizer.class,
                Tokenizer.parse("t5.json", json.getBytes(StandardCharsets.UTF_8)));
    }

    @BeforeAll
    static void keepDjlQuiet() {
        ClipTokenizerOracleTest.keepDjlQuiet();
    }

    @ParameterizedTest
    @EnumSource
    void sameIds(Form form) throws IOException {
        UnigramTokenizer ours = parse(form.json());
        List<String> texts = new ArrayList<>(ClipTokenizerOracleTest.allTexts());
        texts.add("a <extra_id_0> b</s>c<unk>  <pad>d<extra_id_1>");
        texts.add("▁a ▁▁b c▁d ▁");
        Map<String, String> bare =
                Map.of("truncation", "false", "padding", "false", "addSpecialTokens", "false");
        int different = 0;
        try (HuggingFaceTokenizer theirs =
                HuggingFaceTokenizer.newInstance(
                        new ByteArrayInputStream(form.json().getBytes(StandardCharsets.UTF_8)),
                        bare)) {
            for (String text : texts) {
                long[] expected = theirs.encode(text).getIds();
                long[] found = ours.ids(text).stream().mapToLong(id -> id).toArray();
                if (!Arrays.equals(expected, found)) {
                    if (different++ < 5) {
                        System.out.println(form + " " + ClipTokenizerOracleTest.hex(text));
                        System.out.println(Arrays.toString(expected));
                        System.out.println(Arrays.toString(found));
                    }
                }
            }
        }
        assertEquals(0, different, "of " + texts.size());
    }

    @Test
    void padsAndCuts() throws IOException {
        UnigramTokenizer tokenizer = parse(json());
        Tokenizer.Tokens tokens = tokenizer.encode("a red ball", 12);
        int real = tokens.realTokens();
        assertTrue(real >= 3 && real < 12);
        assertEquals(0, tokens.first());
        assertEquals(1, tokens.ids()[real]);
        assertEquals(0, tokens.ids()[11]);
        assertEquals("", tokens.cut());
        Tokenizer.Tokens cut = tokenizer.encode("a red ball on grass", real + 1);
        assertEquals(real, cut.realTokens());
        assertEquals("on grass", cut.cut());
        assertArrayEquals(new int[] {1, 0, 0}, tokenizer.encode(" \t", 3).ids());
        assertEquals(0, tokenizer.encode("a", 1).realTokens());
        assertThrows(IllegalArgumentException.class, () -> tokenizer.encode("a", 0));
    }

    @Test
    void otherTokenizersAreRefused() throws IOException {
        String json = json();
        refused(json.replace("\"byte_fallback\": false", "\"byte_fallback\": true"), "false");
        refused(json.replace("\"always\"", "\"first\""), "always");
        refused(json.replace("\"WhitespaceSplit\"", "\"Whitespace\""), "WhitespaceSplit");
        refused(json.replace("\"unk_id\": 2", "\"unk_id\": 200000"), "model.unk_id");
        refused(json.replace("\"Precompiled\"", "\"NFKC\""), "normalizer.type");
        refused(json.replaceFirst("charsmap\": \"....", "charsmap\": \"////"), "a trie");
        refused(json.replaceFirst("charsmap\": \".", "charsmap\": \"*"), "base64");
    }

    private static void refused(String json, String part) {
        BadBundleException refused = assertThrows(BadBundleException.class, () -> parse(json));
        assertTrue(refused.getMessage().contains(part), refused.getMessage());
    }
}
