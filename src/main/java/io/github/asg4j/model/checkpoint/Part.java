// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

/** Network of a model whose weights a checkpoint holds, by the name of its folder in diffusers. */
public enum Part {
    TEXT_ENCODER("text_encoder"),
    TEXT_ENCODER_2("text_encoder_2"),
    TEXT_ENCODER_3("text_encoder_3"),
    UNET("unet"),
    TRANSFORMER("transformer"),
    VAE("vae");

    private final String folder;

    Part(String folder) {
        this.folder = folder;
    }

    /** Name of its folder in a diffusers checkpoint. */
    public String folder() {
        return folder;
    }

    /** Whether it encodes text. */
    public boolean isText() {
        return this == TEXT_ENCODER || this == TEXT_ENCODER_2 || this == TEXT_ENCODER_3;
    }
}
