// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.ModelParts;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Option;

import java.nio.file.Path;
import java.util.List;

/** Files of a model's networks that lie beside the model's own. */
final class PartsArgs {
    @Option(
            names = "--vae",
            paramLabel = "FILE",
            order = HelpSections.MACHINE + 1,
            description =
                    "a .safetensors file of the autoencoder that decodes in the place of the"
                            + " model's")
    @Nullable Path vae;

    @Option(
            names = "--text-encoder",
            paramLabel = "FILE",
            order = HelpSections.MACHINE + 1,
            description =
                    "a .safetensors file of a text encoder, for a model without its own, as"
                            + " SD3.5's single files are; may be given again")
    List<Path> textEncoders = List.of();

    ModelParts parts() {
        return new ModelParts(vae, textEncoders);
    }
}
