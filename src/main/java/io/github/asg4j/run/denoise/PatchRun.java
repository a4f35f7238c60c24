// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.GuideOptions;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.GuidedStep;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.StepHistory;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.work.WorkScheduler;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.stream.LongStream;

/**
 * Stage 1 of ASGDiffusion (arXiv 2412.06163, Fig. 3 and 4; SPEC.md §3-§6): each call shuffles its
 * patches, runs the UNet, is guided by the key patch of {@code staleness} steps before, and steps.
 * Latents stay in the shuffled frame; the next interaction is one gather. The join relocates the
 * patches to the canvas.
 */
public final class PatchRun extends StageRun {
    private final Stage.Patches patches;
    private final StageContext context;
    private final KeyPatch keyPatch;
    private final ScheduleTable table;
    private final Canvas canvas;
    private final float guidanceScale;
    private final int space;
    private final boolean previews;
    private final long plane;

    /** Latents [N, C, h, w] after step k - 1 at index k % length, in the frame of that step. */
    private final SharedTensor[] latents;

    /** Predicted clean latents [N, C, h, w] of the last step, in its frame; for the listener. */
    private final SharedTensor clean;

    private final SharedTensor plainClean;
    private final SharedTensor plain;
    private final @Nullable ObjectMask objectMask;
    private final @Nullable SharedTensor lastMask;
    private final SharedTensor out;
    private final SharedTensor preview;
    private final Memory memory;
    private final MemorySegment previewScratch;
    private final MemorySegment previewOut;
    private final @Nullable ShownPhases shown;
    private final PerCall<Prepared> prepared;

    /** In the frame of their step. */
    private final Predictions predictions;

    /** Past predictions [views, C, h, w] of a call, brought into the frame of its step. */
    private final PerWorker<MemorySegment[]> gathered;

    /**
     * @param blocks indices of the bundle's attention maps that the mask is made of
     * @param start [N, C, h, w] initial latents, in host memory
     * @param lastMask [h, w], receives the key patch's mask of the last step; null: nobody reads it
     * @param objectMask decided by the join from {@code lastMask}; null: nobody asks
     */
    public PatchRun(
            Stage.Patches patches,
            StageContext context,
            WorkScheduler scheduler,
            int[] blocks,
            MemorySegment start,
            @Nullable SharedTensor lastMask,
            @Nullable ObjectMask objectMask) {
        super(patches, context.viewBatch());
        this.patches = patches;
        this.context = context;
        this.lastMask = lastMask;
        this.objectMask = objectMask;
        keyPatch = new KeyPatch(patches, context, scheduler.newPublication(), blocks, lastMask);
        table = context.table();
        canvas = context.canvas();
        guidanceScale = (float) patches.guidanceScale();
        space = space(patches);
        plane = canvas.patchPlane();
        Workers workers = context.workers();
        Keep keep = context.keep();
        memory = workers.memory();
        out = workers.floats(canvas.plane(), "relocated canvas");
        long all = patches.views() * plane;
        long[] parts = calls().stream().mapToLong(call -> call.count() * plane).toArray();
        long[] partBytes = LongStream.of(parts).map(floats -> floats * Float.BYTES).toArray();
        latents = new SharedTensor[keep.history() ? patches.steps() + 1 : 2];
        latents[0] = workers.inParts(start, "initial latents", partBytes);
        for (int i = 1; i < latents.length; i++) {
            latents[i] = workers.inParts("latents of all patches", parts);
        }
        plain = workers.floats(all, "stage switch");
        long[] none = new long[parts.length];
        clean = workers.inParts("clean patches", keep.patches() ? parts : none);
        plainClean = workers.floats(keep.patches() ? all : 0, "clean patches");
        previews = keep.previews();
        preview = workers.inParts("preview", previews ? parts : none);
        previewScratch = memory.floats(previews ? all : 0, "preview");
        previewOut = memory.floats(previews ? all : 0, "preview");
        predictions =
                new Predictions(
                        context,
                        patches,
                        k -> false,
                        () -> workers.inParts("past prediction of all patches", parts));
        gathered = new PerWorker<>(workers.size(), this::gathered);
        shown =
                context.conditioning().shown().isEmpty()
                        ? null
                        : new ShownPhases(
                                context,
                                patches,
                                canvas.y().patches(),
                                canvas.x().patches(),
                                canvas.y().patch(),
                                canvas.x().patch(),
                                patches::interactsAt);
        prepared = new PerCall<>(workers.size(), calls().size(), Prepared::new);
    }

