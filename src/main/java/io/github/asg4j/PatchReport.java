// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.List;

/**
 * The patches after the last step of stage 1, in the order of the plan, not shuffled. All buffers
 * are read-only heap copies, float32, row-major.
 *
 * @param channels C of the latents
 * @param height latent rows of a patch
 * @param width latent columns of a patch
 * @param latents {@code [N, C, h, w]} as they go into the stage switch
 * @param clean {@code [N, C, h, w]} predicted clean latents of the last step
 * @param alpha signal scale of the latents after the last step: latents = alpha * clean + sigma *
 *     noise
 * @param sigma noise scale
 * @param pictures of the clean latents, one per patch, at patch size
 */
public record PatchReport(
        int channels,
        int height,
        int width,
        FloatBuffer latents,
        FloatBuffer clean,
        float alpha,
        float sigma,
        List<PreviewImage> pictures) {
    public PatchReport {
        pictures = List.copyOf(pictures);
    }

    /** A report with copies of {@code latents} and {@code clean}, off-heap float32. */
    public static PatchReport copyOf(
            int channels,
            int height,
            int width,
            MemorySegment latents,
            MemorySegment clean,
            float alpha,
            float sigma,
            List<PreviewImage> pictures) {
        return new PatchReport(
                channels, height, width, copyOf(latents), copyOf(clean), alpha, sigma, pictures);
    }

    static FloatBuffer copyOf(MemorySegment data) {
        FloatBuffer from = data.asByteBuffer().order(ByteOrder.nativeOrder()).asFloatBuffer();
        return FloatBuffer.allocate(from.remaining()).put(from).flip().asReadOnlyBuffer();
    }
}
