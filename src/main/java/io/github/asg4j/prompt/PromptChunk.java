// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.prompt;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.model.ClipTokenizer;
import io.github.asg4j.model.TextEncoder.Inversion;
import io.github.asg4j.model.Tokenizer;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * As much of a prompt as a text encoder takes at once.
 *
 * @param tokens its ids, with marks and padding
 * @param weights of all ids, 1 for those that are not the prompt's own
 * @param inversions vectors in the place of ids
 */
public record PromptChunk(Tokenizer.Tokens tokens, float[] weights, List<Inversion> inversions) {
    /** Tokens behind a comma that move to the next chunk with what follows, as in the web UI. */
    private static final int COMMA_REACH = 20;

    private static final int NONE = -1;

    /** A chunk whose words weigh 1. */
    public static PromptChunk of(Tokenizer.Tokens tokens) {
        float[] weights = new float[tokens.ids().length];
        Arrays.fill(weights, 1);
        return new PromptChunk(tokens, weights, List.of());
    }

    /** Whether a weight is not 1. */
    public boolean isWeighted() {
        for (float weight : weights) {
            if (weight != 1) {
                return true;
            }
        }
        return false;
    }

    /**
     * The chunks of a prompt, as AUTOMATIC1111's web UI cuts it: a chunk has room for {@code length -
     * 2} tokens; one that is full ends behind its last comma if that is among its last 20 tokens; a
     * section begins a chunk.
     *
     * <p>Textual inversions take the place of the tokens of their names, the longest name first.
     *
     * @param sections of {@link WeightedText#sections}
     * @param length tokens of the text encoder, with both marks
     * @param encoder number of the text encoder among those of CLIP
     * @return at least one
     */
    public static List<PromptChunk> of(
            ClipTokenizer tokenizer,
            List<List<WeightedText>> sections,
            int length,
            TextualInversions words,
            int encoder) {
        List<TextualInversions.Name> names = words.names(tokenizer);
        Chunks chunks = new Chunks(tokenizer, length);
        for (int i = 0; i < sections.size(); i++) {
            if (i > 0) {
                chunks.next();
            }
            for (WeightedText text : sections.get(i)) {
                float weight = (float) text.weight();
                int[] ids = tokenizer.ids(text.text());
                for (int at = 0; at < ids.length; ) {
                    int here = at;
                    TextualInversions.Name name =
                            names.stream().filter(n -> n.isAt(ids, here)).findFirst().orElse(null);
                    chunks.makeRoom(ids[at]);
                    if (name == null) {
                        chunks.add(ids[at++], weight);
                    } else {
                        float[] vectors = words.vectors(name.name(), encoder);
                        chunks.add(name.name(), vectors, words.width(encoder), weight);
                        at += name.ids().length;
                    }
                }
            }
        }
        return chunks.end();
    }

    /** Chunks as they are filled. */
    private static final class Chunks {
        private final ClipTokenizer tokenizer;
        private final int length;
        private final int comma;
        private final List<PromptChunk> done = new ArrayList<>();
        private final int[] ids;
        private final float[] weights;
        private final List<Inversion> inversions = new ArrayList<>();
        private int size;
        private int lastComma = NONE;

        Chunks(ClipTokenizer tokenizer, int length) {
            this.tokenizer = tokenizer;
            this.length = length;
            int[] found = tokenizer.ids(",");
            comma = found.length == 1 ? found[0] : NONE;
            ids = new int[length - 2];
            weights = new float[length - 2];
        }

        /** Ends the chunk if it is full when {@code id} comes. */
        void makeRoom(int id) {
            boolean full = size == ids.length;
            if (id == comma) {
                lastComma = size;
            } else if (full && lastComma != NONE && size - lastComma <= COMMA_REACH) {
                moveOnFrom(lastComma + 1);
            }
            if (size == ids.length) {
                next();
            }
        }

        void add(int id, float weight) {
            ids[size] = id;
            weights[size++] = weight;
        }

        void add(String name, float[] vectors, int width, float weight) {
            int count = vectors.length / width;
            if (count > ids.length) {
                throw new BadRequestException(
                        "the embedding "
                                + name
                                + " has "
                                + count
                                + " vectors, the text encoder takes at most "
                                + ids.length);
            }
            if (size + count > ids.length) {
                next();
            }
            inversions.add(new Inversion(size + 1, vectors));
            for (int i = 0; i < count; i++) {
                add(0, weight);
            }
        }

        /** Ends the chunk before {@code from}; the rest begins the next one. */
        private void moveOnFrom(int from) {
            int[] movedIds = Arrays.copyOfRange(ids, from, size);
            float[] movedWeights = Arrays.copyOfRange(weights, from, size);
            List<Inversion> moved = inversions.stream().filter(i -> i.at() > from).toList();
            inversions.removeAll(moved);
            size = from;
            next();
            moved.forEach(i -> inversions.add(new Inversion(i.at() - from, i.vectors())));
            System.arraycopy(movedIds, 0, ids, 0, movedIds.length);
            System.arraycopy(movedWeights, 0, weights, 0, movedIds.length);
            size = movedIds.length;
        }

        void next() {
            int[] padded = new int[length];
            float[] all = new float[length];
            Arrays.fill(padded, size + 2, length, tokenizer.padId());
            Arrays.fill(all, 1);
            padded[0] = tokenizer.bosId();
            System.arraycopy(ids, 0, padded, 1, size);
            System.arraycopy(weights, 0, all, 1, size);
            padded[size + 1] = tokenizer.eosId();
            done.add(
                    new PromptChunk(
                            new Tokenizer.Tokens(padded, 1, size, ""),
                            all,
                            List.copyOf(inversions)));
            inversions.clear();
            size = 0;
            lastComma = NONE;
        }

        List<PromptChunk> end() {
            if (size > 0 || done.isEmpty()) {
                next();
            }
            return List.copyOf(done);
        }
    }
}
