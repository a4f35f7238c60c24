// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.planning;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuidanceInterval;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.ImageFit;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.Size;
import io.github.asg4j.Variation;
import io.github.asg4j.method.Encoders;
import io.github.asg4j.method.Method;
import io.github.asg4j.method.Setting;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.ControlFiles;
import io.github.asg4j.model.ControlManifest;
import io.github.asg4j.model.InputRole;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.plan.Arithmetic;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.ControlWork;
import io.github.asg4j.plan.Decoding;
import io.github.asg4j.plan.Encoding;
import io.github.asg4j.plan.MemoryEstimate;
import io.github.asg4j.plan.Plan;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.Upscaling;
import io.github.asg4j.schedule.NoiseLevels;
import io.github.asg4j.schedule.Sampler;
import io.github.asg4j.schedule.Schedule;
import io.github.asg4j.schedule.Solver;
import io.github.asg4j.schedule.Spacing;
import io.github.asg4j.schedule.Stretch;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.SequencedMap;
import java.util.function.BiFunction;
import java.util.function.IntFunction;

/** Turns a request into a {@link Plan} for one bundle; checks all that needs the bundle. */
public final class Planner {
    /** View batch on the CPU, where one view a call keeps all workers busy and more gain nothing. */
    private static final int VIEW_BATCH = 1;

    /** The most values of a tensor on a GPU: ONNX Runtime's CUDA kernels index with an int. */
    private static final long MOST_VALUES = Integer.MAX_VALUE;

    /** The most that {@link GenerationRequest#BY_MEMORY} chooses. */
    private static final int MOST_VIEWS = 16;

    /** Shares of steps are whole steps but for it. */
    private static final double ROUNDING = 1e-9;

    private final Bundle bundle;
    private final Manifest manifest;
    private final int workers;
    private final SequencedMap<String, GpuMemory> gpus;
    private final long memoryLimit;
    private final long weightBytes;
    private final Arithmetic arithmetic;

    /**
     * @param workers that share the work
     * @param arithmetic of the denoiser
     * @param gpus memory of each worker by its name if it has a GPU's of its own; else empty
     * @param memoryLimit bytes of host memory that a request may take
     */
    public Planner(
            Bundle bundle,
            int workers,
            Arithmetic arithmetic,
            SequencedMap<String, GpuMemory> gpus,
            long memoryLimit) {
        this.bundle = bundle;
        this.manifest = bundle.manifest();
        this.workers = workers;
        this.arithmetic = arithmetic;
        this.gpus = new LinkedHashMap<>(gpus);
        this.memoryLimit = memoryLimit;
        this.weightBytes = bundle.networkBytes();
    }

    /** Decides all that can be decided before any work, for a request without controls. */
    public PlannedRequest planned(GenerationRequest request) {
        return planned(request, List.of());
    }

    /**
     * Decides all that can be decided before any work.
     *
     * @param networks of the request's controls
     * @throws BadRequestException for a size, method, option or schedule that cannot be
     */
    public PlannedRequest planned(GenerationRequest asked, List<ControlFiles> networks) {
        GenerationRequest request = manifest.usualMethod().of(asked);
        Setting setting = setting(request);
        List<Stage> stages = cached(request, stages(setting));
        Schedule schedule = schedule(setting);
        List<PlannedControl> controls = controls(request, networks, stages, promptSteps(setting));
        return new PlannedRequest(
                request,
                plan(setting, guided(request, stages, schedule), controls),
                schedule,
                guidanceScale(request),
                strength(request),
                request.loras(),
                controls,
                promptSteps(setting),
                maskBlocks(request.guide()));
    }

