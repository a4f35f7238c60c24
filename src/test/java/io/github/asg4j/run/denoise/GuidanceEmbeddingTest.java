// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.asg4j.device.Memory;

import org.junit.jupiter.api.Test;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

class GuidanceEmbeddingTest {
    /**
     * LatentConsistencyModelPipeline.get_guidance_scale_embedding of diffusers, float64, w = 5.5; the
     * logarithm in it is a float32, which is seen in an angle of 5500.
     */
    private static final double[] DIFFUSERS = {
        0.8008638994931824, -0.7300467199821059, -0.657110420807971, 0.5226872807507312,
        -0.5988464030856109, -0.6833972392711055, 0.7537943319404645, 0.8525244902883472,
    };

    @Test
    void everyRowHoldsTheEmbeddingThatDiffusersComputes() {
        try (Memory memory = new Memory("test")) {
            MemorySegment out = memory.floats(3 * 8, "embedding");
            GuidanceEmbedding.write(out, 3, 6.5);
            for (int i = 0; i < 24; i++) {
                assertEquals(DIFFUSERS[i % 8], out.getAtIndex(ValueLayout.JAVA_FLOAT, i), 2e-5);
            }
        }
    }

    @Test
    void aNetworkWithoutTheInputIsGivenNothing() {
        GuidanceEmbedding.write(MemorySegment.NULL, 2, 6.5);
    }
}
