// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

/**
 * Told about progress, on a thread of the engine: return quickly. It may submit, cancel and close, but
 * not wait for a generation. What it throws is logged.
 */
@FunctionalInterface
public interface GenerationListener {
    void onEvent(GenerationEvent event);

    /** Every so many steps a preview is decoded and handed over; 0: none. */
    default int previewEvery() {
        return 0;
    }

    /**
     * A picture of the predicted clean latents so far: at the size of the final picture, or of what
     * it will be enlarged from.
     */
    default void onPreview(PreviewImage preview) {}

    /** Whether {@link #onPatches} is wanted: costs one VAE decode per patch. */
    default boolean wantsPatches() {
        return false;
    }

    /** What the patches of stage 1 look like at the stage switch; methods with patches only. */
    default void onPatches(PatchReport report) {}

    /** Whether {@link #onAttention} is wanted: costs memory for every step of stage 1. */
    default boolean wantsAttention() {
        return false;
    }

    /** The key patch's attention maps, once per step of stage 1, after stage 1 has ended. */
    default void onAttention(AttentionReport report) {}

    /** Whether {@link #onTrace} is wanted: costs some 100 bytes per call of a network. */
    default boolean wantsTrace() {
        return false;
    }

    /** Where the time went, after the last call and before the picture is handed over. */
    default void onTrace(TraceReport report) {}
}
