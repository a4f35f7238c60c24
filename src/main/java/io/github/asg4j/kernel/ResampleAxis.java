// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import io.github.asg4j.device.Memory;
import io.github.asg4j.device.Queue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.IntToDoubleFunction;

/**
 * How {@link Kernels#resample} resizes one axis (SPEC §9): plain data in the memory that it was made
 * in. Weights are computed in float64 and rounded once.
 *
 * @param from source cells
 * @param to output cells
 * @param taps source cells that an output cell is a sum of
 * @param index int32 [to, taps]
 * @param weight float32 [to, taps]
 */
public record ResampleAxis(int from, int to, int taps, MemorySegment index, MemorySegment weight) {
    /** The same table where {@code queue} works. */
    public ResampleAxis movedTo(Queue queue, Memory memory) {
        MemorySegment movedIndex = memory.allocate(index.byteSize(), "resize");
        MemorySegment movedWeight = memory.allocate(weight.byteSize(), "resize");
        queue.write(movedIndex, index);
        queue.write(movedWeight, weight);
        return new ResampleAxis(from, to, taps, movedIndex, movedWeight);
    }

    /**
     * Bicubic interpolation with half-pixel centres and a = -0.75, the border repeated: what PyTorch
     * calls bicubic with align_corners False.
     */
    public static ResampleAxis bicubic(Memory memory, int from, int to) {
        double scale = (double) from / to;
        return cubic(memory, from, to, i -> (i + 0.5) * scale - 0.5, -0.75);
    }

    /**
     * Bicubic enlargement with a = -0.5, which is exact on ramps, the border repeated.
     *
     * @param centred the source's cells lie in the middle of {@code factor} output cells; else at
     *     the first of them, which keep their values
     */
    public static ResampleAxis bicubic(Memory memory, int from, int factor, boolean centred) {
        return cubic(
                memory,
                from,
                from * factor,
                i -> centred ? (i + 0.5) / factor - 0.5 : (double) i / factor,
                -0.5);
    }

    /** Interpolation at places of the source that are measured from its first cell's centre. */
    private static ResampleAxis cubic(
            Memory memory, int from, int to, IntToDoubleFunction place, double a) {
        ResampleAxis axis = allocate(memory, from, to, 4);
        for (int i = 0; i < to; i++) {
            double source = place.applyAsDouble(i);
            int first = (int) Math.floor(source) - 1;
            for (int tap = 0; tap < 4; tap++) {
                int cell = first + tap;
                axis.set(i, tap, Math.clamp(cell, 0, from - 1), cubic(source - cell, a));
            }
        }
        return axis;
    }

    /**
     * Bicubic interpolation with a = -0.5 whose filter grows with the source when the picture
     * shrinks, normalised over the cells inside: what Pillow calls BICUBIC.
     */
    public static ResampleAxis antialiasedBicubic(Memory memory, int from, int to) {
        return antialiasedBicubic(memory, from, to, 0, from);
    }

    /**
     * The same of a part of the source, or of more than there is: the output cells divide {@code
     * length} source cells from {@code start} on, and those beyond the border read what is there.
     *
     * @param start where the first output cell begins, source cells; may be negative
     */
    public static ResampleAxis antialiasedBicubic(
            Memory memory, int from, int to, double start, double length) {
        double step = length / to;
        double scale = Math.max(1, step);
        double support = 2 * scale;
        int taps = Math.min(from, 2 * (int) Math.ceil(support) + 1);
        ResampleAxis axis = allocate(memory, from, to, taps);
        double[] weights = new double[taps];
        for (int i = 0; i < to; i++) {
            double centre = Math.clamp(start + (i + 0.5) * step, 0, from);
            int first = Math.max(0, (int) (centre - support + 0.5));
            int end = Math.min(from, (int) (centre + support + 0.5));
            double sum = 0;
            for (int cell = first; cell < end; cell++) {
                weights[cell - first] = cubic((cell + 0.5 - centre) / scale, -0.5);
                sum += weights[cell - first];
            }
            for (int tap = 0; tap < taps; tap++) {
                boolean inside = first + tap < end;
                axis.set(i, tap, inside ? first + tap : end - 1, inside ? weights[tap] / sum : 0);
            }
        }
        return axis;
    }

    private static ResampleAxis allocate(Memory memory, int from, int to, int taps) {
        if (from < 1 || to < 1) {
            throw new IllegalArgumentException(
                    "an axis of " + from + " cells resampled to " + to + ": at least 1 each");
        }
        long entries = (long) to * taps;
        return new ResampleAxis(
                from,
                to,
                taps,
                memory.allocate(4 * entries, "resampling cells"),
                memory.floats(entries, "resampling weights"));
    }

    private void set(int i, int tap, int cell, double value) {
        long entry = (long) i * taps + tap;
        index.setAtIndex(ValueLayout.JAVA_INT, entry, cell);
        weight.setAtIndex(ValueLayout.JAVA_FLOAT, entry, (float) value);
    }

    /** The cubic convolution kernel of Keys (1981) with parameter a. */
    private static double cubic(double distance, double a) {
        double d = Math.abs(distance);
        if (d < 1) {
            return ((a + 2) * d - (a + 3)) * d * d + 1;
        }
        return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
    }
}
