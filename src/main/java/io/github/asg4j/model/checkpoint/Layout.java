// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

/** Way in which a checkpoint names its tensors. */
public enum Layout {
    /** One file a network, in the names of diffusers and transformers, which templates use too. */
    DIFFUSERS,
    /** A text encoder in a file of its own, in the names of transformers. */
    TEXT_FILE,
    /** A single file of Stable Diffusion 1.x. */
    SD1,
    /** A single file of Stable Diffusion 2.x: its text encoder is OpenCLIP's. */
    SD2,
    /** A single file of SDXL. */
    SDXL,
    /** A single file of SDXL's refiner. */
    SDXL_REFINER,
    /** A single file of Stable Diffusion 3 or 3.5. */
    SD3
}
