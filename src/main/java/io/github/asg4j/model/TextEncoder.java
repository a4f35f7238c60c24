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
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Token ids to what conditions the denoiser: the text encoders of a bundle, their hidden states
 * joined along the channels, their pooled embeddings one after the other. Thread-safe.
 */
public final class TextEncoder {
    private static final String IDS = "input_ids";

    private final List<Part> parts;
    private final int length;

    /** One encoder: hidden [1, length, width], pooled [1, pooledWidth], 0 without. */
    private record Part(
            OrtSession session, Manifest.TextEncoder entry, int width, int pooledWidth) {}

    TextEncoder(List<OrtSession> sessions, List<Manifest.TextEncoder> entries) {
        length = entries.getFirst().length();
        parts =
                IntStream.range(0, sessions.size())
                        .mapToObj(i -> part(sessions.get(i), entries.get(i)))
                        .toList();
    }

    private Part part(OrtSession session, Manifest.TextEncoder entry) {
        GraphContract graph = new GraphContract(session);
        graph.onlyInputs(List.of(IDS));
        graph.input(IDS, "int64", GraphContract.ANY, length);
        TensorInfo hidden =
                graph.output(
                        entry.hidden(), "float32", GraphContract.ANY, length, GraphContract.ANY);
        int pooledWidth = 0;
        if (entry.pooled() != null) {
            TensorInfo pooled =
                    graph.output(entry.pooled(), "float32", GraphContract.ANY, GraphContract.ANY);
            pooledWidth = graph.fixed(pooled, 1);
        }
        return new Part(session, entry, graph.fixed(hidden, 2), pooledWidth);
    }

    /** T: tokens of a prompt. */
    public int length() {
        return length;
    }

    /** D: channels of the hidden states. */
    public int hiddenWidth() {
        return parts.stream().mapToInt(Part::width).sum();
    }

    /** P: channels of the pooled embedding, 0 without one. */
    public int pooledWidth() {
        return parts.stream().mapToInt(Part::pooledWidth).sum();
    }

    /** Bytes of the hidden states of one prompt, float32 [T, D]. */
    public long hiddenBytes() {
        return 4L * length * hiddenWidth();
    }

    /** Bytes of the pooled embedding of one prompt, float32 [P]. */
    public long pooledBytes() {
        return 4L * pooledWidth();
    }

    /** {@link #encode(List, MemorySegment, MemorySegment)} for a bundle with one text encoder. */
    public void encode(int[] ids, MemorySegment hidden, @Nullable MemorySegment pooled) {
        encode(List.of(ids), hidden, pooled);
    }

    /**
     * Encodes one prompt.
     *
     * @param ids for each text encoder the {@link #length()} ids of its own tokenizer
     * @param hidden off-heap, {@link #hiddenBytes()}
     * @param pooled off-heap, {@link #pooledBytes()}; null: not wanted
     */
    public void encode(List<int[]> ids, MemorySegment hidden, @Nullable MemorySegment pooled) {
        if (ids.size() != parts.size()) {
            throw new IllegalArgumentException(
                    "the bundle has "
                            + parts.size()
                            + " text encoders, ids are given for "
                            + ids.size());
        }
        requireBytes("hidden states", hidden, hiddenBytes());
        if (pooled != null) {
            requireBytes("pooled embedding", pooled, pooledBytes());
        }
        int column = 0;
        int pooledColumn = 0;
        for (int i = 0; i < parts.size(); i++) {
            Part part = parts.get(i);
            encode(part, ids.get(i), hidden, column, pooled, pooledColumn);
            column += part.width();
            pooledColumn += part.pooledWidth();
        }
    }

    private void encode(
            Part part,
            int[] ids,
            MemorySegment hidden,
            int column,
            @Nullable MemorySegment pooled,
            int pooledColumn) {
        if (ids.length != length) {
            throw new IllegalArgumentException(
                    ids.length + " token ids are given, the text encoder takes " + length);
        }
        try (Memory memory = new Memory("text encoder")) {
            MemorySegment input = memory.allocate(8L * length, IDS);
            for (int t = 0; t < length; t++) {
                input.setAtIndex(ValueLayout.JAVA_LONG, t, ids[t]);
            }
            // A single encoder writes in place; several ones are interleaved token by token.
            int width = hiddenWidth();
            MemorySegment own =
                    part.width() == width
                            ? hidden
                            : memory.floats((long) length * part.width(), part.entry().hidden());
            Map<String, Tensor> outputs = new LinkedHashMap<>();
            outputs.put(part.entry().hidden(), Tensor.floats(own, 1, length, part.width()));
            if (pooled != null && part.entry().pooled() != null) {
                outputs.put(
                        part.entry().pooled(),
                        Tensor.floats(
                                pooled.asSlice(4L * pooledColumn, 4L * part.pooledWidth()),
                                1,
                                part.pooledWidth()));
            }
            try (Binding binding =
                    part.session().bind(Map.of(IDS, Tensor.longs(input, 1, length)), outputs)) {
                binding.run();
            }
            if (part.width() != width) {
                for (int t = 0; t < length; t++) {
                    MemorySegment.copy(
                            own,
                            4L * t * part.width(),
                            hidden,
                            4L * ((long) t * width + column),
                            4L * part.width());
                }
            }
        }
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
