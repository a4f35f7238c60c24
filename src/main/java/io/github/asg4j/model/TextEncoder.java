// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;
import io.github.asg4j.ort.TensorInfo;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Token ids to what conditions the denoiser: the text encoders of a bundle. Their hidden states are
 * joined as the manifest says, in groups of encoders that share their tokens' rows and lie beside
 * each other along the channels; a narrower group is filled up with zeros, and rows of zeros stand
 * for an encoder that the bundle leaves out. Pooled embeddings follow each other. Thread-safe.
 *
 * <p>Encoders of the first group take prompts in any number of chunks, whose rows follow each other;
 * the rows of the other groups stand behind them.
 */
public final class TextEncoder {
    private static final String IDS = "input_ids";

    /** Inputs of encoders that take vectors in the place of tokens: 1 where a token is kept, 0 else. */
    static final String KEEP = "asg4j_keep";

    /** Vectors for tokens that are not kept, zeros for the others. */
    static final String VECTORS = "asg4j_vectors";

    private final List<Part> parts = new ArrayList<>();

    /** Tokens of a chunk of the first group, and of all other rows. */
    private final int chunkRows;

    private final int otherRows;
    private final int width;

    /**
     * One encoder: hidden [1, length, width], pooled [1, pooledWidth], 0 without; its place in the
     * joined states and in the joined pooled embedding.
     */
    private record Part(
            OrtSession session,
            Manifest.TextEncoder entry,
            int width,
            int pooledWidth,
            int row,
            int column,
            int pooledColumn) {}

    /**
     * A chunk of a prompt for one text encoder.
     *
     * @param ids as many as its length
     * @param inversions vectors in the place of ids
     */
    public record Input(int[] ids, List<Inversion> inversions) {
        public Input {
            inversions = List.copyOf(inversions);
        }

        /** Ids alone. */
        public static Input of(int[] ids) {
            return new Input(ids, List.of());
        }
    }

    /**
     * Vectors that take the place of tokens.
     *
     * @param at index of the first of the ids
     * @param vectors one after the other, as wide as the encoder's tokens
     */
    public record Inversion(int at, float[] vectors) {}

    TextEncoder(
            List<OrtSession> sessions,
            List<Manifest.TextEncoder> entries,
            Manifest.Conditioning conditioning) {
        int row = 0;
        int column = 0;
        int pooledColumn = 0;
        int widest = 0;
        for (int i = 0; i < entries.size(); i++) {
            Manifest.TextEncoder entry = entries.get(i);
            if (i > 0 && entry.join() == Manifest.Join.TOKENS) {
                row += entries.get(i - 1).length();
                column = 0;
            }
            Part part = part(sessions.get(i), entry, row, column, pooledColumn);
            parts.add(part);
            column += part.width();
            pooledColumn += part.pooledWidth();
            widest = Math.max(widest, column);
        }
        chunkRows = entries.getFirst().length();
        otherRows = row + entries.getLast().length() + conditioning.zeroTokens() - chunkRows;
        width = conditioning.hiddenWidth() == 0 ? widest : conditioning.hiddenWidth();
        if (widest > width) {
            throw new GraphContract(sessions.getFirst())
                    .fault("hidden states", widest + " channels", "at most " + width);
        }
    }

    private static Part part(
            OrtSession session, Manifest.TextEncoder entry, int row, int column, int pooledColumn) {
        GraphContract graph = new GraphContract(session);
        graph.onlyInputs(List.of(IDS, KEEP, VECTORS));
        graph.input(IDS, "int64", GraphContract.ANY, entry.length());
        TensorInfo hidden =
                graph.output(
                        entry.hidden(),
                        "float32",
                        GraphContract.ANY,
                        entry.length(),
                        GraphContract.ANY);
        int pooledWidth = 0;
        if (entry.pooled() != null) {
            TensorInfo pooled =
                    graph.output(entry.pooled(), "float32", GraphContract.ANY, GraphContract.ANY);
            pooledWidth = graph.fixed(pooled, 1);
        }
        return new Part(
                session, entry, graph.fixed(hidden, 2), pooledWidth, row, column, pooledColumn);
    }

    /**
     * T: rows of the hidden states, the tokens of all encoders.
     *
     * @param chunks of the first group, at least 1
     */
    public int length(int chunks) {
        return chunks * chunkRows + otherRows;
    }

    /** Whether an encoder takes prompts in chunks; the others take one text of a fixed length. */
    public boolean takesChunks(int encoder) {
        return parts.get(encoder).row() == 0;
    }

    /**
     * Where the states of a chunk lie in the joined ones.
     *
     * @param row of the first token
     * @param rows of all tokens
     * @param column of the first channel
     * @param columns of all channels
     */
    public record Block(int row, int rows, int column, int columns) {}

    /**
     * Where an encoder's states of a chunk lie.
     *
     * @param chunk 0 for an encoder that does not take chunks
     * @param chunks of the first group
     */
    public Block block(int encoder, int chunk, int chunks) {
        Part part = parts.get(encoder);
        int row = takesChunks(encoder) ? chunk * chunkRows : part.row() + (chunks - 1) * chunkRows;
        return new Block(row, part.entry().length(), part.column(), part.width());
    }

    /** D: channels of the hidden states. */
    public int hiddenWidth() {
        return width;
    }

    /** P: channels of the pooled embedding, 0 without one. */
    public int pooledWidth() {
        return parts.stream().mapToInt(Part::pooledWidth).sum();
    }

