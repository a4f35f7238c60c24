// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.AsgException;
import io.github.asg4j.AttentionReport;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.OutputException;
import io.github.asg4j.PatchReport;
import io.github.asg4j.Seed;
import io.github.asg4j.TraceReport;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.Npy;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.Denoiser;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.model.TextEncoder;
import io.github.asg4j.model.Tokenizer;
import io.github.asg4j.model.Upscaler;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Decoding;
import io.github.asg4j.plan.MemoryEstimate;
import io.github.asg4j.plan.Plan;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.Upscaling;
import io.github.asg4j.planning.PlannedRequest;
import io.github.asg4j.planning.Planner;
import io.github.asg4j.run.denoise.CallBuffers;
import io.github.asg4j.run.denoise.Conditioning;
import io.github.asg4j.run.denoise.DemoFusionPhaseRun;
import io.github.asg4j.run.denoise.ObjectMask;
import io.github.asg4j.run.denoise.PatchRun;
import io.github.asg4j.run.denoise.ScaleCrafterRun;
import io.github.asg4j.run.denoise.ScheduleTable;
import io.github.asg4j.run.denoise.StageRun;
import io.github.asg4j.run.denoise.WindowRun;
import io.github.asg4j.run.picture.DecodeRun;
import io.github.asg4j.run.picture.TileRun;
import io.github.asg4j.run.picture.TileUnits;
import io.github.asg4j.run.picture.UnitRange;
import io.github.asg4j.run.report.Dump;
import io.github.asg4j.run.report.PatchReports;
import io.github.asg4j.run.start.Embeddings;
import io.github.asg4j.run.start.GivenPicture;
import io.github.asg4j.run.work.DeviceSpeeds;
import io.github.asg4j.run.work.WorkScheduler;
import io.github.asg4j.run.work.WorkUnits;
import io.github.asg4j.run.worker.CallLog;
import io.github.asg4j.run.worker.DeviceLane;
import io.github.asg4j.run.worker.InterruptibleRuns;
import io.github.asg4j.run.worker.NonFinite;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.WorkerHook;
import io.github.asg4j.run.worker.Workers;
import io.github.asg4j.schedule.Schedule;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.function.IntFunction;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Carries out one request after the other on the workers of an engine: text, stages, picture. One
 * request at a time; {@link Cancellation} works from any thread.
 */
public final class Runner {
    private static final System.Logger LOG = System.getLogger(Runner.class.getName());
    private static final long POLL_MILLIS = 200;

    private final Bundle bundle;
    private final LoadedModel model;
    private final Kernels kernels;
    private final Planner planner;
    private final List<Tokenizer> tokenizers;
    private final List<DeviceLane> lanes;
    private final long memoryLimit;
    private final String version;
    private final WorkerHook hook;

    private final DeviceSpeeds speeds = new DeviceSpeeds();

    /** The lane whose device has the text encoders and the VAE. */
    private int front;

    /** GPUs that failed, by lane, and how: they are not used again. */
    private final Map<DeviceLane, String> lost = Collections.synchronizedMap(new LinkedHashMap<>());

    /**
     * @param kernels on host memory
     * @param tokenizers one per text encoder
     * @param lanes one per worker
     * @param memoryLimit bytes a request may take
     * @param version of the library, for the report
     */
    public Runner(
            Bundle bundle,
            LoadedModel model,
            Kernels kernels,
            Planner planner,
            List<Tokenizer> tokenizers,
            List<DeviceLane> lanes,
            long memoryLimit,
            String version,
            WorkerHook hook) {
        this.bundle = bundle;
        this.model = model;
        this.kernels = kernels;
        this.planner = planner;
        this.tokenizers = List.copyOf(tokenizers);
        this.lanes = List.copyOf(lanes);
        this.memoryLimit = memoryLimit;
        this.version = version;
        this.hook = hook;
    }

    /** The way to end a running request from another thread. */
    public static final class Cancellation {
        private final AtomicBoolean cancelled = new AtomicBoolean();
        private volatile @Nullable Runnable action;

        public void cancel() {
            cancelled.set(true);
            Runnable a = action;
            if (a != null) {
                a.run();
            }
        }

        void check() {
            if (cancelled.get()) {
                throw new CancelledException("the generation was cancelled");
            }
        }

        private void onCancel(@Nullable Runnable a) {
            action = a;
            if (a != null && cancelled.get()) {
                a.run();
            }
        }
    }

    /**
     * Draws one picture.
     *
     * @throws AsgException when it cannot be drawn
     */
    public GeneratedImage run(
            PlannedRequest request, GenerationListener listener, Cancellation cancellation) {
        PlannedRequest current = request;
        while (true) {
            cancellation.check(); // while it waited: nothing is loaded for it
            Plan plan = current.plan();
            int lostBefore = lost.size();
            if (lostBefore == lanes.size()) {
                throw DeviceException.lost("all devices are lost: " + lost.values(), null);
            }
            try {
                leaveLost();
                return draw(current, listener, cancellation);
            } catch (DeviceException e) {
                if (lost.size() == lostBefore) {
                    throw e;
                }
                if (lost.size() < lanes.size()) {
                    LOG.log(
                            System.Logger.Level.WARNING,
                            e.getMessage() + "; the picture is begun again on those that are left");
                }
            } catch (OutOfMemoryException e) {
                if (plan.viewBatch() == 1) {
                    throw e;
                }
                int half = plan.viewBatch() / 2;
                LOG.log(
                        System.Logger.Level.WARNING,
                        "out of memory with a view batch of "
                                + plan.viewBatch()
                                + ", going on with "
                                + half
                                + ": the last bits of the picture may change");
                current = planner.planned(current.request().toBuilder().viewBatch(half).build());
            }
        }
    }

