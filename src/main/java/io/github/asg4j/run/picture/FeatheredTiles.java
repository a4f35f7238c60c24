// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.device.Memory;
import io.github.asg4j.model.VaeDecoder;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.plan.Decoding;
import io.github.asg4j.plan.Tile;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.worker.NetworkThread;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Latents decoded in tiles that overlap and are blended, one unit each. Sums of float32 depend on
 * their order: a tile is blended once all before it are, by whoever completes the row; until then it
 * waits in one of a few slots.
 */
public final class FeatheredTiles extends DecodeRun {
    private final List<Tile> tiles;
    private final int height;
    private final int width;
    private final MemorySegment[] slots;
    private final boolean[] waits;

    /** Sums of weights, float32 [h * f, w * f]. */
    private final MemorySegment sum;

    private final MemorySegment weightY;
    private final MemorySegment weightX;

    /** Tiles that are blended; guarded by {@link #waits}, read by anyone. */
    private volatile int blended;

    /** The buffers of each worker. */
    private final @Nullable Buffers[] buffers;

    public FeatheredTiles(Job job, Memory memory) {
        super(job, job.decoding().tiles().size(), memory);
        tiles = job.decoding().tiles();
        height = tiles.getFirst().seenHeight();
        width = tiles.getFirst().seenWidth();
        int factor = job.decoding().pixels();
        long tileFloats = 3L * height * width * factor * factor;
        slots = new MemorySegment[Math.min(tiles.size(), Decoding.slots(job.workers()))];
        for (int i = 0; i < slots.length; i++) {
            slots[i] = memory.floats(tileFloats, "tile to blend");
        }
        waits = new boolean[tiles.size()];
        sum = memory.floats(job.image().byteSize() / 4 / 3, "tile weights");
        weightY = memory.floats((long) height * factor, "weights");
        weightX = memory.floats((long) width * factor, "weights");
        buffers = new Buffers[job.workers()];
        job.image().fill((byte) 0);
    }

    /** Tells whether there is a slot for the unit; what is given up needs none. */
    @Override
    public boolean ready(int unit, Progress progress) {
        return givenUp() || unit < blended + slots.length;
    }

    @Override
    public void carryOut(NetworkThread thread, int worker, int unit) {
        Buffers b = buffers[worker];
        if (b == null) {
            b = new Buffers(thread, job.decoders().apply(worker));
            buffers[worker] = b;
        }
        Tile tile = tiles.get(unit);
        Decoding decoding = job.decoding();
        copy(
                job.latents(),
                decoding.height(),
                decoding.width(),
                tile.top(),
                tile.left(),
                b.latents,
                height,
                width,
                0,
                0,
                height,
                width,
                decoding.latent().channels());
        thread.run(b.binding);
        if (finite(b.image)) {
            blend(unit, b.image);
        }
    }

    private void blend(int unit, MemorySegment image) {
        synchronized (waits) {
            if (unit < blended || waits[unit]) {
                return; // by a worker that was lost after it
            }
            slots[unit % slots.length].copyFrom(image);
            waits[unit] = true;
            while (blended < tiles.size() && waits[blended]) {
                blend(tiles.get(blended), slots[blended % slots.length]);
                blended++;
            }
            if (blended == tiles.size()) {
                job.kernels().divideTiles(job.image(), sum, 3, sum.byteSize() / 4);
            }
        }
    }

    private void blend(Tile tile, MemorySegment image) {
        Decoding decoding = job.decoding();
        int factor = decoding.pixels();
        ramp(weightY, tile.top() > 0, tile.top() + height < decoding.height());
        ramp(weightX, tile.left() > 0, tile.left() + width < decoding.width());
        job.kernels()
                .addTile(
                        job.image(),
                        sum,
                        3,
                        decoding.height() * factor,
                        decoding.width() * factor,
                        image,
                        tile.top() * factor,
                        tile.left() * factor,
                        height * factor,
                        width * factor,
                        weightY,
                        weightX);
    }

    /**
     * Weights of a tile along an axis: 0 next to a neighbour, where zeros stood in for what the
     * convolutions would have seen, then a linear ramp over the rest of the overlap.
     */
    private void ramp(MemorySegment weights, boolean before, boolean after) {
        int factor = job.decoding().pixels();
        int overlap = job.decoding().tiling().overlap();
        int length = (int) (weights.byteSize() / 4);
        int blind = overlap / 4 * factor;
        int slope = overlap * factor - 2 * blind;
        for (int i = 0; i < length; i++) {
            int edge = Math.min(before ? i : length, after ? length - 1 - i : length);
            double weight = Math.clamp((edge - blind + 0.5) / slope, 0, 1);
            weights.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) weight);
        }
    }

    @Override
    public void close() {
        for (Buffers b : buffers) {
            if (b != null) {
                b.binding.close();
            }
        }
        super.close();
    }

    /** One worker's tile; all tiles have one shape. */
    private final class Buffers {
        private final MemorySegment latents;
        private final MemorySegment image;
        private final Binding binding;

        Buffers(NetworkThread thread, VaeDecoder decoder) {
            int factor = job.decoding().pixels();
            long cells = (long) height * width;
            latents = thread.hostFloats(job.decoding().latent().channels() * cells, "latents");
            image = thread.hostFloats(3 * cells * factor * factor, "tile");
            binding = decoder.bind(latents, image, height, width);
        }
    }
}
