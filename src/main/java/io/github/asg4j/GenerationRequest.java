// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.stream.Stream;

/**
 * One picture to draw. Immutable; what is empty takes the default of the bundle. Ranges that need
 * no bundle are checked here, all others by {@link Engine#submit}.
 *
 * @param prompt what to draw; not blank
 * @param negativePrompt what to steer away from; empty for none
 * @param prompts how the prompts are read
 * @param width picture width in pixels, a multiple of the VAE factor; 0: twice the native width
 * @param height picture height in pixels; 0: twice the native height
 * @param options the method that draws, with its options; {@link MethodOptions.UsualOptions}: the model's
 * @param steps denoising steps, 1..1000
 * @param guidanceScale classifier-free guidance scale, at least 0; up to 1 there is no guidance and no
 *     unconditional row, so the negative prompt has no effect
 * @param guidanceInterval noise levels with classifier-free guidance; null: all
 * @param cacheInterval the whole denoiser runs in every so many-th step; in those between its outermost
 *     layers alone, which take what the deeper ones gave last (DeepCache, arXiv 2312.00858). 1: in every
 *     step; more is for windows of UNets, not of demofusion and scalecrafter
 * @param seed key of all random numbers
 * @param variation other noise that the initial noise is turned towards
 * @param scheduler a solver by its name in this engine, diffusers, AUTOMATIC1111's web UI or ComfyUI,
 *     as in "ddim" and "Euler Karras"; null: the bundle's
 * @param spacing spacing of the noise levels, as in "trailing" and "karras"; null: that in the
 *     scheduler's name, else the bundle's
 * @param eta stochasticity of a solver that takes it, 0..1; empty: the solver's usual one, or the paper's
 * @param viewBatch views in one UNet call; part of what determines the bytes of the picture. Empty:
 *     1; {@link #BY_MEMORY}: as many as the GPUs have memory for
 * @param vaeTile pixels of a side of the tiles that the VAE decodes; empty: whole up to 1024 x 1024, in bf16
 *     2048 x 2048 pixels, else in tiles of 512, smaller where memory does not suffice
 * @param image a picture to start from, PNG, JPEG, WebP, GIF, BMP or TIFF: demofusion, relay and
 *     superres enlarge it, all other methods draw it anew from the noise level of {@code strength}
 * @param imageFit what becomes of a picture of another aspect than the one to draw
 * @param strength share of the schedule that is drawn from a picture, of a relay in the stage after its
 *     first one; empty: the model's, mostly {@link #USUAL_STRENGTH}, of a relay what its table says
 * @param inpaint which parts of the start picture are drawn anew; not of demofusion and superres
 * @param controls pictures that control networks hold the drawing to; their outputs are added
 * @param loras LoRA files to draw with, added to the model's weights in this order
 * @param paperDefaults what is not asked for is as the method's paper and code have it, not as the
 *     evaluation of this engine chose it
 * @param latents start from these latents instead of seeded noise, float32 {@code [1, C, H, W]} of
 *     the canvas or {@code [N, C, h, w]} of its patches, unit variance; an .npy file or {@link Content#floats}
 * @param dumpDirectory folder that receives embeddings, noise, masks and latents per step as .npy
 */