    private List<PlannedControl> controls(
            GenerationRequest request,
            List<ControlFiles> networks,
            List<Stage> stages,
            PlannedRequest.PromptSteps steps) {
        if (networks.isEmpty()) {
            return List.of();
        }
        if (stages.isEmpty()) {
            throw new BadRequestException(
                    "the method "
                            + request.method()
                            + " draws nothing where a picture is given, so there is nothing to"
                            + " control: leave out --image or --control");
        }
        if (manifest.denoiser().transformer()) {
            throw new BadRequestException(
                    "the bundle \""
                            + manifest.name()
                            + "\" has a transformer; control networks are for the UNets of Stable"
                            + " Diffusion 1, 2 and XL: leave out --control");
        }
        if (arithmetic.compiles()) {
            throw new BadRequestException(
                    "control networks are not compiled for "
                            + arithmetic.precision()
                            + ": draw with --precision fp32, or leave out --control");
        }
        List<PlannedControl> controls = new ArrayList<>();
        for (int i = 0; i < networks.size(); i++) {
            PlannedControl control =
                    PlannedControl.of(request.controls().get(i), networks.get(i), steps);
            if (!control.activeIn().contains(true)) {
                throw new BadRequestException(
                        "the control "
                                + control.control().network()
                                + " takes part in no step: of "
                                + steps.of()
                                + " steps none lies between its start, "
                                + control.control().start()
                                + ", and its end, "
                                + control.control().end()
                                + ": give it a larger share");
            }
            controls.add(control);
        }
        return controls;
    }

    /** Where a schedule is several stretches, a prompt follows the share of each that is done. */
    private PlannedRequest.PromptSteps promptSteps(Setting setting) {
        List<Stretch> stretches = Method.of(setting.request()).stretches(setting);
        int of = setting.steps();
        int train = manifest.scheduler().levels().trainSteps();
        List<Integer> steps = new ArrayList<>();
        for (Stretch stretch : stretches.isEmpty() ? List.of(Stretch.whole(of)) : stretches) {
            for (int k = 0; k < stretch.steps(); k++) {
                double done = of * stretch.done(k, train) + ROUNDING;
                steps.add(1 + (int) Math.min(of - 1, done));
            }
        }
        return new PlannedRequest.PromptSteps(steps, of);
    }

    private Setting setting(GenerationRequest request) {
        Manifest.Latent latent = manifest.latent();
        Method method = Method.of(request);
        int factor = latent.vaeFactor();
        Canvas canvas =
                Canvas.of(
                        pixels(request.width(), latent.nativeWidth() * factor),
                        pixels(request.height(), latent.nativeHeight() * factor),
                        factor,
                        latent.unetMultiple(),
                        latent.channels(),
                        latent.nativeHeight(),
                        latent.nativeWidth(),
                        method.aspect(request));
        int all = steps(request);
        int skipped = skipped(request, method, canvas, all);
        // A network that takes the scale itself has no unconditional row to be mixed with.
        double mixed = manifest.denoiser().takes(InputRole.GUIDANCE) ? 1 : guidanceScale(request);
        return new Setting(request, manifest, canvas, all - skipped, skipped, mixed);
    }

    /**
     * Steps of {@code all} that a start picture takes the place of: what is left is the strength's share,
     * rounded down, and one step at least, as diffusers' image-to-image pipelines have it.
     */
    private int skipped(GenerationRequest request, Method method, Canvas canvas, int all) {
        boolean given = request.image() != null;
        boolean strong = request.strength().isPresent();
        if (!given && manifest.denoiser().refines()) {
            throw new BadRequestException(
                    manifest.name()
                            + " is a refiner, which finishes pictures and was not trained to begin"
                            + " them: give one with --image");
        }
        checkInpainting(request, method);
        checkBorders(request.inpaint().borders(), canvas);
        checkVariation(request);
        if (method.enlargesPicture()) {
            if (strong && !method.noisesPicture()) {
                throw new BadRequestException(
                        "the method "
                                + request.method()
                                + " has no strength: leave it out, or use --method relay or asg");
            }
            return 0;
        }
        if (!given) {
            if (strong) {
                throw new BadRequestException(
                        "strength "
                                + request.strength().getAsDouble()
                                + " says how much of a start picture may change: give one with"
                                + " --image, or leave it out");
            }
            return 0;
        }
        Encoders.require(manifest, "which --image needs", "draw without --image");
        double share = strength(request).orElseThrow();
        return all - Math.max(1, (int) Math.floor(all * share + ROUNDING));
    }

