// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import io.github.asg4j.BadBundleException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** The tokenizer of a text encoder in a diffusers folder, which has to be the template's. */
final class FolderTokenizer {
    private FolderTokenizer() {}

    /**
     * Compares vocabulary, added tokens and padding.
     *
     * @param folder of the tokenizer; it need not exist: the template's is the published one
     * @param template tokenizer.json of the template
     * @throws BadBundleException if they differ
     */
    static void require(Path folder, byte[] template) {
        FolderJson ours;
        try {
            ours =
                    FolderJson.parse(
                            folder.resolve("tokenizer.json"),
                            new String(template, StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new IllegalStateException("the template's tokenizer", e);
        }
        if (ours.get("model", null) instanceof Map<?, ?> model
                && model.get("vocab") instanceof List<?> pieces) {
            requirePieces(folder, pieces);
            return;
        }
        Map<?, ?> vocabulary = vocabulary(ours);
        Path words = folder.resolve("vocab.json");
        Path whole = folder.resolve("tokenizer.json");
        Map<?, ?> theirs = vocabulary;
        if (Files.isRegularFile(words)) {
            theirs = FolderJson.read(words).values();
        } else if (Files.isRegularFile(whole)) {
            theirs = vocabulary(FolderJson.read(whole));
        }
        Path added = folder.resolve("added_tokens.json");
        boolean more =
                Files.isRegularFile(added)
                        && !vocabulary
                                .keySet()
                                .containsAll(FolderJson.read(added).values().keySet());
        if (!theirs.equals(vocabulary) || more) {
            throw new BadBundleException(
                    folder
                            + " has another vocabulary than the published models: "
                            + theirs.size()
                            + " tokens"
                            + (more ? " and added ones" : "")
                            + ", "
                            + vocabulary.size()
                            + " are known. Tokens of embeddings are not supported; export the"
                            + " folder: asg4j-export model FOLDER --out BUNDLE");
        }
        requirePadding(folder, ours, vocabulary);
    }

    /** T5's: pieces with their logarithmic shares, and padding that all published models have. */
    private static void requirePieces(Path folder, List<?> pieces) {
        Path whole = folder.resolve("tokenizer.json");
        if (!Files.isRegularFile(whole)) {
            return;
        }
        List<?> theirs =
                FolderJson.read(whole).get("model", null) instanceof Map<?, ?> model
                                && model.get("vocab") instanceof List<?> found
                        ? found
                        : List.of();
        if (!theirs.equals(pieces)) {
            throw new BadBundleException(
                    folder
                            + " has another vocabulary than the published models: "
                            + theirs.size()
                            + " pieces, "
                            + pieces.size()
                            + " are known; export the folder: asg4j-export model FOLDER --out"
                            + " BUNDLE");
        }
    }

    private static void requirePadding(Path folder, FolderJson ours, Map<?, ?> vocabulary) {
        Path config = folder.resolve("tokenizer_config.json");
        if (!Files.isRegularFile(config)) {
            return;
        }
        FolderJson settings = FolderJson.read(config);
        Object token = content(settings.get("pad_token", null));
        Object end = content(settings.get("eos_token", "<|endoftext|>"));
        Object wanted =
                ours.get("padding", null) instanceof Map<?, ?> padding
                        ? padding.get("pad_id")
                        : vocabulary.get(end);
        Object id = vocabulary.get(token == null ? end : token);
        if (wanted != null && !wanted.equals(id)) {
            throw settings.refused("pad_token", "token " + FolderJson.shown(wanted));
        }
        if (settings.get("model_max_length", 77.0) instanceof Double length && length != 77) {
            throw settings.refused("model_max_length", "77");
        }
    }

    private static @Nullable Object content(@Nullable Object token) {
        return token instanceof Map<?, ?> described ? described.get("content") : token;
    }

    private static Map<?, ?> vocabulary(FolderJson tokenizer) {
        return tokenizer.get("model", null) instanceof Map<?, ?> model
                        && model.get("vocab") instanceof Map<?, ?> vocabulary
                ? vocabulary
                : Map.of();
    }
}