    private GeneratedImage draw(
            PlannedRequest request, GenerationListener listener, Cancellation cancellation) {
        Plan plan = request.plan();
        try (Drawing drawing = new Drawing(request, listener, cancellation)) {
            plan.memory().require(memoryLimit, plan.canvas(), "of memory");
            drawing.requireDevices();
            drawing.load();
            GeneratedImage image = drawing.draw();
            drawing.measure();
            drawing.reportTrace();
            return image;
        }
    }

    /** Text encoders and VAE leave the device they are on if it is lost. */
    private void leaveLost() {
        if (lost.containsKey(lanes.get(front))) {
            front =
                    IntStream.range(0, lanes.size())
                            .filter(i -> !lost.containsKey(lanes.get(i)))
                            .findFirst()
                            .orElseThrow();
            onFront(
                    () -> {
                        model.moveFront(front);
                        return front;
                    });
        }
    }

    /**
     * What a request does on the first device beside the workers' part, which may show that it is
     * lost. In a thread of the device's, as CUDA keeps a thread's last error whatever device it was of.
     */
    private <T> T onFront(Supplier<T> work) {
        DeviceLane lane = lanes.get(front);
        if (!lane.onGpu()) {
            return work.get();
        }
        try {
            return lane.callBeside(work);
        } catch (DeviceException e) {
            if (lane.isLost(e)) {
                lost.putIfAbsent(lane, lane.name() + " is lost: " + reason(e));
            }
            throw e;
        }
    }

    /** Of ours without the name of its class. */
    private static String reason(Throwable e) {
        return e instanceof AsgException ? String.valueOf(e.getMessage()) : e.toString();
    }

    /** One request at work. */
    private final class Drawing implements AutoCloseable {
        private final PlannedRequest planned;
        private final GenerationRequest request;
        private final Plan plan;
        private final Canvas canvas;
        private final Schedule schedule;
        private final GenerationListener listener;
        private final Cancellation cancellation;
        private long start = System.nanoTime();
        private final Memory memory = new Memory("the picture");
        private final List<DeviceLane> used =
                lanes.stream().filter(l -> !lost.containsKey(l)).toList();
        private final WorkScheduler scheduler =
                new WorkScheduler(used.stream().map(DeviceLane::name).toList(), speeds.of(used));
        private final List<Worker> workers = new ArrayList<>();
        private final Workers team = new Workers(workers, memory);
        private final List<StageRun> stages = new ArrayList<>();
        private final List<Integer> stepsSeen = new ArrayList<>();
        private final boolean dump;
        private final PatchRun.Keep keep;

        /** Asked for once: the listener is not to be called under the scheduler's lock. */
        private final int previewEvery;

        private @Nullable PatchRun patchRun;
        private @Nullable ObjectMask objectMask;
        private boolean patchesReported;
        private MemorySegment vaeInput = MemorySegment.NULL;
        private MemorySegment decoded = MemorySegment.NULL;
        private boolean listenerThrew;
        private long loadNanos;
        private long textNanos;
        private long vaeNanos;
        private long upscaleNanos;
        private int tilesSeen;

        /** How latents are decoded; in smaller tiles than planned once memory was short. */
        private @Nullable Decoding decoding;

        /** What the request's thread runs. */
        private final InterruptibleRuns own = new InterruptibleRuns();

        /** Mean time that the workers waited in the stages, ms; negative: they are at it. */
        private double waitMillis = -1;

        Drawing(PlannedRequest planned, GenerationListener listener, Cancellation cancellation) {
            this.planned = planned;
            this.request = planned.request();
            this.plan = planned.plan();
            this.decoding = plan.decoding();
            this.canvas = plan.canvas();
            this.schedule = planned.schedule();
            this.listener = listener;
            this.cancellation = cancellation;
            this.dump = request.dumpDirectory() != null;
            this.previewEvery = listener.previewEvery();
            this.keep =
                    new PatchRun.Keep(
                            dump,
                            previewEvery > 0,
                            listener.wantsPatches(),
                            listener.wantsAttention());
        }

        /** For the sharing out of the next picture. */
        void measure() {
            workers.forEach(worker -> speeds.add(used.get(worker.index()), worker));
        }

        /** To a listener that asked for it. */
        void reportTrace() {
            if (listener.wantsTrace()) {
                List<TraceReport.Call> calls = new ArrayList<>();
                for (Worker worker : workers) {
                    CallLog log = worker.log();
                    if (log != null) {
                        calls.addAll(log.calls());
                    }
                }
                guarded(() -> listener.onTrace(new TraceReport(calls)));
            }
        }

        private void requireDevices() {
            for (DeviceLane lane : used) {
                MemoryEstimate own = plan.devices().get(lane.name());
                if (own != null) {
                    own.require(lane.memoryLimit(), canvas, "on " + lane.name());
                }
            }
        }

        /** Networks that only some methods need, at their first use: no part of the total time. */
        void load() {
            if (plan.stages().stream().anyMatch(Stage.Dilated.class::isInstance)) {
                denoisers(model::dilatedDenoiser);
            }
            long loaded = System.nanoTime();
            loadNanos = loaded - start;
            start = loaded;
        }

        /** By worker. */
        private List<Denoiser> denoisers(IntFunction<Denoiser> ofLane) {
            return used.stream().map(lane -> ofLane.apply(lanes.indexOf(lane))).toList();
        }