    private static void checkInpainting(GenerationRequest request, Method method) {
        InpaintOptions inpaint = request.inpaint();
        boolean invertsNothing = inpaint.mask() == null && inpaint.inverted();
        boolean softensNothing = !inpaint.keeps() && inpaint.blur() != 0;
        if (invertsNothing || softensNothing) {
            throw new BadRequestException(
                    "a blur or an inversion of what is painted in needs the mask: give one with"
                            + " --inpaint, or leave them out");
        }
        checkArea(request);
        if (!inpaint.keeps()) {
            return;
        }
        if (request.image() == null) {
            throw new BadRequestException(
                    (inpaint.mask() == null
                                    ? "--outpaint " + inpaint.borders()
                                    : "the mask " + inpaint.mask())
                            + " says which parts beside or of a start picture are drawn anew: give"
                            + " one with --image");
        }
        if (!method.noisesPicture()) {
            throw new BadRequestException(
                    "the method "
                            + request.method()
                            + " enlarges a start picture and paints in none: use --method asg,"
                            + " relay or direct");
        }
    }

    private static void checkArea(GenerationRequest request) {
        InpaintOptions inpaint = request.inpaint();
        if (inpaint.area() == InpaintOptions.Area.WHOLE) {
            if (inpaint.padding() != InpaintOptions.DEFAULT.padding()) {
                throw new BadRequestException(
                        "a padding of "
                                + inpaint.padding()
                                + " pixels is of the part about a mask: draw only that, with"
                                + " --inpaint-area masked, or leave the padding out");
            }
            return;
        }
        if (inpaint.mask() == null) {
            throw new BadRequestException(
                    "--inpaint-area masked draws the part about a mask: give one with --inpaint, or"
                            + " leave it out");
        }
        if (!inpaint.borders().equals(InpaintOptions.Borders.NONE)) {
            throw new BadRequestException(
                    "--inpaint-area masked draws a part of the start picture, --outpaint "
                            + inpaint.borders()
                            + " beside it: leave out one of them");
        }
        if (request.imageFit() != ImageFit.EXACT && request.controls().isEmpty()) {
            throw new BadRequestException(
                    "--inpaint-area masked draws a part of the aspect of --size, so there is"
                            + " nothing to fit: leave out --image-fit");
        }
    }

    private static void checkBorders(InpaintOptions.Borders borders, Canvas canvas) {
        int width = canvas.x().pixels() - borders.left() - borders.right();
        int height = canvas.y().pixels() - borders.top() - borders.bottom();
        if (width < 1 || height < 1) {
            throw new BadRequestException(
                    "--outpaint "
                            + borders
                            + " leaves no room for the start picture in "
                            + canvas.x().pixels()
                            + "x"
                            + canvas.y().pixels()
                            + " pixels: make the borders narrower, or --size larger");
        }
    }

    private static void checkVariation(GenerationRequest request) {
        Variation variation = request.variation();
        if ((variation.seed() == null) != (variation.strength() == null)) {
            throw new BadRequestException(
                    "a variation has a seed and a strength: give both --variation-seed and"
                            + " --variation-strength, as in 5 and 0.2");
        }
    }

    /** Share of the schedule that is drawn from the start picture; empty: the canvas begins as noise. */
    private OptionalDouble strength(GenerationRequest request) {
        boolean begins = request.image() != null && !Method.of(request).enlargesPicture();
        return begins
                ? OptionalDouble.of(request.strength().orElse(manifest.defaults().strength()))
                : OptionalDouble.empty();
    }

    private int steps(GenerationRequest request) {
        return request.steps().orElse(manifest.defaults().steps());
    }

    private List<Stage> stages(Setting setting) {
        GenerationRequest request = setting.request();
        List<Stage> stages = Method.of(request).stages(setting);
        checkMasks(request, stages);
        checkViews(request, stages);
        return stages;
    }

    /** The stages with the whole denoiser in the steps that the request's interval has. */
    private List<Stage> cached(GenerationRequest request, List<Stage> stages) {
        int interval = request.cacheInterval();
        if (interval == 1) {
            return stages;
        }
        List<Stage> cached = stages.stream().<Stage>map(stage -> stage.cachedBy(interval)).toList();
        String fault = null;
        if (stages.stream().anyMatch(Planner::cannotCache)
                || cached.stream().noneMatch(Stage::caches)) {
            fault =
                    "the method "
                            + request.method()
                            + " has no stage of plain windows here, as those of relay,"
                            + " multidiffusion and direct are, and stage 2 of asg and cutdiffusion";
        } else if (manifest.denoiser().transformer()) {
            fault =
                    "the bundle \""
                            + manifest.name()
                            + "\" has a transformer, not a UNet with skip connections";
        } else if (!request.controls().isEmpty()) {
            fault = "control networks change what the outermost layers read";
        }
        if (fault != null) {
            throw new BadRequestException(
                    "a cache interval of "
                            + interval
                            + " keeps features of a UNet from step to step, and "
                            + fault
                            + "; or leave out --cache-interval");
        }
        return cached;
    }

