// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spark;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.batch.RowRequests;

import org.apache.spark.TaskContext;
import org.apache.spark.TaskKilledException;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.util.TaskCompletionListener;
import org.jspecify.annotations.Nullable;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.ConcurrentLinkedDeque;

/**
 * Rows with their pictures, in the order of a task's rows. The next picture is asked for before the
 * last one is handed out, so that devices draw while Spark writes. What is under way is cancelled when
 * the task ends or is killed.
 */
final class PictureRows implements Iterator<Row> {
    /** Generations under way: one that is drawn, one that follows it at once. */
    private static final int GENERATIONS = 2;

    /** Columns behind those that are kept. */
    static final List<StructField> FIELDS =
            List.of(
                    DataTypes.createStructField(RowColumns.KEY, DataTypes.StringType, true),
                    DataTypes.createStructField(RowColumns.REQUEST, DataTypes.StringType, true),
                    DataTypes.createStructField("png", DataTypes.BinaryType, true),
                    DataTypes.createStructField("bytes", DataTypes.IntegerType, true),
                    DataTypes.createStructField("sha256", DataTypes.StringType, true),
                    DataTypes.createStructField("pixels_sha256", DataTypes.StringType, true),
                    DataTypes.createStructField("error", DataTypes.StringType, true));

    private final Iterator<Row> rows;
    private final RowColumns columns;
    private final ExecutorEngine engine;
    private final RowRequests requests;
    private final Deque<Pending> pending = new ArrayDeque<>();
    private final Deque<Generation> underWay = new ConcurrentLinkedDeque<>();
    private volatile @Nullable String killed;

    /**
     * A row whose turn has not come.
     *
     * @param generation null: there is an error
     */
    private record Pending(
            Row row,
            RowRequests.@Nullable Named named,
            @Nullable Generation generation,
            @Nullable String error) {}

    PictureRows(
            Iterator<Row> rows,
            RowColumns columns,
            ExecutorEngine engine,
            RowRequests requests,
            TaskContext task) {
        this.rows = rows;
        this.columns = columns;
        this.engine = engine;
        this.requests = requests;
        // A task that another attempt has overtaken, or whose stage is cancelled, draws to no end.
        task.addTaskInterruptListener(
                (context, reason) -> {
                    killed = reason;
                    cancel();
                });
        task.addTaskCompletionListener((TaskCompletionListener) context -> cancel());
    }

    private void cancel() {
        underWay.forEach(Generation::cancel);
    }

    @Override
    public boolean hasNext() {
        return !pending.isEmpty() || rows.hasNext();
    }

    @Override
    public Row next() {
        while (pending.size() < GENERATIONS && rows.hasNext()) {
            pending.add(begin(rows.next()));
        }
        Pending next = pending.poll();
        if (next == null) {
            throw new NoSuchElementException("the task has no more rows");
        }
        return finish(next);
    }

    private Pending begin(Row row) {
        RowRequests.Named named = null;
        try {
            named = columns.named(row, requests);
            Generation generation = engine.draws().apply(named.request());
            underWay.add(generation);
            if (killed != null) {
                generation.cancel();
            }
            return new Pending(row, named, generation, null);
        } catch (BadRequestException | OutOfMemoryException | BadBundleException e) {
            return new Pending(row, named, null, e.getMessage());
        } catch (AsgException e) {
            throw failure(e);
        }
    }

    private Row finish(Pending next) {
        if (next.generation() == null) {
            return row(next, null, next.error());
        }
        try {
            return row(next, next.generation().join(), null);
        } catch (BadRequestException | OutOfMemoryException | BadBundleException e) {
            return row(next, null, e.getMessage());
        } catch (AsgException e) {
            throw failure(e);
        } finally {
            underWay.remove(next.generation());
        }
    }

    private RuntimeException failure(AsgException e) {
        String reason = killed;
        if (e instanceof CancelledException && reason != null) {
            return new TaskKilledException(reason);
        }
        if (e instanceof DeviceException device) {
            ExecutorEngine.endIfLost(device);
        }
        return e;
    }

    private Row row(Pending of, @Nullable GeneratedImage image, @Nullable String error) {
        List<@Nullable Object> values = new ArrayList<>(columns.kept(of.row()));
        RowRequests.Named named = of.named();
        values.add(named == null ? null : named.key());
        values.add(named == null ? null : named.json());
        byte[] png = image == null ? null : image.png();
        values.add(png);
        values.add(png == null ? null : png.length);
        values.add(png == null ? null : sha256(png));
        values.add(image == null ? null : image.report().pixelsSha256());
        values.add(error);
        return RowFactory.create(values.toArray());
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }
}
