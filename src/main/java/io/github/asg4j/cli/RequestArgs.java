// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.WindowOptions;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.function.LongSupplier;

/** What becomes a {@link GenerationRequest}. A field that is null was not given. */
final class RequestArgs {
    static final List<String> SCHEDULERS = List.of("euler", "ddim", "flow_euler");
    static final List<String> SPACINGS = List.of("leading", "trailing", "linspace");

    @Spec(Spec.Target.MIXEE)
    @SuppressWarnings("NullAway.Init") // set by picocli
    private CommandSpec command;

    @Mixin private Picture picture = new Picture();

    @Mixin private Guide guide = new Guide();

    @Mixin private Windows windows = new Windows();

    @Mixin private Tensors tensors = new Tensors();

    static final class Picture {
        @Option(
                names = "--prompt",
                paramLabel = "TEXT",
                order = HelpSections.PICTURE + 1,
                description = "what to draw; required by generate")
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
                names = "--method",
                paramLabel = "NAME",
                order = HelpSections.PICTURE + 4,
                completionCandidates = MethodNames.class,
                description = "one of ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE})")
        @Nullable String method;

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
                paramLabel = "euler|ddim|flow_euler",
                order = HelpSections.PICTURE + 8,
                description = "sampler (default: the bundle's)")
        @Nullable String scheduler;

        @Option(
                names = "--spacing",
                paramLabel = "leading|trailing|linspace",
                order = HelpSections.PICTURE + 9,
                description = "spacing of the timesteps (default: the bundle's)")
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
                        "views in one UNet call; may change the last bits of the picture"
                                + " (default: ${DEFAULT-VALUE}, fixed by the plan)")
        @Nullable String viewBatch;

        @Option(
                names = "--paper-defaults",
                order = HelpSections.PICTURE + 12,
                description =
                        "what is not given is as the method's paper and code have it, not as this"
                                + " engine's evaluation chose it")
        boolean paperDefaults;
    }

    static final class Guide {
        @Option(
                names = "--guide-weight",
                paramLabel = "X",
                order = HelpSections.STAGE1 + 1,
                description = "pull of the key patch on the others, 0..10 (default: {default})")
        @Nullable Double weight;

        @Option(
                names = "--guide-schedule",
                paramLabel = "constant|cosine|linear",
                order = HelpSections.STAGE1 + 2,
                description = "course of the weight over stage 1 (default: {default})")
        GuideOptions.@Nullable Schedule schedule;

        @Option(
                names = "--guide-space",
                paramLabel = "noise|latent",
                order = HelpSections.STAGE1 + 3,
                description =
                        "guide noise estimates, as the paper, or predicted clean latents"
                                + " (default: {default})")
        GuideOptions.@Nullable Space space;

        @Option(
                names = "--mask",
                paramLabel = "key|own|none",
                order = HelpSections.STAGE1 + 4,
                description = "whose attention map weighs the guidance (default: {default})")
        GuideOptions.@Nullable Mask mask;

        @Option(
                names = "--mask-blocks",
                paramLabel = "LIST",
                order = HelpSections.STAGE1 + 5,
                split = ",",
                hideParamSyntax = true,
                description =
                        "up blocks whose maps are used, as in up_blocks.0,up_blocks.1"
                                + " (default: all of the bundle)")
        @Nullable List<String> maskBlocks;

        @Option(
                names = "--mask-tokens",
                paramLabel = "all|INDICES",
                order = HelpSections.STAGE1 + 6,
                description =
                        "prompt tokens whose maps are used, as in 1,2; 0 is the first"
                                + " (default: {default})")
        @Nullable String maskTokens;

        @Option(
                names = "--mask-norm",
                paramLabel = "minmax|max|mean-threshold",
                order = HelpSections.STAGE1 + 7,
                description = "how a map becomes weights (default: {default})")
        GuideOptions.@Nullable MaskNorm maskNorm;

        @Option(
                names = "--staleness",
                paramLabel = "N",
                order = HelpSections.STAGE1 + 8,
                description =
                        "age of the guidance in steps; 0: synchronous, 1: the paper's"
                                + " (default: {default})")
        @Nullable Integer staleness;

        @Option(
                names = "--interaction",
                paramLabel = "every|off|N",
                order = HelpSections.STAGE1 + 9,
                description =
                        "exchange of pixels between patches: in every step, never, or in the first"
                                + " N (default: {default})")
        @Nullable String interaction;

        @Option(
                names = "--stage1-share",
                paramLabel = "X",
                order = HelpSections.STAGE1 + 10,
                description = "share of the steps for stage 1, 0..1 (default: {default})")
        @Nullable Double stage1Share;

        @Option(
                names = "--patch-aspect",
                paramLabel = "axis|picture",
                order = HelpSections.STAGE1 + 11,
                description =
                        "cut each axis by itself, or into patches of the picture's aspect"
                                + " (default: {default})")
        GuideOptions.@Nullable PatchAspect patchAspect;
    }

    static final class Windows {
        @Option(
                names = "--window-stride",
                paramLabel = "N",
                order = HelpSections.STAGE2 + 1,
                description = "latent cells between windows (default: half of the native size)")
        @Nullable Integer stride;

        @Option(
                names = "--jitter",
                paramLabel = "N",
                order = HelpSections.STAGE2 + 2,
                description =
                        "largest random shift of a window, latent cells"
                                + " (default: (native - stride) / 4; multidiffusion: 0)")
        @Nullable Integer jitter;

        @Option(
                names = "--window-weight",
                paramLabel = "feather|uniform",
                order = HelpSections.STAGE2 + 3,
                description = "how windows are averaged (default: asg {default}, others uniform)")
        WindowOptions.@Nullable Weight weight;

        @Option(
                names = "--window-conditioning",
                paramLabel = "crop|whole",
                order = HelpSections.STAGE2 + 4,
                description =
                        "tell a window its place, or that it is the whole picture"
                                + " (default: {default}; multidiffusion: whole)")
        WindowOptions.@Nullable Conditioning conditioning;

        @Option(
                names = "--stage2-guidance-scale",
                paramLabel = "X",
                order = HelpSections.STAGE2 + 5,
                description = "classifier-free guidance of stage 2 (default: --guidance-scale)")
        @Nullable Double guidanceScale;

        @Option(
                names = "--object-share",
                paramLabel = "X",
                order = HelpSections.STAGE2 + 6,
                description =
                        "windows that the object covers by less, 0..1 of their area by the key"
                                + " patch's mask, are background (default: {default}; 0: none"
                                + " is)")
        @Nullable Double objectShare;

        @Option(
                names = "--background-prompt",
                paramLabel = "TEXT",
                order = HelpSections.STAGE2 + 7,
                description = "prompt of background windows (default: --prompt)")
        @Nullable String backgroundPrompt;

        @Option(
                names = "--background-guidance-scale",
                paramLabel = "X",
                order = HelpSections.STAGE2 + 8,
                description = "guidance scale of background windows (default: that of stage 2)")
        @Nullable Double backgroundGuidanceScale;
    }

    static final class Tensors {
        @Option(
                names = "--latents",
                paramLabel = "FILE.npy",
                order = HelpSections.TENSORS + 1,
                description = "start from this noise, float32, unit variance")
        @Nullable Path latents;

        @Option(
                names = "--dump",
                paramLabel = "DIR",
                order = HelpSections.TENSORS + 2,
                description = "write embeddings, noise, masks and latents per step as .npy")
        @Nullable Path dump;
    }

    @Nullable String prompt() {
        return picture.prompt;
    }

    /**
     * The request.
     *
     * @param randomSeed asked when no seed was given
     * @throws picocli.CommandLine.ParameterException if an option's value is none of the allowed
     * @throws io.github.asg4j.BadRequestException if a value is out of its range
     */
    GenerationRequest request(String prompt, Collection<String> methods, LongSupplier randomSeed) {
        GenerationRequest.Builder request = GenerationRequest.builder(prompt);
        if (picture.negativePrompt != null) {
            request.negativePrompt(picture.negativePrompt);
        }
        if (picture.size != null) {
            Size size = Values.size(command, "--size", picture.size);
            request.size(size.width(), size.height());
        }
        if (picture.method != null) {
            request.method(Values.choice(command, "--method", picture.method, methods));
        }
        if (picture.steps != null) {
            request.steps(picture.steps);
        }
        if (picture.guidanceScale != null) {
            request.guidanceScale(picture.guidanceScale);
        }
        request.seed(picture.seed != null ? picture.seed : randomSeed.getAsLong());
        if (picture.scheduler != null) {
            request.scheduler(Values.choice(command, "--scheduler", picture.scheduler, SCHEDULERS));
        }
        if (picture.spacing != null) {
            request.spacing(Values.choice(command, "--spacing", picture.spacing, SPACINGS));
        }
        if (picture.eta != null) {
            request.eta(picture.eta);
        }
        request.paperDefaults(picture.paperDefaults);
        if (picture.viewBatch != null && !picture.viewBatch.equalsIgnoreCase("auto")) {
            request.viewBatch(Values.integer(command, "--view-batch", picture.viewBatch, "auto"));
        }
        if (tensors.latents != null) {
            request.latents(tensors.latents);
        }
        if (tensors.dump != null) {
            request.dumpDirectory(tensors.dump);
        }
        return request.guide(guideOptions()).windows(windowOptions()).build();
    }

    private GuideOptions guideOptions() {
        GuideOptions options = GuideOptions.DEFAULT;
        if (guide.weight != null) {
            options = options.withWeight(guide.weight);
        }
        if (guide.schedule != null) {
            options = options.withSchedule(guide.schedule);
        }
        if (guide.space != null) {
            options = options.withSpace(guide.space);
        }
        if (guide.mask != null) {
            options = options.withMask(guide.mask);
        }
        if (guide.maskBlocks != null) {
            options = options.withMaskBlocks(guide.maskBlocks);
        }
        if (guide.maskTokens != null && !guide.maskTokens.equalsIgnoreCase("all")) {
            options =
                    options.withMaskTokens(
                            Values.integers(command, "--mask-tokens", guide.maskTokens, "all"));
        }
        if (guide.maskNorm != null) {
            options = options.withMaskNorm(guide.maskNorm);
        }
        if (guide.staleness != null) {
            options = options.withStaleness(guide.staleness);
        }
        if (guide.interaction != null) {
            options =
                    options.withInteractionSteps(
                            Values.interactionSteps(command, "--interaction", guide.interaction));
        }
        if (guide.stage1Share != null) {
            options = options.withStage1Share(guide.stage1Share);
        }
        if (guide.patchAspect != null) {
            options = options.withPatchAspect(guide.patchAspect);
        }
        return options;
    }

    private WindowOptions windowOptions() {
        WindowOptions options = WindowOptions.DEFAULT;
        if (windows.stride != null) {
            options = options.withStride(windows.stride);
        }
        if (windows.jitter != null) {
            options = options.withJitter(windows.jitter);
        }
        if (windows.weight != null) {
            options = options.withWeight(windows.weight);
        }
        if (windows.conditioning != null) {
            options = options.withConditioning(windows.conditioning);
        }
        if (windows.guidanceScale != null) {
            options = options.withGuidanceScale(windows.guidanceScale);
        }
        if (windows.objectShare != null) {
            options = options.withObjectShare(windows.objectShare);
        }
        if (windows.backgroundPrompt != null) {
            options = options.withBackgroundPrompt(windows.backgroundPrompt);
        }
        if (windows.backgroundGuidanceScale != null) {
            options = options.withBackgroundGuidanceScale(windows.backgroundGuidanceScale);
        }
        return options;
    }
}