    /** Whether a stage's views are others from step to step, or its network is. */
    private static boolean cannotCache(Stage stage) {
        return stage instanceof Stage.Phase || stage instanceof Stage.Dilated;
    }

    /** The stages with guidance in the steps that the request's interval has, or that of a relay's row. */
    private List<Stage> guided(GenerationRequest request, List<Stage> stages, Schedule schedule) {
        if (stages.stream().allMatch(stage -> interval(request, stage) == null)) {
            return stages;
        }
        if (manifest.denoiser().takes(InputRole.GUIDANCE)) {
            throw new BadRequestException(
                    "the bundle \""
                            + manifest.name()
                            + "\" takes the guidance scale as an input and has no unconditional row"
                            + " to leave out: draw without a guidance interval");
        }
        return GuidedStages.of(stages, stage -> interval(request, stage), schedule);
    }

    private static @Nullable GuidanceInterval interval(GenerationRequest request, Stage stage) {
        GuidanceInterval own = stage instanceof Stage.Leg leg ? leg.row().interval() : null;
        return own == null ? request.guidanceInterval() : own;
    }

    private Plan plan(Setting setting, List<Stage> stages, List<PlannedControl> controls) {
        GenerationRequest request = setting.request();
        Upscaling upscaling = Method.of(request).upscaling(setting);
        Work work =
                new Work(
                        request,
                        setting.canvas(),
                        stages,
                        controls.stream()
                                .map(
                                        c ->
                                                new ControlWork(
                                                        c.network().name(),
                                                        c.network().manifest(),
                                                        c.activeIn()))
                                .toList(),
                        upscaling,
                        setting.skipped() + setting.steps());
        int asked = request.viewBatch().orElse(VIEW_BATCH);
        return asked == GenerationRequest.BY_MEMORY ? byMemory(work) : plan(work, asked);
    }

    /** What is to be drawn. */
    private record Work(
            GenerationRequest request,
            Canvas canvas,
            List<Stage> stages,
            List<ControlWork> controls,
            @Nullable Upscaling upscaling,
            int steps) {}

    /** The largest view batch for which every GPU has work and, its networks loaded, memory. */
    private Plan byMemory(Work work) {
        int views = work.stages().stream().mapToInt(Stage::views).max().orElse(1);
        int each = gpus.isEmpty() ? 1 : Math.ceilDiv(views, gpus.size());
        for (int limit = MOST_VIEWS; limit > 1; limit /= 2) {
            Plan plan = plan(work, Stage.callSize(each, limit));
            if (plan.devices().entrySet().stream()
                    .allMatch(e -> hasRoom(e.getKey(), e.getValue()))) {
                return plan;
            }
        }
        return plan(work, 1);
    }

    private boolean hasRoom(String gpu, MemoryEstimate estimate) {
        return estimate.withoutWeights() <= Objects.requireNonNull(gpus.get(gpu)).free();
    }

