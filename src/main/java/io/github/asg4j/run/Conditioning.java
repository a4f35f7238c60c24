// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.model.Denoiser;
import io.github.asg4j.plan.Canvas;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * What all calls of a request are conditioned on, read by all workers.
 *
 * @param denoisers the network, by worker
 * @param canvas what is drawn on
 * @param hidden float32 [3, T, D], rows {@link #UNCONDITIONAL}, {@link #PROMPT}, {@link #BACKGROUND}
 * @param pooled float32 [3, P] alike, null for a model without
 * @param tokenWeights float32 [T] of the conditional row
 * @param realTokens prompt tokens that weigh in the mask; 0: M = 1
 */
record Conditioning(
        List<Denoiser> denoisers,
        Canvas canvas,
        Shared hidden,
        @Nullable Shared pooled,
        Shared tokenWeights,
        int realTokens) {

    /** The worker's. */
    Denoiser denoiser(Worker worker) {
        return denoisers.get(worker.index);
    }

    /** Any worker's: what it takes and gives. */
    Denoiser denoiser() {
        return denoisers.getFirst();
    }

    /** The same for another network. */
    Conditioning with(List<Denoiser> others) {
        return new Conditioning(others, canvas, hidden, pooled, tokenWeights, realTokens);
    }

    static final int UNCONDITIONAL = 0;
    static final int PROMPT = 1;

    /** The prompt of windows without an object; the prompt itself where none was given. */
    static final int BACKGROUND = 2;

    static final int ROWS = 3;
}