        GeneratedImage draw() {
            Path folder = request.dumpDirectory();
            if (folder != null && !(Files.isDirectory(folder) && Files.isWritable(folder))) {
                throw new OutputException(
                        "the dump folder "
                                + folder
                                + " is no folder that can be written to: create it");
            }
            Upscaling upscaling = plan.upscaling();
            long cells = upscaling == null ? canvas.plane() : canvas.patchPlane();
            long factor = bundle.manifest().latent().vaeFactor();
            vaeInput = memory.floats(cells, "VAE input");
            decoded =
                    memory.floats(
                            3 * cells / canvas.channels() * factor * factor, "decoded picture");
            for (int i = 0; i < used.size(); i++) {
                CallLog log = listener.wantsTrace() ? new CallLog(used.get(i).name(), start) : null;
                workers.add(new Worker(i, used.size(), used.get(i), hook, log));
            }
            if (upscaling != null && request.image() != null) {
                readPicture(request.image());
                return enlarge(upscaling, new Cut("", ""));
            }
            Path picture = request.image();
            MemorySegment given =
                    picture == null ? MemorySegment.NULL : onFront(() -> encode(picture));
            ScheduleTable tables = new ScheduleTable(schedule, memory);
            event("text", 0, 1);
            Texts texts = onFront(this::encode);
            event("text", 1, 1);
            MemorySegment patches = memory.floats(canvas.plane(), "initial noise");
            MemorySegment latents = memory.floats(canvas.plane(), "initial canvas");
            initialNoise(patches, latents, (float) schedule.initScale());
            MemorySegment from = request.image() == null ? latents : given;
            build(tables, conditioning(texts.embeddings()), patches, from);
            work();
            if (dump) {
                new Dump(request.dumpDirectory(), plan, kernels, memory)
                        .write(texts.embeddings(), patches, given, stages);
            }
            waitMillis = mean(Worker::waitNanos);
            MemorySegment last = stages.getLast().result().read(memory);
            long clock = System.nanoTime();
            if (upscaling != null) {
                decode(last, canvas.y().patch(), canvas.x().patch(), this::byTiles);
                UnitRange.enter(kernels, decoded);
                vaeNanos += System.nanoTime() - clock;
                return enlarge(upscaling, texts.cut());
            }
            MemorySegment image = decode(last, canvas.height(), canvas.width(), this::byTiles);
            ByteBuffer rgb = rgb8(image, canvas.heightPixels(), canvas.widthPixels(), crop());
            vaeNanos += System.nanoTime() - clock;
            return image(rgb, crop(), report(texts.cut()));
        }

        /** Latents [C, h, w] of a start picture at native size (SPEC §9). */
        private MemorySegment encode(Path picture) {
            long clock = System.nanoTime();
            Manifest.Latent latent = bundle.manifest().latent();
            MemorySegment start = memory.floats(canvas.patchPlane(), "start picture's latents");
            try (Memory reading = new Memory("the start picture")) {
                MemorySegment pixels =
                        GivenPicture.read(
                                picture, canvas, kernels, reading, (float) (1 / 127.5), -1);
                model.vaeEncoder().encode(pixels, canvas.y().patch(), canvas.x().patch(), start);
            }
            NonFinite.checkEncoded(kernels, start);
            long n = canvas.patchPlane();
            kernels.scaleShift(start, start, n, 1, (float) -latent.shift());
            kernels.scaleShift(start, start, n, (float) latent.scaling(), 0);
            vaeNanos += System.nanoTime() - clock;
            return start;
        }

        /** The text side of a request. */
        private record Texts(Embeddings embeddings, Cut cut) {}

        /** What was beyond the text encoder of prompt and negative prompt. */
        private record Cut(String prompt, String negativePrompt) {}

        private Texts encode() {
            long clock = System.nanoTime();
            Manifest manifest = bundle.manifest();
            List<Tokenizer.Tokens> prompt = tokens(request.prompt());
            List<Tokenizer.Tokens> negative = tokens(request.negativePrompt());
            TextEncoder encoder = model.textEncoder();
            long rows = Conditioning.ROWS;
            MemorySegment hidden = memory.allocate(rows * encoder.hiddenBytes(), "text embeddings");
            MemorySegment pooled =
                    manifest.conditioning().pooled()
                            ? memory.allocate(rows * encoder.pooledBytes(), "pooled embeddings")
                            : null;
            boolean zero =
                    request.negativePrompt().isEmpty()
                            && manifest.conditioning().emptyNegativeIsZero();
            // Row by row: a picture's bytes do not depend on what is encoded beside its prompt.
            if (!zero) {
                encodeRow(encoder, negative, hidden, pooled, Conditioning.UNCONDITIONAL);
            }
            encodeRow(encoder, prompt, hidden, pooled, Conditioning.PROMPT);
            String background = request.windows().backgroundPrompt();
            encodeRow(
                    encoder,
                    background == null ? prompt : tokens(background),
                    hidden,
                    pooled,
                    Conditioning.BACKGROUND);
            MemorySegment weights = memory.floats(encoder.length(), "token weights");
            int real = tokenWeights(encoder, prompt, weights);
            textNanos = System.nanoTime() - clock;
            return new Texts(
                    new Embeddings(hidden, pooled, weights, real),
                    new Cut(cut(prompt), cut(negative)));
        }

