// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.Content;
import io.github.asg4j.DeviceException;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.PictureReport;
import io.github.asg4j.Size;
import io.github.asg4j.TraceReport;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.CallShape;
import io.github.asg4j.model.ControlManifest;
import io.github.asg4j.model.Denoiser;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Plan;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.Upscaling;
import io.github.asg4j.planning.PlannedControl;
import io.github.asg4j.planning.PlannedRequest;
import io.github.asg4j.run.denoise.CallBuffers;
import io.github.asg4j.run.denoise.Conditioning;
import io.github.asg4j.run.denoise.Controls;
import io.github.asg4j.run.denoise.Keep;
import io.github.asg4j.run.denoise.KeptPicture;
import io.github.asg4j.run.denoise.ScheduleTable;
import io.github.asg4j.run.denoise.ShownPicture;
import io.github.asg4j.run.denoise.StageContext;
import io.github.asg4j.run.denoise.StageRun;
import io.github.asg4j.run.picture.LatentsDecoder;
import io.github.asg4j.run.picture.PictureEncoder;
import io.github.asg4j.run.picture.PictureEnlarger;
import io.github.asg4j.run.picture.Pixels;
import io.github.asg4j.run.picture.TileUnits;
import io.github.asg4j.run.report.Dump;
import io.github.asg4j.run.report.GuardedListener;
import io.github.asg4j.run.report.ProgressReporter;
import io.github.asg4j.run.report.ReportBuilder;
import io.github.asg4j.run.start.ControlPicture;
import io.github.asg4j.run.start.Embeddings;
import io.github.asg4j.run.start.GivenPicture;
import io.github.asg4j.run.start.Margins;
import io.github.asg4j.run.start.PromptTokens;
import io.github.asg4j.run.start.StartLatents;
import io.github.asg4j.run.start.TextConditioning;
import io.github.asg4j.run.work.Cancellation;
import io.github.asg4j.run.work.DeviceSpeeds;
import io.github.asg4j.run.work.WorkLoop;
import io.github.asg4j.run.work.WorkScheduler;
import io.github.asg4j.run.worker.CallLog;
import io.github.asg4j.run.worker.DeviceLane;
import io.github.asg4j.run.worker.DevicePool;
import io.github.asg4j.run.worker.EngineParts;
import io.github.asg4j.run.worker.RequestContext;
import io.github.asg4j.run.worker.RequestTimes;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.WorkerHook;
import io.github.asg4j.run.worker.Workers;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * One request at work, from its prompt to its pixels. Owns the memory and the workers of the request;
 * used by one thread, once.
 */
