// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.Lora;
import io.github.asg4j.model.checkpoint.ChangedWeights;
import io.github.asg4j.model.checkpoint.Checkpoint;
import io.github.asg4j.model.checkpoint.Family;
import io.github.asg4j.model.checkpoint.Part;
import io.github.asg4j.model.checkpoint.WeightMemory;
import io.github.asg4j.model.checkpoint.WeightName;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * LoRA files with their weights, matched with a checkpoint: computes the weights that they change, into
 * the memory of open networks ({@link #write}) or, for networks that are opened, into memory of its own
 * that lives until {@link #close()} ({@link #of}, once for each weight). float32. Thread-safe.
 *
 * <p>As diffusers' {@code fuse_lora}: {@code W' = W + weight * (alpha / rank) * up @ down}, file after
 * file; DoRA (arXiv 2402.09353) gives each row of W' a length that was learnt.
 */
public final class LoraSet implements ChangedWeights, WeightMemory.Change, AutoCloseable {
    /** Rows that a thread takes at a time. */
    private static final int BLOCK = 64;

    private final Checkpoint checkpoint;
    private final List<LoraFile> files = new ArrayList<>();
    private final Map<WeightName, List<Change>> changes = new LinkedHashMap<>();
    private final Map<WeightName, MemorySegment> merged = new ConcurrentHashMap<>();
    private final Arena arena = Arena.ofShared();

    /**
     * What tells a file with its weight from another.
     *
     * @param sha256 of the file, 64 hexadecimal digits
     * @param weight that the request gives it
     */
    public record Key(String sha256, double weight) {}

    /**
     * What a file changes of a weight.
     *
     * @param firstRow which of the change's rows the weight's begin with
     * @param swapped whether the second half of the weight's rows comes first
     * @param factor the request's weight of the file
     */
    private record Change(LoraFile.Layer layer, int firstRow, boolean swapped, float factor) {
        /** The row of the change that is of a row of a weight with so many. */
        int row(int row, int rows) {
            return firstRow + (swapped ? (row + rows / 2) % rows : row);
        }
    }

    private List<Key> keys = List.of();

    private LoraSet(Checkpoint checkpoint) {
        this.checkpoint = checkpoint;
    }

    /**
     * Opens files and matches them with a checkpoint; reads no elements yet.
     *
     * @param keys tells them apart; asked once all of them match, as hashing takes longer
     * @param targets layers of the checkpoint
     * @throws BadRequestException if a file cannot be read, or was made for another model, with both
     *     shapes where they differ
     */
    public static LoraSet open(
            List<Lora> loras,
            LoraTargets targets,
            Checkpoint checkpoint,
            Function<List<Lora>, List<Key>> keys) {
        LoraSet set = new LoraSet(checkpoint);
        try {
            for (Lora lora : loras) {
                LoraFile file = LoraFile.open(lora.file());
                set.files.add(file);
                set.match(file, (float) lora.weight(), targets);
            }
            set.keys = keys.apply(loras);
            return set;
        } catch (RuntimeException | Error e) {
            set.close();
            throw e;
        }
    }

    private void match(LoraFile file, float weight, LoraTargets targets) {
        List<String> unknown = new ArrayList<>();
        for (LoraFile.Layer layer : file.layers()) {
            List<LoraTargets.Target> found = targets.find(layer.network(), layer.module());
            if (found.isEmpty()) {
                unknown.add(layer.change().layer());
            }
            for (LoraTargets.Target target : found) {
                add(file, layer, target, weight);
            }
        }
        if (!unknown.isEmpty()) {
            throw new BadRequestException(
                    "LoRA "
                            + file.path()
                            + " changes "
                            + unknown.size()
                            + " of "
                            + file.layers().size()
                            + " layers that "
                            + model()
                            + " does not have, as \""
                            + unknown.getFirst()
                            + "\""
                            + advice(file));
        }
    }

    private void add(LoraFile file, LoraFile.Layer layer, LoraTargets.Target target, float weight) {
        LoraChange change = layer.change();
        String name = target.weight() + (change.ofBias() ? ".bias" : ".weight");
        Checkpoint.Located stored;
        try {
            stored = checkpoint.find(target.part(), name);
        } catch (BadBundleException e) {
            throw new BadRequestException(
                    "LoRA "
                            + file.path()
                            + " changes \""
                            + change.layer()
                            + "\", but "
                            + e.getMessage(),
                    e);
        }
        long rows = stored.rows();
        long columns = stored.elements() / rows;
        if (change.rows() != rows * target.shares() || change.columns() != columns) {
            throw new BadRequestException(
                    "LoRA "
                            + file.path()
                            + ": \""
                            + change.layer()
                            + "\" changes a weight of "
                            + change.rows()
                            + " x "
                            + change.columns()
                            + ", but that of "
                            + model()
                            + " is "
                            + rows * target.shares()
                            + " x "
                            + columns
                            + advice(file));
        }
        if (target.shares() > 1 && change.isOfColumns()) {
            throw new BadRequestException(
                    "LoRA "
                            + file.path()
                            + ": \""
                            + change.layer()
                            + "\" is DoRA with a length for each input channel of "
                            + target.shares()
                            + " weights together, which is not supported: train it with lengths of"
                            + " outputs (wd_on_out)");
        }
        if (weight != 0) {
            int first = Math.toIntExact(target.share() * rows);
            changes.computeIfAbsent(new WeightName(target.part(), name), key -> new ArrayList<>())
                    .add(new Change(layer, first, target.swapped(), weight));
        }
    }

    private String model() {
        return checkpoint.path() + " (" + checkpoint.recognition().family().title() + ")";
    }

    /** Which model a file was made for, told from the text that its cross-attention takes. */
    private String advice(LoraFile file) {
        for (LoraFile.Layer layer : file.layers()) {
            String module = layer.module();
            if (layer.network() == LoraName.Network.DENOISER
                    && (module.endsWith("attn2_to_k") || module.endsWith("attn2_to_v"))) {
                Family made =
                        switch ((int) layer.change().columns()) {
                            case 768 -> Family.SD1;
                            case 1024 -> Family.SD2;
                            case 1280 -> Family.SDXL_REFINER;
                            case 2048 -> Family.SDXL;
                            default -> null;
                        };
                if (made != null && made != checkpoint.recognition().family()) {
                    return ": it was made for " + made.title() + "; give it with such a model";
                }
            }
        }
        return ": it was made for another model, or a trainer of another kind";
    }

    /** What tells the files with their weights from others, in their order. */
    public List<Key> keys() {
        return keys;
    }

    @Override
    public @Nullable MemorySegment of(Part part, String weight) {
        WeightName key = new WeightName(part, weight);
        List<Change> asked = changes.get(key);
        return asked == null ? null : merged.computeIfAbsent(key, this::merge);
    }

    private MemorySegment merge(WeightName name) {
        Checkpoint.Located stored = checkpoint.find(name.part(), name.weight());
        MemorySegment sum = arena.allocate(stored.elements() * Float.BYTES, 64);
        write(name, sum);
        return sum;
    }

    @Override
    public Set<WeightName> names() {
        return Collections.unmodifiableSet(changes.keySet());
    }

    @Override
    public void write(WeightName name, MemorySegment into) {
        Checkpoint.Located stored = checkpoint.find(name.part(), name.weight());
        List<Change> asked = changes.getOrDefault(name, List.of());
        int rows = Math.toIntExact(stored.rows());
        int columns = Math.toIntExact(stored.elements() / rows);
        Matrix matrix = new Matrix(into, rows, columns);
        matrix.eachRow((row, values) -> stored.read((long) row * columns, values));
        for (Change change : asked) {
            change(matrix, change);
        }
    }

    private static void change(Matrix matrix, Change change) {
        Delta delta = change.layer().change().delta();
        float scale = change.factor() * change.layer().scale();
        LoraChange.Lengths lengths = change.layer().change().lengths();
        float[] ofRows = lengths != null && lengths.byRow() ? lengths.values() : new float[0];
        matrix.eachRow(
                (row, values) -> {
                    int from = change.row(row, matrix.rows());
                    delta.addRow(from, scale, values);
                    if (ofRows.length > 0) {
                        rescale(values, ofRows[from] / norm(values));
                    }
                });
        if (lengths != null && !lengths.byRow()) {
            float[] factors = columnFactors(matrix, lengths.values());
            int kernel = matrix.columns() / factors.length;
            matrix.eachRow(
                    (row, values) -> {
                        for (int i = 0; i < values.length; i++) {
                            values[i] *= factors[i / kernel];
                        }
                    });
        }
    }

    /** What gives each input channel its length. */
    private static float[] columnFactors(Matrix matrix, float[] lengths) {
        double[] squares = new double[lengths.length];
        int kernel = matrix.columns() / lengths.length;
        float[] values = new float[matrix.columns()];
        for (int row = 0; row < matrix.rows(); row++) {
            matrix.read(row, values);
            for (int i = 0; i < values.length; i++) {
                squares[i / kernel] += (double) values[i] * values[i];
            }
        }
        float[] factors = new float[lengths.length];
        for (int i = 0; i < factors.length; i++) {
            factors[i] = (float) (lengths[i] / Math.sqrt(squares[i]));
        }
        return factors;
    }

    private static float norm(float[] values) {
        double squares = 0;
        for (float value : values) {
            squares += (double) value * value;
        }
        return (float) Math.sqrt(squares);
    }

    private static void rescale(float[] values, float factor) {
        for (int i = 0; i < values.length; i++) {
            values[i] *= factor;
        }
    }

    /** What is done with a row; called by several threads. */
    private interface RowWork {
        void on(int row, float[] values);
    }

    /** A weight in native memory, as rows. */
    private record Matrix(MemorySegment data, int rows, int columns) {
        /** Reads each row, lets {@code work} change it and writes it back; rows on all cores. */
        void eachRow(RowWork work) {
            IntStream.range(0, Math.ceilDiv(rows, BLOCK))
                    .parallel()
                    .forEach(
                            block -> {
                                float[] values = new float[columns];
                                int end = Math.min(rows, (block + 1) * BLOCK);
                                for (int row = block * BLOCK; row < end; row++) {
                                    read(row, values);
                                    work.on(row, values);
                                    write(row, values);
                                }
                            });
        }

        void read(int row, float[] values) {
            MemorySegment.copy(
                    data,
                    ValueLayout.JAVA_FLOAT,
                    (long) row * columns * Float.BYTES,
                    values,
                    0,
                    columns);
        }

        private void write(int row, float[] values) {
            MemorySegment.copy(
                    values,
                    0,
                    data,
                    ValueLayout.JAVA_FLOAT,
                    (long) row * columns * Float.BYTES,
                    columns);
        }
    }

    /** Frees the changed weights: no network may read them any more. */
    @Override
    public void close() {
        files.forEach(LoraFile::close);
        arena.close();
    }
}
