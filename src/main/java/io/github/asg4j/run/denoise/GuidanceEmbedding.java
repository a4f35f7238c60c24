// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The guidance scale as networks take it that were distilled with it: w = scale - 1, times 1000, at
 * frequencies that fall from 1 to 1/10000 in equal ratios, all sines and then all cosines (latent
 * consistency models, arXiv 2310.04378; as diffusers computes it).
 */
final class GuidanceEmbedding {
    private static final double SCALE = 1000;
    private static final double SLOWEST = 10000;

    private GuidanceEmbedding() {}

    /**
     * Writes the same embedding into every row.
     *
     * @param out float32 [rows, width] in host memory; empty: there is no such input
     */
    static void write(MemorySegment out, int rows, double guidanceScale) {
        int width = Math.toIntExact(out.byteSize() / Float.BYTES / rows);
        int half = width / 2;
        for (int i = 0; i < half; i++) {
            double frequency = Math.exp(-Math.log(SLOWEST) * i / Math.max(1, half - 1));
            double angle = (guidanceScale - 1) * SCALE * frequency;
            for (int row = 0; row < rows; row++) {
                long at = (long) row * width + i;
                out.setAtIndex(ValueLayout.JAVA_FLOAT, at, (float) Math.sin(angle));
                out.setAtIndex(ValueLayout.JAVA_FLOAT, at + half, (float) Math.cos(angle));
            }
        }
    }
}
