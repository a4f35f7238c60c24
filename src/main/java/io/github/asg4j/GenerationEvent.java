// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

/**
 * Progress of a generation.
 *
 * @param stage "text", "stage1" (patches), "stage2" (windows after them), "denoise" (a method's
 *     only stage), "phase1", "phase2", ... (DemoFusion, superres), "encode" (a picture in
 *     tiles), "vae" (the decode), "upscale"
 * @param step steps of the stage that all workers have completed; of the last three: runs of the
 *     network, which are tiles where there are some; "vae" begins anew with a decoder in fp32
 * @param of steps of the stage, or tiles
 * @param elapsedNanos since the work on this request began
 */
public record GenerationEvent(String stage, int step, int of, long elapsedNanos) {}