    private Plan plan(Work work, int viewBatch) {
        List<Stage> stages = work.stages();
        Canvas canvas = work.canvas();
        Manifest.Denoiser denoiser = manifest.denoiser();
        int history = sampler(work.request()).solver().history();
        BiFunction<Integer, Long, MemoryEstimate> elsewhere =
                (count, weights) ->
                        MemoryEstimate.of(
                                canvas,
                                stages,
                                work.upscaling(),
                                viewBatch,
                                count,
                                weights,
                                history,
                                work.request().inpaint().keeps(),
                                work.controls(),
                                denoiser,
                                !gpus.isEmpty());
        long controls = controlWeights(work);
        long weights = weights(stages) + controls + compiledBytes(stages, viewBatch);
        Encoding encoding = encoding(work, count -> elsewhere.apply(count, weights));
        // What the encoder has taken it keeps.
        BiFunction<Integer, Long, MemoryEstimate> drawing =
                (count, bytes) -> encoded(elsewhere.apply(count, bytes), encoding, count);
        Decoding decoding =
                stages.isEmpty()
                        ? null
                        : decoding(
                                work.request(),
                                canvas,
                                work.upscaling(),
                                count -> drawing.apply(count, weights));
        SequencedMap<String, MemoryEstimate> devices = new LinkedHashMap<>();
        for (String gpu : gpus.keySet()) {
            // The first has the text encoders and the VAE, each has its own denoiser.
            boolean first = devices.isEmpty();
            long own = first ? weights : otherWeights(stages, decoding, encoding) + controls;
            MemoryEstimate one =
                    first
                            ? drawing.apply(1, own)
                            : elsewhere.apply(1, own).withVae(encodedTile(encoding), 0);
            devices.put(gpu, onDevice(one, decoding, first));
        }
        MemoryEstimate all = drawing.apply(workers, weights);
        return new Plan(
                Objects.requireNonNull(work.request().method()),
                canvas,
                stages,
                null,
                work.controls(),
                decoding,
                encoding,
                work.upscaling(),
                work.steps(),
                viewBatch,
                workers,
                arithmetic,
                manifest.flops(),
                gpus.isEmpty() ? onHost(all, decoding, workers) : beside(all, decoding, workers),
                devices);
    }

    /**
     * How the largest picture is encoded that becomes latents; null: none does. Whole up to the usual
     * limit, or in the largest tiles with which the drawing and a decode in small tiles fit into memory.
     *
     * @param drawing memory without the VAE, by workers that share it
     */
    private @Nullable Encoding encoding(Work work, IntFunction<MemoryEstimate> drawing) {
        Size cells = encodedCells(work);
        if (cells == null) {
            return null;
        }
        Decoding smallest = possible(work.request(), work.canvas(), work.upscaling()).getLast();
        List<Encoding> possible =
                tilings(work.request()).stream()
                        .map(
                                tiling ->
                                        new Encoding(
                                                manifest.vae(),
                                                manifest.latent(),
                                                cells.height(),
                                                cells.width(),
                                                tiling,
                                                1,
                                                arithmetic.compiles()))
                        .toList();
        Encoding chosen =
                possible.stream()
                        .filter(e -> fits(encoded(drawing.apply(1), e, 1), smallest))
                        .findFirst()
                        .orElse(possible.getLast());
        requireCountable("encoded", chosen.largestTensor(), work.canvas());
        int tiles = gpus.isEmpty() ? workers : 1;
        while (tiles > 1
                && onHost(
                                        encoded(
                                                drawing.apply(workers),
                                                chosen.atOnce(tiles),
                                                workers),
                                        smallest,
                                        workers)
                                .total()
                        > memoryLimit) {
            tiles--;
        }
        return chosen.atOnce(tiles);
    }

    /** Latent cells of the largest picture that is encoded; null: none is. */
    private @Nullable Size encodedCells(Work work) {
        Canvas canvas = work.canvas();
        Size most = null;
        if (strength(work.request()).isPresent()) {
            most = new Size(canvas.width(), canvas.height());
        } else if (work.request().image() != null && !work.stages().isEmpty()) {
            most = new Size(canvas.x().patch(), canvas.y().patch());
        }
        boolean shown = manifest.denoiser().takes(InputRole.INPAINT);
        for (Stage stage : work.stages()) {
            boolean refreshed =
                    stage instanceof Stage.Leg leg
                            && leg.refresh() != null
                            && leg.refresh().inPixels();
            if (shown || refreshed) {
                Size own = frame(stage, canvas);
                most = most == null || area(own) > area(most) ? own : most;
            }
        }
        return most;
    }

    /** Latent cells of the whole picture where a stage draws it. */
    private static Size frame(Stage stage, Canvas canvas) {
        return switch (stage) {
            case Stage.Windows w -> new Size(w.x().canvas(), w.y().canvas());
            case Stage.Leg l -> new Size(l.windows().x().canvas(), l.windows().y().canvas());
            case Stage.Phase p -> new Size(p.local().x().canvas(), p.local().y().canvas());
            case Stage.Patches p -> new Size(p.viewWidth(), p.viewHeight());
            case Stage.Dilated d -> new Size(canvas.width(), canvas.height());
        };
    }

    private static long area(Size size) {
        return (long) size.width() * size.height();
    }