    /**
     * Bytes of the hidden states of one prompt, float32 [T, D].
     *
     * @param chunks of the first group, at least 1
     */
    public long hiddenBytes(int chunks) {
        return 4L * length(chunks) * width;
    }

    /** Bytes of the pooled embedding of one prompt, float32 [P]. */
    public long pooledBytes() {
        return 4L * pooledWidth();
    }

    /**
     * Encodes one prompt. The pooled embedding is that of the first chunk.
     *
     * @param ids for each text encoder the chunks of ids of its own tokenizer; one chunk for an
     *     encoder that takes no more
     * @param hidden off-heap, {@link #hiddenBytes} of so many chunks; all of it is written
     * @param pooled off-heap, {@link #pooledBytes()}; null: not wanted
     */
    public void encode(
            List<List<Input>> ids, MemorySegment hidden, @Nullable MemorySegment pooled) {
        if (ids.size() != parts.size()) {
            throw new IllegalArgumentException(
                    "the bundle has "
                            + parts.size()
                            + " text encoders, ids are given for "
                            + ids.size());
        }
        int chunks = ids.getFirst().size();
        requireBytes("hidden states", hidden, hiddenBytes(chunks));
        if (pooled != null) {
            requireBytes("pooled embedding", pooled, pooledBytes());
        }
        hidden.fill((byte) 0);
        for (int i = 0; i < parts.size(); i++) {
            int own = takesChunks(i) ? chunks : 1;
            if (ids.get(i).size() != own) {
                throw new IllegalArgumentException(
                        ids.get(i).size() + " chunks for text encoder " + i + ", it takes " + own);
            }
            for (int chunk = 0; chunk < own; chunk++) {
                encode(
                        parts.get(i),
                        ids.get(i).get(chunk),
                        block(i, chunk, chunks).row(),
                        hidden,
                        chunk == 0 ? pooled : null);
            }
        }
    }

    private void encode(
            Part part,
            Input chunk,
            int firstRow,
            MemorySegment hidden,
            @Nullable MemorySegment pooled) {
        int length = part.entry().length();
        int[] ids = chunk.ids();
        if (ids.length != length) {
            throw new IllegalArgumentException(
                    ids.length + " token ids are given, the text encoder takes " + length);
        }
        try (Memory memory = new Memory("text encoder")) {
            MemorySegment input = memory.allocate(8L * length, IDS);
            for (int t = 0; t < length; t++) {
                input.setAtIndex(ValueLayout.JAVA_LONG, t, ids[t]);
            }
            // As wide as the joined states, it writes in place; else they are copied row by row.
            long row = 4L * part.width();
            MemorySegment own =
                    part.width() == width
                            ? hidden.asSlice(firstRow * row, length * row)
                            : memory.allocate(length * row, part.entry().hidden());
            Map<String, Tensor> inputs = new LinkedHashMap<>();
            inputs.put(IDS, Tensor.longs(input, 1, length));
            if (part.session().inputs().containsKey(KEEP)) {
                addInversions(part, chunk.inversions(), inputs, memory);
            } else if (!chunk.inversions().isEmpty()) {
                throw new IllegalArgumentException("the text encoder takes ids alone");
            }
            Map<String, Tensor> outputs = new LinkedHashMap<>();
            outputs.put(part.entry().hidden(), Tensor.floats(own, 1, length, part.width()));
            if (pooled != null && part.entry().pooled() != null) {
                outputs.put(
                        part.entry().pooled(),
                        Tensor.floats(
                                pooled.asSlice(4L * part.pooledColumn(), 4L * part.pooledWidth()),
                                1,
                                part.pooledWidth()));
            }
            try (Binding binding = part.session().bind(inputs, outputs)) {
                binding.run();
            }
            if (part.width() != width) {
                for (int t = 0; t < length; t++) {
                    long to = 4L * ((long) (firstRow + t) * width + part.column());
                    MemorySegment.copy(own, t * row, hidden, to, row);
                }
            }
        }
    }

    private static void addInversions(
            Part part, List<Inversion> inversions, Map<String, Tensor> inputs, Memory memory) {
        int length = part.entry().length();
        int width = part.width();
        MemorySegment keep = memory.floats(length, KEEP);
        MemorySegment vectors = memory.floats((long) length * width, VECTORS);
        for (int t = 0; t < length; t++) {
            keep.setAtIndex(ValueLayout.JAVA_FLOAT, t, 1);
        }
        for (Inversion inversion : inversions) {
            int count = inversion.vectors().length / width;
            for (int t = inversion.at(); t < inversion.at() + count; t++) {
                keep.setAtIndex(ValueLayout.JAVA_FLOAT, t, 0);
            }
            MemorySegment.copy(
                    inversion.vectors(),
                    0,
                    vectors,
                    ValueLayout.JAVA_FLOAT,
                    4L * inversion.at() * width,
                    count * width);
        }
        inputs.put(KEEP, Tensor.floats(keep, 1, length, 1));
        inputs.put(VECTORS, Tensor.floats(vectors, 1, length, width));
    }

    /** Width of the states, and of the tokens, of an encoder. */
    public int width(int encoder) {
        return parts.get(encoder).width();
    }

    private static void requireBytes(String what, MemorySegment segment, long bytes) {
        if (segment.byteSize() != bytes) {
            throw new IllegalArgumentException(
                    "memory for the "
                            + what
                            + " has "
                            + segment.byteSize()
                            + " bytes, needed are "
                            + bytes);
        }
    }
}
