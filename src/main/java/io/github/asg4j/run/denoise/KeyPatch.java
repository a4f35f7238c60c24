// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.GuideOptions;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Guide;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.work.WorkScheduler;
import io.github.asg4j.run.work.WorkUnits;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * What the key patch of stage 1 leaves for the other patches in every step, and the form in which they
 * read it: its guide, as it is or enlarged to all patches, and its mask (arXiv 2412.06163, Eq. 3 and
 * 4; SPEC.md §4, §5).
 */
final class KeyPatch {
    /** The call that holds the key patch, view 0. */
    static final int CALL = 0;

    private final Stage.Patches patches;
    private final Conditioning conditioning;
    private final Canvas canvas;
    private final WorkScheduler.Publication ready;
    private final int norm;
    private final boolean keyMask;
    private final boolean ownMask;
    private final boolean mapped;

    /** Indices of the bundle's maps that the mask is made of, and their sizes. */
    private final int[] blocks;

    private final int[] mapHeights;
    private final int[] mapWidths;

    private final SharedTensor[] guides;

    /** Masks [h, w] per step, as far as anything reads them. */
    private final SharedTensor[] masks;

    /** Maps per step and block of the bundle; for the listener. */
    private final SharedTensor[][] attention;

    private final @Nullable SharedTensor lastMask;

    /** Guides enlarged to all patches; null where one is for all patches as it is. */
    private final @Nullable PerWorker<UpsampledGuide> upsampled;

    /**
     * @param ready guides that are there
     * @param blocks indices of the bundle's attention maps that the mask is made of
     * @param lastMask [h, w], receives the mask of the last step; null: nobody reads it
     */
    KeyPatch(
            Stage.Patches patches,
            StageContext context,
            WorkScheduler.Publication ready,
            int[] blocks,
            @Nullable SharedTensor lastMask) {
        this.patches = patches;
        this.ready = ready;
        this.blocks = blocks;
        this.lastMask = lastMask;
        conditioning = context.conditioning();
        canvas = context.canvas();
        Workers workers = context.workers();
        Guide guide = patches.guide();
        norm =
                switch (guide.maskNorm()) {
                    case MINMAX -> Kernels.NORM_MINMAX;
                    case MAX -> Kernels.NORM_MAX;
                    case MEAN_THRESHOLD -> Kernels.NORM_MEAN_THRESHOLD;
                };
        boolean masked = patches.guided() && conditioning.realTokens() > 0;
        keyMask = masked && guide.mask() == GuideOptions.Mask.KEY;
        ownMask = masked && guide.mask() == GuideOptions.Mask.OWN;
        mapped = conditioning.realTokens() > 0 && conditioning.denoiser().hasMaps();
        mapHeights = new int[blocks.length];
        mapWidths = new int[blocks.length];
        for (int i = 0; mapped && i < blocks.length; i++) {
            mapHeights[i] = mapHeight(blocks[i]);
            mapWidths[i] = mapWidth(blocks[i]);
        }
        int steps = patches.steps();
        boolean attentive = mapped && context.keep().attention();
        guides = new SharedTensor[patches.guided() ? steps : 0];
        masks = new SharedTensor[keyMask || attentive ? steps : 0];
        attention = new SharedTensor[attentive ? steps : 0][];
        for (int k = 0; k < guides.length; k++) {
            guides[k] = workers.floats(canvas.patchPlane(), "guide");
        }
        for (int k = 0; k < masks.length; k++) {
            masks[k] = workers.floats(area(), "mask");
        }
        for (int k = 0; k < attention.length; k++) {
            attention[k] = maps(workers);
        }
        upsampled = patches.upsampled() ? upsampled(context) : null;
    }

    private static PerWorker<UpsampledGuide> upsampled(StageContext context) {
        Canvas canvas = context.canvas();
        UpsampledGuide.Axes axes = UpsampledGuide.Axes.of(canvas, context.workers().memory());
        return new PerWorker<>(
                context.workers().size(),
                worker -> new UpsampledGuide(canvas, context.seed(), axes, worker));
    }

    private long area() {
        return canvas.patchPlane() / canvas.channels();
    }

    /** One map per block of the bundle, at the block's size. */
    private SharedTensor[] maps(Workers workers) {
        SharedTensor[] maps = new SharedTensor[conditioning.denoiser().mapCount()];
        for (int b = 0; b < maps.length; b++) {
            maps[b] = workers.floats((long) mapHeight(b) * mapWidth(b), "attention map");
        }
        return maps;
    }

    int mapHeight(int block) {
        return conditioning.denoiser().mapSize(block, patches.viewHeight());
    }

    int mapWidth(int block) {
        return conditioning.denoiser().mapSize(block, patches.viewWidth());
    }

    /** One worker's side of one call: the maps that the call gives, and what its views are guided by. */
    final class Reader {
        private final DenoiserCall call;
        private final int first;
        private final int count;

        /** By rows per view; null where no step has so many. */
        private final @Nullable Maps[] byRows = new Maps[DenoiserCall.MOST_ROWS + 1];

        /** Masks of all views, the key patch's among them, or nothing. */
        private final MemorySegment ownMasks;

        /** Guides of all views, or nothing where one guide is for all. */
        private final MemorySegment ownGuides;