    private MemorySegment[] gathered(Worker worker) {
        long views = calls().stream().mapToInt(Stage.Call::count).max().orElse(0);
        MemorySegment[] all = new MemorySegment[table.history()];
        for (int j = 0; j < all.length; j++) {
            all[j] = worker.floats(views * plane, "past prediction of a call");
        }
        return all;
    }

    private static int space(Stage.Patches patches) {
        if (!patches.guided()) {
            return Kernels.GUIDE_NONE;
        }
        return patches.guide().space() == GuideOptions.Space.NOISE
                ? Kernels.GUIDE_NOISE
                : Kernels.GUIDE_LATENT;
    }

    /** What one worker needs for one call, made once so that the loop allocates nothing. */
    private final class Prepared {
        final DenoiserCall call;
        final GuidedStep step = new GuidedStep();
        final KeyPatch.Reader guide;
        final int unit;
        final int first;
        final int count;
        final MemorySegment[] slots;
        final MemorySegment previewSlots;

        /** Of steps whose frame is that of the predictions they take, and of others. */
        final Predictions.Histories inPlace;

        final Predictions.Histories moved;

        /** Where the clean latents of the last step go, or nowhere. */
        final MemorySegment cleanSlots;

        Prepared(Worker worker, int unit) {
            Stage.Call views = calls().get(unit);
            this.unit = unit;
            first = views.first();
            count = views.count();
            call =
                    new DenoiserCall(
                            worker,
                            context,
                            patches,
                            views,
                            patches::rows,
                            patches.viewHeight(),
                            patches.viewWidth());
            if (shown != null) {
                call.show(shown.of(worker, views));
            }
            guide = keyPatch.reader(worker, call, views);
            slots = new MemorySegment[latents.length];
            for (int i = 0; i < slots.length; i++) {
                slots[i] = views(latents[i].on(worker));
            }
            previewSlots = previews ? views(preview.on(worker)) : MemorySegment.NULL;
            inPlace =
                    predictions
                    .new Histories((step, age) -> views(predictions.of(step).on(worker)));
            moved =
                    predictions
                    .new Histories(
                            (step, age) ->
                                    age == 0
                                            ? views(predictions.of(step).on(worker))
                                            : gathered.of(worker)[age - 1]);
            cleanSlots = clean.byteSize() > 0 ? views(clean.on(worker)) : MemorySegment.NULL;
        }

        private MemorySegment views(MemorySegment all) {
            return all.asSlice(first * plane * 4, count * plane * 4);
        }

        boolean holdsKeyPatch() {
            return unit == KeyPatch.CALL;
        }
    }

    @Override
    public int total(int unit) {
        return unit == join() ? 1 : patches.steps();
    }

    /** Each call makes its step itself; the join only switches stages. */
    @Override
    public int joinedSteps(Progress progress) {
        return completedSteps(progress);
    }

    @Override
    public boolean ready(int unit, Progress progress) {
        int k = progress.completed(unit);
        if (unit == join()) {
            return completedSteps(progress) == patches.steps();
        }
        // The second condition keeps a buffer that others still gather from unwritten.
        return k == 0
                || !(patches.gathersAt(k) || gathersBefore(k))
                || completedSteps(progress) >= k;
    }

