// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import java.util.List;
import java.util.Optional;

/** Architecture of a published model, as far as the shapes of its weights tell it. */
public enum Family {
    SD1("sd1", "Stable Diffusion 1.x", Layout.SD1),
    SD2("sd2 sd1", "Stable Diffusion 2.x", Layout.SD2),
    SDXL("sdxl sd1", "Stable Diffusion XL", Layout.SDXL),
    SDXL_REFINER("sdxl-refiner sdxl sd1", "Stable Diffusion XL refiner", Layout.SDXL_REFINER),
    SD3_MEDIUM("sd3 sdxl sd1", "Stable Diffusion 3 medium", Layout.SD3),
    SD35_MEDIUM("sd35-medium sd3 sdxl sd1", "Stable Diffusion 3.5 medium", Layout.SD3),
    SD35_LARGE("sd35-large sd3 sdxl sd1", "Stable Diffusion 3.5 large", Layout.SD3);

    private final String templates;
    private final String title;
    private final Layout singleFile;

    Family(String templates, String title, Layout singleFile) {
        this.templates = templates;
        this.title = title;
        this.singleFile = singleFile;
    }

    /**
     * Folders of its template. A file that the first one lacks is that of the next one that has it:
     * families share tokenizers, autoencoders and text encoders.
     */
    public List<String> templates() {
        return List.of(templates.split(" "));
    }

    /** Name for people. */
    public String title() {
        return title;
    }

    /**
     * The family whose denoiser reads text of so many channels, of those that have one width each; empty:
     * none of them.
     */
    public static Optional<Family> ofTextWidth(long channels) {
        return Optional.ofNullable(
                switch ((int) channels) {
                    case 768 -> SD1;
                    case 1024 -> SD2;
                    case 2048 -> SDXL;
                    default -> null;
                });
    }

    /** Layout of its single files. */
    public Layout singleFile() {
        return singleFile;
    }

    /** Its text encoders in the order in which their states are joined. */
    public List<Part> textEncoders() {
        return switch (singleFile) {
            case SDXL -> List.of(Part.TEXT_ENCODER, Part.TEXT_ENCODER_2);
            case SDXL_REFINER -> List.of(Part.TEXT_ENCODER_2);
            case SD3 -> List.of(Part.TEXT_ENCODER, Part.TEXT_ENCODER_2, Part.TEXT_ENCODER_3);
            default -> List.of(Part.TEXT_ENCODER);
        };
    }

    /** Channels of its latents. */
    int latentChannels() {
        return singleFile == Layout.SD3 ? 16 : 4;
    }

    /** Text encoders without which it draws too: rows of zeros take their place. */
    public List<Part> optional() {
        return singleFile == Layout.SD3 ? List.of(Part.TEXT_ENCODER_3) : List.of();
    }

    /** Its denoiser: a transformer or a UNet. */
    public Part denoiser() {
        return singleFile == Layout.SD3 ? Part.TRANSFORMER : Part.UNET;
    }
}