    private MemoryEstimate encoded(
            MemoryEstimate drawing, @Nullable Encoding encoding, int workers) {
        if (encoding == null) {
            return drawing;
        }
        return drawing.withVae(encoding.bytes(), encoding.hostBytes(workers, gpus.isEmpty()))
                .withWeights(vaeWeights(encoding.vae().encoder(), encoding.compiles()));
    }

    /**
     * Returns the bytes that a network of the VAE takes beside the stored one, where some are compiled: of the
     * whole one compiled for one shape, or of copies for its tiles.
     */
    private long vaeWeights(@Nullable String file, boolean compiled) {
        if (file == null || !arithmetic.compiles()) {
            return 0; // heldBytes has it
        }
        long bytes = bundle.graphBytes(file);
        return compiled
                ? Arithmetic.compiledBytes(arithmetic.stored(), bytes, 1)
                : arithmetic.heldBytes(bytes) - bytes;
    }

    private static long encodedTile(@Nullable Encoding encoding) {
        return encoding == null ? 0 : encoding.tileBytes();
    }

    private static MemoryEstimate onDevice(
            MemoryEstimate drawing, @Nullable Decoding decoding, boolean first) {
        long once = decoding != null && first ? decoding.onceBytes() : 0;
        long tile = decoding == null ? 0 : decoding.tileBytes(false);
        return drawing.withVae(once + tile, 0).onDevice();
    }

    private MemoryEstimate onHost(
            MemoryEstimate drawing, @Nullable Decoding decoding, int workers) {
        return decoding == null
                ? drawing
                : drawing.withVae(
                                decoding.onceBytes() + decoding.atOnce() * decoding.tileBytes(true),
                                decoding.hostBytes(workers, true))
                        .withWeights(vaeWeights(decoding.vae().decoder(), decoding.compiles()));
    }

    private static MemoryEstimate beside(
            MemoryEstimate drawing, @Nullable Decoding decoding, int workers) {
        long host = decoding == null ? 0 : decoding.hostBytes(workers, false);
        return drawing.withVae(0, host).beside();
    }

    /**
     * The usual tiles, or the largest smaller ones that fit into memory. Chosen for one worker, so
     * that the picture's bytes do not depend on their number; as many of them decode at once as there
     * is memory for.
     *
     * @param drawing memory without the decode, by workers that share it
     */
    private Decoding decoding(
            GenerationRequest request,
            Canvas canvas,
            @Nullable Upscaling upscaling,
            IntFunction<MemoryEstimate> drawing) {
        List<Decoding> possible = possible(request, canvas, upscaling);
        MemoryEstimate one = drawing.apply(1);
        Decoding chosen =
                possible.stream().filter(d -> fits(one, d)).findFirst().orElse(possible.getLast());
        requireCountable("decoded", chosen.largestTensor(), canvas);
        int tiles = gpus.isEmpty() ? workers : 1;
        while (tiles > 1
                && onHost(drawing.apply(workers), chosen.atOnce(tiles), workers).total()
                        > memoryLimit) {
            tiles--;
        }
        return chosen.atOnce(tiles);
    }

    /** Ways to decode a picture, the one with the largest tiles first. */
    private List<Decoding> possible(
            GenerationRequest request, Canvas canvas, @Nullable Upscaling upscaling) {
        int height = upscaling == null ? canvas.height() : canvas.y().patch();
        int width = upscaling == null ? canvas.width() : canvas.x().patch();
        return tilings(request).stream()
                .map(
                        t ->
                                new Decoding(
                                        manifest.vae(),
                                        manifest.latent(),
                                        height,
                                        width,
                                        t,
                                        1,
                                        arithmetic.compiles()))
                .toList();
    }

    private List<Decoding.Tiling> tilings(GenerationRequest request) {
        int factor = manifest.latent().vaeFactor();
        return request.vaeTile().isEmpty()
                ? Decoding.Tiling.byMemory(factor, arithmetic.compiles())
                : List.of(Decoding.Tiling.ofPixels(request.vaeTile().getAsInt(), factor));
    }

    private void requireCountable(String done, long values, Canvas canvas) {
        if (gpus.isEmpty() || values <= MOST_VALUES) {
            return;
        }
        boolean parts =
                manifest.vae().tiledDecoder() != null && manifest.vae().tiledEncoder() != null;
        throw new BadRequestException(
                canvas.widthPixels()
                        + "x"
                        + canvas.heightPixels()
                        + " cannot be "
                        + done
                        + " on a GPU: a tensor of the VAE would have "
                        + values
                        + " values, ONNX Runtime's CUDA kernels count to "
                        + MOST_VALUES
                        + "; draw a smaller picture, or on the CPU (--devices cpu:N)"
                        + (parts ? "" : "; a bundle that is exported again may allow more"));
    }

