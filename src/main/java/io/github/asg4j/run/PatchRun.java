// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.GuideOptions;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Guide;
import io.github.asg4j.plan.Stage;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Stage 1 of ASGDiffusion (arXiv 2412.06163, Fig. 3 and 4; SPEC.md §3-§6): each call shuffles its
 * patches, runs the UNet, is guided by the key patch of {@code staleness} steps before, and steps.
 * Latents stay in the shuffled frame; the next interaction is one gather. The join relocates the
 * patches to the canvas.
 */
final class PatchRun extends StageRun {
    /** The call that holds the key patch, view 0. */
    static final int KEY_CALL = 0;

    /** Guides 0 .. guidesPublished - 1 can be read; guarded by the board. */
    int guidesPublished;

    private final Stage.Patches patches;
    private final Board board;
    private final Conditioning conditioning;
    private final Tables tables;
    private final Canvas canvas;
    private final long seed;
    private final int copies;
    private final float guidanceScale;
    private final int space;
    private final int norm;
    private final boolean keyMask;
    private final boolean ownMask;
    private final int[] blocks;
    private final boolean previews;
    private final boolean mapped;
    private final long plane;
    private final long area;

    /** Latents [N, C, h, w] after step k - 1 at index k % length, in the frame of that step. */
    private final MemorySegment[] latents;

    private final MemorySegment[] guides;

    /** The key patch's masks [h, w] per step, as far as anything reads them. */
    private final MemorySegment[] masks;

    /** The key patch's maps per step and block of the bundle; for the listener. */
    private final MemorySegment[][] attention;

    /** Predicted clean latents [N, C, h, w] of the last step, in its frame; for the listener. */
    private final MemorySegment clean;

    private final MemorySegment plainClean;
    private final MemorySegment plain;
    private final @Nullable ObjectMask objectMask;
    private final MemorySegment lastMask;
    private final MemorySegment out;
    private final MemorySegment preview;
    private final MemorySegment previewScratch;
    private final MemorySegment previewOut;
    private final Prepared[][] prepared;

    /** By worker; empty where one guide is for all patches. */
    private final UpsampledGuide[] upsampled;

    /**
     * @param start [N, C, h, w] initial latents
     * @param out [C, H, W] the canvas, written by the join
     * @param lastMask [h, w], receives the key patch's mask of the last step; NULL: nobody reads it
     * @param objectMask decided by the join from {@code lastMask}; null: nobody asks
     * @param keep what is kept beyond what the picture needs
     */
    PatchRun(
            Stage.Patches patches,
            int viewBatch,
            Board board,
            Conditioning conditioning,
            Tables tables,
            long seed,
            int workers,
            int[] blocks,
            MemorySegment start,
            MemorySegment out,
            MemorySegment lastMask,
            @Nullable ObjectMask objectMask,
            Keep keep,
            Memory memory) {
        super(patches, viewBatch);
        this.patches = patches;
        this.board = board;
        this.conditioning = conditioning;
        this.tables = tables;
        this.canvas = conditioning.canvas();
        this.seed = seed;
        this.copies = patches.guidanceScale() == 1 ? 1 : 2;
        this.guidanceScale = (float) patches.guidanceScale();
        Guide guide = patches.guide();
        this.space =
                guide.space() == GuideOptions.Space.NOISE
                        ? Kernels.GUIDE_NOISE
                        : Kernels.GUIDE_LATENT;
        this.norm = guide.maskNorm().ordinal();
        boolean masked = patches.guided() && conditioning.realTokens() > 0;
        this.keyMask = masked && guide.mask() == GuideOptions.Mask.KEY;
        this.ownMask = masked && guide.mask() == GuideOptions.Mask.OWN;
        this.blocks = blocks;
        this.plane = canvas.patchPlane();
        this.area = plane / canvas.channels();
        this.out = out;
        this.lastMask = lastMask;
        this.objectMask = objectMask;
        this.mapped = conditioning.realTokens() > 0 && conditioning.denoiser().hasMaps();
        long all = patches.views() * plane;
        latents = new MemorySegment[keep.history() ? patches.steps() + 1 : 2];
        latents[0] = start;
        for (int i = 1; i < latents.length; i++) {
            latents[i] = memory.floats(all, "latents of all patches");
        }
        guides = new MemorySegment[patches.guided() ? patches.steps() : 0];
        masks = new MemorySegment[keyMask || (mapped && keep.attention()) ? patches.steps() : 0];
        for (int k = 0; k < guides.length; k++) {
            guides[k] = memory.floats(plane, "guide");
        }
        for (int k = 0; k < masks.length; k++) {
            masks[k] = memory.floats(area, "mask");
        }
        attention = new MemorySegment[mapped && keep.attention() ? patches.steps() : 0][];
        for (int k = 0; k < attention.length; k++) {
            attention[k] = maps(memory);
        }
        plain = memory.floats(all, "stage switch");
        clean = memory.floats(keep.patches() ? all : 0, "clean patches");
        plainClean = memory.floats(keep.patches() ? all : 0, "clean patches");
        previews = keep.previews();
        preview = memory.floats(previews ? all : 0, "preview");
        previewScratch = memory.floats(previews ? all : 0, "preview");
        previewOut = memory.floats(previews ? all : 0, "preview");
        prepared = new Prepared[workers][calls.size()];
        upsampled = new UpsampledGuide[patches.upsampled() ? workers : 0];
        if (upsampled.length > 0) {
            UpsampledGuide.Tables enlarging = UpsampledGuide.Tables.of(canvas, memory);
            for (int i = 0; i < workers; i++) {
                upsampled[i] = new UpsampledGuide(canvas, seed, enlarging, memory);
            }
        }
    }

