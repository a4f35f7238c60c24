// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import io.github.asg4j.MethodOptions.Patched;
import io.github.asg4j.MethodOptions.Windowed;
import io.github.asg4j.RequestOption.Section;

import org.jspecify.annotations.Nullable;

import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.function.BiFunction;
import java.util.function.Function;

/** The table of all options of a request. The method stands before the options that it may have. */
public final class RequestOptions {
    /** Stands for an option that is not given. */
    private static final int AUTO = -1;

    /** The type of --method, which has more to say about its values than their names. */
    private static final OptionType<String> METHOD =
            new OptionType<>(
                    "NAME",
                    name -> MethodOptions.of(name.toLowerCase(java.util.Locale.ROOT)).method(),
                    name -> name,
                    json -> MethodOptions.of(String.valueOf(json)).method());

    private static final OptionType<Integer> INTERACTION = interaction();

    /** All options, in the order of the help. */
    public static final List<RequestOption<?>> ALL =
            List.of(
                    picture(
                            Section.PICTURE,
                            "prompt",
                            OptionType.text("TEXT"),
                            "what to draw; required by generate and compare",
                            "",
                            r -> r.prompt(),
                            GenerationRequest.Builder::prompt),
                    picture(
                            Section.PICTURE,
                            "negative-prompt",
                            OptionType.text("TEXT"),
                            "what to steer away from",
                            "nothing",
                            r -> r.negativePrompt().isEmpty() ? null : r.negativePrompt(),
                            GenerationRequest.Builder::negativePrompt),
                    picture(
                            Section.PICTURE,
                            "size",
                            OptionType.size(),
                            "pixels, multiples of the model's VAE factor, as in " + "256x192",
                            "2x native",
                            r ->
                                    r.width() == 0 && r.height() == 0
                                            ? null
                                            : new Size(r.width(), r.height()),
                            (b, v) -> b.size(v.width(), v.height())),
                    picture(
                            Section.PICTURE,
                            "method",
                            METHOD,
                            "one of " + String.join(", ", MethodOptions.DEFAULTS.keySet()),
                            "asg",
                            r -> r.method(),
                            GenerationRequest.Builder::method),
                    picture(
                            Section.PICTURE,
                            "steps",
                            OptionType.integer().within(GenerationRequest.STEPS_RANGE),
                            "denoising steps",
                            "the bundle's",
                            r -> boxed(r.steps()),
                            GenerationRequest.Builder::steps),
                    picture(
                            Section.PICTURE,
                            "guidance-scale",
                            OptionType.decimal().within(GenerationRequest.GUIDANCE_SCALE_RANGE),
                            "how closely to follow the prompt; up to 1 without "
                                    + "classifier-free guidance and negative prompt",
                            "the bundle's",
                            r -> boxed(r.guidanceScale()),
                            GenerationRequest.Builder::guidanceScale),
                    picture(
                            Section.PICTURE,
                            "seed",
                            OptionType.seed(),
                            "same seed, same picture; -1: random",
                            "random, printed",
                            r -> r.seed(),
                            GenerationRequest.Builder::seed),
                    picture(
                            Section.PICTURE,
                            "scheduler",
                            OptionType.text("NAME"),
                            "sampler: {names}; names as in \"Euler Karras\" are " + "understood",
                            "the bundle's",
                            r -> r.scheduler(),
                            GenerationRequest.Builder::scheduler),
                    picture(
                            Section.PICTURE,
                            "spacing",
                            OptionType.text("NAME"),
                            "spacing of the noise levels: {names}",
                            "the bundle's",
                            r -> r.spacing(),
                            GenerationRequest.Builder::spacing),
                    picture(
                            Section.PICTURE,
                            "eta",
                            OptionType.decimal().within(Range.SHARE),
                            "stochasticity of ddim",
                            "0",
                            r -> boxed(r.eta()),
                            GenerationRequest.Builder::eta),
                    picture(
                            Section.PICTURE,
                            "view-batch",
                            OptionType.integerOr(
                                            "N|auto", Map.of("auto", GenerationRequest.BY_MEMORY))
                                    .within(GenerationRequest.VIEW_BATCH_RANGE),
                            "views in one UNet call at most; may change the last bits "
                                    + "of the picture; auto: on GPUs as many as they have "
                                    + "memory for",
                            "1",
                            r -> boxed(r.viewBatch()),
                            GenerationRequest.Builder::viewBatch),
                    picture(
                            Section.PICTURE,
                            "vae-tile",
                            OptionType.integerOr("PIXELS|auto", Map.of("auto", AUTO))
                                    .within(GenerationRequest.VAE_TILE_RANGE),
                            "decode the latents in tiles of so many pixels a side",
                            "auto: whole up to 1024x1024, else tiles of 512, smaller where memory"
                                    + " does not suffice",
                            r -> boxed(r.vaeTile()),
                            RequestOptions::vaeTile),
                    picture(
                            Section.PICTURE,
                            "lora",
                            OptionType.loras(),
                            "add a LoRA file to the model, which has to be a .safetensors file; the"
                                    + " weight may be negative; may be given several times",
                            "no file; weight 1",
                            r -> given(r.loras()),
                            GenerationRequest.Builder::addLoras),
                    picture(
                            Section.PICTURE,
                            "paper-defaults",
                            OptionType.flag(),
                            "what is not given is as the method's paper and code have "
                                    + "it, not as this engine's evaluation chose it",
                            "",
                            r -> r.paperDefaults() ? true : null,
                            GenerationRequest.Builder::paperDefaults),
                    new RequestOption<>(
                            "image",
                            Section.PICTURE,
                            OptionType.content("FILE"),
                            "a picture (PNG, JPEG, WebP, GIF, BMP, TIFF) to enlarge "
                                    + "instead of drawing one, made native size first; -: standard"
                                    + " input",
                            "",
                            List.of("demofusion", "relay", "superres"),
                            r -> r.image(),
                            GenerationRequest.Builder::image),
                    guide(
                            "guide-weight",
                            OptionType.decimal().within(GuideOptions.WEIGHT_RANGE),
                            "pull of the key patch on the others",
                            "{default}",
                            g -> boxed(g.weight()),
                            GuideOptions::withWeight),
                    guide(
                            "guide-schedule",
                            OptionType.constant(GuideOptions.Schedule.class),
                            "course of the weight over stage 1",
                            "{default}",
                            g -> g.schedule(),
                            GuideOptions::withSchedule),
                    guide(
                            "guide-space",
                            OptionType.constant(GuideOptions.Space.class),
                            "guide noise estimates, as the paper, or predicted clean " + "latents",
                            "{default}",
                            g -> g.space(),
                            GuideOptions::withSpace),
                    guide(
                            "guide-upsampling",
                            OptionType.constant(GuideOptions.Upsampling.class),
                            "give every patch the key patch's clean latents as they "
                                    + "are, or interpolated at its own cells; nearest in space "
                                    + "noise",
                            "{default}",
                            g -> g.upsampling(),
                            GuideOptions::withUpsampling),
                    guide(
                            "mask",
                            OptionType.constant(GuideOptions.Mask.class),
                            "whose attention map weighs the guidance",
                            "{default}",
                            g -> g.mask(),
                            GuideOptions::withMask),
                    guide(
                            "mask-blocks",
                            OptionType.names(),
                            "up blocks whose maps are used, as in " + "up_blocks.0,up_blocks.1",
                            "all of the bundle",
                            g -> given(g.maskBlocks()),
                            GuideOptions::withMaskBlocks),
                    guide(
                            "mask-tokens",
                            OptionType.indices().within(GuideOptions.TOKEN_RANGE),
                            "prompt tokens whose maps are used, as in 1,2; 0 is the " + "first",
                            "all",
                            g -> given(g.maskTokens()),
                            GuideOptions::withMaskTokens),
                    guide(
                            "mask-norm",
                            OptionType.constant(GuideOptions.MaskNorm.class),
                            "how a map becomes weights",
                            "{default}",
                            g -> g.maskNorm(),
                            GuideOptions::withMaskNorm),
                    guide(
                            "staleness",
                            OptionType.integer().within(GuideOptions.STALENESS_RANGE),
                            "age of the guidance in steps; 0: synchronous, 1: the " + "paper's",
                            "{default}",
                            g -> boxed(g.staleness()),
                            GuideOptions::withStaleness),
                    guide(
                            "interaction",
                            INTERACTION.within(GuideOptions.INTERACTION_RANGE),
                            "exchange of pixels between patches: in every step, "
                                    + "never, or in the first N",
                            "{default}",
                            g -> boxed(g.interactionSteps()),
                            GuideOptions::withInteractionSteps),
                    guide(
                            "stage1-share",
                            OptionType.decimal().within(Range.SHARE),
                            "share of the steps for stage 1",
                            "{default}",
                            g -> boxed(g.stage1Share()),
                            GuideOptions::withStage1Share),
                    guide(
                            "patch-aspect",
                            OptionType.constant(GuideOptions.PatchAspect.class),
                            "cut each axis by itself, or into patches of the " + "picture's aspect",
                            "{default}",
                            g -> g.patchAspect(),
                            GuideOptions::withPatchAspect),
                    windows(
                            "window-stride",
                            OptionType.integer().within(WindowOptions.STRIDE_RANGE),
                            "latent cells between windows",
                            "half of the native size",
                            w -> boxed(w.stride()),
                            WindowOptions::withStride),
                    windows(
                            "jitter",
                            OptionType.integer().within(WindowOptions.JITTER_RANGE),
                            "largest random shift of a window, latent cells",
                            "(native - stride) / 4; multidiffusion: 0",
                            w -> boxed(w.jitter()),
                            WindowOptions::withJitter),
                    windows(
                            "window-weight",
                            OptionType.constant(WindowOptions.Weight.class),
                            "how windows are averaged",
                            "{default}",
                            w -> w.weight(),
                            WindowOptions::withWeight),
                    windows(
                            "window-conditioning",
                            OptionType.constant(WindowOptions.Conditioning.class),
                            "tell a window its place, or that it is the whole picture",
                            "{default}",
                            w -> w.conditioning(),
                            WindowOptions::withConditioning),
                    stage2(
                            "stage2-guidance-scale",
                            OptionType.decimal().within(GenerationRequest.GUIDANCE_SCALE_RANGE),
                            "classifier-free guidance of stage 2, up to 1 none",
                            "--guidance-scale",
                            w -> boxed(w.guidanceScale()),
                            WindowOptions::withGuidanceScale),
                    background(
                            "object-share",
                            OptionType.decimal().within(Range.SHARE),
                            "windows that the object covers by less of their area, by "
                                    + "the key patch's mask, are background; 0: none is",
                            "{default}",
                            w -> boxed(w.objectShare()),
                            WindowOptions::withObjectShare),
                    background(
                            "background-prompt",
                            OptionType.text("TEXT"),
                            "prompt of background windows",
                            "--prompt",
                            w -> w.backgroundPrompt(),
                            WindowOptions::withBackgroundPrompt),
                    background(
                            "background-guidance-scale",
                            OptionType.decimal().within(GenerationRequest.GUIDANCE_SCALE_RANGE),
                            "guidance scale of background windows, up to 1 none",
                            "asg: 1 + (that of stage 2 - 1) / 8; cutdiffusion: that of stage 2",
                            w -> boxed(w.backgroundGuidanceScale()),
                            WindowOptions::withBackgroundGuidanceScale),
                    phases(
                            "cosine-scale-1",
                            PhaseOptions.EXPONENT_RANGE,
                            "exponent of the skip residual, which holds a phase to "
                                    + "the one before; larger: for a shorter while",
                            "{default}",
                            p -> boxed(p.skipExponent()),
                            PhaseOptions::withSkipExponent),
                    phases(
                            "cosine-scale-2",
                            PhaseOptions.EXPONENT_RANGE,
                            "exponent of the dilated views' weight beside the "
                                    + "windows; larger: for a shorter while",
                            "{default}",
                            p -> boxed(p.dilatedExponent()),
                            PhaseOptions::withDilatedExponent),
                    phases(
                            "cosine-scale-3",
                            PhaseOptions.EXPONENT_RANGE,
                            "exponent of the blur before dilated views; larger: it "
                                    + "falls faster",
                            "{default}",
                            p -> boxed(p.blurExponent()),
                            PhaseOptions::withBlurExponent),
                    phases(
                            "blur",
                            PhaseOptions.BLUR_RANGE,
                            "standard deviation of that blur at first, latent cells",
                            "{default}",
                            p -> boxed(p.blur()),
                            PhaseOptions::withBlur),
                    legs(
                            "preset",
                            OptionType.constant(LegOptions.Preset.class),
                            "table of stages and sampler of a published method",
                            "the engine's own table",
                            l -> l.preset(),
                            LegOptions::withPreset),
                    legs(
                            "stages",
                            OptionType.stages(),
                            "a table of your own, a stage as in \"1x 0..0.6; full 0.6..1"
                                    + " guidance=6 windows=0.5\"",
                            "the preset's",
                            l -> given(l.stages()),
                            LegOptions::withStages),
                    legs(
                            "stage-views",
                            OptionType.constant(LegOptions.Views.class),
                            "see a stage beyond native size whole or in windows",
                            "by table",
                            l -> l.views(),
                            LegOptions::withViews),
                    legs(
                            "enlarge",
                            OptionType.constant(RelayStage.Enlarge.class),
                            "how a stage's canvas comes from the one before; all but latent by the"
                                    + " VAE",
                            "by table",
                            l -> l.enlarge(),
                            LegOptions::withEnlarge),
                    legs(
                            "strength",
                            OptionType.decimal().within(LegOptions.STRENGTH_RANGE),
                            "how much of a given picture, or of the first stage, may change: share"
                                    + " of the schedule that the stage after it runs",
                            "by table",
                            l -> boxed(l.strength()),
                            LegOptions::withStrength),
                    dilation(
                            "dilate",
                            OptionType.factors().within(DilationOptions.FACTOR_RANGE),
                            "dilation factors of groups of convolutions, as in "
                                    + "mid_block=2,up_blocks.0=2.5",
                            "the published ones for the size",
                            d -> given(d.factors()),
                            DilationOptions::withFactors),
                    dilation(
                            "dilate-share",
                            OptionType.decimal().within(Range.SHARE),
                            "share of the steps that are dilated",
                            "by size",
                            d -> boxed(d.share()),
                            DilationOptions::withShare),
                    dilation(
                            "dilate-course",
                            OptionType.constant(DilationOptions.Course.class),
                            "keep the factors, or let them fall step by step",
                            "by size",
                            d -> d.course(),
                            DilationOptions::withCourse),
                    dilation(
                            "damped",
                            OptionType.factors().within(DilationOptions.FACTOR_RANGE),
                            "factors of the second unconditional pass of noise-damped "
                                    + "guidance",
                            "by size",
                            d -> given(d.dampedFactors()),
                            DilationOptions::withDampedFactors),
                    dilation(
                            "damped-share",
                            OptionType.decimal().within(Range.SHARE),
                            "share of the steps with noise-damped guidance",
                            "by size; with --damped that of --dilate-share",
                            d -> boxed(d.dampedShare()),
                            DilationOptions::withDampedShare),
                    picture(
                            Section.TENSORS,
                            "latents",
                            OptionType.content("FILE.npy"),
                            "start from this noise, float32, unit variance; -: standard input",
                            "",
                            r -> r.latents(),
                            GenerationRequest.Builder::latents),
                    picture(
                            Section.TENSORS,
                            "dump",
                            OptionType.folder(),
                            "write embeddings, noise, masks and latents per step as " + ".npy",
                            "",
                            r -> r.dumpDirectory(),
                            GenerationRequest.Builder::dumpDirectory));

