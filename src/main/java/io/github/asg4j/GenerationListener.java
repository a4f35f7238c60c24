// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

/** Told about progress, on a thread of the engine: return quickly. What it throws is logged. */
@FunctionalInterface
public interface GenerationListener {
    void onEvent(GenerationEvent event);

    /** Every so many steps a preview is decoded and handed over; 0: none. */
    default int previewEvery() {
        return 0;
    }

    /** A picture of the predicted clean latents so far, at the size of the final picture. */
    default void onPreview(GeneratedImage preview) {}
}
