// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import io.github.asg4j.MethodOptions.Dilating;
import io.github.asg4j.MethodOptions.Patched;
import io.github.asg4j.MethodOptions.Phased;
import io.github.asg4j.MethodOptions.Relayed;
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

    private static final Group<Patched, GuideOptions> GUIDE =
            Group.of(Section.STAGE1, Patched.class, Patched::guide, Patched::withGuide);

    private static final Group<Windowed, WindowOptions> WINDOWS =
            Group.of(Section.WINDOWS, Windowed.class, Windowed::windows, Windowed::withWindows);

    /** Of windows whose stage has one setting; a relay has it in its table. */
    private static final Group<Windowed, WindowOptions> STAGE2 =
            WINDOWS.only(having(Windowed.class).stream().filter(m -> !m.equals("relay")).toList());

    /** Of windows that stage 1 tells from each other by its mask. */
    private static final Group<Windowed, WindowOptions> BACKGROUND =
            WINDOWS.only(having(Patched.class));

    /** Of windows that draw the whole picture, every step of it. */
    private static final Group<Windowed, WindowOptions> REGIONS =
            WINDOWS.only(List.of("multidiffusion"));

    private static final Group<Phased, PhaseOptions> PHASES =
            Group.of(Section.PHASES, Phased.class, Phased::phases, Phased::withPhases);

    private static final Group<Relayed, LegOptions> RELAY =
            Group.of(Section.RELAY, Relayed.class, Relayed::legs, Relayed::withLegs);

    private static final Group<Dilating, DilationOptions> DILATION =
            Group.of(Section.DILATION, Dilating.class, Dilating::dilation, Dilating::withDilation);

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
                            "prompt-syntax",
                            OptionType.constant(PromptOptions.Syntax.class),
                            "what brackets mean in prompts: themselves, or what they mean in"
                                    + " AUTOMATIC1111's web UI, as in \"(red:1.3) ball\"",
                            "plain",
                            r ->
                                    r.prompts().syntax() == PromptOptions.Syntax.PLAIN
                                            ? null
                                            : r.prompts().syntax(),
                            (b, v) -> b.prompts(b.prompts().withSyntax(v))),
                    picture(
                            Section.PICTURE,
                            "clip-skip",
                            OptionType.integer().within(PromptOptions.CLIP_SKIP_RANGE),
                            "layer of the text encoder to use, counted from the last one, 1",
                            "as the bundle was exported",
                            r -> boxed(r.prompts().clipSkip()),
                            (b, v) -> b.prompts(b.prompts().withClipSkip(v))),
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
                            "the model's, mostly " + GenerationRequest.USUAL_METHOD,
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
                            "guidance-interval",
                            OptionType.interval(),
                            "follow the prompt at noise levels between these sigmas only, as in"
                                    + " 0.28..5.42; at others half the work: without"
                                    + " classifier-free guidance and negative prompt",
                            "all",
                            r -> r.guidanceInterval(),
                            GenerationRequest.Builder::guidanceInterval),
                    new RequestOption<>(
                            "cache-interval",
                            Section.PICTURE,
                            OptionType.integer().within(GenerationRequest.CACHE_INTERVAL_RANGE),
                            "run the whole UNet in every N-th step of windows only, and in those"
                                    + " between its outermost layers with the deeper ones' last"
                                    + " features (DeepCache)",
                            "1: in every step",
                            methodsBut("demofusion", "scalecrafter"),
                            r -> r.cacheInterval() == 1 ? null : r.cacheInterval(),
                            GenerationRequest.Builder::cacheInterval),
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
                            "variation-seed",
                            OptionType.seed(),
                            "seed of other noise that the initial noise is turned towards, for"
                                    + " pictures that are alike; -1: random",
                            "none",
                            r -> r.variation().seed(),
                            (b, v) -> b.variation(b.variation().withSeed(v))),
                    picture(
                            Section.PICTURE,
                            "variation-strength",
                            OptionType.decimal().within(Range.SHARE),
                            "how far it is turned, on the sphere between both; 0: not, 1: to the"
                                    + " other",
                            "none",
                            r -> r.variation().strength(),
                            (b, v) -> b.variation(b.variation().withStrength(v))),
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
                            "the bundle's; lcm, tcd: distilled",
                            r -> r.spacing(),
                            GenerationRequest.Builder::spacing),
                    picture(
                            Section.PICTURE,
                            "eta",
                            OptionType.decimal().within(Range.SHARE),
                            "stochasticity of ddim, euler_a, dpmpp_2m_sde, dpmpp_3m_sde and tcd",
                            "ddim: 0; tcd: 0.3; the others: 1",
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
                            "auto: whole up to 1024x1024, in bf16 2048x2048, else tiles of 512,"
                                    + " smaller where memory does not suffice",
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
                    picture(
                            Section.PICTURE,
                            "image",
                            OptionType.content("FILE"),
                            "a picture (PNG, JPEG, WebP, GIF, BMP, TIFF) to start from, resized to"
                                + " the size of the picture; demofusion, relay and superres make it"
                                + " native size first and enlarge it; -: standard input",
                            "",
                            r -> r.image(),
                            GenerationRequest.Builder::image),
                    picture(
                            Section.PICTURE,
                            "image-fit",
                            OptionType.constant(ImageFit.class),
                            "what becomes of a start picture of another aspect: refuse it, crop it,"
                                    + " repeat its border beside it, stretch it",
                            "exact",
                            r -> r.imageFit() == ImageFit.EXACT ? null : r.imageFit(),
                            GenerationRequest.Builder::imageFit),
                    new RequestOption<>(
                            "strength",
                            Section.PICTURE,
                            OptionType.decimal().within(GenerationRequest.STRENGTH_RANGE),
                            "how much of a start picture may change: share of the schedule that is"
                                    + " drawn; of a relay, share that the stage after the first"
                                    + " runs",
                            "0.75, SDXL's refiner 0.3; relay: by table",
                            methodsBut("demofusion", "superres"),
                            r -> boxed(r.strength()),
                            GenerationRequest.Builder::strength),
                    inpaint(
                            "inpaint",
                            OptionType.content("FILE"),
                            "draw only what is white in this picture, which is as large as the"
                                    + " start picture; what is black keeps its pixels",
                            "all is drawn",
                            i -> i.mask(),
                            InpaintOptions::withMask),
                    inpaint(
                            "inpaint-blur",
                            OptionType.decimal().within(InpaintOptions.BLUR_RANGE),
                            "standard deviation that softens the borders of the white parts,"
                                    + " pixels of the finished picture",
                            "0",
                            i -> i.blur() == 0 ? null : i.blur(),
                            InpaintOptions::withBlur),
                    inpaint(
                            "inpaint-inverted",
                            OptionType.flag(),
                            "draw what is black instead",
                            "",
                            i -> i.inverted() ? true : null,
                            InpaintOptions::withInverted),
                    inpaint(
                            "inpaint-area",
                            OptionType.constant(InpaintOptions.Area.class),
                            "what of the start picture is resized to the size to draw: all of it,"
                                + " or the part about what the mask has drawn, which is put back at"
                                + " its own size",
                            "whole",
                            i -> i.area() == InpaintOptions.Area.WHOLE ? null : i.area(),
                            InpaintOptions::withArea),
                    inpaint(
                            "inpaint-padding",
                            OptionType.integer().within(InpaintOptions.PADDING_RANGE),
                            "how much wider that part is on each side, pixels of the start"
                                    + " picture",
                            "32",
                            i ->
                                    i.padding() == InpaintOptions.DEFAULT.padding()
                                            ? null
                                            : i.padding(),
                            InpaintOptions::withPadding),
                    inpaint(
                            "outpaint",
                            OptionType.borders(),
                            "draw these borders beside the start picture, left, top, right and"
                                    + " bottom, pixels of the picture to draw; the start picture"
                                    + " fills the rest",
                            "none",
                            i ->
                                    i.borders().equals(InpaintOptions.Borders.NONE)
                                            ? null
                                            : i.borders(),
                            InpaintOptions::withBorders),
                    new RequestOption<>(
                            "control",
                            Section.PICTURE,
                            OptionType.controls(),
                            "hold the picture to another one by a control network (ControlNet);"
                                + " SETTINGS as in weight=0.8,start=0,end=0.7,preprocess=canny; may"
                                + " be given several times",
                            "none; weight 1, all steps, the picture as it is",
                            methodsBut("scalecrafter"),
                            r -> given(r.controls()),
                            GenerationRequest.Builder::addControls),
                    GUIDE.option(
                            "guide-weight",
                            OptionType.decimal().within(GuideOptions.WEIGHT_RANGE),
                            "pull of the key patch on the others",
                            "{default}",
                            g -> boxed(g.weight()),
                            GuideOptions::withWeight),
                    GUIDE.option(
                            "guide-schedule",
                            OptionType.constant(GuideOptions.Schedule.class),
                            "course of the weight over stage 1",
                            "{default}",
                            g -> g.schedule(),
                            GuideOptions::withSchedule),
                    GUIDE.option(
                            "guide-space",
                            OptionType.constant(GuideOptions.Space.class),
                            "guide noise estimates, as the paper, or predicted clean " + "latents",
                            "{default}",
                            g -> g.space(),
                            GuideOptions::withSpace),
                    GUIDE.option(
                            "guide-upsampling",
                            OptionType.constant(GuideOptions.Upsampling.class),
                            "give every patch the key patch's clean latents as they "
                                    + "are, or interpolated at its own cells; nearest in space "
                                    + "noise",
                            "{default}",
                            g -> g.upsampling(),
                            GuideOptions::withUpsampling),
                    GUIDE.option(
                            "mask",
                            OptionType.constant(GuideOptions.Mask.class),
                            "whose attention map weighs the guidance",
                            "{default}",
                            g -> g.mask(),
                            GuideOptions::withMask),
                    GUIDE.option(
                            "mask-blocks",
                            OptionType.names(),
                            "up blocks whose maps are used, as in " + "up_blocks.0,up_blocks.1",
                            "all of the bundle",
                            g -> given(g.maskBlocks()),
                            GuideOptions::withMaskBlocks),
                    GUIDE.option(
                            "mask-tokens",
                            OptionType.indices().within(GuideOptions.TOKEN_RANGE),
                            "prompt tokens whose maps are used, as in 1,2; 0 is the " + "first",
                            "all",
                            g -> given(g.maskTokens()),
                            GuideOptions::withMaskTokens),
                    GUIDE.option(
                            "mask-norm",
                            OptionType.constant(GuideOptions.MaskNorm.class),
                            "how a map becomes weights",
                            "{default}",
                            g -> g.maskNorm(),
                            GuideOptions::withMaskNorm),
                    GUIDE.option(
                            "staleness",
                            OptionType.integer().within(GuideOptions.STALENESS_RANGE),
                            "age of the guidance in steps; 0: synchronous, 1: the " + "paper's",
                            "{default}",
                            g -> boxed(g.staleness()),
                            GuideOptions::withStaleness),
                    GUIDE.option(
                            "interaction",
                            INTERACTION.within(GuideOptions.INTERACTION_RANGE),
                            "exchange of pixels between patches: in every step, "
                                    + "never, or in the first N",
                            "{default}",
                            g -> boxed(g.interactionSteps()),
                            GuideOptions::withInteractionSteps),
                    GUIDE.option(
                            "stage1-share",
                            OptionType.decimal().within(Range.SHARE),
                            "share of the steps for stage 1",
                            "{default}",
                            g -> boxed(g.stage1Share()),
                            GuideOptions::withStage1Share),
                    GUIDE.option(
                            "patch-aspect",
                            OptionType.constant(GuideOptions.PatchAspect.class),
                            "cut each axis by itself, or into patches of the " + "picture's aspect",
                            "{default}",
                            g -> g.patchAspect(),
                            GuideOptions::withPatchAspect),
                    WINDOWS.option(
                            "window-stride",
                            OptionType.integer().within(WindowOptions.STRIDE_RANGE),
                            "latent cells between windows",
                            "half of the native size",
                            w -> boxed(w.stride()),
                            WindowOptions::withStride),
                    WINDOWS.option(
                            "jitter",
                            OptionType.integer().within(WindowOptions.JITTER_RANGE),
                            "largest random shift of a window, latent cells",
                            "(native - stride) / 4; multidiffusion: 0",
                            w -> boxed(w.jitter()),
                            WindowOptions::withJitter),
                    WINDOWS.option(
                            "window-weight",
                            OptionType.constant(WindowOptions.Weight.class),
                            "how windows are averaged",
                            "{default}",
                            w -> w.weight(),
                            WindowOptions::withWeight),
                    WINDOWS.option(
                            "window-conditioning",
                            OptionType.constant(WindowOptions.Conditioning.class),
                            "tell a window its place, or that it is the whole picture",
                            "{default}",
                            w -> w.conditioning(),
                            WindowOptions::withConditioning),
                    STAGE2.option(
                            "stage2-guidance-scale",
                            OptionType.decimal().within(GenerationRequest.GUIDANCE_SCALE_RANGE),
                            "classifier-free guidance of stage 2, up to 1 none",
                            "--guidance-scale",
                            w -> boxed(w.guidanceScale()),
                            WindowOptions::withGuidanceScale),
                    BACKGROUND.option(
                            "object-share",
                            OptionType.decimal().within(Range.SHARE),
                            "windows that the object covers by less of their area, by "
                                    + "the key patch's mask, are background; 0: none is",
                            "{default}",
                            w -> boxed(w.objectShare()),
                            WindowOptions::withObjectShare),
                    REGIONS.option(
                            "region",
                            OptionType.regions(),
                            "prompt of a part of the picture, a box of left and upper border, width"
                                    + " and height in pixels: of the windows that lie in it by more"
                                    + " than half; may be given several times",
                            "--prompt everywhere",
                            w -> given(w.regions()),
                            WindowOptions::withRegions),
                    BACKGROUND.option(
                            "background-prompt",
                            OptionType.text("TEXT"),
                            "prompt of background windows",
                            "--prompt",
                            w -> w.backgroundPrompt(),
                            WindowOptions::withBackgroundPrompt),
                    BACKGROUND.option(
                            "background-guidance-scale",
                            OptionType.decimal().within(GenerationRequest.GUIDANCE_SCALE_RANGE),
                            "guidance scale of background windows, up to 1 none",
                            "asg: 1 + (that of stage 2 - 1) / 8; cutdiffusion: that of stage 2",
                            w -> boxed(w.backgroundGuidanceScale()),
                            WindowOptions::withBackgroundGuidanceScale),
                    PHASES.option(
                            "cosine-scale-1",
                            OptionType.decimal().within(PhaseOptions.EXPONENT_RANGE),
                            "exponent of the skip residual, which holds a phase to "
                                    + "the one before; larger: for a shorter while",
                            "{default}",
                            p -> boxed(p.skipExponent()),
                            PhaseOptions::withSkipExponent),
                    PHASES.option(
                            "cosine-scale-2",
                            OptionType.decimal().within(PhaseOptions.EXPONENT_RANGE),
                            "exponent of the dilated views' weight beside the "
                                    + "windows; larger: for a shorter while",
                            "{default}",
                            p -> boxed(p.dilatedExponent()),
                            PhaseOptions::withDilatedExponent),
                    PHASES.option(
                            "cosine-scale-3",
                            OptionType.decimal().within(PhaseOptions.EXPONENT_RANGE),
                            "exponent of the blur before dilated views; larger: it "
                                    + "falls faster",
                            "{default}",
                            p -> boxed(p.blurExponent()),
                            PhaseOptions::withBlurExponent),
                    PHASES.option(
                            "blur",
                            OptionType.decimal().within(PhaseOptions.BLUR_RANGE),
                            "standard deviation of that blur at first, latent cells",
                            "{default}",
                            p -> boxed(p.blur()),
                            PhaseOptions::withBlur),
                    RELAY.option(
                            "preset",
                            OptionType.constant(LegOptions.Preset.class),
                            "table of stages and sampler of a published method",
                            "the engine's own table",
                            l -> l.preset(),
                            LegOptions::withPreset),
                    RELAY.option(
                            "stages",
                            OptionType.stages(),
                            "a table of your own, a stage as in \"1x 0..0.6; full 0.6..1"
                                    + " guidance=6 windows=0.5\"",
                            "the preset's",
                            l -> given(l.stages()),
                            LegOptions::withStages),
                    RELAY.option(
                            "stage-views",
                            OptionType.constant(LegOptions.Views.class),
                            "see a stage beyond native size whole or in windows",
                            "by table",
                            l -> l.views(),
                            LegOptions::withViews),
                    RELAY.option(
                            "enlarge",
                            OptionType.constant(RelayStage.Enlarge.class),
                            "how a stage's canvas comes from the one before; all but latent by the"
                                    + " VAE",
                            "by table",
                            l -> l.enlarge(),
                            LegOptions::withEnlarge),
                    DILATION.option(
                            "dilate",
                            OptionType.factors().within(DilationOptions.FACTOR_RANGE),
                            "dilation factors of groups of convolutions, as in "
                                    + "mid_block=2,up_blocks.0=2.5",
                            "the published ones for the size",
                            d -> given(d.factors()),
                            DilationOptions::withFactors),
                    DILATION.option(
                            "dilate-share",
                            OptionType.decimal().within(Range.SHARE),
                            "share of the steps that are dilated",
                            "by size",
                            d -> boxed(d.share()),
                            DilationOptions::withShare),
                    DILATION.option(
                            "dilate-course",
                            OptionType.constant(DilationOptions.Course.class),
                            "keep the factors, or let them fall step by step",
                            "by size",
                            d -> d.course(),
                            DilationOptions::withCourse),
                    DILATION.option(
                            "damped",
                            OptionType.factors().within(DilationOptions.FACTOR_RANGE),
                            "factors of the second unconditional pass of noise-damped "
                                    + "guidance",
                            "by size",
                            d -> given(d.dampedFactors()),
                            DilationOptions::withDampedFactors),
                    DILATION.option(
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

    private static <T> RequestOption<T> inpaint(
            String name,
            OptionType<T> type,
            String help,
            String otherwise,
            Part<InpaintOptions, T> get,
            BiFunction<InpaintOptions, T, InpaintOptions> set) {
        return new RequestOption<>(
                name,
                Section.PICTURE,
                type,
                help,
                otherwise,
                methodsBut("demofusion", "superres"),
                request -> get.of(request.inpaint()),
                (builder, value) -> builder.inpaint(set.apply(builder.inpaint(), value)));
    }

    private static List<String> methodsBut(String... others) {
        return MethodOptions.DEFAULTS.keySet().stream()
                .filter(method -> !List.of(others).contains(method))
                .toList();
    }

    /** Reads a setting of a group of options. */
    private interface Part<G, T> {
        @Nullable T of(G group);
    }

    /**
     * Options of a part that some methods have.
     *
     * @param type of those methods' options
     * @param methods that have the options, among those of {@code type}
     */
    private record Group<M extends MethodOptions, G>(
            Section section,
            Class<M> type,
            Function<M, G> part,
            BiFunction<M, G, ? extends MethodOptions> with,
            List<String> methods) {

        static <M extends MethodOptions, G> Group<M, G> of(
                Section section,
                Class<M> type,
                Function<M, G> part,
                BiFunction<M, G, ? extends MethodOptions> with) {
            return new Group<>(section, type, part, with, having(type));
        }

        Group<M, G> only(List<String> some) {
            return new Group<>(section, type, part, with, some);
        }

        <T> RequestOption<T> option(
                String name,
                OptionType<T> values,
                String help,
                String otherwise,
                Part<G, T> get,
                BiFunction<G, T, G> set) {
            return new RequestOption<>(
                    name,
                    section,
                    values,
                    help,
                    otherwise,
                    methods,
                    request ->
                            type.isInstance(request.options())
                                    ? get.of(part.apply(type.cast(request.options())))
                                    : null,
                    (builder, value) -> {
                        M method = type.cast(builder.options());
                        builder.options(with.apply(method, set.apply(part.apply(method), value)));
                    });
        }
    }

    private static List<String> having(Class<? extends MethodOptions> type) {
        return MethodOptions.DEFAULTS.values().stream()
                .filter(type::isInstance)
                .map(MethodOptions.Named::method)
                .toList();
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
