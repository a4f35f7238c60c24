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
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * A part of the VAE over all tiles, from norm to norm: each pass goes on from what the one before it kept
 * of the whole picture, to the next norm, whose statistics are known when it has done all tiles; the last
 * gives what the part computes. Its units are the tiles of the passes, one pass behind the other.
 */
final class NormPasses implements AutoCloseable {
    private final List<Tile> tiles;
    private final TiledPart part;
    private final Memory memory = new Memory("VAE passes");
    private final Sheet features;
    private final Sheet image;
    private final int pixels;

    /** Float32 [norms, tiles, 2, groups]: mean and variance over the core of each tile. */
    private final MemorySegment moments;

    private final @Nullable Buffers[] byWorker;

    /**
     * By unit, whether it is kept. Done again, because its worker was lost before it could say so, it might find
     * its own result in the place of what it reads.
     */
    private final boolean[] stored;

    /** What the passes begun so far kept, by value, as far as it is still read. */
    private final Map<String, Sheet> kept = new HashMap<>();

    /** Memory of what is no longer read. */
    private final List<Sheet> unused = new ArrayList<>();

    /** Of the last pass that was begun. */
    private Set<String> done = Set.of();

    private int begun = -1;

    /**
     * A value over the whole picture.
     *
     * @param data float32 [planes, rows, columns]
     */
    private record Sheet(MemorySegment data, int planes, int rows, int columns) {
        private static Sheet of(MemorySegment data, int rows, int columns) {
            long planes = data.byteSize() / Float.BYTES / rows / columns;
            return new Sheet(data, (int) planes, rows, columns);
        }
    }

    /**
     * @param tiles in features, all of one shape
     * @param features of the whole picture, float32 [width, rows, columns]
     * @param image float32 [3, rows * pixels, columns * pixels]
     * @param rows of the features
     * @param columns of the features
     * @param pixels per feature and axis
     * @param workers how many there are
     */
    NormPasses(
            List<Tile> tiles,
            TiledPart part,
            MemorySegment features,
            MemorySegment image,
            int rows,
            int columns,
            int pixels,
            int workers) {
        this.tiles = tiles;
        this.part = part;
        this.features = Sheet.of(features, rows, columns);
        this.image = Sheet.of(image, rows * pixels, columns * pixels);
        this.pixels = pixels;
        byWorker = new Buffers[workers];
        stored = new boolean[units(part.norms(), tiles.size())];
        moments =
                memory.floats(
                        (long) part.norms() * tiles.size() * 2 * part.groups(), "moments of tiles");
    }

    /** Units of {@code norms} norms over so many tiles. */
    static int units(int norms, int tiles) {
        return (norms + 1) * tiles;
    }

    int units() {
        return stored.length;
    }

    /** Whether nothing is left to do of a unit. */
    boolean isStored(int unit) {
        return stored[unit];
    }

    private int pass(int unit) {
        return unit / tiles.size();
    }

    private Tile tile(int unit) {
        return tiles.get(unit % tiles.size());
    }

