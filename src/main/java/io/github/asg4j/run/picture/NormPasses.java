// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.device.Memory;
import io.github.asg4j.model.TiledPart;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.plan.Tile;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.worker.NetworkThread;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * A part of the VAE over all tiles, once per norm, which gives that norm's statistics, and once more for
 * what it computes: the statistics of a norm are right once those of all before it are. Its units are the
 * tiles of the passes, one pass behind the other.
 */
final class NormPasses implements AutoCloseable {
    private final List<Tile> tiles;
    private final TiledPart part;
    private final int pixels;

    /** Float32 [norms, tiles, 2, groups]: mean and variance over the core of each tile. */
    private final MemorySegment moments;

    private final @Nullable Buffers[] byWorker;

    /**
     * @param tiles in features, all of one shape
     * @param pixels per feature and axis
     * @param workers how many there are
     * @param memory for the tiles' moments
     */
    NormPasses(List<Tile> tiles, TiledPart part, int pixels, int workers, Memory memory) {
        this.tiles = tiles;
        this.part = part;
        this.pixels = pixels;
        byWorker = new Buffers[workers];
        moments =
                memory.floats(
                        (long) part.norms() * tiles.size() * 2 * part.groups(), "moments of tiles");
    }

    /** Units of {@code norms} norms over so many tiles. */
    static int units(int norms, int tiles) {
        return (norms + 1) * tiles;
    }

    int units() {
        return units(part.norms(), tiles.size());
    }

    Tile tile(int unit) {
        return tiles.get(unit % tiles.size());
    }

    /** Whether a unit is of the last pass, in which all statistics are known. */
    boolean last(int unit) {
        return unit / tiles.size() == part.norms();
    }

    /**
     * Whether all tiles of the pass before are done; the last of them is done last.
     *
     * @param unit of the passes; that behind the last stands for what follows them
     * @param first number of the first unit among those of {@code progress}
     */
    boolean ready(int unit, int first, Progress progress) {
        int passStart = unit - unit % tiles.size();
        for (int before = passStart - 1;
                before >= Math.max(0, passStart - tiles.size());
                before--) {
            if (progress.completed(first + before) == 0) {
                return false;
            }
        }
        return true;
    }

    /** Where the means of a tile begin, its variances {@code groups} behind them. */
    private long moment(int norm, int tile) {
        return ((long) norm * tiles.size() + tile) * 2 * part.groups();
    }

    /**
     * A worker's, made when it first asks and closed with the passes; on its thread.
     *
     * @param own the part where the worker is
     */
    Buffers buffers(int worker, NetworkThread thread, TiledPart own) {
        Buffers known = byWorker[worker];
        if (known == null) {
            known = new Buffers(thread, own);
            byWorker[worker] = known;
        }
        return known;
    }

    @Override
    public void close() {
        for (Buffers buffers : byWorker) {
            if (buffers != null) {
                buffers.binding.close();
            }
        }
    }

    /** One worker's tile. */
    final class Buffers {
        private final TiledPart.TileMemory tile;
        private final Binding binding;

        /** Norms whose statistics are those of the whole picture. */
        private int gathered;

        private Buffers(NetworkThread thread, TiledPart own) {
            int h = tiles.getFirst().seenHeight();
            int w = tiles.getFirst().seenWidth();
            long statistics = 2L * part.norms() * part.groups();
            tile =
                    new TiledPart.TileMemory(
                            thread.hostFloats((long) part.width() * h * w, "features of a tile"),
                            thread.hostFloats(3L * h * w * pixels * pixels, "tile"),
                            thread.hostFloats(statistics, "statistics"),
                            thread.hostFloats(statistics, "moments"),
                            thread.hostFloats(h, "core rows"),
                            thread.hostFloats(w, "core columns"));
            for (int norm = 0; norm < part.norms(); norm++) {
                for (int group = 0; group < part.groups(); group++) {
                    // Any finite start will do: see the passes.
                    set(variance(norm, group), 1);
                }
            }
            binding = own.bind(tile, h, w, pixels);
        }

        /** Float32 [width, h, w]. */
        MemorySegment features() {
            return tile.features();
        }

        /** Float32 [3, h * pixels, w * pixels]. */
        MemorySegment image() {
            return tile.image();
        }

        /** Runs a unit on what was put into the features or the image. */
        void run(NetworkThread thread, int unit) {
            gather(unit / tiles.size());
            Tile at = tile(unit);
            // Every cell of the picture counts in one tile.
            indicator(tile.coreY(), at.top() - at.seenTop(), at.height());
            indicator(tile.coreX(), at.left() - at.seenLeft(), at.width());
            thread.run(binding);
        }

        /** Of the last unit, float32 [2, groups] of the norm that its pass is for. */
        MemorySegment moments(int unit) {
            long bytes = 2L * part.groups() * Float.BYTES;
            return tile.moments().asSlice(unit / tiles.size() * bytes, bytes);
        }

        /** Keeps the moments of the last unit. */
        void keep(int unit) {
            MemorySegment own = moments(unit);
            long to = moment(unit / tiles.size(), unit % tiles.size()) * Float.BYTES;
            MemorySegment.copy(own, 0, moments, to, own.byteSize());
        }

        private long mean(int norm, int group) {
            return 2L * norm * part.groups() + group;
        }

        private long variance(int norm, int group) {
            return mean(norm, group) + part.groups();
        }

        private void set(long index, double value) {
            tile.statistics().setAtIndex(ValueLayout.JAVA_FLOAT, index, (float) value);
        }

        private static void indicator(MemorySegment core, int from, int count) {
            for (int i = 0; i < core.byteSize() / 4; i++) {
                core.setAtIndex(ValueLayout.JAVA_FLOAT, i, i >= from && i < from + count ? 1 : 0);
            }
        }

        /** Sets the statistics of all norms before {@code norm}, if they are not yet. */
        private void gather(int norm) {
            for (; gathered < norm; gathered++) {
                for (int group = 0; group < part.groups(); group++) {
                    gather(gathered, group);
                }
            }
        }

        /** Computes means and variances from the moments of all tiles, always added up in their order. */
        private void gather(int norm, int group) {
            double cells = 0;
            double sum = 0;
            double squares = 0;
            for (int i = 0; i < tiles.size(); i++) {
                double n = (double) tiles.get(i).height() * tiles.get(i).width();
                long at = moment(norm, i) + group;
                double mean = moments.getAtIndex(ValueLayout.JAVA_FLOAT, at);
                double variance = moments.getAtIndex(ValueLayout.JAVA_FLOAT, at + part.groups());
                cells += n;
                sum += n * mean;
                squares += n * (variance + mean * mean);
            }
            double mean = sum / cells;
            set(mean(norm, group), mean);
            set(variance(norm, group), Math.max(0, squares / cells - mean * mean));
        }
    }
}