        private Conditioning conditioning(Embeddings texts) {
            return new Conditioning(
                    denoisers(model::denoiser),
                    canvas,
                    team.of(texts.hidden(), "text embeddings"),
                    team.orNull(texts.pooled(), "pooled embeddings"),
                    team.of(texts.tokenWeights(), "token weights"),
                    texts.realTokens(),
                    new CallBuffers.Pool(team.size()));
        }

        /** A prompt as each text encoder takes it. */
        private List<Tokenizer.Tokens> tokens(String prompt) {
            List<Manifest.TextEncoder> encoders = bundle.manifest().textEncoders();
            List<Tokenizer.Tokens> tokens = new ArrayList<>();
            for (int i = 0; i < encoders.size(); i++) {
                tokens.add(tokenizers.get(i).encode(prompt, encoders.get(i).length()));
            }
            return tokens;
        }

        /** What every encoder leaves out: what the one with the most room does. */
        private static String cut(List<Tokenizer.Tokens> prompt) {
            return prompt.stream()
                    .map(Tokenizer.Tokens::cut)
                    .min(java.util.Comparator.comparingInt(String::length))
                    .orElse("");
        }

        private void encodeRow(
                TextEncoder encoder,
                List<Tokenizer.Tokens> tokens,
                MemorySegment hidden,
                @Nullable MemorySegment pooled,
                int row) {
            encoder.encode(
                    tokens.stream().map(Tokenizer.Tokens::ids).toList(),
                    hidden.asSlice(row * encoder.hiddenBytes(), encoder.hiddenBytes()),
                    pooled == null
                            ? null
                            : pooled.asSlice(row * encoder.pooledBytes(), encoder.pooledBytes()));
        }

        /**
         * Weight 1 for every real token of every encoder, or for those asked for, which are the
         * first encoder's; how many real tokens the first one has.
         */
        private int tokenWeights(
                TextEncoder encoder, List<Tokenizer.Tokens> prompt, MemorySegment weights) {
            Tokenizer.Tokens first = prompt.getFirst();
            List<Integer> wanted = request.guide().maskTokens();
            for (int index : wanted) {
                if (index >= first.realTokens()) {
                    throw new BadRequestException(
                            "mask token "
                                    + index
                                    + " is not there: the prompt has tokens 0 to "
                                    + (first.realTokens() - 1));
                }
                weights.setAtIndex(ValueLayout.JAVA_FLOAT, first.first() + index, 1);
            }
            for (int i = 0; wanted.isEmpty() && i < prompt.size(); i++) {
                Tokenizer.Tokens tokens = prompt.get(i);
                for (int t = 0; t < tokens.realTokens(); t++) {
                    weights.setAtIndex(
                            ValueLayout.JAVA_FLOAT,
                            (long) encoder.firstRow(i) + tokens.first() + t,
                            1);
                }
            }
            return first.realTokens();
        }

        /** Noise patch by patch (SPEC §1, §7), the canvas its relocation; scaled to start from. */
        private void initialNoise(MemorySegment patches, MemorySegment latents, float scale) {
            long plane = canvas.patchPlane();
            if (request.latents() == null) {
                for (int i = 0; i < canvas.patches(); i++) {
                    kernels.normal(
                            patches.asSlice(i * plane * 4, plane * 4),
                            plane,
                            request.seed(),
                            i * plane,
                            0,
                            Kernels.INITIAL_NOISE,
                            scale);
                }
            } else {
                givenLatents(patches, latents, scale);
            }
            kernels.relocate(
                    latents,
                    patches,
                    canvas.channels(),
                    canvas.y().patches(),
                    canvas.x().patches(),
                    canvas.y().patch(),
                    canvas.x().patch());
        }

        private void givenLatents(MemorySegment patches, MemorySegment latents, float scale) {
            Path file = java.util.Objects.requireNonNull(request.latents());
            Npy.Array given =
                    Npy.read(
                            file,
                            Npy.Type.FLOAT32,
                            (bytes, alignment) -> memory.allocate(bytes, "given latents"));
            List<Long> shape = Arrays.stream(given.shape()).boxed().toList();
            long c = canvas.channels();
            List<Long> whole = List.of(1L, c, (long) canvas.height(), (long) canvas.width());
            List<Long> cut =
                    List.of(
                            (long) canvas.patches(),
                            c,
                            (long) canvas.y().patch(),
                            (long) canvas.x().patch());
            if (shape.equals(cut)) {
                kernels.scaleShift(patches, given.data(), canvas.plane(), scale, 0);
            } else if (shape.equals(whole)) {
                kernels.scaleShift(latents, given.data(), canvas.plane(), scale, 0);
                kernels.cut(
                        patches,
                        latents,
                        canvas.channels(),
                        canvas.y().patches(),
                        canvas.x().patches(),
                        canvas.y().patch(),
                        canvas.x().patch());
            } else {
                throw new BadRequestException(
                        file
                                + " has shape "
                                + shape
                                + ": a picture of "
                                + canvas.x().pixels()
                                + "x"
                                + canvas.y().pixels()
                                + " starts from "
                                + whole
                                + ", or as patches "
                                + cut);
            }
            if (kernels.firstNonFinite(patches, canvas.plane()) >= 0) {
                throw new BadRequestException(file + " holds a NaN or an infinity");
            }
        }