    /** Whether a unit is of the last pass, which gives what the part computes. */
    boolean last(int unit) {
        return pass(unit) == part.norms();
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
     * Finds room for what a pass keeps, if that has not been done. Only units of one pass at a time are at
     * work, so that what earlier passes read last may be overwritten.
     */
    private synchronized void begin(int index, TiledPart.Pass pass) {
        if (begun >= index) {
            return;
        }
        begun = index;
        for (String value : done) {
            retire(value);
        }
        done = new HashSet<>(pass.done());
        Map<String, Sheet> written = new HashMap<>();
        for (String value : pass.writes()) {
            written.put(value, room(value, pass));
        }
        done.removeIf(value -> !kept.containsKey(value));
        kept.putAll(written);
    }

    private void retire(String value) {
        unused.add(Objects.requireNonNull(kept.remove(value), value));
    }

    private Sheet room(String value, TiledPart.Pass pass) {
        int planes = pass.planes(value);
        for (Sheet sheet : unused) {
            if (sheet.planes == planes) {
                unused.remove(sheet);
                return sheet;
            }
        }
        for (String over : pass.cellByCell()) {
            Sheet sheet = kept.get(over);
            if (sheet != null && sheet.planes == planes && done.remove(over)) {
                return sheet;
            }
        }
        long cells = (long) image.rows * image.columns;
        return new Sheet(
                memory.floats(planes * cells, "what passes keep"),
                planes,
                image.rows,
                image.columns);
    }

    private synchronized Sheet kept(String value) {
        return Objects.requireNonNull(kept.get(value), value);
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

    /** Frees what passes keep and were worked out in, when all are done or none goes on. Idempotent. */
    @Override
    public void close() {
        for (Buffers buffers : byWorker) {
            if (buffers != null) {
                buffers.leave();
            }
        }
        memory.close();
    }

    /** One worker's tile. */
    final class Buffers {
        private final TiledPart own;
        private final TiledPart.TileMemory tile;
        private final int h;
        private final int w;

        /** Memory of a tile of values, those that were needed at a time; by planes. */
        private final List<MemorySegment> values = new ArrayList<>();

        /** Of the pass that is being done. */
        private Map<String, MemorySegment> reads = Map.of();

        private Map<String, MemorySegment> writes = Map.of();
        private TiledPart.@Nullable Pass pass;
        private @Nullable Binding binding;
        private int doing = -1;

        /** Norms whose statistics are those of the whole picture. */
        private int gathered;

        private Buffers(NetworkThread thread, TiledPart own) {
            this.own = own;
            h = tiles.getFirst().seenHeight();
            w = tiles.getFirst().seenWidth();
            tile =
                    new TiledPart.TileMemory(
                            thread.hostFloats((long) part.width() * h * w, "features of a tile"),
                            thread.hostFloats(3L * h * w * pixels * pixels, "tile"),
                            thread.hostFloats(2L * part.norms() * part.groups(), "statistics"),
                            thread.hostFloats(2L * part.norms() * part.groups(), "moments"),
                            thread.hostFloats(h, "core rows"),
                            thread.hostFloats(w, "core columns"));
            for (int norm = 0; norm < part.norms(); norm++) {
                for (int group = 0; group < part.groups(); group++) {
                    // Any finite start will do for norms whose statistics are not known yet.
                    set((2L * norm + 1) * part.groups() + group, 1);
                }
            }
        }

        /** Float32 [2, groups] of the norm that the last unit was for; not of the last pass. */
        MemorySegment moments() {
            return Objects.requireNonNull(pass).moments(tile);
        }

        /** Of the last unit, if it was of the last pass: what the part computes. */
        MemorySegment result() {
            return part.decodes() ? tile.image() : tile.features();
        }

        /** Computes a unit; nobody sees it before it is kept. */
        void run(NetworkThread thread, int unit) {
            enter(thread, pass(unit));
            gather(pass(unit));
            Tile at = tile(unit);
            // Every cell of the picture counts in one tile.
            indicator(tile.coreY(), at.top() - at.seenTop(), at.height());
            indicator(tile.coreX(), at.left() - at.seenLeft(), at.width());
            if (pass != null && pass.readsSource()) {
                boolean decodes = part.decodes();
                load(
                        decodes ? features : image,
                        decodes ? tile.features() : tile.image(),
                        at,
                        decodes ? 1 : pixels);
            }
            reads.forEach((value, data) -> load(kept(value), data, at, pixels));
            thread.run(Objects.requireNonNull(binding));
        }

        /** Keeps the last unit: its moments, and its core of what later passes or others read. */
        void keep(int unit) {
            Tile at = tile(unit);
            if (last(unit)) {
                boolean decodes = part.decodes();
                store(result(), decodes ? image : features, at, decodes ? pixels : 1);
                return;
            }
            long to = moment(pass(unit), unit % tiles.size()) * Float.BYTES;
            MemorySegment.copy(moments(), 0, moments, to, moments().byteSize());
            writes.forEach((value, data) -> store(data, kept(value), at, pixels));
            stored[unit] = true;
        }

        private void enter(NetworkThread thread, int index) {
            if (doing == index) {
                return;
            }
            if (binding != null && !own.keeps()) {
                pass = own.pass(index);
                doing = index;
                return;
            }
            leave();
            TiledPart.Pass entered = own.pass(index);
            begin(index, entered);
            List<MemorySegment> free = new ArrayList<>(values);
            Map<String, MemorySegment> read = new HashMap<>();
            for (String value : entered.reads()) {
                read.put(value, value(thread, free, kept(value).planes));
            }
            Map<String, MemorySegment> written = new HashMap<>();
            for (String value : entered.writes()) {
                written.put(value, value(thread, free, kept(value).planes));
            }
            reads = read;
            writes = written;
            binding = entered.bind(tile, read, written, h, w, pixels);
            pass = entered;
            doing = index;
        }

        private MemorySegment value(NetworkThread thread, List<MemorySegment> free, int planes) {
            long count = (long) planes * h * w * pixels * pixels;
            for (MemorySegment data : free) {
                if (data.byteSize() == count * Float.BYTES) {
                    free.remove(data);
                    return data;
                }
            }
            MemorySegment made = thread.hostFloats(count, "values of a tile");
            values.add(made);
            return made;
        }

        /** Frees a pass that is over: each keeps the memory that its tiles were worked out in. */
        private void leave() {
            if (binding != null) {
                binding.close();
                binding = null;
                own.free(doing);
            }
        }

        /** Copies what a tile sees out of the whole, at {@code scale} cells a feature. */
        private void load(Sheet from, MemorySegment to, Tile at, int scale) {
            VaeRun.copy(
                    from.data,
                    from.rows,
                    from.columns,
                    at.seenTop() * scale,
                    at.seenLeft() * scale,
                    to,
                    h * scale,
                    w * scale,
                    0,
                    0,
                    h * scale,
                    w * scale,
                    from.planes);
        }

        /** Copies a tile's core into the whole. */
        private void store(MemorySegment from, Sheet to, Tile at, int scale) {
            VaeRun.copy(
                    from,
                    h * scale,
                    w * scale,
                    (at.top() - at.seenTop()) * scale,
                    (at.left() - at.seenLeft()) * scale,
                    to.data,
                    to.rows,
                    to.columns,
                    at.top() * scale,
                    at.left() * scale,
                    at.height() * scale,
                    at.width() * scale,
                    to.planes);
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
            long index = 2L * norm * part.groups() + group;
            set(index, mean);
            set(index + part.groups(), Math.max(0, squares / cells - mean * mean));
        }
    }
}