    private RequestOptions() {}

    private static OptionType<Integer> interaction() {
        Map<String, Integer> words = new LinkedHashMap<>();
        words.put("every", GuideOptions.EVERY_STEP);
        words.put("off", 0);
        return OptionType.integerOr("every|off|N", words);
    }

    private static void vaeTile(GenerationRequest.Builder request, int pixels) {
        if (pixels != AUTO) {
            request.vaeTile(pixels);
        }
    }

    /** An option that every method has. */
    private static <T> RequestOption<T> picture(
            Section section,
            String name,
            OptionType<T> type,
            String help,
            String otherwise,
            RequestOption.Getter<T> get,
            java.util.function.BiConsumer<GenerationRequest.Builder, T> set) {
        return new RequestOption<>(
                name,
                section,
                type,
                help,
                otherwise,
                List.copyOf(MethodOptions.DEFAULTS.keySet()),
                get,
                set);
    }

    private static <T> RequestOption<T> guide(
            String name,
            OptionType<T> type,
            String help,
            String otherwise,
            Part<GuideOptions, T> get,
            BiFunction<GuideOptions, T, GuideOptions> with) {
        return new RequestOption<>(
                name,
                Section.STAGE1,
                type,
                help,
                otherwise,
                having(Patched.class),
                r -> get.of(r.guide()),
                (b, v) -> change(b, Patched.class, p -> p.withGuide(with.apply(p.guide(), v))));
    }

