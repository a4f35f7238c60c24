// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.model.checkpoint.FolderJson;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The files of a CLIP tokenizer that came before tokenizer.json: vocab.json and merges.txt. */
final class ClipTokenizerFiles {
    private static final String BEGIN = "<|startoftext|>";
    private static final String END = "<|endoftext|>";
    private static final String CONTENT = "content";
    private static final String TYPE = "type";

    private final Path folder;
    private final Map<String, @Nullable Object> vocabulary;

    private ClipTokenizerFiles(Path folder) {
        this.folder = folder;
        vocabulary = FolderJson.read(folder.resolve("vocab.json")).values();
    }

    /**
     * The tokenizer of a folder as the bytes of a tokenizer.json, in as much as {@link ClipTokenizer}
     * reads of it.
     *
     * @throws BadBundleException if files are missing
     */
    static byte[] join(Path folder) throws IOException {
        Path merges = folder.resolve("merges.txt");
        if (Files.isRegularFile(folder.resolve("vocab.json")) && Files.isRegularFile(merges)) {
            return JsonText.of(new ClipTokenizerFiles(folder).joined(merges));
        }
        Path whole = folder.resolve("tokenizer.json");
        if (Files.isRegularFile(whole)) {
            return Files.readAllBytes(whole);
        }
        throw new BadBundleException(
                folder
                        + " has neither vocab.json and merges.txt nor tokenizer.json: download the"
                        + " folder again");
    }

    private Map<String, Object> joined(Path merges) throws IOException {
        Map<String, Object> words = new LinkedHashMap<>();
        vocabulary.keySet().forEach(token -> words.put(token, id(token)));
        List<String> pairs =
                Files.readAllLines(merges, StandardCharsets.UTF_8).stream()
                        .filter(line -> !line.startsWith("#version") && !line.isBlank())
                        .toList();
        String pad = pad();
        List<Object> added = new ArrayList<>(List.of(added(BEGIN, true), added(END, false)));
        Map<String, Object> root = new LinkedHashMap<>();
        root.put("added_tokens", added);
        if (!pad.equals(END)) {
            added.add(added(pad, false));
            root.put("padding", Map.of("pad_id", id(pad)));
        }
        root.put(
                "normalizer",
                Map.of(
                        TYPE,
                        "Sequence",
                        "normalizers",
                        List.of(
                                Map.of(TYPE, "NFC"),
                                Map.of(
                                        TYPE,
                                        "Replace",
                                        "pattern",
                                        Map.of("Regex", "\\s+"),
                                        CONTENT,
                                        " "),
                                Map.of(TYPE, "Lowercase"))));
        Map<String, Object> split =
                Map.of(
                        TYPE,
                        "Split",
                        "pattern",
                        Map.of("Regex", ClipTokenizer.SPLIT_WITH_MARKS),
                        "behavior",
                        "Removed",
                        "invert",
                        true);
        Map<String, Object> bytes =
                Map.of(TYPE, "ByteLevel", "add_prefix_space", false, "use_regex", true);
        root.put("pre_tokenizer", Map.of(TYPE, "Sequence", "pretokenizers", List.of(split, bytes)));
        root.put(
                "post_processor",
                Map.of(
                        TYPE,
                        "RobertaProcessing",
                        "sep",
                        List.of(END, id(END)),
                        "cls",
                        List.of(BEGIN, id(BEGIN))));
        root.put(
                "model",
                Map.of(
                        TYPE,
                        "BPE",
                        "unk_token",
                        END,
                        "end_of_word_suffix",
                        "</w>",
                        "vocab",
                        words,
                        "merges",
                        pairs));
        return root;
    }

    private int id(String token) {
        if (vocabulary.get(token) instanceof Double id) {
            return id.intValue();
        }
        throw new BadBundleException(
                folder
                        + ": vocab.json has no id of \""
                        + token
                        + "\": it is not the vocabulary of a CLIP");
    }

    private Map<String, Object> added(String token, boolean normalized) {
        return Map.of("id", id(token), CONTENT, token, "normalized", normalized);
    }

    /** What fills a prompt up. */
    private String pad() {
        Path config = folder.resolve("tokenizer_config.json");
        Object token =
                Files.isRegularFile(config) ? FolderJson.read(config).get("pad_token", null) : null;
        Object content = token instanceof Map<?, ?> described ? described.get(CONTENT) : token;
        return content instanceof String pad ? pad : END;
    }
}
