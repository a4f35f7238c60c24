// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.schedule.Sampler;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.util.function.LongSupplier;

/** What is asked of a picture, whatever the method. A field that is null was not given. */
final class PictureArgs {
    @Spec(Spec.Target.MIXEE)
    @SuppressWarnings("NullAway.Init") // set by picocli
    private CommandSpec command;

    @Mixin private Options given = new Options();

    static final class Options {
        @Option(
                names = "--prompt",
                paramLabel = "TEXT",
                order = HelpSections.PICTURE + 1,
                description = "what to draw; required by generate and compare")
        @Nullable String prompt;

        @Option(
                names = "--negative-prompt",
                paramLabel = "TEXT",
                order = HelpSections.PICTURE + 2,
                description = "what to steer away from (default: nothing)")
        @Nullable String negativePrompt;

        @Option(
                names = "--size",
                paramLabel = "WxH",
                order = HelpSections.PICTURE + 3,
                description =
                        "pixels, multiples of the model's VAE factor, as in 256x192"
                                + " (default: 2x native)")
        @Nullable String size;

        @Option(
                names = "--steps",
                paramLabel = "N",
                order = HelpSections.PICTURE + 5,
                description = "denoising steps, 1..1000 (default: the bundle's)")
        @Nullable Integer steps;

        @Option(
                names = "--guidance-scale",
                paramLabel = "X",
                order = HelpSections.PICTURE + 6,
                description =
                        "how closely to follow the prompt; 1: no classifier-free guidance"
                                + " (default: the bundle's)")
        @Nullable Double guidanceScale;

        @Option(
                names = "--seed",
                paramLabel = "N",
                order = HelpSections.PICTURE + 7,
                description = "same seed, same picture (default: random, printed)")
        @Nullable Long seed;

        @Option(
                names = "--scheduler",
                paramLabel = "NAME",
                order = HelpSections.PICTURE + 8,
                completionCandidates = Values.Solvers.class,
                description =
                        "sampler: ${COMPLETION-CANDIDATES}; names as in \"Euler Karras\" are"
                                + " understood (default: the bundle's)")
        @Nullable String scheduler;

        @Option(
                names = "--spacing",
                paramLabel = "NAME",
                order = HelpSections.PICTURE + 9,
                completionCandidates = Values.Spacings.class,
                description =
                        "spacing of the noise levels: ${COMPLETION-CANDIDATES} (default: the"
                                + " bundle's)")
        @Nullable String spacing;

        @Option(
                names = "--eta",
                paramLabel = "X",
                order = HelpSections.PICTURE + 10,
                description = "stochasticity of ddim, 0..1 (default: 0)")
        @Nullable Double eta;

        @Option(
                names = "--view-batch",
                paramLabel = "N|auto",
                order = HelpSections.PICTURE + 11,
                description =
                        "views in one UNet call at most; may change the last bits of the picture"
                                + " (default: 1); auto: on GPUs as many as they have memory for")
        @Nullable String viewBatch;

        @Option(
                names = "--vae-tile",
                paramLabel = "PIXELS|auto",
                order = HelpSections.PICTURE + 12,
                description =
                        "decode the latents in tiles of so many pixels a side (default:"
                                + " ${DEFAULT-VALUE}: whole up to 1024x1024, else tiles of 512,"
                                + " smaller where memory does not suffice)")
        @Nullable String vaeTile;

        @Option(
                names = "--paper-defaults",
                order = HelpSections.PICTURE + 13,
                description =
                        "what is not given is as the method's paper and code have it, not as this"
                                + " engine's evaluation chose it")
        boolean paperDefaults;
    }

    @Nullable String prompt() {
        return given.prompt;
    }

    /**
     * A request with the method's defaults.
     *
     * @param randomSeed asked when no seed was given
     * @throws picocli.CommandLine.ParameterException if an option's value is none of the allowed
     */
    GenerationRequest.Builder request(String prompt, LongSupplier randomSeed) {
        GenerationRequest.Builder request = GenerationRequest.builder(prompt);
        if (given.negativePrompt != null) {
            request.negativePrompt(given.negativePrompt);
        }
        if (given.size != null) {
            Size size = Values.size(command, "--size", given.size);
            request.size(size.width(), size.height());
        }
        if (given.steps != null) {
            request.steps(given.steps);
        }
        if (given.guidanceScale != null) {
            request.guidanceScale(given.guidanceScale);
        }
        request.seed(given.seed != null ? given.seed : randomSeed.getAsLong());
        if (given.scheduler != null) {
            request.scheduler(
                    Values.named(command, "--scheduler", given.scheduler, Sampler::named));
        }
        if (given.spacing != null) {
            request.spacing(
                    Values.named(command, "--spacing", given.spacing, Sampler::spacingNamed));
        }
        if (given.eta != null) {
            request.eta(given.eta);
        }
        request.paperDefaults(given.paperDefaults);
        if (given.viewBatch != null) {
            request.viewBatch(
                    given.viewBatch.equalsIgnoreCase("auto")
                            ? GenerationRequest.BY_MEMORY
                            : Values.integer(command, "--view-batch", given.viewBatch, "auto"));
        }
        if (given.vaeTile != null && !given.vaeTile.equalsIgnoreCase("auto")) {
            request.vaeTile(Values.integer(command, "--vae-tile", given.vaeTile, "auto"));
        }
        return request;
    }
}
