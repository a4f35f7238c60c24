// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.GuideOptions;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;

import java.lang.foreign.MemorySegment;

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
    private final long plane;
    private final long area;

    /** Latents [N, C, h, w] after step k - 1 at index k % length, in the frame of that step. */
    private final MemorySegment[] latents;

    private final MemorySegment[] guides;
    private final MemorySegment[] masks;
    private final MemorySegment out;
    private final MemorySegment preview;
    private final MemorySegment previewScratch;
    private final MemorySegment previewOut;
    private final Prepared[][] prepared;

    /**
     * @param start [N, C, h, w] initial latents
     * @param out [C, H, W] the canvas, written by the join
     * @param history keep the latents of all steps
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
            boolean history,
            boolean previews,
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
        GuideOptions guide = patches.guide();
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
        long all = patches.views() * plane;
        latents = new MemorySegment[history ? patches.steps() + 1 : 2];
        latents[0] = start;
        for (int i = 1; i < latents.length; i++) {
            latents[i] = memory.floats(all, "latents of all patches");
        }
        guides = new MemorySegment[patches.guided() ? patches.steps() : 0];
        masks = new MemorySegment[keyMask ? patches.steps() : 0];
        for (int k = 0; k < guides.length; k++) {
            guides[k] = memory.floats(plane, "guide");
        }
        for (int k = 0; k < masks.length; k++) {
            masks[k] = memory.floats(area, "mask");
        }
        preview = memory.floats(previews ? all : 0, "preview");
        previewScratch = memory.floats(previews ? all : 0, "preview");
        previewOut = memory.floats(previews ? all : 0, "preview");
        this.previews = previews;
        prepared = new Prepared[workers][calls.size()];
    }

    /** What one worker needs for one call, made once so that the loop allocates nothing. */
    private final class Prepared {
        final CallBuffers buffers;
        final int first;
        final int count;
        final MemorySegment[] slots;
        final MemorySegment previewSlots;

        /** Views that are guided: all but the key patch. */
        final int guided;

        final MemorySegment[] guidedSlots;
        final MemorySegment guidedLatents;
        final MemorySegment guidedUncond;
        final MemorySegment guidedCond;
        final MemorySegment guidedNoise;
        final MemorySegment guidedMasks;
        final MemorySegment keyUncond;
        final MemorySegment keyCond;
        final MemorySegment keyLatents;
        final MemorySegment[] keySlots;
        final MemorySegment ownMasks;
        final MemorySegment[] maps;
        final MemorySegment[] keyMaps;
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
            maps = new MemorySegment[blocks.length];
            keyMaps = new MemorySegment[blocks.length];
            for (int i = 0; i < blocks.length; i++) {
                maps[i] = buffers.maps.get(blocks[i]);
                keyMaps[i] = maps[i].asSlice(0, maps[i].byteSize() / count);
            }
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
        if (p.first == 0 && patches.guided()) {
            publish(kernels, p, k, row);
        }
        clock = kernels(worker, clock);
        if (p.guided > 0 && patches.guided()) {
            int g = Math.max(0, k - patches.guide().staleness());
            if (!board.awaitGuide(this, g, worker)) {
                return false;
            }
            clock = System.nanoTime();
            guidedStep(kernels, p, k, g, row, stochastic, to);
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

    /** The key patch's mask and guide of step k, for all patches. */
    private void publish(Kernels kernels, Prepared p, int k, MemorySegment row) {
        if (keyMask) {
            mask(kernels, masks[k], 1, p.keyMaps);
        }
        kernels.guide(
                guides[k], p.keyLatents, p.keyUncond, p.keyCond, plane, row, guidanceScale, space);
        board.publishGuide(this, k);
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

    private void guidedStep(
            Kernels kernels,
            Prepared p,
            int k,
            int g,
            MemorySegment row,
            boolean stochastic,
            int to) {
        MemorySegment mask = MemorySegment.NULL;
        if (ownMask) {
            mask(kernels, p.ownMasks, p.count, p.maps);
            mask = p.guidedMasks;
        } else if (keyMask) {
            mask = masks[g];
        }
        kernels.guidedStep(
                p.guidedSlots[to],
                p.guidedLatents,
                p.guidedUncond,
                p.guidedCond,
                guides[g],
                mask,
                ownMask,
                stochastic ? p.guidedNoise : MemorySegment.NULL,
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
        MemorySegment plain = worker.floats(patches.views() * plane, "stage switch");
        unshuffle(worker.kernels, plain, latents[last % latents.length], last - 1);
        toCanvas(worker.kernels, out, plain);
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
