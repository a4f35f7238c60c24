// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import io.github.asg4j.device.Memory;

import java.lang.foreign.MemorySegment;

/**
 * A resize of planes from one size to another, with its tables and working memory; runs any number
 * of times without allocating. One thread at a time; lives as long as its memory.
 */
public final class Resize {
    private final int planes;
    private final ResampleAxis y;
    private final ResampleAxis x;
    private final MemorySegment work;

    /**
     * @param memory owns the working memory
     */
    public Resize(Memory memory, int planes, ResampleAxis y, ResampleAxis x) {
        this.planes = planes;
        this.y = y;
        this.x = x;
        work = memory.floats((long) planes * y.from() * x.to(), "half resized");
    }

    /** Makes the resize of pictures, shrunk or enlarged; see {@link ResampleAxis#antialiasedBicubic}. */
    public static Resize antialiasedBicubic(
            Memory memory, int planes, int inHeight, int inWidth, int outHeight, int outWidth) {
        return new Resize(
                memory,
                planes,
                ResampleAxis.antialiasedBicubic(memory, inHeight, outHeight),
                ResampleAxis.antialiasedBicubic(memory, inWidth, outWidth));
    }

    /**
     * Resizes.
     *
     * @param out float32 [planes, outHeight, outWidth]
     * @param in float32 [planes, inHeight, inWidth]
     */
    public void run(Kernels kernels, MemorySegment out, MemorySegment in) {
        kernels.resample(
                out,
                work,
                in,
                planes,
                y.from(),
                x.from(),
                y.to(),
                x.to(),
                y.index(),
                y.weight(),
                y.taps(),
                x.index(),
                x.weight(),
                x.taps());
    }

    /**
     * Resizes to a canvas and cuts it into patches as {@link Kernels#cut} does.
     *
     * @param patches float32 [gridHeight * gridWidth, planes, h, w]
     * @param canvas float32 [planes, outHeight, outWidth], undefined afterwards
     * @param in float32 [planes, inHeight, inWidth]
     */
    public void runAndCut(
            Kernels kernels,
            MemorySegment patches,
            MemorySegment canvas,
            MemorySegment in,
            int gridHeight,
            int gridWidth) {
        kernels.resampleCut(
                patches,
                canvas,
                work,
                in,
                planes,
                y.from(),
                x.from(),
                gridHeight,
                gridWidth,
                y.to() / gridHeight,
                x.to() / gridWidth,
                y.index(),
                y.weight(),
                y.taps(),
                x.index(),
                x.weight(),
                x.taps());
    }
}