    private boolean fits(MemoryEstimate drawing, Decoding decoding) {
        if (gpus.isEmpty()) {
            return onHost(drawing, decoding, 1).total() <= memoryLimit;
        }
        long device = onDevice(drawing, decoding, true).total();
        return beside(drawing, decoding, 1).total() <= memoryLimit
                && gpus.values().stream().allMatch(gpu -> device <= gpu.total());
    }

    /**
     * Returns the bytes of all weights; the dilated network and that which gives its features hold the
     * denoiser's a second time.
     */
    private long weights(List<Stage> stages) {
        long denoiser = bundle.graphBytes(manifest.denoiser().file());
        if (arithmetic.compiles()) { // reads what is compiled where it is
            String encoder = manifest.vae().encoder();
            long vae =
                    bundle.graphBytes(manifest.vae().decoder())
                            + (encoder == null ? 0 : bundle.graphBytes(encoder));
            return arithmetic.heldBytes(weightBytes - denoiser - vae)
                    + vae
                    + (loadedTwice(stages) ? 2 : 1) * denoiser;
        }
        return arithmetic.heldBytes(weightBytes + (loadedTwice(stages) ? denoiser : 0));
    }

    /**
     * Returns the bytes of what is compiled, beside the weights that it is compiled from.
     */
    private long compiledBytes(List<Stage> stages, int viewBatch) {
        if (!arithmetic.compiles()) {
            return 0;
        }
        Manifest.Denoiser denoiser = manifest.denoiser();
        return Arithmetic.compiledBytes(
                arithmetic.stored(),
                bundle.graphBytes(denoiser.file()),
                Plan.compiledShapes(stages, viewBatch));
    }

    /**
     * Returns the bytes of the weights on a GPU that is not the first: the denoiser's, and what it
     * decodes and encodes tiles with.
     */
    private long otherWeights(
            List<Stage> stages, @Nullable Decoding decoding, @Nullable Encoding encoding) {
        long weights =
                bundle.graphBytes(manifest.denoiser().file()) * (loadedTwice(stages) ? 2 : 1);
        if (decoding != null && !decoding.whole()) {
            Manifest.TiledNetwork exact = manifest.vae().tiledDecoder();
            weights += bundle.graphBytes(exact == null ? manifest.vae().decoder() : exact.tail());
        }
        Manifest.TiledNetwork encoder = manifest.vae().tiledEncoder();
        if (encoding != null && !encoding.whole() && encoder != null) {
            weights += bundle.graphBytes(encoder.front());
        }
        return weights;
    }

    /**
     * Returns the bytes of control networks' weights, and of the denoiser's a second time: that which takes
     * residuals is loaded beside the plain one.
     */
    private long controlWeights(Work work) {
        if (work.controls().isEmpty()) {
            return 0;
        }
        return bundle.graphBytes(manifest.denoiser().file())
                + work.controls().stream()
                        .map(ControlWork::manifest)
                        .distinct()
                        .mapToLong(ControlManifest::bytes)
                        .sum();
    }

    private static boolean loadedTwice(List<Stage> stages) {
        return stages.stream().anyMatch(s -> s.network() != Stage.Network.PLAIN);
    }

    private static int pixels(int wanted, int nativePixels) {
        return wanted == 0 ? 2 * nativePixels : wanted;
    }

    /** The classifier-free guidance scale that the request is drawn with, at least 1. */
    private double guidanceScale(GenerationRequest request) {
        return Stage.guidanceScale(
                request.guidanceScale()
                        .orElse(
                                sampling(request)
                                        .guidanceScale()
                                        .orElse(manifest.defaults().guidanceScale())));
    }

