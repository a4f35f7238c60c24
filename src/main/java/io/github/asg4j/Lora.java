// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.nio.file.Path;

/**
 * A LoRA file that a request draws with: small changes of a model's weights, learnt for a style, a
 * subject or fewer steps (arXiv 2106.09685).
 *
 * @param file a .safetensors file
 * @param weight by which its changes are multiplied before they are added, -10..10; 1: as trained
 */
public record Lora(Path file, double weight) {
    /** Limits of the weight. */
    static final Range WEIGHT_RANGE = new Range(-10, 10);

    public Lora {
        WEIGHT_RANGE.check("weight of the LoRA " + file, weight);
    }

    /**
     * Reads FILE or FILE:WEIGHT. What follows the last colon and is no number belongs to the file's
     * name.
     *
     * @throws BadRequestException if the weight is out of its range, or the name cannot be a file's
     */
    public static Lora parse(String text) {
        int colon = text.lastIndexOf(':');
        if (colon > 0) {
            double weight;
            try {
                weight = Double.parseDouble(text.substring(colon + 1).strip());
            } catch (NumberFormatException e) {
                return new Lora(OptionType.path(text), 1);
            }
            return new Lora(OptionType.path(text.substring(0, colon)), weight);
        }
        return new Lora(OptionType.path(text), 1);
    }
}
