// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * What a denoiser uses an input for: it decides the input's shape and who fills it. B is the number of
 * rows of a call; with classifier-free guidance every view has two.
 */
public enum InputRole {
    /** Latents of the views, scaled: [B, C, h, w]; written by the stage's kernel in every call. */
    SAMPLE("sample"),

    /** Timestep, the same in every row: [B]; set in every call. */
    TIMESTEP("timestep"),

    /** Text embedding of the row's prompt: [B, T, D]; constant while the view keeps its prompt. */
    TEXT("encoder_hidden_states"),

    /** Pooled text embedding of the row's prompt: [B, P]; constant like {@link #TEXT}. */
    POOLED("text_embeds"),

    /**
     * Place of the view in the picture, SDXL's micro-conditioning: [B, 6]; set per view and call. That of
     * the refiner ends with an aesthetic score in the place of the target size: [B, 5].
     */
    PLACE("time_ids"),

    /** Weights of the prompt's tokens in the attention maps: [B, T]; constant. */
    TOKEN_WEIGHTS("token_weights"),

    /**
     * Guidance scale, embedded as sines and cosines: [B, width]; constant. The network was distilled
     * to take it (latent consistency models, arXiv 2310.04378), so no unconditional row is run.
     */
    GUIDANCE("timestep_cond"),

    /**
     * For a network that was trained to inpaint: where it draws (1, else 0), and the latents of the
     * picture without what it draws: [B, 1 + C, h, w]; the view's part, written before every call.
     */
    INPAINT("inpaint");

    private final String usualName;

    InputRole(String usualName) {
        this.usualName = usualName;
    }

    /** Name of an input of this role in graphs exported from diffusers. */
    public String usualName() {
        return usualName;
    }

    /** Name in a manifest: "sample", "timestep", ... */
    public String id() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** Whether every denoiser has it. */
    boolean required() {
        return this == SAMPLE || this == TIMESTEP || this == TEXT;
    }

    static List<String> ids() {
        return Stream.of(values()).map(InputRole::id).toList();
    }

    static List<String> usualNames() {
        return Stream.of(values()).map(InputRole::usualName).toList();
    }
}
