// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import java.util.Locale;

/**
 * The CUDA kernels: {@code kernels/NAME.cu} each, in whose order the arguments of a launch come. All
 * have blocks of {@value #BLOCK} threads and are right for any grid of the axes named here; {@link
 * CudaKernels} chooses the extents.
 */
public enum CudaOperation {
    NORMAL,
    INTERACT,
    MODEL_INPUT,
    /** Grid: x cells of a plane, y planes. */
    GATHER_WINDOWS,
    /** Grid: x cells, y channels, z views. */
    GUIDED_STEP,
    COMBINE,
    /** Grid: a block for each view. */
    MASK,
    RELOCATE,
    CUT,
    /** Grid: x, y tiles of 32 x 8 cells, z channels. */
    WINDOW_STEP,
    SCALE_SHIFT,
    ADD_TILE,
    /** Grid: x cells, y channels. */
    DIVIDE_TILES,
    RGB8,
    BLEND,
    /** Grid: one block. */
    MOMENTS,
    MATCH_MOMENTS,
    BLUR,
    RESAMPLE,
    RESAMPLE_CUT,
    FIRST_NON_FINITE;

    /** Threads of a block. */
    public static final int BLOCK = 256;

    /** Name of the source file, without its extension. */
    public String source() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** Name of the kernel for float32 tensors. */
    public String float32() {
        return "asg_" + source() + "_f32";
    }
}