    /**
     * What is kept beyond what the picture needs.
     *
     * @param history the latents of all steps
     * @param previews clean latents on request
     * @param patches clean latents of the last step
     * @param attention maps and masks of all steps
     */
    record Keep(boolean history, boolean previews, boolean patches, boolean attention) {}

    /** One map per block of the bundle, at the block's size. */
    private MemorySegment[] maps(Memory memory) {
        MemorySegment[] maps = new MemorySegment[conditioning.denoiser().mapCount()];
        for (int b = 0; b < maps.length; b++) {
            maps[b] = memory.floats((long) mapHeight(b) * mapWidth(b), "attention map");
        }
        return maps;
    }

    int mapHeight(int block) {
        return conditioning.denoiser().mapSize(block, patches.viewHeight());
    }

    int mapWidth(int block) {
        return conditioning.denoiser().mapSize(block, patches.viewWidth());
    }

    /** What one worker needs for one call, made once so that the loop allocates nothing. */
    private final class Prepared {
        final CallBuffers buffers;
        final int first;
        final int count;
        final MemorySegment[] slots;
        final MemorySegment previewSlots;

        /** Where the clean latents of the last step go: guided views, key patch; or nowhere. */
        final MemorySegment cleanGuided;

        final MemorySegment cleanKey;

        /** Views that are guided: all but the key patch. */
        final int guided;

        final MemorySegment[] guidedSlots;
        final MemorySegment guidedLatents;
        final MemorySegment guidedUncond;
        final MemorySegment guidedCond;
        final MemorySegment guidedNoise;
        final MemorySegment guidedMasks;

        /** Guides of the guided views, and those views one by one; empty where one is for all. */
        final MemorySegment ownGuides;

        final List<GuidedView> ownGuided;
        final MemorySegment keyUncond;
        final MemorySegment keyCond;
        final MemorySegment keyLatents;
        final MemorySegment[] keySlots;
        final MemorySegment ownMasks;
        final MemorySegment[] maps;
        final MemorySegment[] keyMaps;

        /** Of every block of the bundle, for the listener. */
        final MemorySegment[] allKeyMaps;

        final MemorySegment noise;

