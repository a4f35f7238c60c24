// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Objects;
import java.util.regex.Pattern;

/** Lengths, padding, cutting and damaged tokenizers; ids are the oracle test's business. */
class ClipTokenizerTest {
    static String json() throws IOException {
        try (InputStream in = ClipTokenizerTest.class.getResourceAsStream("/tokenizer/clip.json")) {
            return new String(
                    Objects.requireNonNull(in, "clip.json").readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    static String marksInPattern(String json) {
        return json.replace(
                "\"Regex\": \"'s|",
                "\"Regex\": \"<\\\\|startoftext\\\\|>|<\\\\|endoftext\\\\|>|'s|");
    }

    /** Merges as "a b", TemplateProcessing after ByteLevel, no added tokens. */
    static String legacy(String json) {
        int merges = json.indexOf("\"merges\"");
        String pairs =
                Pattern.compile("\\[\\s*(\".*\"),\\s*(\".*\")\\s*\\]")
                        .matcher(json.substring(merges))
                        .replaceAll(
                                pair -> {
                                    String left = pair.group(1);
                                    String right = pair.group(2);
                                    return java.util.regex.Matcher.quoteReplacement(
                                            left.substring(0, left.length() - 1)
                                                    + " "
                                                    + right.substring(1));
                                });
        String head = json.substring(0, merges);
        int added = head.indexOf("\"added_tokens\"");
        int normalizer = head.indexOf("\"normalizer\"");
        int processor = head.indexOf("\"post_processor\"");
        int decoder = head.indexOf("\"decoder\"");
        return head.substring(0, added)
                + "\"added_tokens\": [],\n"
                + head.substring(normalizer, processor)
                + """
                "post_processor": {"type": "Sequence", "processors": [
                  {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false,
                   "use_regex": true},
                  {"type": "TemplateProcessing",
                   "single": [{"SpecialToken": {"id": "<|startoftext|>", "type_id": 0}},
                              {"Sequence": {"id": "A", "type_id": 0}},
                              {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}],
                   "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                            {"Sequence": {"id": "B", "type_id": 1}}],
                   "special_tokens": {
                     "<|startoftext|>": {"id": "<|startoftext|>", "ids": [805],
                                         "tokens": ["<|startoftext|>"]},
                     "<|endoftext|>": {"id": "<|endoftext|>", "ids": [806],
                                       "tokens": ["<|endoftext|>"]}}}]},
                """
                + head.substring(decoder)
                + pairs;
    }

    private static ClipTokenizer parse(String json) {
        return (ClipTokenizer)
                Tokenizer.parse("tokenizer.json", json.getBytes(StandardCharsets.UTF_8));
    }

    private static ClipTokenizer tokenizer() throws IOException {
        return parse(json());
    }

    @Test
    void paddedWithTheEndMarkUnlessTheFileSaysOtherwise() throws IOException {
        ClipTokenizer tokenizer = tokenizer();
        Tokenizer.Tokens tokens = tokenizer.encode("a red ball", 10);
        int real = tokens.realTokens();
        assertEquals(tokenizer.ids("a red ball").length, real);
        assertEquals(10, tokens.ids().length);
        assertEquals(805, tokens.ids()[0]);
        for (int i = real + 1; i < 10; i++) {
            assertEquals(806, tokens.ids()[i]);
        }
        assertEquals("", tokens.cut());

        ClipTokenizer zero =
                parse(
                        json().replace(
                                        "\"padding\": null",
                                        "\"padding\": {\"strategy\": {\"Fixed\": 77},"
                                            + " \"direction\": \"Right\", \"pad_to_multiple_of\":"
                                            + " null, \"pad_id\": 0, \"pad_type_id\": 0,"
                                            + " \"pad_token\": \"!\"}"));
        int[] ids = zero.encode("a red ball", 10).ids();
        assertEquals(806, ids[real + 1]);
        assertEquals(0, ids[9]);
        assertEquals(0, zero.padId());
    }

    @Test
    void emptyPromptHasNoRealToken() throws IOException {
        Tokenizer.Tokens tokens = tokenizer().encode(" \t", 4);
        assertArrayEquals(new int[] {805, 806, 806, 806}, tokens.ids());
        assertEquals(0, tokens.realTokens());
    }

    @Test
    void longPromptIsCutAndSaysWhatWasCut() throws IOException {
        ClipTokenizer tokenizer = tokenizer();
        int kept = tokenizer.ids("a red ball on grass").length;
        Tokenizer.Tokens tokens =
                tokenizer.encode("A red ball on grass, crème 🎉 lighthouse!", kept + 2);
        assertEquals(kept, tokens.realTokens());
        assertEquals(kept + 2, tokens.ids().length);
        assertEquals(806, tokens.ids()[kept + 1]);
        assertEquals(", crème 🎉 lighthouse !", tokens.cut());

        Tokenizer.Tokens exact = tokenizer.encode("a red ball on grass", kept + 2);
        assertEquals("", exact.cut());
        assertEquals(0, tokenizer.encode("a red ball", 2).realTokens());
        assertThrows(IllegalArgumentException.class, () -> tokenizer.encode("a", 1));
    }

    @Test
    void halfASurrogatePairIsAReplacementCharacter() throws IOException {
        ClipTokenizer tokenizer = tokenizer();
        assertArrayEquals(tokenizer.ids("a\uFFFDb \uFFFD"), tokenizer.ids("a\uD800b \uDC00"));
    }

    @Test
    void largestIdIsKnown() throws IOException {
        assertEquals(807, tokenizer().idLimit());
    }

    /** Quadratic merging would take minutes here. */
    @Test
    void aLongWordTakesNoTime() throws IOException {
        ClipTokenizer tokenizer = tokenizer();
        String word = "lighthouseastronaut".repeat(50_000);
        long start = System.nanoTime();
        assertEquals(77, tokenizer.encode(word, 77).ids().length);
        assertTrue(System.nanoTime() - start < 20_000_000_000L);
    }

    @Test
    void withoutTheAlphabetUnknownBytesAreTheUnknownToken() throws IOException {
        ClipTokenizer tokenizer = parse(json().replace("\"ā\": ", "\"absent\": "));
        int[] ids = tokenizer.ids("\u0001!"); // byte 1 prints as U+0101
        assertEquals(1, Arrays.stream(ids).filter(id -> id == 806).count(), Arrays.toString(ids));
    }

    private static void refused(String json, String... fragments) {
        String message = assertThrows(BadBundleException.class, () -> parse(json)).getMessage();
        for (String fragment : fragments) {
            assertTrue(message.contains(fragment), message);
        }
    }

    @Test
    void otherTokenizersAreRefused() throws IOException {
        String json = json();
        refused(json.replace("\"NFC\"", "\"NFD\""), "normalizer.normalizers[0].type", "NFD", "NFC");
        refused(json.replace("[\\\\p{N}]", "[\\\\p{N}]+"), "pre_tokenizer.pretokenizers[0]");
        refused(json.replace("\"</w>\",\n\"fuse", "\"##\",\n\"fuse"), "model.end_of_word_suffix");
        refused(json.replace("\"BPE\"", "\"WordPiece\""), "model.type", "WordPiece");
        refused(json.replace("\"fuse_unk\": false", "\"fuse_unk\": true"), "model.fuse_unk");
        refused(json.replace("\"dropout\": null", "\"dropout\": 0.1"), "model.dropout");
        refused(json.replace("\"lstrip\": false", "\"lstrip\": true"), "added_tokens[0].lstrip");
        refused(json.replace("\"RobertaProcessing\"", "\"BertProcessing\""), "post_processor.type");
    }

    @Test
    void damagedFilesAreRefused() throws IOException {
        String json = json();
        refused(json.substring(0, json.length() / 2), "tokenizer.json line", "column");
        refused("", "tokenizer.json is empty");
        refused("[]", "expected an object");
        refused(json.replaceFirst("\\[\\s*\"t\",", "[\"tq\","), "model.merges[0]", "\"tq\"");
        refused(json.replace("\"!\": 0", "\"!\": \"zero\""), "model.vocab.!", "zero");
        refused(json.replace("\"vocab\"", "\"vocabulary\""), "model.vocab", "missing");
        refused(json.replace("\"unk_token\": \"<", "\"unk_token\": \"x<"), "model.unk_token");
    }
}