    /**
     * The sampler that is asked for, else the method's, else the bundle's. A method's usual sampler is
     * none of flow matching.
     */
    private Sampler sampler(GenerationRequest request) {
        Manifest.Scheduler usual = manifest.scheduler();
        String asked = request.scheduler();
        if (asked == null && !(usual.levels() instanceof NoiseLevels.Flow)) {
            asked = sampling(request).scheduler();
        }
        Sampler named = asked == null ? new Sampler(usual.solver(), null) : Sampler.named(asked);
        if (request.spacing() == null) {
            return named.spacing() != null
                    ? named
                    : new Sampler(named.solver(), usualSpacing(named.solver(), asked != null));
        }
        Spacing spacing = Sampler.spacingNamed(request.spacing());
        if (named.spacing() != null && named.spacing() != spacing) {
            throw new BadRequestException(
                    "the scheduler "
                            + asked
                            + " already says "
                            + named.spacing()
                            + ", and the timestep spacing is "
                            + spacing
                            + ": give one of the two");
        }
        return new Sampler(named.solver(), spacing);
    }

    /**
     * The solver's own, where it was chosen in the place of the bundle's and has one; else the bundle's.
     */
    private Spacing usualSpacing(Solver solver, boolean chosen) {
        Spacing own = chosen ? solver.usualSpacing() : null;
        return own == null ? manifest.scheduler().spacing() : own;
    }

    private static Method.Sampling sampling(GenerationRequest request) {
        return Method.of(request).sampling(request);
    }

    /**
     * The request's noise schedule.
     *
     * @throws BadRequestException for an unknown scheduler or spacing, or too many steps
     */
    private Schedule schedule(Setting setting) {
        GenerationRequest request = setting.request();
        Sampler sampler = sampler(request);
        NoiseLevels levels = manifest.scheduler().levels();
        // A flow has no DDIM, whatever a method usually takes.
        double ofMethod = levels instanceof NoiseLevels.Flow ? 0 : sampling(request).eta();
        double usualEta = Math.max(sampler.solver().usualEta(), ofMethod);
        return Schedule.of(
                levels,
                setting.skipped() + setting.steps(),
                Method.of(request).stretches(setting),
                sampler.solver(),
                Objects.requireNonNull(sampler.spacing()),
                request.eta().orElse(usualEta));
    }

    /** Whether the denoiser can take views of these sizes. */
    private void checkViews(GenerationRequest request, List<Stage> stages) {
        int max = manifest.latent().maxSize();
        int factor = manifest.latent().vaeFactor();
        for (Stage stage : stages) {
            if (stage.viewHeight() > max || stage.viewWidth() > max) {
                throw new BadRequestException(
                        request.method()
                                + " draws this picture in views of "
                                + stage.viewWidth() * factor
                                + "x"
                                + stage.viewHeight() * factor
                                + " pixels, the bundle \""
                                + manifest.name()
                                + "\" has positions for at most "
                                + max * factor
                                + "x"
                                + max * factor
                                + ": ask for a smaller picture, or for a method that draws in"
                                + " patches, such as --method asg");
            }
        }
    }

    /** Whether the bundle has the maps that the stages weigh with. */
    private void checkMasks(GenerationRequest request, List<Stage> stages) {
        maskBlocks(request.guide());
        if (manifest.denoiser().masks().isEmpty() && stages.stream().anyMatch(Stage::readsMaps)) {
            throw new BadRequestException(
                    "the bundle \""
                            + manifest.name()
                            + "\" has no attention maps: use --mask none and --object-share 0, or"
                            + " give the checkpoint that it was made from (--model), which has"
                            + " them");
        }
    }

    /** Indices of the mask blocks a request uses. */
    private List<Integer> maskBlocks(GuideOptions guide) {
        List<Manifest.Mask> masks = manifest.denoiser().masks();
        List<Integer> chosen = new ArrayList<>();
        for (String block : guide.maskBlocks()) {
            int found = -1;
            for (int i = 0; i < masks.size(); i++) {
                found = masks.get(i).block().equals(block) ? i : found;
            }
            if (found < 0) {
                throw new BadRequestException(
                        "unknown mask block \""
                                + block
                                + "\": the bundle has "
                                + String.join(
                                        ", ", masks.stream().map(Manifest.Mask::block).toList()));
            }
            chosen.add(found);
        }
        return guide.maskBlocks().isEmpty()
                ? java.util.stream.IntStream.range(0, masks.size())
                        .filter(i -> masks.get(i).usual())
                        .boxed()
                        .toList()
                : chosen.stream().sorted().distinct().toList();
    }
}
