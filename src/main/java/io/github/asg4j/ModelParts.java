// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.List;

/**
 * Files of a model's networks that lie beside the model's own.
 *
 * @param vae a .safetensors file with the autoencoder that decodes in the place of the model's; null:
 *     the model's
 * @param textEncoders .safetensors files with a text encoder each, in the names of transformers, for a
 *     model that comes without them, as SD3.5's single files do; which one a file holds is told from its
 *     tensors
 */
public record ModelParts(@Nullable Path vae, List<Path> textEncoders) {
    /** None: all networks are the model's own. */
    public static final ModelParts NONE = new ModelParts(null, List.of());

    public ModelParts {
        textEncoders = List.copyOf(textEncoders);
    }
}
