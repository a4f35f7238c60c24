// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.IntStream;

/**
 * The matrices of a checkpoint's denoiser and text encoders as networks on the CPU read them while LoRA files
 * change: widened to float32 once, for all networks together, and changed in place between two runs. ONNX Runtime reads
 * them where they lie, as long as it may not pack them ({@link io.github.asg4j.ort.OrtSession}), so that
 * other weights need no other network.
 *
 * <p>{@link #of} is thread-safe; nobody may run a network while weights are changed.
 */
public final class WeightMemory implements ChangedWeights, AutoCloseable {
    /** Elements that a thread widens at a time. */
    private static final int BLOCK = 1 << 16;

    private final Checkpoint checkpoint;
    private final Map<WeightName, MemorySegment> matrices = new ConcurrentHashMap<>();
    private final Set<WeightName> changed = new LinkedHashSet<>();
    private final Arena arena = Arena.ofShared();

    private final Set<WeightName> held;

    /**
     * Memory that is filled as networks are opened.
     *
     * @param held the weights that graphs read as matrices, and as nothing else
     */
    public WeightMemory(Checkpoint checkpoint, Set<WeightName> held) {
        this.checkpoint = checkpoint;
        this.held = Set.copyOf(held);
    }

    /** Writes changed weights into memory. */
    public interface Change {
        /** Weights that it changes. */
        Set<WeightName> names();

        /**
         * Writes a changed weight.
         *
         * @param into all its elements, float32 in diffusers' order; what it holds is not used
         */
        void write(WeightName name, MemorySegment into);
    }

    /** Whether a weight is changed in place; networks have to be opened anew for the others. */
    public boolean holds(WeightName name) {
        return held.contains(name);
    }

    @Override
    public @Nullable MemorySegment of(Part part, String weight) {
        WeightName name = new WeightName(part, weight);
        return holds(name) ? matrices.computeIfAbsent(name, this::widened) : null;
    }

    @Override
    public boolean inPlace(Part part, String weight) {
        return holds(new WeightName(part, weight));
    }

    private MemorySegment widened(WeightName name) {
        Checkpoint.Located stored = checkpoint.find(name.part(), name.weight());
        MemorySegment matrix = arena.allocate(stored.elements() * Float.BYTES, 64);
        restore(name, matrix);
        return matrix;
    }

    private void restore(WeightName name, MemorySegment matrix) {
        Checkpoint.Located stored = checkpoint.find(name.part(), name.weight());
        long elements = stored.elements();
        IntStream.range(0, Math.toIntExact(Math.ceilDiv(elements, BLOCK)))
                .parallel()
                .forEach(
                        block -> {
                            long first = (long) block * BLOCK;
                            float[] values = new float[(int) Math.min(BLOCK, elements - first)];
                            stored.read(first, values);
                            MemorySegment.copy(
                                    values,
                                    0,
                                    matrix,
                                    ValueLayout.JAVA_FLOAT,
                                    first * Float.BYTES,
                                    values.length);
                        });
    }

    /**
     * Makes all matrices those of the checkpoint with a change. One that fails leaves matrices of either
     * kind: the memory is of no use then.
     */
    public void change(Change next) {
        Set<WeightName> names = next.names();
        changed.stream()
                .filter(name -> !names.contains(name))
                .forEach(name -> restore(name, matrix(name)));
        changed.clear();
        for (WeightName name : names) {
            if (holds(name)) {
                changed.add(name);
                next.write(name, matrix(name));
            }
        }
    }

    private MemorySegment matrix(WeightName name) {
        return matrices.computeIfAbsent(name, this::widened);
    }

    @Override
    public void close() {
        arena.close();
    }
}