        private Reader(Worker worker, DenoiserCall call, Stage.Call views) {
            this.call = call;
            first = views.first();
            count = views.count();
            ownMasks = ownMask ? worker.floats(count * area(), "own masks") : MemorySegment.NULL;
            ownGuides =
                    upsampled == null
                            ? MemorySegment.NULL
                            : worker.floats(count * canvas.patchPlane(), "own guides");
            for (int rows = 1; rows < byRows.length; rows++) {
                CallBuffers buffers = call.buffersWith(rows);
                byRows[rows] = buffers == null ? null : new Maps(buffers, count);
            }
        }

        /** Of the step that the call is at. */
        private Maps maps() {
            return Objects.requireNonNull(byRows[call.rows()]);
        }
    }

    /** The maps that calls of one shape give. */
    private final class Maps {
        /** Of all views, and of view 0. */
        private final MemorySegment[] all;

        private final MemorySegment[] key;

        /** View 0's of every block of the bundle, for the listener. */
        private final MemorySegment[] keyOfAllBlocks;

        private Maps(CallBuffers buffers, int views) {
            keyOfAllBlocks = new MemorySegment[attention.length == 0 ? 0 : buffers.maps.size()];
            for (int b = 0; b < keyOfAllBlocks.length; b++) {
                keyOfAllBlocks[b] = ofViewZero(buffers.maps.get(b), views);
            }
            all = new MemorySegment[mapped ? blocks.length : 0];
            key = new MemorySegment[all.length];
            for (int i = 0; i < all.length; i++) {
                all[i] = buffers.maps.get(blocks[i]);
                key[i] = ofViewZero(all[i], views);
            }
        }

        private static MemorySegment ofViewZero(MemorySegment map, int views) {
            return map.asSlice(0, map.byteSize() / views);
        }
    }

    /** What a worker needs to read the guides of a call's views, made once. */
    Reader reader(Worker worker, DenoiserCall call, Stage.Call views) {
        return new Reader(worker, call, views);
    }

    /** Whether each view has a guide of its own. */
    boolean guidePerView() {
        return upsampled != null;
    }

    /** Whether each view has a mask of its own. */
    boolean maskPerView() {
        return ownMask;
    }

    /** Where the worker leaves the guide of step {@code k}: [C, h, w]. */
    MemorySegment guideOut(Worker worker, int k) {
        return guides[k].on(worker);
    }

    /** Keeps what the key patch's call tells besides its guide: its mask, and its maps to watch. */
    void observe(Worker worker, Reader reader, int k) {
        Kernels kernels = worker.kernels();
        Maps maps = reader.maps();
        if (masks.length > 0) {
            mask(kernels, masks[k].on(worker), 1, maps.key);
            masks[k].publish(worker, 0);
        }
        if (mapped && k == patches.steps() - 1 && lastMask != null) {
            mask(kernels, lastMask.on(worker), 1, maps.key);
            lastMask.publish(worker, 0);
        }
        if (attention.length > 0) {
            for (int b = 0; b < maps.keyOfAllBlocks.length; b++) {
                MemorySegment map = maps.keyOfAllBlocks[b];
                worker.queue().copy(attention[k][b].on(worker), map, map.byteSize());
                attention[k][b].publish(worker, 0);
            }
        }
    }

    /** Makes the guide of step {@code k}, which the worker has left, visible to all. */
    void publish(Worker worker, int k) {
        guides[k].publish(worker, 0);
        ready.publish(k);
    }

    /**
     * Publishes latents that the same pass has left as the guide of step {@code k}, which is published
     * already.
     */
    void publishWith(Worker worker, SharedTensor latents, int part, int k) {
        latents.publishWith(worker, part, guides[k]);
    }

    /**
     * Waits for the guide of step {@code g}.
     *
     * @return false if the waiting worker has become the owner of the key patch's call meanwhile
     */
    boolean await(int g, WorkUnits units, Worker worker) {
        return ready.await(g, units, CALL, worker);
    }

    /**
     * The guide of step {@code g} for the views of a call. To be asked for before its mask, which is
     * published before it: one wait does for both.
     *
     * @param frame of the views' latents, as {@link Kernels#interact} takes it
     */
    MemorySegment guide(Worker worker, Reader reader, int g, int frame) {
        guides[g].acquire(worker, 0);
        MemorySegment guide = guides[g].on(worker);
        if (upsampled == null) {
            return guide;
        }
        upsampled
                .of(worker)
                .place(
                        worker.kernels(),
                        reader.ownGuides,
                        reader.first,
                        reader.count,
                        guide,
                        g,
                        patches.interactsAt(g),
                        frame);
        return reader.ownGuides;
    }

    /** The mask for the views of a call: their own, or the key patch's of step {@code g}; NULL: M = 1. */
    MemorySegment mask(Worker worker, Reader reader, int g) {
        if (ownMask) {
            mask(worker.kernels(), reader.ownMasks, reader.count, reader.maps().all);
            return reader.ownMasks;
        }
        if (!keyMask) {
            return MemorySegment.NULL;
        }
        masks[g].acquire(worker, 0);
        return masks[g].on(worker);
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

    SharedTensor[] guides() {
        return guides;
    }

    SharedTensor[] masks() {
        return masks;
    }

    SharedTensor[][] attention() {
        return attention;
    }
}