        Prepared(Worker worker, Stage.Call call) {
            first = call.first();
            count = call.count();
            int h = patches.viewHeight();
            int w = patches.viewWidth();
            buffers = worker.buffers(conditioning, count, copies, h, w);
            slots = slices(first, count);
            previewSlots = previews ? views(preview, first, count) : MemorySegment.NULL;
            int key = first == 0 ? 1 : 0;
            guided = count - key;
            boolean kept = clean.byteSize() > 0;
            cleanGuided = kept ? views(clean, first + key, guided) : MemorySegment.NULL;
            cleanKey = kept ? views(clean, first, key) : MemorySegment.NULL;
            guidedSlots = slices(first + key, guided);
            keySlots = slices(first, key);
            guidedLatents = views(buffers.latents, key, guided);
            keyLatents = views(buffers.latents, 0, key);
            guidedUncond = copies == 2 ? views(buffers.uncond, key, guided) : MemorySegment.NULL;
            guidedCond = views(buffers.cond, key, guided);
            keyUncond = copies == 2 ? views(buffers.uncond, 0, key) : MemorySegment.NULL;
            keyCond = views(buffers.cond, 0, key);
            noise = buffers.scratch;
            guidedNoise = views(buffers.scratch, key, guided);
            ownMasks = ownMask ? worker.floats(count * area, "own masks") : MemorySegment.NULL;
            guidedMasks =
                    ownMask
                            ? ownMasks.asSlice(key * area * 4, guided * area * 4)
                            : MemorySegment.NULL;
            ownGuides =
                    upsampled.length > 0
                            ? worker.floats(guided * plane, "own guides")
                            : MemorySegment.NULL;
            ownGuided =
                    upsampled.length > 0
                            ? IntStream.range(0, guided).mapToObj(this::guidedView).toList()
                            : List.of();
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

        private GuidedView guidedView(int i) {
            return new GuidedView(
                    slices(first + count - guided + i, 1),
                    clean.byteSize() > 0 ? views(cleanGuided, i, 1) : MemorySegment.NULL,
                    views(guidedLatents, i, 1),
                    copies == 2 ? views(guidedUncond, i, 1) : MemorySegment.NULL,
                    views(guidedCond, i, 1),
                    views(ownGuides, i, 1),
                    ownMask ? guidedMasks.asSlice(i * area * 4, area * 4) : MemorySegment.NULL,
                    views(guidedNoise, i, 1));
        }

        private MemorySegment[] slices(int from, int n) {
            MemorySegment[] slices = new MemorySegment[latents.length];
            for (int i = 0; i < slices.length; i++) {
                slices[i] = views(latents[i], from, n);
            }
            return slices;
        }

        private MemorySegment views(MemorySegment all, int from, int n) {
            return all.asSlice(from * plane * 4, n * plane * 4);
        }
    }

    /** One view, with a guide of its own: all [C, h, w] but the mask [h, w]; NULL what is not there. */
    private record GuidedView(
            MemorySegment[] slots,
            MemorySegment clean,
            MemorySegment latents,
            MemorySegment uncond,
            MemorySegment cond,
            MemorySegment guide,
            MemorySegment mask,
            MemorySegment noise) {}

    @Override
    int total(int unit) {
        return unit == join() ? 1 : patches.steps();
    }

    @Override
    boolean ready(int unit) {
        int k = done[unit];
        if (unit == join()) {
            return completedSteps() == patches.steps();
        }
        // The second condition keeps a buffer that others still gather from unwritten.
        return k == 0
                || !(patches.gathersAt(k) || patches.gathersAt(k - 1))
                || completedSteps() >= k;
    }

    @Override
    boolean execute(Worker worker, int unit, int step) {
        if (unit == join()) {
            relocate(worker);
            return true;
        }
        Prepared p = prepared[worker.index][unit];
        if (p == null) {
            p = new Prepared(worker, calls.get(unit));
            prepared[worker.index][unit] = p;
        }
        return step(worker, p, step);
    }

