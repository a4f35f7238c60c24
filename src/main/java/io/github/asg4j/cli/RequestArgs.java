// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.DilationOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.PhaseOptions;
import io.github.asg4j.WindowOptions;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.function.BiFunction;
import java.util.function.LongSupplier;

/** What becomes a {@link GenerationRequest}. A field that is null was not given. */
final class RequestArgs {
    @Spec(Spec.Target.MIXEE)
    @SuppressWarnings("NullAway.Init") // set by picocli
    private CommandSpec command;

    @Mixin private PictureArgs picture = new PictureArgs();

    @Mixin private Choice choice = new Choice();

    @Mixin private Guide guide = new Guide();

    @Mixin private Windows windows = new Windows();

    @Mixin private Phases phases = new Phases();

    @Mixin private Dilated dilated = new Dilated();

    @Mixin private Tensors tensors = new Tensors();

    static final class Choice {
        @Option(
                names = "--method",
                paramLabel = "NAME",
                order = HelpSections.PICTURE + 4,
                completionCandidates = MethodNames.class,
                description = "one of ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE})")
        @Nullable String method;

        @Option(
                names = "--image",
                paramLabel = "FILE",
                order = HelpSections.PICTURE + 13,
                description =
                        "a picture (PNG, JPEG, WebP, GIF, BMP, TIFF) to enlarge instead of drawing"
                                + " one, made native size first; demofusion, superres")
        @Nullable Path image;
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
                names = "--guide-upsampling",
                paramLabel = "nearest|bicubic",
                order = HelpSections.STAGE1 + 4,
                description =
                        "give every patch the key patch's clean latents as they are, or"
                                + " interpolated at its own cells (default: {default}; nearest in"
                                + " space noise)")
        GuideOptions.@Nullable Upsampling upsampling;

        @Option(
                names = "--mask",
                paramLabel = "key|own|none",
                order = HelpSections.STAGE1 + 5,
                description = "whose attention map weighs the guidance (default: {default})")
        GuideOptions.@Nullable Mask mask;

        @Option(
                names = "--mask-blocks",
                paramLabel = "LIST",
                order = HelpSections.STAGE1 + 6,
                split = ",",
                hideParamSyntax = true,
                description =
                        "up blocks whose maps are used, as in up_blocks.0,up_blocks.1"
                                + " (default: all of the bundle)")
        @Nullable List<String> maskBlocks;

        @Option(
                names = "--mask-tokens",
                paramLabel = "all|INDICES",
                order = HelpSections.STAGE1 + 7,
                description =
                        "prompt tokens whose maps are used, as in 1,2; 0 is the first"
                                + " (default: {default})")
        @Nullable String maskTokens;

        @Option(
                names = "--mask-norm",
                paramLabel = "minmax|max|mean-threshold",
                order = HelpSections.STAGE1 + 8,
                description = "how a map becomes weights (default: {default})")
        GuideOptions.@Nullable MaskNorm maskNorm;

        @Option(
                names = "--staleness",
                paramLabel = "N",
                order = HelpSections.STAGE1 + 9,
                description =
                        "age of the guidance in steps; 0: synchronous, 1: the paper's"
                                + " (default: {default})")
        @Nullable Integer staleness;

        @Option(
                names = "--interaction",
                paramLabel = "every|off|N",
                order = HelpSections.STAGE1 + 10,
                description =
                        "exchange of pixels between patches: in every step, never, or in the first"
                                + " N (default: {default})")
        @Nullable String interaction;

        @Option(
                names = "--stage1-share",
                paramLabel = "X",
                order = HelpSections.STAGE1 + 11,
                description = "share of the steps for stage 1, 0..1 (default: {default})")
        @Nullable Double stage1Share;