        /**
         * Sets up the stages.
         *
         * @param from what the first stage starts from: the canvas's noise, or a start picture
         */
        private void build(
                ScheduleTable tables,
                Conditioning conditioning,
                MemorySegment patches,
                MemorySegment from) {
            SharedTensor current = team.of(from, "start of the first stage");
            SharedTensor anchor =
                    team.floats(2 * Double.BYTES / Float.BYTES, "moments of the first phase");
            for (Stage stage : plan.stages()) {
                StageRun run =
                        switch (stage) {
                            case Stage.Patches p -> patches(p, conditioning, tables, patches);
                            case Stage.Dilated d ->
                                    new ScaleCrafterRun(
                                            d,
                                            conditioning.with(denoisers(model::dilatedDenoiser)),
                                            tables,
                                            request.seed(),
                                            team,
                                            current,
                                            dump,
                                            keep.previews());
                            case Stage.Windows win ->
                                    new WindowRun(
                                            win,
                                            plan.viewBatch(),
                                            conditioning,
                                            tables,
                                            request.seed(),
                                            team,
                                            ofOnePatch(win)
                                                    ? team.of(firstPatch(patches), "first patch")
                                                    : current,
                                            win.background() == null ? null : objectMask,
                                            dump,
                                            keep.previews());
                            case Stage.Phase phase ->
                                    new DemoFusionPhaseRun(
                                            phase,
                                            plan.viewBatch(),
                                            conditioning,
                                            tables,
                                            request.seed(),
                                            team,
                                            current,
                                            anchor,
                                            stages.stream()
                                                    .noneMatch(
                                                            DemoFusionPhaseRun.class::isInstance),
                                            dump,
                                            keep.previews());
                        };
                stages.add(run);
                current = run.result();
            }
            for (StageRun stage : stages) {
                scheduler.add(stage);
                stepsSeen.add(0);
            }
        }

        private PatchRun patches(
                Stage.Patches stage,
                Conditioning conditioning,
                ScheduleTable tables,
                MemorySegment patches) {
            SharedTensor lastMask = lastMask();
            PatchRun run =
                    new PatchRun(
                            stage,
                            plan.viewBatch(),
                            scheduler,
                            conditioning,
                            tables,
                            request.seed(),
                            team,
                            planned.maskBlocks().stream().mapToInt(Integer::intValue).toArray(),
                            patches,
                            lastMask,
                            objectMask,
                            keep);
            patchRun = run;
            return run;
        }

        private boolean ofOnePatch(Stage.Windows win) {
            return win.y().canvas() < canvas.height() || win.x().canvas() < canvas.width();
        }

        private MemorySegment firstPatch(MemorySegment patches) {
            return patches.asSlice(0, canvas.patchPlane() * 4);
        }

        /** For the mask of the last step where windows ask for it; else null. */
        private @Nullable SharedTensor lastMask() {
            for (Stage stage : plan.stages()) {
                if (stage instanceof Stage.Windows win && win.background() != null) {
                    MemorySegment mask =
                            memory.floats(canvas.patchPlane() / canvas.channels(), "object mask");
                    for (long i = 0; i < mask.byteSize() / 4; i++) {
                        mask.setAtIndex(ValueLayout.JAVA_FLOAT, i, 1); // a prompt without a token
                    }
                    objectMask = new ObjectMask(canvas, win, win.background().objectShare());
                    return team.of(mask, "object mask");
                }
            }
            return null;
        }

        /** Draws: lets the workers go, reports progress, returns when all have ended. */
        private void work() {
            if (keep.previews()) {
                requestPreview(stages.getFirst());
            }
            carryOut(stages, this::progress);
        }

        /**
         * Lets the workers do parts of the work in order; {@code progress} is called now and then.
         */
        private void carryOut(List<? extends WorkUnits> parts, Runnable progress) {
            scheduler.begin();
            cancellation.onCancel(
                    () -> {
                        scheduler.fail(new CancelledException("the generation was cancelled"));
                        workers.forEach(Worker::terminate);
                        own.terminate();
                    });
            for (Worker worker : workers) {
                if (!scheduler.isLost(worker)) {
                    start(worker, parts);
                }
            }
            try {
                while (!scheduler.allFinished()) {
                    scheduler.awaitChange(POLL_MILLIS);
                    progress.run();
                }
                progress.run();
            } catch (AsgException e) {
                scheduler.fail(e);
            } catch (RuntimeException | Error e) {
                // Else they would draw to the end, for nobody.
                scheduler.fail(new CancelledException("the picture is given up", e));
                throw e;
            } finally {
                awaitWorkers();
                cancellation.onCancel(null);
            }
            scheduler.check();
        }

        /** One that cannot be started, for want of a thread perhaps, has failed: the others run. */
        private void start(Worker worker, List<? extends WorkUnits> parts) {
            try {
                used.get(worker.index()).thread().execute(() -> work(worker, parts));
            } catch (RuntimeException | Error e) {
                boolean told = false;
                try {
                    failed(worker, e);
                    told = true;
                } catch (RuntimeException | Error again) {
                    e.addSuppressed(again); // those that run are waited for in any case
                } finally {
                    scheduler.workerFinished(worker, told);
                }
            }
        }

        /** Their memory may only be freed once no worker uses it any more. */
        private void awaitWorkers() {
            while (!scheduler.allFinished()) {
                scheduler.awaitChange(POLL_MILLIS);
            }
        }