    /** Whether a buffer that step {@code k} writes may be one that others gather from. */
    private boolean gathersBefore(int k) {
        for (int j = 1; j <= Math.max(1, table.history()); j++) {
            if (patches.gathersAt(k - j)) {
                return true;
            }
        }
        return false;
    }

    @Override
    public boolean execute(Worker worker, int unit, int step) {
        if (unit == join()) {
            relocate(worker);
            return true;
        }
        return step(worker, prepared.of(worker, unit), step);
    }

    /** One step of a call's patches: shuffle, predict, wait for the guide, step. */
    private boolean step(Worker worker, Prepared p, int k) {
        DenoiserCall call = p.call;
        call.begin(k);
        MemorySegment x = input(worker, p, k);
        for (int i = 0; i < p.count; i++) {
            call.view(i, Conditioning.PROMPT);
        }
        call.run();
        MemorySegment random = stepNoise(worker, p, k);
        gatherPredictions(worker, p, k);
        if (p.holdsKeyPatch()) {
            keyPatch.observe(worker, p.guide, k);
        }
        worker.endKernels();
        int g = Math.max(0, k - patches.guide().staleness());
        // The key patch's call has made all guides before this step's itself.
        if (patches.guided() && !p.holdsKeyPatch() && !keyPatch.await(g, this, worker)) {
            return false;
        }
        worker.beginKernels();
        stepViews(worker, p, x, k, g, random);
        worker.endKernels();
        return true;
    }

    /**
     * Writes the network's input (SPEC §2, §3).
     *
     * @return latents of the call's views before the step, in the frame of step {@code k}
     */
    private MemorySegment input(Worker worker, Prepared p, int k) {
        Kernels kernels = worker.kernels();
        DenoiserCall call = p.call;
        int from = k % latents.length;
        if (!patches.gathersAt(k)) {
            if (k > 0 && gathersBefore(k)) {
                awaitGathering(worker, from);
            }
            MemorySegment x = p.slots[from];
            kernels.modelInput(call.sample(), x, p.count * plane, call.inScale(), call.rows());
            return x;
        }
        latents[from].acquireAll(worker);
        MemorySegment x = call.buffers().latents;
        kernels.interact(
                x,
                call.sample(),
                p.first,
                p.count,
                latents[from].on(worker),
                patches.views(),
                plane,
                context.seed(),
                frame(k - 1),
                frame(k),
                call.inScale(),
                call.rows());
        worker.endExchange();
        return x;
    }

    /** Takes past predictions along with the pixels: into the frame of step {@code k}. */
    private void gatherPredictions(Worker worker, Prepared p, int k) {
        if (!movesPredictions(k)) {
            return;
        }
        for (int j = 0; j < predictions.past(k); j++) {
            int before = k - 1 - j;
            SharedTensor prediction = predictions.of(before);
            prediction.acquireAll(worker);
            gather(
                    worker.kernels(),
                    gathered.of(worker)[j],
                    p.first,
                    p.count,
                    prediction.on(worker),
                    frame(before),
                    frame(k));
        }
    }

    /** Whether a prediction that step {@code k} takes is in another frame. */
    private boolean movesPredictions(int k) {
        for (int j = 1; j <= predictions.past(k); j++) {
            if (frame(k - j) != frame(k)) {
                return true;
            }
        }
        return false;
    }

    /** Step noise [views, C, h, w], or NULL if the step has none. */
    private MemorySegment stepNoise(Worker worker, Prepared p, int k) {
        int t = patches.firstStep() + k;
        if (!table.stochastic(t)) {
            return MemorySegment.NULL;
        }
        MemorySegment random = p.call.buffers().scratch;
        worker.kernels()
                .normal(
                        random,
                        p.count * plane,
                        context.seed(),
                        p.first * plane,
                        t,
                        Kernels.STEP_NOISE,
                        1);
        return random;
    }

    private boolean keepsClean(int k) {
        return clean.byteSize() > 0 && k == patches.steps() - 1;
    }