    private static <T> RequestOption<T> windows(
            String name,
            OptionType<T> type,
            String help,
            String otherwise,
            Part<WindowOptions, T> get,
            BiFunction<WindowOptions, T, WindowOptions> with) {
        return new RequestOption<>(
                name,
                Section.WINDOWS,
                type,
                help,
                otherwise,
                having(Windowed.class),
                r -> get.of(r.windows()),
                (b, v) ->
                        change(b, Windowed.class, w -> w.withWindows(with.apply(w.windows(), v))));
    }

    /** An option of windows whose stage has one setting; a relay has it in its table. */
    private static <T> RequestOption<T> stage2(
            String name,
            OptionType<T> type,
            String help,
            String otherwise,
            Part<WindowOptions, T> get,
            BiFunction<WindowOptions, T, WindowOptions> with) {
        RequestOption<T> any = windows(name, type, help, otherwise, get, with);
        return new RequestOption<>(
                name,
                any.section(),
                type,
                help,
                otherwise,
                any.methods().stream().filter(m -> !m.equals("relay")).toList(),
                any.get(),
                any.set());
    }

    /** An option of windows that stage 1 tells from each other by its mask. */
    private static <T> RequestOption<T> background(
            String name,
            OptionType<T> type,
            String help,
            String otherwise,
            Part<WindowOptions, T> get,
            BiFunction<WindowOptions, T, WindowOptions> with) {
        RequestOption<T> any = windows(name, type, help, otherwise, get, with);
        return new RequestOption<>(
                name,
                any.section(),
                type,
                help,
                otherwise,
                having(Patched.class),
                any.get(),
                any.set());
    }