        /** What one worker does of some parts. */
        private void work(Worker worker, List<? extends WorkUnits> parts) {
            boolean told = false;
            try {
                worker.queue().enter();
                for (WorkUnits part : parts) {
                    int unit;
                    while ((unit = scheduler.next(part, worker)) != WorkScheduler.PART_DONE) {
                        int step = scheduler.completed(part, unit);
                        boolean joins = part.joins(unit);
                        worker.beforeStep(part.name(), unit, joins, step);
                        worker.calls().begin(part.name(), unit, joins, step);
                        boolean complete = part.execute(worker, unit, step);
                        worker.calls().end();
                        if (complete) {
                            scheduler.complete(part, unit);
                        }
                    }
                }
                worker.calls().drain();
                told = true;
            } catch (RuntimeException | Error e) {
                failed(worker, e);
                told = true;
            } finally {
                scheduler.workerFinished(worker, told);
            }
        }

        /** Tells the scheduler first: where the heap is full, the log may fail as well. */
        private void failed(Worker worker, Throwable e) {
            if (scheduler.hasFailedWith(e)) {
                return;
            }
            switch (e) {
                // the same on every device: no other could do better
                case BadBundleException all -> scheduler.fail(all);
                case BadRequestException all -> scheduler.fail(all);
                case OutOfMemoryException all -> scheduler.fail(all);
                case CancelledException all -> scheduler.fail(all);
                default -> {
                    if (worker.onHost()) {
                        scheduler.lose(worker, e);
                        String message = worker.name() + " is lost: " + reason(e);
                        LOG.log(System.Logger.Level.WARNING, message);
                    } else if (used.get(worker.index()).isLost(e)) {
                        // What it had enqueued, and what others took from it, is in doubt.
                        String reason = worker.name() + " is lost: " + reason(e);
                        lost.put(used.get(worker.index()), reason);
                        scheduler.fail(DeviceException.lost(reason, e));
                    } else {
                        // The device still works: only this request fails.
                        scheduler.fail(
                                e instanceof AsgException typed
                                        ? typed
                                        : new DeviceException(worker.name() + " failed: " + e, e));
                    }
                }
            }
        }

        private void progress() {
            for (int i = 0; i < stages.size(); i++) {
                StageRun run = stages.get(i);
                int steps = scheduler.look(run, run::joinedSteps);
                boolean ended = scheduler.look(run, run::ended);
                boolean preview = keep.previews() && scheduler.look(run, run::previewReady);
                if (steps > stepsSeen.get(i)) {
                    stepsSeen.set(i, steps);
                    event(run.stage().name(), steps, run.stage().steps());
                    if (keep.previews() && steps == run.stage().steps() && i + 1 < stages.size()) {
                        requestPreview(stages.get(i + 1));
                    }
                }
                if (ended && run == patchRun && !patchesReported) {
                    patchesReported = true;
                    reportPatches(patchRun);
                }
                if (preview) {
                    MemorySegment clean = run.previewCanvas(kernels);
                    Map<String, Object> report = new LinkedHashMap<>();
                    report.put("preview_stage", run.stage().name());
                    report.put("preview_step", run.previewStep() + 1);
                    GeneratedImage image = preview(run, clean, report);
                    guarded(() -> listener.onPreview(image));
                    requestPreview(run);
                }
            }
        }

        /** To a listener that asked for it: attention of all steps, the patches as they end. */
        private void reportPatches(PatchRun run) {
            if (keep.attention()) {
                for (AttentionReport report :
                        PatchReports.attention(run, bundle.manifest(), memory)) {
                    guarded(() -> listener.onAttention(report));
                }
            }
            if (keep.patches()) {
                List<GeneratedImage> pictures = new ArrayList<>();
                MemorySegment clean = run.switchedClean().read(memory);
                for (int i = 0; i < canvas.patches(); i++) {
                    long bytes = canvas.patchPlane() * 4;
                    int height = canvas.y().patch() * canvas.y().factor();
                    int width = canvas.x().patch() * canvas.x().factor();
                    pictures.add(
                            picture(
                                    clean.asSlice(i * bytes, bytes),
                                    new Crop(0, 0, height, width),
                                    canvas.y().patch(),
                                    canvas.x().patch(),
                                    new LinkedHashMap<>(Map.of("patch", i))));
                }
                PatchReport report =
                        PatchReports.patches(run, canvas, schedule, clean, pictures, memory);
                guarded(() -> listener.onPatches(report));
            }
        }

        private void requestPreview(StageRun run) {
            scheduler.request(run, progress -> run.requestPreview(previewEvery, progress));
        }

        private void event(String stage, int step, int of) {
            cancellation.check();
            long elapsed = System.nanoTime() - start;
            guarded(() -> listener.onEvent(new GenerationEvent(stage, step, of, elapsed)));
        }

        /** A listener that throws is logged once, not obeyed. */
        private void guarded(Runnable call) {
            try {
                call.run();
            } catch (Throwable e) { // errors and, from other languages, checked exceptions too
                if (!listenerThrew) {
                    listenerThrew = true;
                    LOG.log(System.Logger.Level.WARNING, "a generation listener threw", e);
                }
            }
        }

        /** What is cut out of a decoded picture, pixels. */
        private record Crop(int top, int left, int height, int width) {}

        /** The picture asked for in the canvas. */
        private Crop crop() {
            return new Crop(
                    canvas.y().cropPixels(),
                    canvas.x().cropPixels(),
                    canvas.y().pixels(),
                    canvas.x().pixels());
        }

        private GeneratedImage picture(MemorySegment latents, Map<String, Object> report) {
            return picture(latents, crop(), canvas.height(), canvas.width(), report);
        }

        /** A given picture, stretched to native size, takes the place of a decoded one. */
        private void readPicture(Path file) {
            try (Memory reading = new Memory("the start picture")) {
                MemorySegment given =
                        GivenPicture.read(file, canvas, kernels, reading, (float) (1 / 255.0), 0);
                decoded.copyFrom(given);
            }
            UnitRange.clamp(decoded);
        }