    /** All views in one pass, which leaves the key patch's guide too. */
    private void stepViews(
            Worker worker, Prepared p, MemorySegment x, int k, int g, MemorySegment random) {
        Kernels kernels = worker.kernels();
        int t = patches.firstStep() + k;
        MemorySegment none = MemorySegment.NULL;
        MemorySegment row = predictions.row(k);
        StepHistory history = (movesPredictions(k) ? p.moved : p.inPlace).of(k);
        KeptPicture kept = context.kept();
        MemorySegment after = p.slots[(k + 1) % latents.length];
        MemorySegment next =
                kept == null ? after : kept.stepped(worker).asSlice(0, after.byteSize());
        MemorySegment found = worker.calls().found();
        boolean keyed = patches.guided() && p.holdsKeyPatch();
        boolean pulls = patches.guided() && p.count > (keyed ? 1 : 0);
        MemorySegment guideOut = keyed ? keyPatch.guideOut(worker, k) : none;
        boolean publishes = keyed;
        if (keyed && pulls && keyPatch.guidePerView() && g == k) {
            // The guide of this step is enlarged for the other views: the key patch steps before
            // them, and with them once more to the same latents.
            GuidedStep first = begin(p, row, 1, next, x).found(found).noise(random);
            kernels.guidedStep(guided(first.history(history), p, k, guideOut, none, none));
            worker.calls().watch(patches, k);
            keyPatch.publish(worker, k);
            publishes = false;
            guideOut = none;
        }
        MemorySegment guide = pulls ? keyPatch.guide(worker, p.guide, g, frame(k)) : none;
        MemorySegment mask = pulls ? keyPatch.mask(worker, p.guide, g) : none;
        GuidedStep step = begin(p, row, p.count, next, x).found(found).noise(random);
        kernels.guidedStep(guided(step.history(history), p, k, guideOut, guide, mask));
        worker.calls().watch(patches, k);
        if (kept != null) {
            kept.putBackPatches(worker, after, next, p.first, p.count, frame(k), t);
        }
        predictions.publish(worker, k, p.unit);
        publish(worker, p, k, publishes);
        row = table.cleanRows[t];
        if (keepsClean(k)) {
            GuidedStep cleaned = begin(p, row, p.count, p.cleanSlots, x);
            kernels.guidedStep(guided(cleaned, p, k, none, guide, mask));
            clean.publish(worker, p.unit);
        }
        if (previewStep() == k) {
            kernels.guidedStep(begin(p, row, p.count, p.previewSlots, x));
            preview.publish(worker, p.unit);
        }
    }

    /** A pass over the first {@code n} of a call's views, as yet without guide, noise and history. */
    private GuidedStep begin(
            Prepared p, MemorySegment row, int n, MemorySegment next, MemorySegment x) {
        CallBuffers b = p.call.buffers();
        return p.step.begin(row, n, canvas.channels(), plane / canvas.channels())
                .latents(next, x)
                .output(b.uncond, b.cond, guidanceScale);
    }

    /**
     * The same with the guidance of step {@code k}, where the stage has any.
     *
     * @param guideOut receives the key patch's guide of this step; NULL: it is not in this call, or has
     *     left its guide already
     */
    private GuidedStep guided(
            GuidedStep step,
            Prepared p,
            int k,
            MemorySegment guideOut,
            MemorySegment guide,
            MemorySegment mask) {
        if (space == Kernels.GUIDE_NONE) {
            return step;
        }
        step.guidance(space, patches.weightAt(k))
                .guide(guide, keyPatch.guidePerView())
                .mask(mask, keyPatch.maskPerView());
        return p.holdsKeyPatch() ? step.key(guideOut) : step;
    }

    /** The latents after step k, and with them the guide that the same pass has left. */
    private void publish(Worker worker, Prepared p, int k, boolean withGuide) {
        SharedTensor next = latents[(k + 1) % latents.length];
        if (withGuide) {
            keyPatch.publish(worker, k);
            keyPatch.publishWith(worker, next, p.unit, k);
        } else {
            next.publish(worker, p.unit);
        }
    }

