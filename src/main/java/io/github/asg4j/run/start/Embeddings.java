// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.start;

import io.github.asg4j.run.denoise.Conditioning;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/**
 * What the text encoders gave, in host memory.
 *
 * @param hidden float32 [3, T, D], rows as in {@link Conditioning}
 * @param pooled float32 [3, P], null for a model without
 * @param tokenWeights float32 [T] of the conditional row
 * @param realTokens prompt tokens that weigh in the mask
 */
public record Embeddings(
        MemorySegment hidden,
        @Nullable MemorySegment pooled,
        MemorySegment tokenWeights,
        int realTokens) {}