        /** Enlarges {@code decoded}, native size in [0, 1], tile by tile, then resamples it. */
        private GeneratedImage enlarge(Upscaling upscaling, Cut cut) {
            long clock = System.nanoTime();
            MemorySegment enlarged = decoded;
            if (upscaling.tiles() > 0) {
                try (TileRun run =
                        new TileRun(
                                upscaling, this::upscaler, decoded, kernels, team.size(), memory)) {
                    byTiles(run);
                    enlarged = run.enlarged();
                }
            }
            if (upscaling.resamples()) {
                Upscaling.Pass last = upscaling.passes().getLast();
                MemorySegment resampled =
                        memory.floats(
                                3L * upscaling.height() * upscaling.width(), "resampled picture");
                Resize.antialiasedBicubic(
                                memory,
                                3,
                                last.outHeight(),
                                last.outWidth(),
                                upscaling.height(),
                                upscaling.width())
                        .run(kernels, resampled, enlarged);
                UnitRange.clamp(resampled);
                enlarged = resampled;
            }
            if (dump) {
                Dump.picture(request.dumpDirectory(), enlarged, upscaling);
            }
            Crop crop = crop();
            ByteBuffer rgb = ByteBuffer.allocate(crop.width() * crop.height() * 3);
            UnitRange.rgb8(
                    rgb,
                    enlarged,
                    upscaling.height(),
                    upscaling.width(),
                    crop.top(),
                    crop.left(),
                    crop.height(),
                    crop.width());
            upscaleNanos = System.nanoTime() - clock;
            return image(rgb, crop, report(cut));
        }

        private Upscaler upscaler(Manifest.Upscaler entry, int worker) {
            return model.upscaler(entry, lanes.indexOf(used.get(worker)));
        }

        /** Lets all workers do units of one step each. */
        private void byTiles(TileUnits run) {
            tilesSeen = 0;
            event(run.name(), 0, run.units());
            scheduler.add(run);
            carryOut(List.of(run), () -> progress(run));
        }

        private void progress(TileUnits run) {
            int tiles = scheduler.look(run, run::completed);
            if (tiles > tilesSeen) {
                tilesSeen = tiles;
                event(run.name(), tiles, run.units());
            }
        }

        private GeneratedImage preview(
                StageRun run, MemorySegment clean, Map<String, Object> report) {
            Stage.Windows win = run.stage().canvasWindows();
            if (win != null
                    && (win.y().canvas() < canvas.height() || win.x().canvas() < canvas.width())) {
                int factor = canvas.y().factor();
                Crop all = new Crop(0, 0, win.y().canvas() * factor, win.x().canvas() * factor);
                return picture(clean, all, win.y().canvas(), win.x().canvas(), report);
            }
            return picture(clean, report);
        }

        /** Decodes latents [C, h, w], at most the canvas, while the workers draw on. */
        private GeneratedImage picture(
                MemorySegment latents, Crop crop, int h, int w, Map<String, Object> report) {
            long clock = System.nanoTime();
            MemorySegment image = decode(latents, h, w, this::inThisThread);
            int factor = bundle.manifest().latent().vaeFactor();
            ByteBuffer rgb = rgb8(image, h * factor, w * factor, crop);
            vaeNanos += System.nanoTime() - clock;
            return image(rgb, crop, report);
        }

        /**
         * Decodes latents [C, h, w], at most the canvas, to [3, h * f, w * f]; once more by another
         * decoder of the bundle where this one overflows, as one in half precision may (SDXL's does).
         *
         * @param workers carry out the units
         */
        private MemorySegment decode(
                MemorySegment latents, int h, int w, Consumer<DecodeRun> workers) {
            Manifest.Latent latent = bundle.manifest().latent();
            long cells = (long) canvas.channels() * h * w;
            MemorySegment input = vaeInput.asSlice(0, cells * 4);
            int factor = latent.vaeFactor();
            MemorySegment image = decoded.asSlice(0, 3L * h * factor * w * factor * 4);
            kernels.scaleShift(
                    input, latents, cells, (float) (1 / latent.scaling()), (float) latent.shift());
            boolean onHost = team.onHost();
            boolean exact = false;
            while (true) {
                Decoding decoding = Objects.requireNonNull(this.decoding).of(h, w);
                DecodeRun.Job job =
                        new DecodeRun.Job(
                                decoding,
                                worker -> model.vaeDecoder(lanes.indexOf(used.get(worker))),
                                onHost ? WorkUnits.NOBODY : used.indexOf(lanes.get(front)),
                                team.size(),
                                onHost ? decoding.atOnce() : team.size(),
                                input,
                                image,
                                kernels);
                DecodeRun.Job attempt = exact ? job.byFallback() : job;
                try (DecodeRun run = onFront(() -> DecodeRun.of(attempt))) {
                    workers.accept(run);
                    OutOfMemoryException shortage = run.shortage();
                    if (shortage != null) {
                        decodeSmaller(decoding, shortage);
                    } else if (run.overflowed()) {
                        LOG.log(
                                System.Logger.Level.WARNING,
                                decoding.vae().decoder()
                                        + " overflows on this picture: decoded again in fp32");
                        exact = true;
                    } else {
                        return image;
                    }
                }
            }
        }

