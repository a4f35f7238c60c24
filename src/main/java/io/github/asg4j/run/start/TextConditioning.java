// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.start;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.model.ClipTokenizer;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.model.TextEncoder;
import io.github.asg4j.model.Tokenizer;
import io.github.asg4j.prompt.Emphasis;
import io.github.asg4j.prompt.PromptChunk;
import io.github.asg4j.run.denoise.Conditioning;
import io.github.asg4j.run.worker.RequestContext;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Turns the prompts of a request into what the denoiser is conditioned on. */
public final class TextConditioning {
    private final RequestContext context;
    private final GenerationRequest request;
    private final PromptTokens prompts;
    private final TextEncoder encoder;

    private TextConditioning(RequestContext context, PromptTokens prompts) {
        this.context = context;
        this.prompts = prompts;
        request = context.request();
        encoder =
                context.model().textEncoder(request.prompts().clipSkip(), prompts.hasInversions());
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
    public static Encoded encode(RequestContext context, PromptTokens prompts) {
        return new TextConditioning(context, prompts).encode();
    }

    private Encoded encode() {
        Manifest.Conditioning conditioning = context.manifest().conditioning();
        int ofSegment = prompts.rows();
        int rows = ofSegment * prompts.segments().size();
        long hiddenBytes = encoder.hiddenBytes(prompts.chunks());
        MemorySegment hidden = context.memory().allocate(rows * hiddenBytes, "text embeddings");
        MemorySegment pooled =
                conditioning.pooled()
                        ? context.memory()
                                .allocate(rows * encoder.pooledBytes(), "pooled embeddings")
                        : null;
        int length = encoder.length(prompts.chunks());
        MemorySegment weights = context.memory().floats((long) rows * length, "token weights");
        int real = Integer.MAX_VALUE;
        Map<String, Integer> rowsByText = new HashMap<>();
        for (int segment = 0; segment < prompts.segments().size(); segment++) {
            List<PromptTokens.EncoderInput> texts = prompts.segments().get(segment);
            for (int which = 0; which < ofSegment; which++) {
                PromptTokens.EncoderInput text = texts.get(which);
                boolean negative = which == Conditioning.UNCONDITIONAL;
                boolean zero =
                        negative && text.text().isEmpty() && conditioning.emptyNegativeIsZero();
                int row = segment * ofSegment + which;
                if (!zero) {
                    encodeRow(text, row, rowsByText.putIfAbsent(text.text(), row), hidden, pooled);
                }
                if (!negative) {
                    // Maps are read where the prompt conditions; a background's are not looked at.
                    int own =
                            tokenWeights(
                                    texts.get(Conditioning.PROMPT),
                                    weights.asSlice(4L * row * length, 4L * length));
                    real = Math.min(real, own);
                }
            }
        }
        return new Encoded(
                new Embeddings(
                        hidden,
                        pooled,
                        weights,
                        ofSegment,
                        real,
                        prompts.segments().size(),
                        prompts.segmentOfStep()),
                prompts.cutOfPrompts(),
                prompts.cut(Conditioning.UNCONDITIONAL));
    }

    /**
     * Encodes a prompt by itself: a picture's bytes do not depend on what is encoded beside it.
     *
     * @param known row that has the same text already; null: none
     */
    private void encodeRow(
            PromptTokens.EncoderInput text,
            int row,
            @Nullable Integer known,
            MemorySegment hidden,
            @Nullable MemorySegment pooled) {
        long hiddenBytes = encoder.hiddenBytes(prompts.chunks());
        MemorySegment states = hidden.asSlice(row * hiddenBytes, hiddenBytes);
        MemorySegment vector =
                pooled == null
                        ? null
                        : pooled.asSlice(row * encoder.pooledBytes(), encoder.pooledBytes());
        if (known != null) {
            states.copyFrom(hidden.asSlice(known * hiddenBytes, hiddenBytes));
            if (pooled != null && vector != null) {
                vector.copyFrom(
                        pooled.asSlice(known * encoder.pooledBytes(), encoder.pooledBytes()));
            }
            return;
        }
        List<List<PromptChunk>> padded = new ArrayList<>();
        for (int i = 0; i < text.byEncoder().size(); i++) {
            padded.add(padded(i, text.byEncoder().get(i)));
        }
        encoder.encode(
                padded.stream()
                        .map(chunks -> chunks.stream().map(TextConditioning::input).toList())
                        .toList(),
                states,
                vector);
        for (int i = 0; i < padded.size(); i++) {
            for (int chunk = 0; chunk < padded.get(i).size(); chunk++) {
                PromptChunk tokens = padded.get(i).get(chunk);
                if (tokens.isWeighted()) {
                    Emphasis.apply(
                            states,
                            encoder.hiddenWidth(),
                            encoder.block(i, chunk, prompts.chunks()),
                            tokens.weights());
                }
            }
        }
    }

    private static TextEncoder.Input input(PromptChunk chunk) {
        return new TextEncoder.Input(chunk.tokens().ids(), chunk.inversions());
    }

    /** The chunks of a prompt, and empty ones up to those of the longest. */
    private List<PromptChunk> padded(int index, List<PromptChunk> chunks) {
        List<PromptChunk> padded = new ArrayList<>(chunks);
        if (encoder.takesChunks(index)
                && context.engine().tokenizers().get(index) instanceof ClipTokenizer clip) {
            int length = context.manifest().textEncoders().get(index).length();
            while (padded.size() < prompts.chunks()) {
                padded.add(PromptChunk.of(clip.encode("", length)));
            }
        }
        return padded;
    }

    /**
     * What every real token of every encoder weighs in attention maps: its weight in the prompt, 0
     * where that is negative. Of those asked for, which are the first encoder's, only they.
     *
     * @param weights [T], zeros
     * @return how many tokens of the first encoder weigh
     */
    private int tokenWeights(PromptTokens.EncoderInput prompt, MemorySegment weights) {
        List<Integer> wanted = request.guide().maskTokens();
        int real =
                prompt.byEncoder().getFirst().stream()
                        .mapToInt(chunk -> chunk.tokens().realTokens())
                        .sum();
        for (int index : wanted) {
            if (index >= real) {
                throw new BadRequestException(
                        "mask token "
                                + index
                                + " is not there: the prompt has tokens 0 to "
                                + (real - 1));
            }
        }
        int weighing = 0;
        int encoders = wanted.isEmpty() ? prompt.byEncoder().size() : 1;
        for (int i = 0; i < encoders; i++) {
            List<PromptChunk> chunks = prompt.byEncoder().get(i);
            int index = 0;
            for (int chunk = 0; chunk < chunks.size(); chunk++) {
                Tokenizer.Tokens tokens = chunks.get(chunk).tokens();
                int row = encoder.block(i, chunk, prompts.chunks()).row();
                for (int t = tokens.first(); t < tokens.first() + tokens.realTokens(); t++) {
                    float weight = Math.max(0, chunks.get(chunk).weights()[t]);
                    if (wanted.isEmpty() || wanted.contains(index)) {
                        weights.setAtIndex(ValueLayout.JAVA_FLOAT, (long) row + t, weight);
                        weighing += i == 0 && weight > 0 ? 1 : 0;
                    }
                    index++;
                }
            }
        }
        return weighing;
    }
}