    /** What this step writes, others have gathered from in the step before. */
    private void awaitGathering(Worker worker, int from) {
        for (int unit = 0; unit < calls().size(); unit++) {
            latents[from].await(worker, unit);
        }
    }

    private void relocate(Worker worker) {
        worker.beginKernels();
        int last = patches.steps();
        SharedTensor patchesNow = latents[last % latents.length];
        patchesNow.acquireAll(worker);
        unshuffle(worker.kernels(), plain.on(worker), patchesNow.on(worker), last - 1);
        plain.publish(worker, 0);
        toCanvas(worker.kernels(), out.on(worker), plain.on(worker));
        out.publish(worker, 0);
        if (clean.byteSize() > 0) {
            clean.acquireAll(worker);
            unshuffle(worker.kernels(), plainClean.on(worker), clean.on(worker), last - 1);
            plainClean.publish(worker, 0);
        }
        if (objectMask != null && lastMask != null) {
            objectMask.decide(worker.look(lastMask));
        }
        worker.endExchange();
    }

    private void unshuffle(Kernels kernels, MemorySegment to, MemorySegment from, int step) {
        gather(kernels, to, 0, patches.views(), from, frame(step), Kernels.UNSHUFFLED);
    }

    /** Slots {@code first .. first + count - 1} of another frame. */
    private void gather(
            Kernels kernels,
            MemorySegment to,
            int first,
            int count,
            MemorySegment from,
            int fromFrame,
            int toFrame) {
        kernels.interact(
                to,
                MemorySegment.NULL,
                first,
                count,
                from,
                patches.views(),
                plane,
                context.seed(),
                fromFrame,
                toFrame,
                1,
                1);
    }

    private void toCanvas(Kernels kernels, MemorySegment to, MemorySegment from) {
        kernels.relocate(
                to,
                from,
                canvas.channels(),
                canvas.y().patches(),
                canvas.x().patches(),
                canvas.y().patch(),
                canvas.x().patch());
    }

    /** Frame of the latents after step k of the stage: the absolute step of the permutation. */
    private int frame(int k) {
        return patches.interactsAt(k) ? patches.firstStep() + k : Kernels.UNSHUFFLED;
    }

    @Override
    public MemorySegment latentsAfter(int step, Kernels kernels, Memory memory) {
        MemorySegment plain = memory.floats(patches.views() * plane, "dumped latents");
        unshuffle(kernels, plain, latents[(step + 1) % latents.length].read(memory), step);
        return plain;
    }

    @Override
    public SharedTensor result() {
        return out;
    }

    /** Guides [C, h, w] of all steps; empty without guidance. */
    public SharedTensor[] guides() {
        return keyPatch.guides();
    }

    /** The key patch's masks [h, w] of all steps; empty unless they are used. */
    public SharedTensor[] masks() {
        return keyPatch.masks();
    }

    /** The key patch's maps of all steps, one per block; empty unless they are kept. */
    public SharedTensor[][] attention() {
        return keyPatch.attention();
    }

    /** Rows of the map of a block of the bundle. */
    public int mapHeight(int block) {
        return keyPatch.mapHeight(block);
    }

    /** Columns of the map of a block of the bundle. */
    public int mapWidth(int block) {
        return keyPatch.mapWidth(block);
    }

    /** Latents [N, C, h, w] as they went into the stage switch, once it is done. */
    public SharedTensor switched() {
        return plain;
    }

    /** Predicted clean latents [N, C, h, w] of the last step; empty unless they are kept. */
    public SharedTensor switchedClean() {
        return plainClean;
    }

    @Override
    public MemorySegment previewCanvas(Kernels kernels) {
        unshuffle(kernels, previewScratch, preview.read(memory), previewStep());
        toCanvas(kernels, previewOut, previewScratch);
        return previewOut;
    }
}