        /** The latents are there still: less memory may do for the rest. */
        private void decodeSmaller(Decoding failed, OutOfMemoryException shortage) {
            Decoding smaller = failed.smaller();
            if (smaller == null) {
                throw shortage;
            }
            LOG.log(
                    System.Logger.Level.WARNING,
                    "out of memory in the VAE decode ("
                            + failed.summary()
                            + "), decoded again in "
                            + smaller.summary()
                            + ": the last bits of the picture may change");
            decoding = smaller;
            // What the failed networks took of the memory, they would keep.
            model.unloadVae();
        }

        private void inThisThread(DecodeRun run) {
            onFront(
                    () -> {
                        run.carryOut(own);
                        return run;
                    });
        }

        /** A crop of a picture [3, height, width] in [-1, 1] as RGB8. */
        private ByteBuffer rgb8(MemorySegment image, int height, int width, Crop crop) {
            ByteBuffer rgb = ByteBuffer.allocate(crop.width() * crop.height() * 3);
            try (Memory rows = new Memory("RGB8")) {
                MemorySegment out = rows.allocate(rgb.capacity(), "RGB8");
                kernels.rgb8(
                        out,
                        image,
                        height,
                        width,
                        crop.top(),
                        crop.left(),
                        crop.height(),
                        crop.width());
                rgb.put(out.asByteBuffer()).flip();
            }
            return rgb;
        }

        private GeneratedImage image(ByteBuffer rgb, Crop crop, Map<String, Object> report) {
            report.put("pixels_sha256", sha256(rgb.duplicate()));
            finishTimes(report);
            return new GeneratedImage(crop.width(), crop.height(), rgb, report);
        }

        private Map<String, Object> report(Cut cut) {
            Map<String, Object> map = new LinkedHashMap<>();
            map.put("width", canvas.x().pixels());
            map.put("height", canvas.y().pixels());
            map.put("seed", Seed.number(request.seed()));
            map.put("method", request.method());
            map.put("prompt", request.prompt());
            map.put("negative_prompt", request.negativePrompt());
            map.put("prompt_cut", cut.prompt());
            map.put("negative_prompt_cut", cut.negativePrompt());
            map.put("steps", plan.steps());
            Manifest manifest = bundle.manifest();
            map.put("scheduler", schedule.solver().id());
            map.put("spacing", schedule.spacing().id());
            map.put("eta", schedule.eta());
            map.put("guidance_scale", planned.guidanceScale());
            map.put("patches", List.of(canvas.x().patches(), canvas.y().patches()));
            map.putAll(plan.settings());
            Decoding planned = plan.decoding();
            if (decoding != null && planned != null) {
                map.put("vae", decoding.of(planned.height(), planned.width()).summary());
            }
            if (!request.guide().maskBlocks().isEmpty()) {
                map.put("mask_blocks", request.guide().maskBlocks());
            }
            if (!request.guide().maskTokens().isEmpty()) {
                map.put("mask_tokens", request.guide().maskTokens());
            }
            if (objectMask != null) {
                map.put("background_windows", objectMask.backgroundWindows());
            }
            map.put("paper_defaults", request.paperDefaults());
            if (request.image() != null) {
                map.put("image", request.image().toString());
            }
            map.put("devices", workers.stream().map(Worker::name).toList());
            map.put("lost_devices", lostDevices());
            map.put("view_batch", plan.viewBatch());
            map.put("threads_per_worker", model.threadsPerWorker());
            map.put("kernels", workers.getFirst().kernels().name());
            map.put("barriers", plan.barriers());
            map.put("guided_evaluations", plan.guidedEvaluations());
            map.put("unet_runs", plan.unetRuns());
            map.put("model", manifest.name());
            map.put("version", version);
            map.put("bundle_sha256", bundle.bundleSha256());
            return map;
        }

        /** On the way of this picture, and GPUs before. */
        private List<String> lostDevices() {
            List<String> names =
                    new ArrayList<>(lost.keySet().stream().map(DeviceLane::name).toList());
            names.addAll(scheduler.lostDevices());
            return names;
        }

        private void finishTimes(Map<String, Object> report) {
            Map<String, Object> peak = new LinkedHashMap<>();
            workers.forEach(w -> peak.put(w.name(), w.bytes()));
            report.put("peak_bytes", peak);
            report.put("host_bytes", memory.bytes());
            report.put("process_peak_bytes", processPeakBytes());
            Map<String, Object> times = new LinkedHashMap<>();
            times.put("load", millis(loadNanos));
            times.put("total", millis(System.nanoTime() - start));
            times.put("text", millis(textNanos));
            times.put("unet", mean(Worker::unetNanos));
            times.put("kernels", mean(Worker::kernelNanos));
            times.put("exchange", mean(Worker::exchangeNanos));
            times.put("wait", waitMillis < 0 ? mean(Worker::waitNanos) : waitMillis);
            times.put("vae", millis(vaeNanos));
            if (plan.upscaling() != null) {
                times.put("upscale", millis(upscaleNanos));
            }
            report.put("times_ms", times);
        }

        private double mean(java.util.function.ToLongFunction<Worker> nanos) {
            return millis(workers.stream().mapToLong(nanos).sum() / Math.max(1, workers.size()));
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

    private static double millis(long nanos) {
        return Math.round(nanos / 1e4) / 100.0;
    }

    /** Peak resident memory of the process, -1 where the system does not tell. */
    private static long processPeakBytes() {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
            return lines.filter(line -> line.startsWith("VmHWM:"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D+", "")) * 1024)
                    .findFirst()
                    .orElse(-1);
        } catch (IOException | UncheckedIOException e) {
            return -1;
        }
    }

    private static String sha256(ByteBuffer data) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(data);
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }
}
