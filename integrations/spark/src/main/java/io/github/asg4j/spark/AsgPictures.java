// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spark;

import static org.apache.spark.sql.functions.col;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.batch.RowRequests;

import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Draws the rows of a table, on one engine for each executor. A row's columns are the options of a
 * picture, as on the command line with hyphens or underscores; null is not given. A row without a seed
 * has one made from its prompt, as in {@code asg batch}, and a picture has the same key and the same bytes
 * as there.
 *
 * <p>A row that cannot be drawn becomes a row with an error. A device that is lost ends its executor. A
 * task that runs twice, after a failure or by speculation, gives the same rows.
 */
public final class AsgPictures implements MapPartitionsFunction<Row, Row> {
    private static final long serialVersionUID = 1L;

    private static final String KEEP = "keep";
    private static final String ERROR = "error";

    /** Behind the columns of {@link #names}. */
    private static final List<StructField> NAME_FIELDS =
            List.of(
                    DataTypes.createStructField(RowColumns.KEY, DataTypes.StringType, true),
                    DataTypes.createStructField(RowColumns.REQUEST, DataTypes.StringType, true),
                    DataTypes.createStructField(ERROR, DataTypes.StringType, true));

    private final EngineSettings engine;
    private final HashMap<String, String> defaults = new HashMap<>();
    private final HashSet<String> keep = new HashSet<>();

    /**
     * @param options by their names on the command line without the two hyphens: "model" and "vae" (files
     *     that every executor has under this name), "devices" (else the task's GPUs, as {@code TaskContext}
     *     has them, or all cores of the executor), "threads-per-worker" (else 1), "precision", "weights"; "keep", names
     *     of columns that are no options, with commas between them; and options of pictures, for rows that do
     *     not give them
     * @throws BadRequestException for an option that does not exist, or a value out of its range
     */
    public AsgPictures(Map<String, String> options) {
        for (Map.Entry<String, String> each : options.entrySet()) {
            String name = each.getKey().replace('_', '-');
            if (name.equals(KEEP)) {
                Arrays.stream(each.getValue().split(",", -1)).map(String::strip).forEach(keep::add);
            } else if (!EngineSettings.NAMES.contains(name)) {
                defaults.put(name, each.getValue());
            }
        }
        Map<String, String> hyphened = new HashMap<>();
        options.forEach((name, value) -> hyphened.put(name.replace('_', '-'), value));
        engine = EngineSettings.of(hyphened);
        RowRequests.check(defaults);
    }

    /**
     * The pictures of a table, a row for each of its rows: the columns that are kept, then "key", "request"
     * (as JSON), "png", "bytes", "sha256" (of the PNG), "pixels_sha256" and "error". Rows may be requests
     * that {@link #names} has named, with columns "key" and "request"; an executor whose model or version is
     * another than theirs fails.
     *
     * @throws BadRequestException if a column is neither an option nor kept, or there is none "prompt" and
     *     no option gives all rows one
     */
    public Dataset<Row> draw(Dataset<Row> rows) {
        return rows.mapPartitions(this, Encoders.row(schema(rows.schema())));
    }

    /** Columns of {@link #draw}, and of {@link #call} for rows with the columns of {@code input}. */
    public StructType schema(StructType input) {
        List<StructField> fields = new ArrayList<>(columns(input).keptFields());
        fields.addAll(PictureRows.FIELDS);
        return schema(fields);
    }

    private RowColumns columns(StructType schema) {
        RowColumns columns = new RowColumns(schema, keep);
        if (!columns.giveAPrompt() && !defaults.containsKey("prompt")) {
            throw new BadRequestException(
                    "the table has no column \"prompt\": add one, or give all rows one by the"
                            + " option \"prompt\"");
        }
        return columns;
    }

    private static StructType schema(List<StructField> fields) {
        Set<String> names = new HashSet<>();
        for (StructField field : fields) {
            if (!names.add(field.name())) {
                throw new BadRequestException(
                        "there would be two columns \""
                                + field.name()
                                + "\": rename that of the table");
            }
        }
        return DataTypes.createStructType(fields);
    }

    /** Draws a partition; rows are handed out as they are asked for. */
    @Override
    public Iterator<Row> call(Iterator<Row> rows) {
        if (!rows.hasNext()) {
            return Collections.emptyIterator();
        }
        TaskContext task = TaskContext.get();
        ExecutorEngine here = ExecutorEngine.of(engine, task);
        Ahead ahead = new Ahead(rows);
        return new PictureRows(
                ahead, columns(ahead.schema()), here, new RowRequests(defaults, here.info()), task);
    }

    /**
     * Names pictures without drawing them: all columns, then "key" (SHA-256 of what determines a picture's
     * bytes), "request" (as JSON, complete) and, where it cannot be made, "error". An executor opens its
     * engine for this, as the key depends on the model.
     *
     * @throws BadRequestException as {@link #draw}
     */
    public Dataset<Row> names(Dataset<Row> rows) {
        columns(rows.schema());
        List<StructField> fields = new ArrayList<>(Arrays.asList(rows.schema().fields()));
        fields.addAll(NAME_FIELDS);
        MapPartitionsFunction<Row, Row> named = this::named;
        return rows.mapPartitions(named, Encoders.row(schema(fields)));
    }

    private Iterator<Row> named(Iterator<Row> rows) {
        if (!rows.hasNext()) {
            return Collections.emptyIterator();
        }
        Ahead ahead = new Ahead(rows);
        RowColumns columns = columns(ahead.schema());
        RowRequests requests =
                new RowRequests(defaults, ExecutorEngine.of(engine, TaskContext.get()).info());
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return ahead.hasNext();
            }

            @Override
            public Row next() {
                Row row = ahead.next();
                try {
                    RowRequests.Named named = columns.named(row, requests);
                    return with(row, named.key(), named.json(), null);
                } catch (BadRequestException e) {
                    return with(row, null, null, e.getMessage());
                }
            }
        };
    }

    private static Row with(Row row, @Nullable Object... more) {
        @Nullable Object[] values = new Object[row.size() + more.length];
        for (int i = 0; i < row.size(); i++) {
            values[i] = row.get(i);
        }
        System.arraycopy(more, 0, values, row.size(), more.length);
        return RowFactory.create(values);
    }

    /**
     * What is left to draw, each picture once: "key" and "request" of rows from {@link #names} whose key is
     * not in {@code drawn}.
     *
     * @param drawn a table with a column "key"; null: none is there yet
     */
    public static Dataset<Row> missing(Dataset<Row> named, @Nullable Dataset<Row> drawn) {
        Dataset<Row> all =
                named.where(col(RowColumns.KEY).isNotNull())
                        .select(RowColumns.KEY, RowColumns.REQUEST)
                        .dropDuplicates(RowColumns.KEY);
        return drawn == null
                ? all
                : all.join(
                        drawn.select(RowColumns.KEY),
                        scala.jdk.javaapi.CollectionConverters.asScala(List.of(RowColumns.KEY))
                                .toSeq(),
                        "left_anti");
    }

    /** Rows, of which the first was looked at for its columns. */
    private static final class Ahead implements Iterator<Row> {
        private final Iterator<Row> rows;
        private @Nullable Row first;

        Ahead(Iterator<Row> rows) {
            this.rows = rows;
            first = rows.next();
        }

        StructType schema() {
            if (first == null) {
                throw new IllegalStateException("asked for after the first row");
            }
            return first.schema();
        }

        @Override
        public boolean hasNext() {
            return first != null || rows.hasNext();
        }

        @Override
        public Row next() {
            Row next = first;
            first = null;
            return next == null ? rows.next() : next;
        }
    }
}