        @Option(
                names = "--patch-aspect",
                paramLabel = "axis|picture",
                order = HelpSections.STAGE1 + 12,
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
                description =
                        "classifier-free guidance of stage 2, up to 1 none (default:"
                                + " --guidance-scale)")
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
                description =
                        "guidance scale of background windows, up to 1 none (default: asg 1 + (that"
                                + " of stage 2 - 1) / 8, others that of stage 2)")
        @Nullable Double backgroundGuidanceScale;
    }

    static final class Phases {
        @Option(
                names = "--cosine-scale-1",
                paramLabel = "X",
                order = HelpSections.PHASES + 1,
                description =
                        "exponent of the skip residual, which holds a phase to the one before;"
                                + " larger: for a shorter while (default: {default})")
        @Nullable Double skipExponent;

        @Option(
                names = "--cosine-scale-2",
                paramLabel = "X",
                order = HelpSections.PHASES + 2,
                description =
                        "exponent of the dilated views' weight beside the windows; larger: for a"
                                + " shorter while (default: {default})")
        @Nullable Double dilatedExponent;

        @Option(
                names = "--cosine-scale-3",
                paramLabel = "X",
                order = HelpSections.PHASES + 3,
                description =
                        "exponent of the blur before dilated views; larger: it falls faster"
                                + " (default: {default})")
        @Nullable Double blurExponent;

        @Option(
                names = "--blur",
                paramLabel = "X",
                order = HelpSections.PHASES + 4,
                description =
                        "standard deviation of that blur at first, latent cells"
                                + " (default: {default})")
        @Nullable Double blur;
    }

    static final class Dilated {
        @Option(
                names = "--dilate",
                paramLabel = "GROUP=F,...",
                order = HelpSections.DILATION + 1,
                description =
                        "dilation factors, 1..8, of groups of convolutions, as in"
                                + " mid_block=2,up_blocks.0=2.5 (default: the published ones for"
                                + " the size)")
        @Nullable String factors;

        @Option(
                names = "--dilate-share",
                paramLabel = "X",
                order = HelpSections.DILATION + 2,
                description = "share of the steps that are dilated, 0..1 (default: by size)")
        @Nullable Double share;

        @Option(
                names = "--dilate-course",
                paramLabel = "constant|progressive",
                order = HelpSections.DILATION + 3,
                description = "keep the factors, or let them fall step by step (default: by size)")
        DilationOptions.@Nullable Course course;

        @Option(
                names = "--damped",
                paramLabel = "GROUP=F,...",
                order = HelpSections.DILATION + 4,
                description =
                        "factors of the second unconditional pass of noise-damped guidance"
                                + " (default: by size)")
        @Nullable String dampedFactors;

        @Option(
                names = "--damped-share",
                paramLabel = "X",
                order = HelpSections.DILATION + 5,
                description =
                        "share of the steps with noise-damped guidance, 0..1 (default: by size;"
                                + " with --damped that of --dilate-share)")
        @Nullable Double dampedShare;
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
        return picture.prompt();
    }

    /**
     * The request.
     *
     * @param randomSeed asked when no seed was given
     * @throws picocli.CommandLine.ParameterException if an option's value is none of the allowed
     * @throws io.github.asg4j.BadRequestException if a value is out of its range
     */
    GenerationRequest request(String prompt, Collection<String> methods, LongSupplier randomSeed) {
        GenerationRequest.Builder request = picture.request(prompt, randomSeed);
        if (choice.method != null) {
            request.method(Values.choice(command, "--method", choice.method, methods));
        }
        if (choice.image != null) {
            request.image(choice.image);
        }
        if (tensors.latents != null) {
            request.latents(tensors.latents);
        }
        if (tensors.dump != null) {
            request.dumpDirectory(tensors.dump);
        }
        return request.guide(guideOptions())
                .windows(windowOptions())
                .phases(phaseOptions())
                .dilation(dilationOptions())
                .build();
    }

    private GuideOptions guideOptions() {
        GuideOptions options = GuideOptions.DEFAULT;
        options = with(options, guide.weight, GuideOptions::withWeight);
        options = with(options, guide.schedule, GuideOptions::withSchedule);
        options = with(options, guide.space, GuideOptions::withSpace);
        options = with(options, guide.upsampling, GuideOptions::withUpsampling);
        options = with(options, guide.mask, GuideOptions::withMask);
        options = with(options, guide.maskBlocks, GuideOptions::withMaskBlocks);
        if (guide.maskTokens != null && !guide.maskTokens.equalsIgnoreCase("all")) {
            options =
                    options.withMaskTokens(
                            Values.integers(command, "--mask-tokens", guide.maskTokens, "all"));
        }
        options = with(options, guide.maskNorm, GuideOptions::withMaskNorm);
        options = with(options, guide.staleness, GuideOptions::withStaleness);
        if (guide.interaction != null) {
            options =
                    options.withInteractionSteps(
                            Values.interactionSteps(command, "--interaction", guide.interaction));
        }
        options = with(options, guide.stage1Share, GuideOptions::withStage1Share);
        options = with(options, guide.patchAspect, GuideOptions::withPatchAspect);
        return options;
    }

    private PhaseOptions phaseOptions() {
        PhaseOptions options = PhaseOptions.DEFAULT;
        options = with(options, phases.skipExponent, PhaseOptions::withSkipExponent);
        options = with(options, phases.dilatedExponent, PhaseOptions::withDilatedExponent);
        options = with(options, phases.blurExponent, PhaseOptions::withBlurExponent);
        options = with(options, phases.blur, PhaseOptions::withBlur);
        return options;
    }

    private DilationOptions dilationOptions() {
        DilationOptions options = DilationOptions.DEFAULT;
        if (dilated.factors != null) {
            options = options.withFactors(Values.factors(command, "--dilate", dilated.factors));
        }
        options = with(options, dilated.share, DilationOptions::withShare);
        options = with(options, dilated.course, DilationOptions::withCourse);
        if (dilated.dampedFactors != null) {
            options =
                    options.withDampedFactors(
                            Values.factors(command, "--damped", dilated.dampedFactors));
        }
        options = with(options, dilated.dampedShare, DilationOptions::withDampedShare);
        return options;
    }

    private WindowOptions windowOptions() {
        WindowOptions options = WindowOptions.DEFAULT;
        options = with(options, windows.stride, WindowOptions::withStride);
        options = with(options, windows.jitter, WindowOptions::withJitter);
        options = with(options, windows.weight, WindowOptions::withWeight);
        options = with(options, windows.conditioning, WindowOptions::withConditioning);
        options = with(options, windows.guidanceScale, WindowOptions::withGuidanceScale);
        options = with(options, windows.objectShare, WindowOptions::withObjectShare);
        options = with(options, windows.backgroundPrompt, WindowOptions::withBackgroundPrompt);
        options =
                with(
                        options,
                        windows.backgroundGuidanceScale,
                        WindowOptions::withBackgroundGuidanceScale);
        return options;
    }

    /** The options, changed if a value was given. */
    private static <O, V> O with(O options, @Nullable V value, BiFunction<O, V, O> change) {
        return value == null ? options : change.apply(options, value);
    }
}
