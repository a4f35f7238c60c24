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

    /**
     * Linear interpolation with half-pixel centres, the border repeated: what PyTorch calls bilinear
     * with align_corners False and without anti-aliasing.
     */
    public static ResampleAxis bilinear(Memory memory, int from, int to) {
        ResampleAxis axis = allocate(memory, from, to, 2);
        double scale = (double) from / to;
        for (int i = 0; i < to; i++) {
            double source = Math.max(0, (i + 0.5) * scale - 0.5);
            int first = Math.min((int) source, from - 1);
            axis.set(i, 0, first, 1 - (source - first));
            axis.set(i, 1, Math.min(first + 1, from - 1), source - first);
        }
        return axis;
    }

    /** Repetition: output cell i is source cell floor(i * from / to), what PyTorch calls nearest. */
    public static ResampleAxis nearest(Memory memory, int from, int to) {
        ResampleAxis axis = allocate(memory, from, to, 1);
        for (int i = 0; i < to; i++) {
            axis.set(i, 0, (int) ((long) i * from / to), 1);
        }
        return axis;
    }

    /**
     * Weights of a Gaussian blur for {@link #filter}, which sum to 1.
     *
     * @param taps how many, about the middle
     * @param deviation standard deviation, cells
     */
    public static double[] gaussian(int taps, double deviation) {
        double[] weights = new double[taps];
        double sum = 0;
        for (int i = 0; i < taps; i++) {
            double distance = i - (taps - 1) / 2.0;
            weights[i] = Math.exp(-distance * distance / (2 * deviation * deviation));
            sum += weights[i];
        }
        for (int i = 0; i < taps; i++) {
            weights[i] /= sum;
        }
        return weights;
    }

    /**
     * A filter that keeps the number of cells; beyond the border they are mirrored about its last cell,
     * which is not repeated.
     *
     * @param weights an odd number, the middle one the cell's own
     */
    public static ResampleAxis filter(Memory memory, int cells, double... weights) {
        ResampleAxis axis = allocate(memory, cells, cells, weights.length);
        int reach = weights.length / 2;
        for (int i = 0; i < cells; i++) {
            for (int tap = 0; tap < weights.length; tap++) {
                int cell = Math.abs(i + tap - reach);
                int mirrored = cell < cells ? cell : 2 * (cells - 1) - cell;
                axis.set(i, tap, Math.clamp(mirrored, 0, cells - 1), weights[tap]);
            }
        }
        return axis;
    }

    /**
     * The approximation band of a wavelet transform of one level, as cells of half the resolution: every
     * second cell of the source, which is mirrored at its border with its last cell repeated, filtered.
     *
     * @param lowPass coefficients of the analysis filter, an even number
     */
    public static ResampleAxis waveletDown(Memory memory, int cells, double... lowPass) {
        int taps = lowPass.length;
        int half = Math.floorDiv(cells + taps - 1, 2);
        ResampleAxis axis = allocate(memory, cells, half, taps);
        for (int i = 0; i < half; i++) {
            for (int tap = 0; tap < taps; tap++) {
                axis.set(i, tap, mirrored(2 * i + 1 - tap, cells), lowPass[tap]);
            }
        }
        return axis;
    }

    /**
     * Back from the approximation band alone, with no detail.
     *
     * @param lowPass coefficients of the synthesis filter, as many as those of the analysis filter
     */
    public static ResampleAxis waveletUp(Memory memory, int cells, double... lowPass) {
        int taps = lowPass.length;
        int half = Math.floorDiv(cells + taps - 1, 2);
        ResampleAxis axis = allocate(memory, half, cells, taps / 2);
        for (int i = 0; i < cells; i++) {
            // cell i is a sum over j of lowPass[i + taps - 2 - 2 j] * band[j]
            int first = Math.ceilDiv(i - 1, 2);
            for (int t = 0; t < taps / 2; t++) {
                int j = first + t;
                boolean there = j >= 0 && j < half;
                int tap = i + taps - 2 - 2 * j;
                axis.set(
                        i,
                        t,
                        Math.clamp(j, 0, half - 1),
                        there && tap >= 0 && tap < taps ? lowPass[tap] : 0);
            }
        }
        return axis;
    }

    /** A cell mirrored at the border, which repeats the last cell; any distance. */
    private static int mirrored(int cell, int cells) {
        int place = Math.floorMod(cell, 2 * cells);
        return place < cells ? place : 2 * cells - 1 - place;
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
