// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;

import java.util.List;

/** Text to the ids that a text encoder takes. Immutable and thread-safe. */
public sealed interface Tokenizer permits ClipTokenizer, UnigramTokenizer {
    /**
     * A prompt as a text encoder takes it.
     *
     * @param ids token ids {@code [length]}: marks, tokens, padding
     * @param first index of the first of the prompt's own tokens
     * @param realTokens the prompt's own tokens, without marks
     * @param cut the text that did not fit, as far as it can be read back from its tokens; empty:
     *     everything fitted
     */
    record Tokens(int[] ids, int first, int realTokens, String cut) {}

    /** The ids of a prompt, marks included, padded or cut to {@code length}. */
    Tokens encode(String text, int length);

    /** One more than the largest id: the rows that the encoder's embedding table needs. */
    int idLimit();

    /**
     * Reads a Hugging Face tokenizer.json: CLIP's byte-level BPE, or T5's unigram model.
     *
     * @param shownName its path, for messages
     * @param json its bytes
     * @throws BadBundleException if it is damaged or describes another kind of tokenizer
     */
    static Tokenizer parse(String shownName, byte[] json) {
        Json root = Json.parse(shownName, json);
        Json type = root.get("model").optional("type");
        // Older files of CLIP name no type.
        return type != null && type.oneOf(List.of("BPE", "Unigram")).equals("Unigram")
                ? new UnigramTokenizer(root)
                : new ClipTokenizer(root);
    }
}
