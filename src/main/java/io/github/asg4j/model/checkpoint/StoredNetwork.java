// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import io.github.asg4j.BadBundleException;

import java.util.List;
import java.util.Map;

/**
 * A network's weights as they are stored.
 *
 * @param layout how its tensors are named
 * @param tensors by name; those of other networks may be among them
 */
record StoredNetwork(Layout layout, Map<String, Tensor> tensors) {
    private static final String LATENTS_IN = "decoder.conv_in.weight";

    /** What the names of an autoencoder begin with: in a file of its own, or beside a denoiser. */
    private static final List<String> VAE_PREFIXES = List.of("", "first_stage_model.", "vae.");

    StoredNetwork {
        tensors = Map.copyOf(tensors);
    }

    /**
     * The autoencoder in a file, in the names of its publisher's code or of diffusers. A file of a whole
     * model may be given for its autoencoder.
     *
     * @param channels that latents of the model have
     * @throws BadBundleException if there is none, or it is one for other latents
     */
    static StoredNetwork vae(SafeTensors file, int channels) {
        for (String prefix : VAE_PREFIXES) {
            Tensor first = file.tensors().get(prefix + LATENTS_IN);
            if (first == null) {
                continue;
            }
            List<Long> shape = first.shape();
            long found = shape.size() == 4 ? shape.get(1) : 0;
            if (found != channels) {
                throw new BadBundleException(
                        file.file()
                                + " is an autoencoder of latents with "
                                + found
                                + " channels, but those of the model have "
                                + channels
                                + ": give one that was made for this model");
            }
            boolean diffusers =
                    file.tensors().containsKey("decoder.mid_block.resnets.0.conv1.weight");
            return new StoredNetwork(diffusers ? Layout.DIFFUSERS : Layout.SD1, file.tensors());
        }
        throw new BadBundleException(
                file.file()
                        + " "
                        + Recognition.kind(file.shapes())
                        + "; --vae takes an autoencoder (its tensors begin with decoder. or"
                        + " first_stage_model.decoder.)");
    }
}
