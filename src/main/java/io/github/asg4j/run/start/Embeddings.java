// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.start;

import io.github.asg4j.run.denoise.Conditioning;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * What the text encoders gave, in host memory.
 *
 * @param hidden float32 [R S, T, D], rows as in {@link Conditioning}
 * @param pooled float32 [R S, P], null for a model without
 * @param tokenWeights float32 [R S, T]
 * @param rows R, of a segment
 * @param realTokens prompt tokens that weigh in the mask
 * @param segments S
 * @param segmentOfStep the segment of every step of the schedule
 */
public record Embeddings(
        MemorySegment hidden,
        @Nullable MemorySegment pooled,
        MemorySegment tokenWeights,
        int rows,
        int realTokens,
        int segments,
        List<Integer> segmentOfStep) {
    public Embeddings {
        segmentOfStep = List.copyOf(segmentOfStep);
    }
}
