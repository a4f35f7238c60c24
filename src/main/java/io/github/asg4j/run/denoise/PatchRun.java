// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.GuideOptions;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Guide;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.work.WorkScheduler;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.stream.LongStream;

/**
 * Stage 1 of ASGDiffusion (arXiv 2412.06163, Fig. 3 and 4; SPEC.md §3-§6): each call shuffles its
 * patches, runs the UNet, is guided by the key patch of {@code staleness} steps before, and steps.
 * Latents stay in the shuffled frame; the next interaction is one gather. The join relocates the
 * patches to the canvas.
 */
public final class PatchRun extends StageRun {
    /** The call that holds the key patch, view 0. */
    private static final int KEY_CALL = 0;

    private final Stage.Patches patches;
    private final WorkScheduler.Publication guidesReady;
    private final Conditioning conditioning;
    private final ScheduleTable table;
    private final Canvas canvas;
    private final long seed;
    private final int copies;
    private final float guidanceScale;
    private final int space;
    private final int norm;
    private final boolean keyMask;
    private final boolean ownMask;
    private final int[] blocks;

    /** Of the maps of {@link #blocks}. */
    private final int[] mapHeights;

    private final int[] mapWidths;
    private final boolean previews;
    private final boolean mapped;
    private final long plane;
    private final long area;

    /** Latents [N, C, h, w] after step k - 1 at index k % length, in the frame of that step. */
    private final SharedTensor[] latents;

    private final SharedTensor[] guides;

    /** The key patch's masks [h, w] per step, as far as anything reads them. */
    private final SharedTensor[] masks;

    /** The key patch's maps per step and block of the bundle; for the listener. */
    private final SharedTensor[][] attention;

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
    private final Prepared[][] prepared;

    /** How a guide is enlarged; null where one is for all patches as it is. */
    private final UpsampledGuide.@Nullable Axes enlarging;