final class RequestRun implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(RequestRun.class.getName());

    private final PlannedRequest planned;
    private final GenerationRequest request;
    private final Plan plan;
    private final PromptTokens prompts;
    private final DevicePool devices;
    private final RequestTimes times = new RequestTimes();
    private final Memory memory = new Memory("the picture");
    private final List<DeviceLane> lanes;
    private final List<Worker> workers = new ArrayList<>();
    private final RequestContext context;
    private final WorkScheduler scheduler;
    private final WorkLoop loop;
    private final ProgressReporter.Audience audience;
    private final Cancellation cancellation;

    /**
     * @param speeds of the devices, as earlier requests have shown them
     */
    RequestRun(
            PlannedRequest planned,
            EngineParts engine,
            DevicePool devices,
            DeviceSpeeds speeds,
            GenerationListener listener,
            Cancellation cancellation) {
        this.planned = planned;
        this.devices = devices;
        this.cancellation = cancellation;
        request = planned.request();
        plan = planned.plan();
        prompts = PromptTokens.of(planned, engine);
        lanes = devices.working();
        context = new RequestContext(engine, devices, planned, new Workers(workers, memory), times);
        scheduler =
                new WorkScheduler(lanes.stream().map(DeviceLane::name).toList(), speeds.of(lanes));
        loop = new WorkLoop(workers, devices, scheduler, cancellation);
        int previewEvery = listener.previewEvery();
        audience =
                new ProgressReporter.Audience(
                        new GuardedListener(listener),
                        new Keep(
                                request.dumpDirectory() != null,
                                previewEvery > 0,
                                listener.wantsPatches(),
                                listener.wantsAttention()),
                        previewEvery);
    }

    /**
     * Checks that the devices have room, and loads networks with the request's LoRA files and those
     * that only some methods need.
     *
     * @param memoryLimit bytes of host memory that a request may take
     */
    void prepare(long memoryLimit) {
        plan.requireMemory(memoryLimit);
        lanes.forEach(lane -> plan.requireMemory(lane.name(), lane.memoryLimit()));
        LoadedModel model = context.model();
        model.use(planned.loras());
        model.textEncoder(request.prompts().clipSkip(), prompts.hasInversions());
        for (PlannedControl control : planned.controls()) {
            lanes.forEach(lane -> model.controlNetwork(control.network(), devices.indexOf(lane)));
        }
        if (!planned.controls().isEmpty()) {
            lanes.forEach(lane -> model.controlledDenoiser(devices.indexOf(lane), residuals()));
        }
        for (Stage stage : plan.stages()) {
            lanes.forEach(lane -> denoiser(model, stage.network(), devices.indexOf(lane)));
        }
        if (plan.arithmetic().compiles()) {
            compile(model);
        }
        times.loaded();
        if (request.dumpDirectory() != null) {
            Dump.requireFolder(request.dumpDirectory());
        }
    }

    /** Compiles the denoisers for their calls; on the CPU all workers have the same. */
    private void compile(LoadedModel model) {
        int tokens = model.textEncoder().length(prompts.chunks());
        for (Stage.Network network : Stage.Network.values()) {
            List<CallShape> calls = plan.callShapes(network);
            if (!calls.isEmpty()) {
                denoiser(model, network, 0).compile(calls, tokens);
            }
            cancellation.check(); // each may take many seconds
        }
    }

    private static Denoiser denoiser(LoadedModel model, Stage.Network network, int worker) {
        return switch (network) {
            case PLAIN -> model.denoiser(worker);
            case DILATED -> model.dilatedDenoiser(worker);
            case CACHED -> model.cachedDenoiser(worker);
        };
    }

    /**
     * Makes one worker per device.
     *
     * @param traced whether they keep a log of their calls
     */
    void addWorkers(WorkerHook hook, boolean traced) {
        for (int i = 0; i < lanes.size(); i++) {
            CallLog log = traced ? new CallLog(lanes.get(i).name(), times.start()) : null;
            workers.add(new Worker(i, lanes.size(), lanes.get(i), hook, log));
        }
    }

    /** Draws the picture: the story of a request. */
    GeneratedImage draw() {
        LatentsDecoder decoder = new LatentsDecoder(context, loop.own());
        ReportBuilder reports = new ReportBuilder(context, scheduler, prompts.embeddings());
        ProgressReporter progress =
                new ProgressReporter(context, scheduler, cancellation, audience, decoder);
        Content picture = request.image();
        Upscaling upscaling = plan.upscaling();
        if (upscaling != null && picture != null) {
            PictureEnlarger enlarger = new PictureEnlarger(context, decoder.decoded(), upscaling);
            take(picture, enlarger);
            Pixels pixels = enlarge(enlarger, upscaling, progress);
            return reports.picture(pixels, PictureReport.Cut.NONE, decoder.summary(), null);
        }
        boolean refreshed = plan.refreshes(0);
        boolean noised = planned.strength().isPresent();
        InpaintMask mask = request.inpaint().keeps() ? InpaintMask.of(context) : null;
        Margins margins = mask == null ? Margins.NONE : mask.margins();
        PictureEncoder encoder =
                new PictureEncoder(context, loop.own(), tiles -> byTiles(tiles, progress));
        GivenPicture.Extent extent =
                noised ? GivenPicture.Extent.CANVAS : GivenPicture.Extent.PATCH;
        MemorySegment given =
                picture == null || refreshed
                        ? MemorySegment.NULL
                        : times.vae(() -> encoded(picture, extent, margins, encoder));
        progress.event("text", 0, 1);
        TextConditioning.Encoded text =
                times.text(() -> devices.onFront(() -> TextConditioning.encode(context, prompts)));
        progress.event("text", 1, 1);
        StartLatents start = StartLatents.of(context, given, noised);
        // A network for inpainting is shown what is kept, as diffusers has it.
        boolean inpaints = context.model().denoiser().inpaints();
        InpaintMask setBack = inpaints ? null : mask;
        StageContext stage =
                stageContext(
                        text.embeddings(),
                        margins,
                        // stages of a relay keep each their own
                        setBack == null || refreshed ? null : kept(start, setBack),
                        inpaints ? masked(mask, encoder) : null);
        StageFactory.Stages stages = StageFactory.stages(context, stage, scheduler, start, setBack);
        progress.begin(stages.runs());
        LatentsRefresh refresh =
                new LatentsRefresh(
                        context, margins, decoder, encoder, tiles -> byTiles(tiles, progress));
        if (picture != null && refreshed) {
            times.vae(() -> refresh.picture(picture, stages.handover(0)));
        }
        carryOut(stages, refresh, progress);
        reports.stagesEnded();
        if (request.dumpDirectory() != null) {
            new Dump(request.dumpDirectory(), plan, context.kernels(), memory)
                    .write(text.embeddings(), start, stages.runs());
        }
        MemorySegment latents = stages.runs().getLast().result().read(memory);
        Pixels pixels =
                upscaling == null
                        ? times.vae(() -> decoder.canvas(latents, run -> byTiles(run, progress)))
                        : enlarge(latents, decoder, upscaling, progress);
        return reports.picture(
                mask == null ? pixels : mask.pixels().composite(pixels),
                new PictureReport.Cut(text.cut(), text.negativeCut()),
                decoder.summary(),
                stages.objectMask());
    }

    /** Carries the stages out, all up to the next one that is refreshed at a time. */
    private void carryOut(
            StageFactory.Stages stages, LatentsRefresh refresh, ProgressReporter progress) {
        List<StageRun> runs = stages.runs();
        int first = 0;
        for (int end = 1; end <= runs.size(); end++) {
            boolean last = end == runs.size();
            if (last || plan.refreshes(end)) {
                loop.carryOut(runs.subList(first, end), progress::lookAtStages);
                first = end;
            }
            if (!last && plan.refreshes(end)) {
                MemorySegment clean = runs.get(end - 1).result().read(memory);
                int next = end;
                times.vae(() -> refresh.latents(clean, stages.handover(next)));
            }
        }
    }

    /** What inpainting keeps of the start picture. */
    private KeptPicture kept(StartLatents start, InpaintMask mask) {
        Canvas canvas = plan.canvas();
        return new KeptPicture(
                canvas,
                t -> planned.schedule().levels().get(t + 1),
                request.seed(),
                context.workers(),
                new KeptPicture.Cells(
                        start.picture(),
                        start.noise(),
                        mask.kept(canvas.height(), canvas.width(), memory)),
                context.kernels());
    }

    /** What control networks give, which is the same of all of a request. */
    private List<ControlManifest.Residual> residuals() {
        return planned.controls().getFirst().network().manifest().residuals();
    }

    /**
     * Networks and pictures of the request's controls.
     *
     * @param margins about a start picture: where a part of it is drawn, they lie as it does
     */
    private Controls controls(Margins margins) {
        boolean part = request.inpaint().area() == InpaintOptions.Area.MASKED;
        Margins own = part ? margins : Margins.NONE;
        List<Controls.Net> nets = new ArrayList<>();
        for (PlannedControl each : planned.controls()) {
            ControlPicture picture = ControlPicture.read(context, each.control(), own);
            nets.add(
                    new Controls.Net(
                            context.ofEachWorker(
                                    lane -> context.model().controlNetwork(each.network(), lane)),
                            (float) each.control().weight(),
                            each.activeIn(),
                            new ShownPicture(3, plan.canvas().y().factor(), picture::frame)));
        }
        return new Controls(nets);
    }

    private Denoiser denoiser(int lane) {
        return planned.controls().isEmpty()
                ? context.model().denoiser(lane)
                : context.model().controlledDenoiser(lane, residuals());
    }

    /** What a network for inpainting is shown. */
    private ShownPicture masked(@Nullable InpaintMask mask, PictureEncoder encoder) {
        MaskedPicture picture = new MaskedPicture(context, mask, encoder);
        return new ShownPicture(
                1 + plan.canvas().channels(),
                1,
                (rows, columns, down, right) ->
                        times.vae(() -> picture.frame(rows, columns, down, right)));
    }

    /** What the stages are made with. */
    private StageContext stageContext(
            Embeddings texts,
            Margins margins,
            @Nullable KeptPicture kept,
            @Nullable ShownPicture masked) {
        Workers team = context.workers();
        Conditioning conditioning =
                new Conditioning(
                        context.ofEachWorker(this::denoiser),
                        plan.canvas(),
                        team.of(texts.hidden(), "text embeddings"),
                        team.orNull(texts.pooled(), "pooled embeddings"),
                        team.of(texts.tokenWeights(), "token weights"),
                        texts.rows(),
                        texts.realTokens(),
                        texts.segmentOfStep(),
                        planned.guidanceScale(),
                        controls(margins),
                        masked,
                        new CallBuffers.Pool(team.size()));
        return new StageContext(
                conditioning,
                new ScheduleTable(planned.schedule(), memory),
                request.seed(),
                team,
                plan.viewBatch(),
                audience.keep(),
                kept,
                new Size(plan.canvas().widthPixels(), plan.canvas().heightPixels()));
    }

    /** Latents of a start picture that fills {@code extent}, [C, h, w] (SPEC §9). */
    private MemorySegment encoded(
            Content picture, GivenPicture.Extent extent, Margins margins, PictureEncoder encoder) {
        Canvas canvas = plan.canvas();
        boolean patch = extent == GivenPicture.Extent.PATCH;
        int height = patch ? canvas.y().patch() : canvas.height();
        int width = patch ? canvas.x().patch() : canvas.width();
        MemorySegment latents =
                memory.floats((long) canvas.channels() * height * width, "start picture's latents");
        try (Memory reading = new Memory("the start picture")) {
            MemorySegment pixels =
                    GivenPicture.read(
                            context, picture, extent, margins, GivenPicture.Values.SIGNED, reading);
            encoder.encode(pixels, height, width, latents);
        }
        return latents;
    }

    /** Hands the enlarger a given picture, resampled to native size. */
    private void take(Content picture, PictureEnlarger enlarger) {
        try (Memory reading = new Memory("the start picture")) {
            enlarger.take(
                    GivenPicture.read(
                            context,
                            picture,
                            GivenPicture.Extent.PATCH,
                            Margins.NONE,
                            GivenPicture.Values.UNIT,
                            reading));
        }
    }

    private Pixels enlarge(
            MemorySegment latents,
            LatentsDecoder decoder,
            Upscaling upscaling,
            ProgressReporter progress) {
        Canvas canvas = plan.canvas();
        PictureEnlarger enlarger =
                times.vae(
                        () ->
                                PictureEnlarger.of(
                                        context,
                                        decoder.decode(
                                                latents,
                                                canvas.y().patch(),
                                                canvas.x().patch(),
                                                run -> byTiles(run, progress)),
                                        upscaling));
        return enlarge(enlarger, upscaling, progress);
    }

    private Pixels enlarge(
            PictureEnlarger enlarger, Upscaling upscaling, ProgressReporter progress) {
        return times.upscale(
                () -> {
                    MemorySegment enlarged = enlarger.enlarge(run -> byTiles(run, progress));
                    if (request.dumpDirectory() != null) {
                        Dump.picture(request.dumpDirectory(), enlarged, upscaling);
                    }
                    return enlarger.pixels(enlarged);
                });
    }

    /** Lets all workers do the tiles of a picture. */
    private void byTiles(TileUnits run, ProgressReporter progress) {
        progress.begin(run);
        scheduler.add(run);
        loop.carryOut(List.of(run), () -> progress.lookAtTiles(run));
    }

    /** Tells how fast the devices were, for the sharing out of the next picture. */
    void measure(DeviceSpeeds speeds) {
        workers.forEach(worker -> speeds.add(worker.lane(), worker));
    }

    /** Tells a listener that asked for it of all calls. */
    void reportTrace() {
        List<TraceReport.Call> calls = new ArrayList<>();
        for (Worker worker : workers) {
            CallLog log = worker.log();
            if (log != null) {
                calls.addAll(log.calls());
            }
        }
        audience.listener().tell(l -> l.onTrace(new TraceReport(calls)));
    }

    @Override
    public void close() {
        // All of them before the first is freed: they read each other's memory.
        workers.forEach(worker -> attempt(worker, worker::settle));
        workers.forEach(worker -> attempt(worker, worker::close));
        memory.close();
    }

    /** What fails is of a device that is lost: what it held is gone with it. */
    private static void attempt(Worker worker, Runnable action) {
        try {
            action.run();
        } catch (DeviceException e) {
            LOG.log(System.Logger.Level.DEBUG, worker.name() + " cannot be closed", e);
        }
    }
}
