// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.device.Memory;
import io.github.asg4j.model.VaeDecoder;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.plan.Tile;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.worker.NetworkThread;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Latents decoded in tiles that take the statistics of the whole picture. Unit 0 is the decoder's
 * front, over all. Then come all tiles once per norm of the tail, which gives that norm's statistics,
 * and once more for their pixels: the statistics of a norm are right once those of all before it are.
 */
public final class ExactTiles extends DecodeRun {
    private final List<Tile> tiles;
    private final int width;
    private final int norms;
    private final int groups;
    private final int rows;
    private final int columns;

    /** Float32 [width, rows, columns], what the tiles are cut out of. */
    private final MemorySegment features;

    /** Float32 [norms, tiles, 2, groups]: mean and variance over the core of each tile. */
    private final MemorySegment moments;

    /** The buffers of each worker. */
    private final @Nullable Buffers[] buffers;

    public ExactTiles(Job job, VaeDecoder.Tail tail, Memory memory) {
        super(job, 1 + (tail.norms() + 1) * job.decoding().tiles().size(), memory);
        tiles = job.decoding().tiles();
        width = tail.width();
        norms = tail.norms();
        groups = tail.groups();
        rows = job.decoding().height() * job.decoding().scale();
        columns = job.decoding().width() * job.decoding().scale();
        features = memory.floats((long) width * rows * columns, "features");
        moments = memory.floats((long) norms * tiles.size() * 2 * groups, "moments of tiles");
        buffers = new Buffers[job.workers()];
    }

    @Override
    public int[] owners(double[] speeds) {
        int[] owners = super.owners(speeds);
        owners[0] = job.first();
        return owners;
    }

    /** After the front, and after all tiles of the pass before; the last of them is done last. */
    @Override
    public boolean ready(int unit, Progress progress) {
        if (unit == 0) {
            return true;
        }
        int passStart = unit - (unit - 1) % tiles.size();
        for (int before = passStart - 1;
                before >= Math.max(0, passStart - tiles.size());
                before--) {
            if (progress.completed(before) == 0) {
                return false;
            }
        }
        return true;
    }

    @Override
    public void decode(NetworkThread thread, int worker, int unit) {
        VaeDecoder decoder = job.decoders().apply(worker);
        if (unit == 0) {
            int h = job.decoding().height();
            int w = job.decoding().width();
            try (Binding binding = decoder.bindFront(job.latents(), features, h, w)) {
                thread.run(binding);
            }
            return;
        }
        Buffers b = buffers[worker];
        if (b == null) {
            b = new Buffers(thread, decoder.tail());
            buffers[worker] = b;
        }
        int pass = (unit - 1) / tiles.size();
        int index = (unit - 1) % tiles.size();
        b.gather(pass);
        b.run(thread, tiles.get(index));
        if (pass < norms) {
            keepMoments(b, pass, index);
        } else if (finite(b.image)) {
            keepCore(b, tiles.get(index));
        }
    }

    private void keepMoments(Buffers b, int norm, int tile) {
        long bytes = 2L * groups * Float.BYTES;
        MemorySegment own = b.moments.asSlice(norm * bytes, bytes);
        if (finite(own)) {
            MemorySegment.copy(own, 0, moments, moment(norm, tile) * Float.BYTES, bytes);
        }
    }

    /** Where the means of a tile begin, its variances {@code groups} behind them. */
    private long moment(int norm, int tile) {
        return ((long) norm * tiles.size() + tile) * 2 * groups;
    }

    private void keepCore(Buffers b, Tile tile) {
        int pixels = job.decoding().pixels();
        copy(
                b.image,
                tile.seenHeight() * pixels,
                tile.seenWidth() * pixels,
                (tile.top() - tile.seenTop()) * pixels,
                (tile.left() - tile.seenLeft()) * pixels,
                job.image(),
                rows * pixels,
                columns * pixels,
                tile.top() * pixels,
                tile.left() * pixels,
                tile.height() * pixels,
                tile.width() * pixels,
                3);
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
        private final MemorySegment features;
        private final MemorySegment statistics;
        private final MemorySegment coreY;
        private final MemorySegment coreX;
        private final MemorySegment image;
        private final MemorySegment moments;
        private final Binding binding;

        /** Norms whose statistics are those of the whole picture. */
        private int gathered;

        Buffers(NetworkThread thread, VaeDecoder.Tail tail) {
            int h = tiles.getFirst().seenHeight();
            int w = tiles.getFirst().seenWidth();
            int pixels = job.decoding().pixels();
            features = thread.hostFloats((long) width * h * w, "features of a tile");
            statistics = thread.hostFloats(2L * norms * groups, "statistics");
            moments = thread.hostFloats(2L * norms * groups, "moments");
            coreY = thread.hostFloats(h, "core rows");
            coreX = thread.hostFloats(w, "core columns");
            image = thread.hostFloats(3L * h * w * pixels * pixels, "tile");
            for (int norm = 0; norm < norms; norm++) {
                for (int group = 0; group < groups; group++) {
                    // Any finite start will do: see the passes.
                    statistics.setAtIndex(ValueLayout.JAVA_FLOAT, variance(norm, group), 1);
                }
            }
            binding = tail.bind(features, statistics, coreY, coreX, image, moments, h, w, pixels);
        }

        private long mean(int norm, int group) {
            return 2L * norm * groups + group;
        }

        private long variance(int norm, int group) {
            return mean(norm, group) + groups;
        }

        void run(NetworkThread thread, Tile tile) {
            ExactTiles whole = ExactTiles.this;
            copy(
                    whole.features,
                    rows,
                    columns,
                    tile.seenTop(),
                    tile.seenLeft(),
                    features,
                    tile.seenHeight(),
                    tile.seenWidth(),
                    0,
                    0,
                    tile.seenHeight(),
                    tile.seenWidth(),
                    width);
            // Every cell of the picture counts in one tile.
            indicator(coreY, tile.top() - tile.seenTop(), tile.height());
            indicator(coreX, tile.left() - tile.seenLeft(), tile.width());
            thread.run(binding);
        }

        private static void indicator(MemorySegment core, int from, int count) {
            for (int i = 0; i < core.byteSize() / 4; i++) {
                core.setAtIndex(ValueLayout.JAVA_FLOAT, i, i >= from && i < from + count ? 1 : 0);
            }
        }

        /** Sets the statistics of all norms before {@code norm}, if they are not yet. */
        void gather(int norm) {
            for (; gathered < norm; gathered++) {
                for (int group = 0; group < groups; group++) {
                    gather(gathered, group);
                }
            }
        }

        /** Computes means and variances from the moments of all tiles, always added up in their order. */
        private void gather(int norm, int group) {
            MemorySegment all = ExactTiles.this.moments;
            double cells = 0;
            double sum = 0;
            double squares = 0;
            for (int i = 0; i < tiles.size(); i++) {
                double n = (double) tiles.get(i).height() * tiles.get(i).width();
                long at = moment(norm, i) + group;
                double mean = all.getAtIndex(ValueLayout.JAVA_FLOAT, at);
                double variance = all.getAtIndex(ValueLayout.JAVA_FLOAT, at + groups);
                cells += n;
                sum += n * mean;
                squares += n * (variance + mean * mean);
            }
            double mean = sum / cells;
            statistics.setAtIndex(ValueLayout.JAVA_FLOAT, mean(norm, group), (float) mean);
            statistics.setAtIndex(
                    ValueLayout.JAVA_FLOAT,
                    variance(norm, group),
                    (float) Math.max(0, squares / cells - mean * mean));
        }
    }
}