public record GenerationRequest(
        String prompt,
        String negativePrompt,
        PromptOptions prompts,
        int width,
        int height,
        MethodOptions options,
        OptionalInt steps,
        OptionalDouble guidanceScale,
        @Nullable GuidanceInterval guidanceInterval,
        int cacheInterval,
        long seed,
        Variation variation,
        @Nullable String scheduler,
        @Nullable String spacing,
        OptionalDouble eta,
        OptionalInt viewBatch,
        OptionalInt vaeTile,
        @Nullable Content image,
        ImageFit imageFit,
        OptionalDouble strength,
        InpaintOptions inpaint,
        List<Control> controls,
        List<Lora> loras,
        boolean paperDefaults,
        @Nullable Content latents,
        java.nio.file.@Nullable Path dumpDirectory) {

    /** Steps beyond this add nothing: the training schedules have 1000. */
    public static final int MAX_STEPS = 1000;

    /**
     * A view batch that the plan chooses: 1 on the CPU; on GPUs the largest, up to 16, for which each
     * of them has memory and work. The picture's last bits may then depend on the machine.
     */
    public static final int BY_MEMORY = Integer.MAX_VALUE;

    /** Of {@code steps}. */
    public static final Range STEPS_RANGE = new Range(1, MAX_STEPS);

    /** Of every guidance scale. */
    public static final Range GUIDANCE_SCALE_RANGE = new Range(0, 100);

    /** Of {@code cacheInterval}. */
    public static final Range CACHE_INTERVAL_RANGE = new Range(1, MAX_STEPS);

    /** Of {@code viewBatch} where it is not {@link #BY_MEMORY}. */
    public static final Range VIEW_BATCH_RANGE = new Range(1, 1024);

    /** Of {@code strength}. */
    public static final Range STRENGTH_RANGE = new Range(0.01, 1);

    /** Strength where a picture is given and nothing else is said. */
    public static final double USUAL_STRENGTH = 0.75;

    /** Method where neither the request nor the model names one. */
    public static final String USUAL_METHOD = "asg";

    /** Of {@code vaeTile}, pixels. */
    public static final Range VAE_TILE_RANGE = new Range(1, 1 << 16);

    public GenerationRequest {
        Objects.requireNonNull(negativePrompt, "negativePrompt");
        Objects.requireNonNull(prompts, "prompts");
        Objects.requireNonNull(options, "options");
        Objects.requireNonNull(variation, "variation");
        Objects.requireNonNull(imageFit, "imageFit");
        Objects.requireNonNull(inpaint, "inpaint");
        controls = List.copyOf(controls);
        loras = List.copyOf(loras);
        if (prompt.isBlank()) {
            throw new BadRequestException(
                    "the prompt is empty: say what to draw, for example \"a red ball on grass\"");
        }
        if (width < 0 || height < 0) {
            throw new BadRequestException(
                    "size " + width + "x" + height + " is negative: give pixels, as in 256x256");
        }
        if (image != null && latents != null) {
            throw new BadRequestException(
                    "a picture starts from "
                            + image
                            + " or from the latents "
                            + latents
                            + ", not from both: leave one out");
        }
        STEPS_RANGE.check("steps", steps);
        GUIDANCE_SCALE_RANGE.check("guidance scale", guidanceScale);
        CACHE_INTERVAL_RANGE.check("cache interval", OptionalInt.of(cacheInterval));
        Range.SHARE.check("eta", eta);
        if (viewBatch.orElse(1) != BY_MEMORY) {
            VIEW_BATCH_RANGE.check("view batch", viewBatch);
        }
        VAE_TILE_RANGE.check("VAE tile", vaeTile);
        STRENGTH_RANGE.check("strength", strength);
    }

    /**
     * Name of the method, one of {@link Engine#methods()}; null: none is named, and the model's usual one
     * draws. The requests of reports name it.
     */
    public @Nullable String method() {
        return options instanceof MethodOptions.Named named ? named.method() : null;
    }

    /** What is asked of stage 1; nothing of a method without one. */
    public GuideOptions guide() {
        return options instanceof MethodOptions.Patched patched
                ? patched.guide()
                : GuideOptions.DEFAULT;
    }

    /** What is asked of overlapping windows; nothing of a method without any. */
    public WindowOptions windows() {
        return options instanceof MethodOptions.Windowed windowed
                ? windowed.windows()
                : WindowOptions.DEFAULT;
    }

    /** What is asked of DemoFusion's phases; nothing of another method. */
    public PhaseOptions phases() {
        return options instanceof MethodOptions.Phased phased
                ? phased.phases()
                : PhaseOptions.DEFAULT;
    }

    /** What is asked of the stages of a relay; nothing of another method. */
    public LegOptions legs() {
        return options instanceof MethodOptions.Relayed relayed
                ? relayed.legs()
                : LegOptions.DEFAULT;
    }

    /** What is asked of ScaleCrafter's dilation; nothing of another method. */
    public DilationOptions dilation() {
        return options instanceof MethodOptions.Dilating dilating
                ? dilating.dilation()
                : DilationOptions.DEFAULT;
    }

    /**
     * The request of one of several pictures: the seed follows this one's, or, where there is a
     * variation, the variation's seed follows and the picture's stays, as in AUTOMATIC1111's web UI.
     *
     * @param number 0: this request
     */
    public GenerationRequest following(int number) {
        Long towards = variation.seed();
        return towards != null && variation.changes()
                ? toBuilder().variation(variation.withSeed(towards + number)).build()
                : toBuilder().seed(seed + number).build();
    }

    /** A request for {@code prompt} with every default. */
    public static Builder builder(String prompt) {
        return new Builder(prompt);
    }

    /** A builder that starts from this request. */
    public Builder toBuilder() {
        Builder b = new Builder(prompt);
        b.negativePrompt = negativePrompt;
        b.prompts = prompts;
        b.width = width;
        b.height = height;
        b.options = options;
        b.steps = steps;
        b.guidanceScale = guidanceScale;
        b.guidanceInterval = guidanceInterval;
        b.cacheInterval = cacheInterval;
        b.seed = seed;
        b.variation = variation;
        b.scheduler = scheduler;
        b.spacing = spacing;
        b.eta = eta;
        b.viewBatch = viewBatch;
        b.vaeTile = vaeTile;
        b.image = image;
        b.imageFit = imageFit;
        b.strength = strength;
        b.inpaint = inpaint;
        b.controls = controls;
        b.loras = loras;
        b.paperDefaults = paperDefaults;
        b.latents = latents;
        b.dumpDirectory = dumpDirectory;
        return b;
    }

    /** Collects the settings of a request; one thread. */
    public static final class Builder {
        private String prompt;
        private String negativePrompt = "";
        private PromptOptions prompts = PromptOptions.DEFAULT;
        private int width;
        private int height;
        private MethodOptions options = MethodOptions.UsualOptions.DEFAULT;
        private OptionalInt steps = OptionalInt.empty();
        private OptionalDouble guidanceScale = OptionalDouble.empty();
        private @Nullable GuidanceInterval guidanceInterval;
        private int cacheInterval = 1;
        private long seed;
        private Variation variation = Variation.NONE;
        private @Nullable String scheduler;
        private @Nullable String spacing;
        private OptionalDouble eta = OptionalDouble.empty();
        private OptionalInt viewBatch = OptionalInt.empty();
        private OptionalInt vaeTile = OptionalInt.empty();
        private @Nullable Content image;
        private ImageFit imageFit = ImageFit.EXACT;
        private OptionalDouble strength = OptionalDouble.empty();
        private InpaintOptions inpaint = InpaintOptions.DEFAULT;
        private List<Control> controls = List.of();
        private List<Lora> loras = List.of();
        private boolean paperDefaults;
        private @Nullable Content latents;
        private java.nio.file.@Nullable Path dumpDirectory;

        private Builder(String prompt) {
            this.prompt = prompt;
        }

        public Builder prompt(String text) {
            prompt = text;
            return this;
        }

        public Builder negativePrompt(String text) {
            negativePrompt = text;
            return this;
        }

        /** How the prompts are read. */
        public Builder prompts(PromptOptions reading) {
            prompts = reading;
            return this;
        }

        PromptOptions prompts() {
            return prompts;
        }

        /** Width and height in pixels. */
        public Builder size(int widthPixels, int heightPixels) {
            width = widthPixels;
            height = heightPixels;
            return this;
        }

        /**
         * The method called {@code name}, with its default options.
         *
         * @throws BadRequestException if there is no such method
         */
        public Builder method(String name) {
            options = MethodOptions.of(name);
            return this;
        }

        /** The method and what is asked of it. */
        public Builder options(MethodOptions method) {
            options = method;
            return this;
        }

        MethodOptions options() {
            return options;
        }

        public Builder steps(int count) {
            steps = OptionalInt.of(count);
            return this;
        }

        public Builder guidanceScale(double scale) {
            guidanceScale = OptionalDouble.of(scale);
            return this;
        }

        public Builder guidanceInterval(@Nullable GuidanceInterval sigmas) {
            guidanceInterval = sigmas;
            return this;
        }

        public Builder cacheInterval(int steps) {
            cacheInterval = steps;
            return this;
        }

        public Builder seed(long key) {
            seed = key;
            return this;
        }

        public Builder variation(Variation towards) {
            variation = towards;
            return this;
        }

        Variation variation() {
            return variation;
        }

        public Builder scheduler(@Nullable String name) {
            scheduler = name;
            return this;
        }

        public Builder spacing(@Nullable String name) {
            spacing = name;
            return this;
        }

        public Builder eta(double value) {
            eta = OptionalDouble.of(value);
            return this;
        }

        /** Views in one UNet call, 1 to 1024, or {@link GenerationRequest#BY_MEMORY}. */
        public Builder viewBatch(int views) {
            viewBatch = OptionalInt.of(views);
            return this;
        }

        public Builder vaeTile(int pixels) {
            vaeTile = OptionalInt.of(pixels);
            return this;
        }

        public Builder image(@Nullable Content picture) {
            image = picture;
            return this;
        }

        public Builder imageFit(ImageFit fit) {
            imageFit = fit;
            return this;
        }

        public Builder inpaint(InpaintOptions mask) {
            inpaint = mask;
            return this;
        }

        InpaintOptions inpaint() {
            return inpaint;
        }

        public Builder strength(double share) {
            strength = OptionalDouble.of(share);
            return this;
        }

        public Builder controls(List<Control> pictures) {
            controls = pictures;
            return this;
        }

        /** Adds controls to those that were given. */
        Builder addControls(List<Control> pictures) {
            return controls(Stream.concat(controls.stream(), pictures.stream()).toList());
        }

        public Builder loras(List<Lora> files) {
            loras = files;
            return this;
        }

        /** Adds LoRA files to those that were given. */
        Builder addLoras(List<Lora> files) {
            return loras(Stream.concat(loras.stream(), files.stream()).toList());
        }

        public Builder paperDefaults(boolean use) {
            paperDefaults = use;
            return this;
        }

        public Builder latents(@Nullable Content npy) {
            latents = npy;
            return this;
        }

        public Builder dumpDirectory(java.nio.file.@Nullable Path folder) {
            dumpDirectory = folder;
            return this;
        }

        public GenerationRequest build() {
            return new GenerationRequest(
                    prompt,
                    negativePrompt,
                    prompts,
                    width,
                    height,
                    options,
                    steps,
                    guidanceScale,
                    guidanceInterval,
                    cacheInterval,
                    seed,
                    variation,
                    scheduler,
                    spacing,
                    eta,
                    viewBatch,
                    vaeTile,
                    image,
                    imageFit,
                    strength,
                    inpaint,
                    controls,
                    loras,
                    paperDefaults,
                    latents,
                    dumpDirectory);
        }
    }
}