    private static RequestOption<Double> phases(
            String name,
            Range range,
            String help,
            String otherwise,
            Part<PhaseOptions, Double> get,
            BiFunction<PhaseOptions, Double, PhaseOptions> with) {
        Class<MethodOptions.DemoFusionOptions> type = MethodOptions.DemoFusionOptions.class;
        return new RequestOption<>(
                name,
                Section.PHASES,
                OptionType.decimal().within(range),
                help,
                otherwise,
                having(type),
                r -> get.of(r.phases()),
                (b, v) -> change(b, type, p -> p.withPhases(with.apply(p.phases(), v))));
    }

    private static <T> RequestOption<T> legs(
            String name,
            OptionType<T> type,
            String help,
            String otherwise,
            Part<LegOptions, T> get,
            BiFunction<LegOptions, T, LegOptions> with) {
        Class<MethodOptions.RelayOptions> method = MethodOptions.RelayOptions.class;
        return new RequestOption<>(
                name,
                Section.RELAY,
                type,
                help,
                otherwise,
                having(method),
                r -> get.of(r.legs()),
                (b, v) -> change(b, method, m -> m.withLegs(with.apply(m.legs(), v))));
    }

    private static <T> RequestOption<T> dilation(
            String name,
            OptionType<T> type,
            String help,
            String otherwise,
            Part<DilationOptions, T> get,
            BiFunction<DilationOptions, T, DilationOptions> with) {
        Class<MethodOptions.ScaleCrafterOptions> method = MethodOptions.ScaleCrafterOptions.class;
        return new RequestOption<>(
                name,
                Section.DILATION,
                type,
                help,
                otherwise,
                having(method),
                r -> get.of(r.dilation()),
                (b, v) -> change(b, method, d -> d.withDilation(with.apply(d.dilation(), v))));
    }

    /** Reads a setting of a group of options. */
    private interface Part<G, T> {
        @Nullable T of(G group);
    }

    private static List<String> having(Class<? extends MethodOptions> type) {
        return MethodOptions.DEFAULTS.values().stream()
                .filter(type::isInstance)
                .map(MethodOptions::method)
                .toList();
    }

    private static <M extends MethodOptions> void change(
            GenerationRequest.Builder request,
            Class<M> type,
            Function<M, ? extends MethodOptions> change) {
        request.options(change.apply(type.cast(request.options())));
    }

    private static @Nullable Integer boxed(OptionalInt value) {
        return value.isPresent() ? value.getAsInt() : null;
    }

    private static @Nullable Double boxed(OptionalDouble value) {
        return value.isPresent() ? value.getAsDouble() : null;
    }

    private static <C extends Collection<?>> @Nullable C given(C values) {
        return values.isEmpty() ? null : values;
    }

    private static @Nullable Map<String, Double> given(Map<String, Double> values) {
        return values.isEmpty() ? null : values;
    }
}