    private boolean step(Worker worker, Prepared p, int k) {
        Kernels kernels = worker.kernels;
        CallBuffers b = p.buffers;
        int t = patches.firstStep() + k;
        int from = k % latents.length;
        int to = (k + 1) % latents.length;
        long clock = System.nanoTime();
        if (patches.gathersAt(k)) {
            kernels.interact(
                    b.latents,
                    p.first,
                    p.count,
                    latents[from],
                    patches.views(),
                    plane,
                    seed,
                    frame(k - 1),
                    frame(k));
        } else {
            MemorySegment.copy(p.slots[from], 0, b.latents, 0, p.count * plane * 4);
        }
        clock = exchange(worker, clock);
        kernels.modelInput(b.sample, b.latents, p.count * plane, tables.inScale(t), copies);
        b.timestep(tables.timestep(t));
        for (int i = 0; i < p.count; i++) {
            b.timeIds(i, canvas.heightPixels(), canvas.widthPixels(), 0, 0);
            b.prompt(i, Conditioning.PROMPT);
        }
        kernels(worker, clock);
        worker.run(b);
        clock = System.nanoTime();
        NonFinite.check(kernels, b.noise, patches, k);
        boolean stochastic = tables.stochastic(t);
        if (stochastic) {
            kernels.normal(
                    p.noise, p.count * plane, seed, p.first * plane, t, Kernels.STEP_NOISE, 1);
        }
        MemorySegment row = tables.rows[t];
        if (p.first == 0) {
            observe(kernels, p, k, row);
        }
        clock = kernels(worker, clock);
        if (p.guided > 0 && patches.guided()) {
            int g = Math.max(0, k - patches.guide().staleness());
            if (!board.awaitGuide(this, g, worker)) {
                return false;
            }
            clock = System.nanoTime();
            MemorySegment random = stochastic ? p.guidedNoise : MemorySegment.NULL;
            MemorySegment mask = guideMask(kernels, p, g);
            if (upsampled.length > 0) {
                stepWithOwnGuides(worker, p, k, g, mask, stochastic);
            } else {
                guidedStep(kernels, p.guidedSlots[to], p, k, g, mask, row, random);
                if (keepsClean(k)) {
                    guidedStep(
                            kernels,
                            p.cleanGuided,
                            p,
                            k,
                            g,
                            mask,
                            tables.cleanRows[t],
                            MemorySegment.NULL);
                }
            }
        } else if (p.guided > 0) {
            plainStep(
                    kernels,
                    p.guidedSlots[to],
                    p.guidedLatents,
                    p.guidedUncond,
                    p.guidedCond,
                    stochastic ? p.guidedNoise : MemorySegment.NULL,
                    p.guided,
                    row);
            if (keepsClean(k)) {
                plainStep(
                        kernels,
                        p.cleanGuided,
                        p.guidedLatents,
                        p.guidedUncond,
                        p.guidedCond,
                        MemorySegment.NULL,
                        p.guided,
                        tables.cleanRows[t]);
            }
        }
        if (p.first == 0) {
            plainStep(
                    kernels,
                    p.keySlots[to],
                    p.keyLatents,
                    p.keyUncond,
                    p.keyCond,
                    stochastic ? p.noise : MemorySegment.NULL,
                    1,
                    row);
            if (keepsClean(k)) {
                plainStep(
                        kernels,
                        p.cleanKey,
                        p.keyLatents,
                        p.keyUncond,
                        p.keyCond,
                        MemorySegment.NULL,
                        1,
                        tables.cleanRows[t]);
            }
        }
        if (previewStep() == k) {
            plainStep(
                    kernels,
                    p.previewSlots,
                    b.latents,
                    b.uncond,
                    b.cond,
                    MemorySegment.NULL,
                    p.count,
                    tables.cleanRows[t]);
        }
        kernels(worker, clock);
        return true;
    }

    /** What the key patch of step k tells: its mask and guide to all patches, its maps to watch. */
    private void observe(Kernels kernels, Prepared p, int k, MemorySegment row) {
        if (masks.length > 0) {
            mask(kernels, masks[k], 1, p.keyMaps);
        }
        if (mapped && k == patches.steps() - 1 && lastMask.byteSize() > 0) {
            mask(kernels, lastMask, 1, p.keyMaps);
        }
        if (attention.length > 0) {
            for (int b = 0; b < p.allKeyMaps.length; b++) {
                attention[k][b].copyFrom(p.allKeyMaps[b]);
            }
        }
        if (patches.guided()) {
            kernels.guide(
                    guides[k],
                    p.keyLatents,
                    p.keyUncond,
                    p.keyCond,
                    plane,
                    row,
                    guidanceScale,
                    space);
            board.publishGuide(this, k);
        }
    }

    private boolean keepsClean(int k) {
        return clean.byteSize() > 0 && k == patches.steps() - 1;
    }

    /** Sums and normalises the chosen maps (SPEC §5). */
    private void mask(Kernels kernels, MemorySegment mask, int views, MemorySegment[] maps) {
        int h = patches.viewHeight();
        int w = patches.viewWidth();
        for (int i = 0; i < maps.length; i++) {
            kernels.addMap(
                    mask,
                    views,
                    h,
                    w,
                    maps[i],
                    conditioning.denoiser().mapSize(blocks[i], h),
                    conditioning.denoiser().mapSize(blocks[i], w),
                    i == 0);
        }
        kernels.normaliseMask(mask, views, area, maps.length, norm);
    }

    private MemorySegment guideMask(Kernels kernels, Prepared p, int g) {
        if (ownMask) {
            mask(kernels, p.ownMasks, p.count, p.maps);
            return p.guidedMasks;
        }
        return keyMask ? masks[g] : MemorySegment.NULL;
    }

