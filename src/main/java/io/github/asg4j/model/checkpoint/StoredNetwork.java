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
    private static final String T5_BLOCK = "encoder.block.0.layer.0.SelfAttention.q.weight";
    private static final String WORDS = "embeddings.token_embedding.weight";

    /** Of OpenCLIP ViT-bigG, the second text encoder of SDXL and SD3. */
    private static final int BIG_WIDTH = 1280;

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

    /**
     * Which text encoder of a family a file holds.
     *
     * @throws BadBundleException if it holds none of the family's
     */
    static Part textEncoder(SafeTensors file, Family family) {
        Part found = null;
        if (file.tensors().containsKey(T5_BLOCK)) {
            found = Part.TEXT_ENCODER_3;
        }
        for (String prefix : List.of("text_model.", "")) {
            Tensor words = file.tensors().get(prefix + WORDS);
            if (words != null && words.shape().size() == 2) {
                found = words.shape().get(1) == BIG_WIDTH ? Part.TEXT_ENCODER_2 : Part.TEXT_ENCODER;
            }
        }
        if (found == null) {
            throw new BadBundleException(
                    file.file()
                            + " "
                            + Recognition.kind(file.shapes())
                            + "; --text-encoder takes a CLIP or T5 text encoder in the names of"
                            + " transformers (text_model.… or encoder.block.…)");
        }
        if (!family.textEncoders().contains(found)) {
            throw new BadBundleException(
                    file.file()
                            + " is a "
                            + found.folder()
                            + ", which "
                            + family.title()
                            + " does not have: leave it out");
        }
        return found;
    }
}
