// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.model.Denoiser;
import io.github.asg4j.model.InputRole;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * What all calls of a request are conditioned on, read by all workers. Prompts that change from step to
 * step have R rows for each of their S segments; all others have one segment.
 *
 * @param denoisers the network, by worker
 * @param canvas what is drawn on
 * @param hidden float32 [R S, T, D], in each segment the rows {@link #UNCONDITIONAL}, {@link #PROMPT},
 *     {@link #BACKGROUND}, and from {@link #REGIONS} on the prompts of regions
 * @param pooled float32 [R S, P] alike, null for a model without
 * @param tokenWeights float32 [R S, T] alike, what each token weighs in attention maps
 * @param rows R
 * @param realTokens prompt tokens that weigh in the mask; 0: M = 1
 * @param segmentOfStep the segment of every step of the schedule
 * @param guidanceScale for networks that take it as an input
 * @param controls networks that hold the picture to other ones
 * @param masked what a network for inpainting is shown; null: it is none
 * @param buffers of the calls
 */
public record Conditioning(
        List<Denoiser> denoisers,
        Canvas canvas,
        SharedTensor hidden,
        @Nullable SharedTensor pooled,
        SharedTensor tokenWeights,
        int rows,
        int realTokens,
        List<Integer> segmentOfStep,
        double guidanceScale,
        Controls controls,
        @Nullable ShownPicture masked,
        CallBuffers.Pool buffers) {

    public Conditioning {
        denoisers = List.copyOf(denoisers);
        segmentOfStep = List.copyOf(segmentOfStep);
    }

    /** Segments of prompts, S. */
    int segments() {
        return 1 + segmentOfStep.stream().mapToInt(Integer::intValue).max().orElse(0);
    }

    /** What rows of calls are made of: float32 [R S, ...], as {@link #hidden}. */
    SharedTensor rows(InputRole role) {
        return switch (role) {
            case TEXT -> hidden;
            case POOLED -> Objects.requireNonNull(pooled, "pooled embeddings");
            case TOKEN_WEIGHTS -> tokenWeights;
            default -> throw new IllegalArgumentException(role + " is not made of rows");
        };
    }

    /** What networks are shown beside the latents: pictures of controls in their order, then the masked one. */
    List<ShownPicture> shown() {
        List<ShownPicture> shown = new ArrayList<>();
        controls.nets().forEach(net -> shown.add(net.picture()));
        if (masked != null) {
            shown.add(masked);
        }
        return shown;
    }

    /** The worker's. */
    public Denoiser denoiser(Worker worker) {
        return denoisers.get(worker.index());
    }

    /** Any worker's: what it takes and gives. */
    public Denoiser denoiser() {
        return denoisers.getFirst();
    }

    /** The same for another network, which no control network was made for. */
    public Conditioning with(List<Denoiser> others) {
        return new Conditioning(
                others,
                canvas,
                hidden,
                pooled,
                tokenWeights,
                rows,
                realTokens,
                segmentOfStep,
                guidanceScale,
                Controls.NONE,
                masked,
                buffers);
    }

    public static final int UNCONDITIONAL = 0;
    public static final int PROMPT = 1;

    /** The prompt of windows without an object; the prompt itself where none was given. */
    public static final int BACKGROUND = 2;

    /** The first region's prompt. */
    public static final int REGIONS = 3;
}
