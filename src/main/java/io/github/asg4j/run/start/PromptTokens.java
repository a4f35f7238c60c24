// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.start;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PictureReport;
import io.github.asg4j.PromptOptions;
import io.github.asg4j.model.ClipTokenizer;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.model.TextEncoder;
import io.github.asg4j.model.Tokenizer;
import io.github.asg4j.plan.TextWork;
import io.github.asg4j.planning.PlannedRequest;
import io.github.asg4j.prompt.PromptChunk;
import io.github.asg4j.prompt.PromptLoras;
import io.github.asg4j.prompt.ScheduledPrompt;
import io.github.asg4j.prompt.TextualInversions;
import io.github.asg4j.prompt.WeightedText;
import io.github.asg4j.run.denoise.Conditioning;
import io.github.asg4j.run.worker.EngineParts;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * The prompts of a request as the text encoders take them. Prompts that change from step to step
 * are as many segments as there are different ones.
 *
 * @param segments the prompts of a segment, in the order of the rows of a {@link Conditioning}
 * @param segmentOfStep the segment of every step of the schedule
 * @param chunks of encoders that take prompts in chunks: those of the longest prompt
 * @param embeddings textual inversions in them
 */
public record PromptTokens(
        List<List<EncoderInput>> segments,
        List<Integer> segmentOfStep,
        int chunks,
        List<PictureReport.AppliedEmbedding> embeddings) {
    /** More would make each call of the denoiser slow without saying more. */
    private static final int MOST_CHUNKS = 32;

    public PromptTokens {
        segments = segments.stream().map(List::copyOf).toList();
        segmentOfStep = List.copyOf(segmentOfStep);
        embeddings = List.copyOf(embeddings);
    }

    /**
     * A prompt for all text encoders.
     *
     * @param text that they read
     * @param byEncoder chunks for each
     * @param cut what some encoder has no room for; empty: nothing
     */
    public record EncoderInput(String text, List<List<PromptChunk>> byEncoder, String cut) {
        public EncoderInput {
            byEncoder = byEncoder.stream().map(List::copyOf).toList();
        }

        private int chunks() {
            return byEncoder.getFirst().size();
        }
    }

    /**
     * Reads the prompts of a request.
     *
     * @throws BadRequestException a prompt has syntax that is wrong or not supported, or is too long
     */
    public static PromptTokens of(PlannedRequest planned, EngineParts engine) {
        Manifest manifest = engine.bundle().manifest();
        GenerationRequest request = planned.request();
        return new Reader(request, manifest, engine.tokenizers(), inversions(request, engine))
                .read(planned.promptSteps());
    }

    private static TextualInversions inversions(GenerationRequest request, EngineParts engine) {
        Path folder = engine.folders().embeddings();
        if (folder == null || request.prompts().syntax() == PromptOptions.Syntax.PLAIN) {
            return TextualInversions.NONE;
        }
        List<Integer> widths = new ArrayList<>();
        for (int i = 0; i < engine.tokenizers().size(); i++) {
            if (engine.tokenizers().get(i) instanceof ClipTokenizer) {
                widths.add(engine.model().textEncoder().width(i));
            }
        }
        return TextualInversions.of(folder, widths);
    }

    /** Whether vectors take the place of tokens anywhere. */
    public boolean hasInversions() {
        return !embeddings.isEmpty();
    }

    /** What they take where they are encoded. */
    public TextWork work(EngineParts engine, GenerationRequest request) {
        Manifest manifest = engine.bundle().manifest();
        TextEncoder encoder = engine.model().textEncoder();
        int tokens = encoder.length(chunks);
        long pooled = manifest.conditioning().pooled() ? encoder.pooledBytes() : 0;
        long row = encoder.hiddenBytes(chunks) + pooled + (long) Float.BYTES * tokens;
        boolean changed = request.prompts().clipSkip().isPresent() || hasInversions();
        long again =
                manifest.textEncoders().stream()
                        .mapToLong(each -> engine.bundle().graphBytes(each.file()))
                        .sum();
        return new TextWork(chunks, tokens, rows() * segments.size(), row, changed ? again : 0);
    }

    /** Prompts of a segment: R. */
    int rows() {
        return segments.getFirst().size();
    }

    /** What was cut of the prompt and of those of regions. */
    String cutOfPrompts() {
        return IntStream.range(0, rows())
                .filter(row -> row == Conditioning.PROMPT || row >= Conditioning.REGIONS)
                .mapToObj(this::cut)
                .filter(cut -> !cut.isEmpty())
                .collect(Collectors.joining(" ... "));
    }

    /** What of a prompt was cut in any segment. */
    String cut(int row) {
        return segments.stream()
                .map(prompts -> prompts.get(row).cut())
                .max(Comparator.comparingInt(String::length))
                .orElse("");
    }

    /** Reads the prompts of one request. */
    private record Reader(
            GenerationRequest request,
            Manifest manifest,
            List<Tokenizer> tokenizers,
            TextualInversions inversions,
            Map<String, EncoderInput> known) {

        Reader(
                GenerationRequest request,
                Manifest manifest,
                List<Tokenizer> tokenizers,
                TextualInversions inversions) {
            this(request, manifest, tokenizers, inversions, new HashMap<>());
        }

        PromptTokens read(PlannedRequest.PromptSteps steps) {
            boolean plain = request.prompts().syntax() == PromptOptions.Syntax.PLAIN;
            List<ScheduledPrompt> prompts =
                    plain ? List.of() : texts().stream().map(ScheduledPrompt::parse).toList();
            List<List<String>> segments = new ArrayList<>();
            List<Integer> segmentOfStep = new ArrayList<>();
            for (int step : steps.steps()) {
                List<String> texts =
                        plain
                                ? texts()
                                : prompts.stream().map(p -> p.at(step, steps.of())).toList();
                int segment = segments.indexOf(texts);
                segmentOfStep.add(segment < 0 ? segments.size() : segment);
                if (segment < 0) {
                    segments.add(texts);
                }
            }
            List<List<EncoderInput>> inputs =
                    segments.stream()
                            .map(texts -> texts.stream().map(this::input).toList())
                            .toList();
            int chunks =
                    inputs.stream()
                            .flatMap(List::stream)
                            .mapToInt(EncoderInput::chunks)
                            .max()
                            .orElse(1);
            if (chunks > MOST_CHUNKS) {
                throw new BadRequestException(
                        "a prompt has "
                                + chunks
                                + " chunks of tokens, at most "
                                + MOST_CHUNKS
                                + " are read: shorten it");
            }
            return new PromptTokens(inputs, segmentOfStep, chunks, inversions.used());
        }

        /** The prompts, in the order of the rows of a {@link Conditioning}. */
        private List<String> texts() {
            String background = request.windows().backgroundPrompt();
            boolean plain = request.prompts().syntax() == PromptOptions.Syntax.PLAIN;
            String prompt = plain ? request.prompt() : PromptLoras.stripped(request.prompt());
            List<String> texts = new ArrayList<>();
            texts.add(request.negativePrompt());
            texts.add(prompt);
            texts.add(background == null ? prompt : background);
            request.windows().regions().forEach(region -> texts.add(region.prompt()));
            return texts;
        }

        private EncoderInput input(String text) {
            EncoderInput input = known.get(text);
            if (input == null) {
                input =
                        request.prompts().syntax() == PromptOptions.Syntax.PLAIN
                                ? plain(text)
                                : weighted(text);
                known.put(text, input);
            }
            return input;
        }

        private EncoderInput plain(String text) {
            List<List<PromptChunk>> chunks = new ArrayList<>();
            for (int i = 0; i < tokenizers.size(); i++) {
                chunks.add(List.of(whole(text, i)));
            }
            return new EncoderInput(text, chunks, cut(chunks));
        }

        /** CLIP's encoders take chunks with weights; T5's reads the text, as far as it has room. */
        private EncoderInput weighted(String text) {
            List<List<WeightedText>> sections = WeightedText.sections(text);
            List<List<PromptChunk>> chunks = new ArrayList<>();
            int clips = 0;
            for (int i = 0; i < tokenizers.size(); i++) {
                int length = manifest.textEncoders().get(i).length();
                chunks.add(
                        tokenizers.get(i) instanceof ClipTokenizer clip
                                ? PromptChunk.of(clip, sections, length, inversions, clips++)
                                : List.of(whole(WeightedText.plain(sections), i)));
            }
            return new EncoderInput(text, chunks, cut(chunks));
        }

        private PromptChunk whole(String text, int encoder) {
            int length = manifest.textEncoders().get(encoder).length();
            return PromptChunk.of(tokenizers.get(encoder).encode(text, length));
        }

        /** What some encoder leaves out: what the one with the least room does. */
        private static String cut(List<List<PromptChunk>> byEncoder) {
            return byEncoder.stream()
                    .flatMap(List::stream)
                    .map(chunk -> chunk.tokens().cut())
                    .max(Comparator.comparingInt(String::length))
                    .orElse("");
        }
    }
}