    /** By worker, made at its first use. */
    private final @Nullable UpsampledGuide[] upsampled;

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
        this.guidesReady = scheduler.newPublication();
        this.conditioning = context.conditioning();
        this.table = context.table();
        this.canvas = context.canvas();
        this.seed = context.seed();
        Workers workers = context.workers();
        Keep keep = context.keep();
        this.copies = patches.rows();
        this.guidanceScale = (float) patches.guidanceScale();
        Guide guide = patches.guide();
        this.space = space(patches);
        this.norm = guide.maskNorm().ordinal();
        boolean masked = patches.guided() && conditioning.realTokens() > 0;
        this.keyMask = masked && guide.mask() == GuideOptions.Mask.KEY;
        this.ownMask = masked && guide.mask() == GuideOptions.Mask.OWN;
        this.blocks = blocks;
        this.plane = canvas.patchPlane();
        this.area = plane / canvas.channels();
        this.out = workers.floats(canvas.plane(), "relocated canvas");
        this.lastMask = lastMask;
        this.objectMask = objectMask;
        this.memory = workers.memory();
        this.mapped = conditioning.realTokens() > 0 && conditioning.denoiser().hasMaps();
        mapHeights = new int[blocks.length];
        mapWidths = new int[blocks.length];
        for (int i = 0; mapped && i < blocks.length; i++) {
            mapHeights[i] = mapHeight(blocks[i]);
            mapWidths[i] = mapWidth(blocks[i]);
        }
        long all = patches.views() * plane;
        long[] parts = calls().stream().mapToLong(call -> call.count() * plane).toArray();
        long[] partBytes = LongStream.of(parts).map(floats -> floats * Float.BYTES).toArray();
        latents = new SharedTensor[keep.history() ? patches.steps() + 1 : 2];
        latents[0] = workers.inParts(start, "initial latents", partBytes);
        for (int i = 1; i < latents.length; i++) {
            latents[i] = workers.inParts("latents of all patches", parts);
        }
        guides = new SharedTensor[patches.guided() ? patches.steps() : 0];
        masks = new SharedTensor[keyMask || (mapped && keep.attention()) ? patches.steps() : 0];
        for (int k = 0; k < guides.length; k++) {
            guides[k] = workers.floats(plane, "guide");
        }
        for (int k = 0; k < masks.length; k++) {
            masks[k] = workers.floats(area, "mask");
        }
        attention = new SharedTensor[mapped && keep.attention() ? patches.steps() : 0][];
        for (int k = 0; k < attention.length; k++) {
            attention[k] = maps(workers);
        }
        plain = workers.floats(all, "stage switch");
        long[] none = new long[parts.length];
        clean = workers.inParts("clean patches", keep.patches() ? parts : none);
        plainClean = workers.floats(keep.patches() ? all : 0, "clean patches");
        previews = keep.previews();
        preview = workers.inParts("preview", previews ? parts : none);
        previewScratch = memory.floats(previews ? all : 0, "preview");
        previewOut = memory.floats(previews ? all : 0, "preview");
        prepared = new Prepared[workers.size()][calls().size()];
        upsampled = new UpsampledGuide[workers.size()];
        enlarging = patches.upsampled() ? UpsampledGuide.Axes.of(canvas, memory) : null;
    }

    private static int space(Stage.Patches patches) {
        if (!patches.guided()) {
            return Kernels.GUIDE_NONE;
        }
        return patches.guide().space() == GuideOptions.Space.NOISE
                ? Kernels.GUIDE_NOISE
                : Kernels.GUIDE_LATENT;
    }

    /** One map per block of the bundle, at the block's size. */
    private SharedTensor[] maps(Workers workers) {
        SharedTensor[] maps = new SharedTensor[conditioning.denoiser().mapCount()];
        for (int b = 0; b < maps.length; b++) {
            maps[b] = workers.floats((long) mapHeight(b) * mapWidth(b), "attention map");
        }
        return maps;
    }

    public int mapHeight(int block) {
        return conditioning.denoiser().mapSize(block, patches.viewHeight());
    }

    public int mapWidth(int block) {
        return conditioning.denoiser().mapSize(block, patches.viewWidth());
    }

    /** What one worker needs for one call, made once so that the loop allocates nothing. */
    private final class Prepared {
        final CallBuffers buffers;
        final int unit;
        final int first;
        final int count;
        final MemorySegment[] slots;
        final MemorySegment previewSlots;

        /** Where the clean latents of the last step go, or nowhere. */
        final MemorySegment cleanSlots;

        /** Masks of all views, the key patch's among them, or nothing. */
        final MemorySegment ownMasks;

        /** Guides of all views, or nothing where one guide is for all. */
        final MemorySegment ownGuides;

        final MemorySegment[] maps;
        final MemorySegment[] keyMaps;

        /** Of every block of the bundle, for the listener. */
        final MemorySegment[] allKeyMaps;

        Prepared(Worker worker, int unit) {
            Stage.Call call = calls().get(unit);
            this.unit = unit;
            first = call.first();
            count = call.count();
            int h = patches.viewHeight();
            int w = patches.viewWidth();
            buffers = conditioning.buffers().of(worker, conditioning, call, copies, h, w);
            slots = new MemorySegment[latents.length];
            for (int i = 0; i < slots.length; i++) {
                slots[i] = views(latents[i].on(worker));
            }
            previewSlots = previews ? views(preview.on(worker)) : MemorySegment.NULL;
            cleanSlots = clean.byteSize() > 0 ? views(clean.on(worker)) : MemorySegment.NULL;
            ownMasks = ownMask ? worker.floats(count * area, "own masks") : MemorySegment.NULL;
            ownGuides =
                    enlarging == null
                            ? MemorySegment.NULL
                            : worker.floats(count * plane, "own guides");
            allKeyMaps = new MemorySegment[attention.length == 0 ? 0 : buffers.maps.size()];
            for (int b = 0; b < allKeyMaps.length; b++) {
                MemorySegment map = buffers.maps.get(b);
                allKeyMaps[b] = map.asSlice(0, map.byteSize() / count);
            }
            maps = new MemorySegment[mapped ? blocks.length : 0];
            keyMaps = new MemorySegment[maps.length];
            for (int i = 0; i < maps.length; i++) {
                maps[i] = buffers.maps.get(blocks[i]);
                keyMaps[i] = maps[i].asSlice(0, maps[i].byteSize() / count);
            }
        }

        private MemorySegment views(MemorySegment all) {
            return all.asSlice(first * plane * 4, count * plane * 4);
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
                || !(patches.gathersAt(k) || patches.gathersAt(k - 1))
                || completedSteps(progress) >= k;
    }

    @Override
    public boolean execute(Worker worker, int unit, int step) {
        if (unit == join()) {
            relocate(worker);
            return true;
        }
        Prepared p = prepared[worker.index()][unit];
        if (p == null) {
            p = new Prepared(worker, unit);
            prepared[worker.index()][unit] = p;
        }
        return step(worker, p, step);
    }

    private boolean step(Worker worker, Prepared p, int k) {
        Kernels kernels = worker.kernels();
        CallBuffers b = p.buffers;
        int t = patches.firstStep() + k;
        int from = k % latents.length;
        long clock = worker.clock();
        MemorySegment x;
        if (patches.gathersAt(k)) {
            latents[from].acquireAll(worker);
            x = b.latents;
            kernels.interact(
                    x,
                    b.sample,
                    p.first,
                    p.count,
                    latents[from].on(worker),
                    patches.views(),
                    plane,
                    seed,
                    frame(k - 1),
                    frame(k),
                    table.inScale(t),
                    copies);
            clock = worker.countExchange(clock);
        } else {
            if (k > 0 && patches.gathersAt(k - 1)) {
                awaitGathering(worker, from);
            }
            x = p.slots[from];
            kernels.modelInput(b.sample, x, p.count * plane, table.inScale(t), copies);
        }
        b.timestep(table.timestep(t));
        for (int i = 0; i < p.count; i++) {
            b.timeIds(i, canvas.heightPixels(), canvas.widthPixels(), 0, 0);
            b.prompt(i, Conditioning.PROMPT);
        }
        worker.countKernels(clock);
        b.run();
        clock = worker.clock();
        MemorySegment random = MemorySegment.NULL;
        if (table.stochastic(t)) {
            random = b.scratch;
            kernels.normal(
                    random, p.count * plane, seed, p.first * plane, t, Kernels.STEP_NOISE, 1);
        }
        boolean key = p.first == KEY_CALL;
        if (key) {
            observe(worker, p, k);
        }
        worker.countKernels(clock);
        int g = Math.max(0, k - patches.guide().staleness());
        // The key patch's call has made all guides before this step's itself.
        if (patches.guided() && !key && !guidesReady.await(g, this, KEY_CALL, worker)) {
            return false;
        }
        clock = worker.clock();
        stepViews(worker, p, x, k, g, random);
        worker.countKernels(clock);
        return true;
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
        MemorySegment row = table.rows[t];
        MemorySegment next = p.slots[(k + 1) % latents.length];
        MemorySegment found = worker.calls().found();
        boolean publishes = patches.guided() && p.first == KEY_CALL;
        boolean pulls = patches.guided() && p.count > (publishes ? 1 : 0);
        MemorySegment guideOut = publishes ? guides[k].on(worker) : none;
        if (publishes && pulls && enlarging != null && g == k) {
            // The guide of this step is enlarged for the other views: the key patch steps before
            // them, and with them once more to the same latents.
            guidedStep(kernels, p, 1, next, guideOut, found, x, k, none, none, random, row, space);
            worker.calls().watch(patches, k);
            publishGuide(worker, k);
            publishes = false;
            guideOut = none;
        }
        MemorySegment guide = pulls ? guide(worker, p, k, g) : none;
        MemorySegment mask = pulls ? guideMask(worker, p, g) : none;
        int n = p.count;
        guidedStep(kernels, p, n, next, guideOut, found, x, k, guide, mask, random, row, space);
        worker.calls().watch(patches, k);
        publish(worker, p, k, publishes);
        row = table.cleanRows[t];
        if (keepsClean(k)) {
            MemorySegment out = p.cleanSlots;
            guidedStep(kernels, p, n, out, none, none, x, k, guide, mask, none, row, space);
            clean.publish(worker, p.unit);
        }
        if (previewStep() == k) {
            MemorySegment out = p.previewSlots;
            int plainly = Kernels.GUIDE_NONE;
            guidedStep(kernels, p, n, out, none, none, x, k, none, none, none, row, plainly);
            preview.publish(worker, p.unit);
        }
    }

    /** The latents after step k, and with them the guide that the same pass has left. */
    private void publish(Worker worker, Prepared p, int k, boolean withGuide) {
        SharedTensor next = latents[(k + 1) % latents.length];
        if (withGuide) {
            publishGuide(worker, k);
            next.publishWith(worker, p.unit, guides[k]);
        } else {
            next.publish(worker, p.unit);
        }
    }

    private UpsampledGuide upsampled(Worker worker) {
        UpsampledGuide own = upsampled[worker.index()];
        if (own == null) {
            own = new UpsampledGuide(canvas, seed, Objects.requireNonNull(enlarging), worker);
            upsampled[worker.index()] = own;
        }
        return own;
    }

    private void publishGuide(Worker worker, int k) {
        guides[k].publish(worker, 0);
        guidesReady.publish(k);
    }

    /** What this step writes, others have gathered from in the step before. */
    private void awaitGathering(Worker worker, int from) {
        for (int unit = 0; unit < calls().size(); unit++) {
            latents[from].await(worker, unit);
        }
    }

    /**
     * The guide of step g for the views of a call at step k. Before its mask, which is published
     * before it: one wait does for both.
     */
    private MemorySegment guide(Worker worker, Prepared p, int k, int g) {
        guides[g].acquire(worker, 0);
        MemorySegment guide = guides[g].on(worker);
        if (enlarging == null) {
            return guide;
        }
        boolean shuffled = patches.interactsAt(g);
        upsampled(worker)
                .place(
                        worker.kernels(),
                        p.ownGuides,
                        p.first,
                        p.count,
                        guide,
                        g,
                        shuffled,
                        frame(k));
        return p.ownGuides;
    }

    /** What the key patch of step k tells besides its guide: its mask, and its maps to watch. */
    private void observe(Worker worker, Prepared p, int k) {
        Kernels kernels = worker.kernels();
        if (masks.length > 0) {
            mask(kernels, masks[k].on(worker), 1, p.keyMaps);
            masks[k].publish(worker, 0);
        }
        if (mapped && k == patches.steps() - 1 && lastMask != null) {
            mask(kernels, lastMask.on(worker), 1, p.keyMaps);
            lastMask.publish(worker, 0);
        }
        if (attention.length > 0) {
            for (int b = 0; b < p.allKeyMaps.length; b++) {
                MemorySegment map = p.allKeyMaps[b];
                worker.queue().copy(attention[k][b].on(worker), map, map.byteSize());
                attention[k][b].publish(worker, 0);
            }
        }
    }

    /** Sums and normalises the chosen maps (SPEC §5). */
    private void mask(Kernels kernels, MemorySegment mask, int views, MemorySegment[] maps) {
        kernels.mask(
                mask,
                views,
                patches.viewHeight(),
                patches.viewWidth(),
                maps,
                mapHeights,
                mapWidths,
                norm);
    }

    private MemorySegment guideMask(Worker worker, Prepared p, int g) {
        if (ownMask) {
            mask(worker.kernels(), p.ownMasks, p.count, p.maps);
            return p.ownMasks;
        }
        if (!keyMask) {
            return MemorySegment.NULL;
        }
        masks[g].acquire(worker, 0);
        return masks[g].on(worker);
    }

    /**
     * @param n of the call's views, the first ones
     * @param guideOut receives the key patch's guide of this step; NULL: it is not in this call, or has
     *     left its guide already
     * @param found NULL where the network's output was searched in another pass
     */
    private void guidedStep(
            Kernels kernels,
            Prepared p,
            int n,
            MemorySegment next,
            MemorySegment guideOut,
            MemorySegment found,
            MemorySegment x,
            int k,
            MemorySegment guide,
            MemorySegment mask,
            MemorySegment random,
            MemorySegment row,
            int space) {
        boolean guided = space != Kernels.GUIDE_NONE;
        kernels.guidedStep(
                next,
                guideOut,
                found,
                x,
                p.buffers.uncond,
                p.buffers.cond,
                guide,
                enlarging != null,
                mask,
                ownMask,
                random,
                guided && p.first == KEY_CALL,
                n,
                canvas.channels(),
                area,
                row,
                guidanceScale,
                guided ? patches.weightAt(k) : 0,
                space);
    }

    private void relocate(Worker worker) {
        long clock = worker.clock();
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
        worker.countExchange(clock);
    }

    private void unshuffle(Kernels kernels, MemorySegment to, MemorySegment from, int step) {
        kernels.interact(
                to,
                MemorySegment.NULL,
                0,
                patches.views(),
                from,
                patches.views(),
                plane,
                seed,
                frame(step),
                Kernels.UNSHUFFLED,
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
        return guides;
    }

    /** The key patch's masks [h, w] of all steps; empty unless they are used. */
    public SharedTensor[] masks() {
        return masks;
    }

    /** The key patch's maps of all steps, one per block; empty unless they are kept. */
    public SharedTensor[][] attention() {
        return attention;
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
