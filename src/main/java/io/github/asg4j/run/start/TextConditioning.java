// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.start;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.model.TextEncoder;
import io.github.asg4j.model.Tokenizer;
import io.github.asg4j.run.denoise.Conditioning;
import io.github.asg4j.run.worker.RequestContext;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** Turns the prompts of a request into what the denoiser is conditioned on. */
public final class TextConditioning {
    private final RequestContext context;
    private final GenerationRequest request;
    private final TextEncoder encoder;

    private TextConditioning(RequestContext context) {
        this.context = context;
        request = context.request();
        encoder = context.model().textEncoder();
    }

    /**
     * What the text encoders gave, and what not all of them had room for.
     *
     * @param cut of the prompt, "": nothing
     * @param negativeCut of the negative prompt, "": nothing
     */
    public record Encoded(Embeddings embeddings, String cut, String negativeCut) {}

    /**
     * Encodes the prompts of a request; in the front's thread.
     *
     * @throws BadRequestException a mask token that the prompt does not have
     */
    public static Encoded encode(RequestContext context) {
        return new TextConditioning(context).encode();
    }

    private Encoded encode() {
        Manifest.Conditioning conditioning = context.manifest().conditioning();
        List<Tokenizer.Tokens> prompt = tokens(request.prompt());
        List<Tokenizer.Tokens> negative = tokens(request.negativePrompt());
        long rows = Conditioning.ROWS;
        MemorySegment hidden =
                context.memory().allocate(rows * encoder.hiddenBytes(), "text embeddings");
        MemorySegment pooled =
                conditioning.pooled()
                        ? context.memory()
                                .allocate(rows * encoder.pooledBytes(), "pooled embeddings")
                        : null;
        boolean zero = request.negativePrompt().isEmpty() && conditioning.emptyNegativeIsZero();
        // Row by row: a picture's bytes do not depend on what is encoded beside its prompt.
        if (!zero) {
            encodeRow(negative, hidden, pooled, Conditioning.UNCONDITIONAL);
        }
        encodeRow(prompt, hidden, pooled, Conditioning.PROMPT);
        String background = request.windows().backgroundPrompt();
        encodeRow(
                background == null ? prompt : tokens(background),
                hidden,
                pooled,
                Conditioning.BACKGROUND);
        MemorySegment weights = context.memory().floats(encoder.length(), "token weights");
        int real = tokenWeights(prompt, weights);
        return new Encoded(
                new Embeddings(hidden, pooled, weights, real), cut(prompt), cut(negative));
    }

    /** A prompt as each text encoder takes it. */
    private List<Tokenizer.Tokens> tokens(String prompt) {
        List<Manifest.TextEncoder> encoders = context.manifest().textEncoders();
        List<Tokenizer.Tokens> tokens = new ArrayList<>();
        for (int i = 0; i < encoders.size(); i++) {
            Tokenizer tokenizer = context.engine().tokenizers().get(i);
            tokens.add(tokenizer.encode(prompt, encoders.get(i).length()));
        }
        return tokens;
    }

    /** What some encoder leaves out: what the one with the least room does. */
    private static String cut(List<Tokenizer.Tokens> prompt) {
        return prompt.stream()
                .map(Tokenizer.Tokens::cut)
                .max(Comparator.comparingInt(String::length))
                .orElse("");
    }

    private void encodeRow(
            List<Tokenizer.Tokens> tokens,
            MemorySegment hidden,
            @Nullable MemorySegment pooled,
            int row) {
        encoder.encode(
                tokens.stream().map(Tokenizer.Tokens::ids).toList(),
                hidden.asSlice(row * encoder.hiddenBytes(), encoder.hiddenBytes()),
                pooled == null
                        ? null
                        : pooled.asSlice(row * encoder.pooledBytes(), encoder.pooledBytes()));
    }

    /**
     * Weight 1 for every real token of every encoder, or for those asked for, which are the first
     * encoder's; how many real tokens the first one has.
     */
    private int tokenWeights(List<Tokenizer.Tokens> prompt, MemorySegment weights) {
        Tokenizer.Tokens first = prompt.getFirst();
        List<Integer> wanted = request.guide().maskTokens();
        for (int index : wanted) {
            if (index >= first.realTokens()) {
                throw new BadRequestException(
                        "mask token "
                                + index
                                + " is not there: the prompt has tokens 0 to "
                                + (first.realTokens() - 1));
            }
            weights.setAtIndex(ValueLayout.JAVA_FLOAT, first.first() + index, 1);
        }
        for (int i = 0; wanted.isEmpty() && i < prompt.size(); i++) {
            Tokenizer.Tokens tokens = prompt.get(i);
            for (int t = 0; t < tokens.realTokens(); t++) {
                weights.setAtIndex(
                        ValueLayout.JAVA_FLOAT, (long) encoder.firstRow(i) + tokens.first() + t, 1);
            }
        }
        return first.realTokens();
    }
}