    /** Each guided view by the key patch's picture at its own cells. */
    private void stepWithOwnGuides(
            Worker worker, Prepared p, int k, int g, MemorySegment mask, boolean stochastic) {
        int t = patches.firstStep() + k;
        int firstGuided = p.first + p.count - p.guided;
        upsampled[worker.index].place(
                worker.kernels,
                p.ownGuides,
                firstGuided,
                p.guided,
                guides[g],
                patches.interactsAt(g),
                frame(k));
        int to = (k + 1) % latents.length;
        for (GuidedView v : p.ownGuided) {
            MemorySegment ownMask = this.ownMask ? v.mask : mask;
            guidedStep(
                    worker.kernels,
                    v.slots[to],
                    v,
                    k,
                    ownMask,
                    tables.rows[t],
                    stochastic ? v.noise : MemorySegment.NULL);
            if (keepsClean(k)) {
                guidedStep(
                        worker.kernels,
                        v.clean,
                        v,
                        k,
                        ownMask,
                        tables.cleanRows[t],
                        MemorySegment.NULL);
            }
        }
    }

    private void guidedStep(
            Kernels kernels,
            MemorySegment next,
            GuidedView v,
            int k,
            MemorySegment mask,
            MemorySegment row,
            MemorySegment random) {
        kernels.guidedStep(
                next,
                v.latents,
                v.uncond,
                v.cond,
                v.guide,
                mask,
                ownMask,
                random,
                1,
                canvas.channels(),
                area,
                row,
                guidanceScale,
                patches.weightAt(k),
                space);
    }

    private void guidedStep(
            Kernels kernels,
            MemorySegment next,
            Prepared p,
            int k,
            int g,
            MemorySegment mask,
            MemorySegment row,
            MemorySegment random) {
        kernels.guidedStep(
                next,
                p.guidedLatents,
                p.guidedUncond,
                p.guidedCond,
                guides[g],
                mask,
                ownMask,
                random,
                p.guided,
                canvas.channels(),
                area,
                row,
                guidanceScale,
                patches.weightAt(k),
                space);
    }

    private void plainStep(
            Kernels kernels,
            MemorySegment next,
            MemorySegment x,
            MemorySegment uncond,
            MemorySegment cond,
            MemorySegment noise,
            int views,
            MemorySegment row) {
        kernels.guidedStep(
                next,
                x,
                uncond,
                cond,
                MemorySegment.NULL,
                MemorySegment.NULL,
                false,
                noise,
                views,
                canvas.channels(),
                area,
                row,
                guidanceScale,
                0,
                Kernels.GUIDE_NONE);
    }

    private void relocate(Worker worker) {
        long clock = System.nanoTime();
        int last = patches.steps();
        unshuffle(worker.kernels, plain, latents[last % latents.length], last - 1);
        toCanvas(worker.kernels, out, plain);
        if (clean.byteSize() > 0) {
            unshuffle(worker.kernels, plainClean, clean, last - 1);
        }
        if (objectMask != null) {
            objectMask.decide();
        }
        exchange(worker, clock);
    }

    private void unshuffle(Kernels kernels, MemorySegment to, MemorySegment from, int step) {
        kernels.interact(
                to,
                0,
                patches.views(),
                from,
                patches.views(),
                plane,
                seed,
                frame(step),
                Kernels.UNSHUFFLED);
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
    MemorySegment latentsAfter(int step, Kernels kernels, Memory memory) {
        MemorySegment plain = memory.floats(patches.views() * plane, "dumped latents");
        unshuffle(kernels, plain, latents[(step + 1) % latents.length], step);
        return plain;
    }

    /** Guides [C, h, w] of all steps; empty without guidance. */
    MemorySegment[] guides() {
        return guides;
    }

    /** The key patch's masks [h, w] of all steps; empty unless they are used. */
    MemorySegment[] masks() {
        return masks;
    }

    /** The key patch's maps of all steps, one per block; empty unless they are kept. */
    MemorySegment[][] attention() {
        return attention;
    }

    /** Latents [N, C, h, w] as they went into the stage switch, once it is done. */
    MemorySegment switched() {
        return plain;
    }

    /** Predicted clean latents [N, C, h, w] of the last step; empty unless they are kept. */
    MemorySegment switchedClean() {
        return plainClean;
    }

    @Override
    MemorySegment previewCanvas(Kernels kernels) {
        unshuffle(kernels, previewScratch, preview, previewStep());
        toCanvas(kernels, previewOut, previewScratch);
        return previewOut;
    }

    private static long exchange(Worker worker, long start) {
        long now = System.nanoTime();
        worker.exchangeNanos += now - start;
        return now;
    }

    private static long kernels(Worker worker, long start) {
        long now = System.nanoTime();
        worker.kernelNanos += now - start;
        return now;
    }
}
