// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spark;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.pmod;
import static org.apache.spark.sql.functions.trim;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.asg4j.BadRequestException;

import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.StorageLevel;
import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.Arrays;
import java.util.Locale;
import java.util.function.UnaryOperator;

/**
 * A table of rows in, a table of pictures out, for {@code spark-submit}: names the rows, leaves out the
 * pictures that are in the table, and adds the others, some thousands at once, each of which is
 * published whole or not at all.
 */
public final class DrawTable {
    private static final int MISUSE = 2;

    private final SparkSession spark;
    private final TableOptions options;
    private final AsgPictures pictures;
    private final UnaryOperator<Dataset<Row>> before;

    /**
     * @param before what happens to the rows of each job before they are drawn; tests fail there
     */
    DrawTable(SparkSession spark, TableOptions options, UnaryOperator<Dataset<Row>> before) {
        this.spark = spark;
        this.options = options;
        this.before = before;
        pictures = new AsgPictures(options.pictures());
    }

    /**
     * What was done.
     *
     * @param rows of the table
     * @param unnamed of them, whose request cannot be made
     * @param there pictures that were there before
     * @param drawn rows that were added to the table of pictures
     * @param errors of those with an error
     */
    record Done(long rows, long unnamed, long there, long drawn, long errors, double seconds) {
        @Override
        public String toString() {
            return String.format(
                    Locale.ROOT,
                    "{\"rows\":%d,\"unnamed\":%d,\"there\":%d,\"drawn\":%d,\"errors\":%d,\"seconds\":%.1f}",
                    rows,
                    unnamed,
                    there,
                    drawn,
                    errors,
                    seconds);
        }
    }

    public static void main(String[] args) throws IOException {
        if (Arrays.asList(args).contains("--help")) {
            System.out.print(TableOptions.USAGE);
            return;
        }
        TableOptions options = null;
        try {
            options = TableOptions.parse(args);
            new AsgPictures(options.pictures());
        } catch (BadRequestException e) {
            System.err.println("asg: " + e.getMessage());
            System.err.print(TableOptions.USAGE);
            System.exit(MISUSE);
        }
        try (SparkSession spark = SparkSession.builder().appName("asg4j").getOrCreate()) {
            System.out.println(new DrawTable(spark, options, rows -> rows).draw());
        }
    }

    /**
     * Draws what is missing.
     *
     * @throws BadRequestException if the columns are no options, or the folder holds another table
     */
    Done draw() throws IOException {
        long start = System.nanoTime();
        Dataset<Row> named = pictures.names(rows()).persist(StorageLevel.MEMORY_AND_DISK());
        Dataset<Row> there = drawn();
        Dataset<Row> missing =
                AsgPictures.missing(named, there).persist(StorageLevel.MEMORY_AND_DISK());
        try {
            long errors = errors(there);
            long rows = named.count();
            long unnamed = named.where(col(RowColumns.KEY).isNull()).count();
            long left = missing.count();
            String table = options.rows();
            if (table != null) {
                named.write().mode(SaveMode.Overwrite).parquet(table);
            }
            long all = named.select(RowColumns.KEY).na().drop().distinct().count();
            int jobs = Math.toIntExact(Math.ceilDiv(left, options.picturesOfJob()));
            for (int job = 0; job < jobs; job++) {
                add(
                        missing.where(
                                pmod(xxhash64(col(RowColumns.KEY)), lit(jobs)).equalTo(lit(job))));
            }
            return new Done(
                    rows,
                    unnamed,
                    all - left,
                    left,
                    // Not of those that were missing: Spark looks anew what is, once the table has
                    // grown.
                    errors(drawn()) - errors,
                    (System.nanoTime() - start) / 1e9);
        } finally {
            missing.unpersist();
            named.unpersist();
        }
    }

    private Dataset<Row> rows() {
        String in = options.in();
        return switch (options.format()) {
            case "csv" ->
                    // As RFC 4180 has quotes in a cell: doubled.
                    spark.read().option("header", "true").option("escape", "\"").csv(in);
            case "text" ->
                    spark.read()
                            .text(in)
                            .select(trim(col("value")).as("prompt"))
                            .where(col("prompt").notEqual(lit("")));
            default -> spark.read().format(options.format()).load(in);
        };
    }

    /** The pictures that are there; null: no table is. */
    private @Nullable Dataset<Row> drawn() throws IOException {
        Path path = new Path(options.out());
        FileSystem files = path.getFileSystem(spark.sessionState().newHadoopConf());
        if (!files.exists(path)) {
            return null;
        }
        // Without a file that counts: a run ended before its first job did.
        boolean empty =
                Arrays.stream(files.listStatus(path))
                        .allMatch(file -> file.getPath().getName().startsWith("_"));
        if (empty) {
            return null;
        }
        Dataset<Row> table = spark.read().parquet(options.out());
        var columns = Arrays.asList(table.columns());
        for (var field : PictureRows.FIELDS) {
            if (!columns.contains(field.name())) {
                throw new BadRequestException(
                        "'"
                                + options.out()
                                + "' is no table of pictures: it has no column \""
                                + field.name()
                                + "\". Choose another folder");
            }
        }
        return table;
    }

    private void add(Dataset<Row> missing) {
        int tasks = Math.toIntExact(Math.ceilDiv(missing.count(), options.picturesOfTask()));
        // By key, not in turn: a task that runs again has the same rows. By ranges, not by hash:
        // tasks are
        // of one size, as so few rows are all sampled for the ranges.
        Dataset<Row> spread = missing.repartitionByRange(Math.max(1, tasks), col(RowColumns.KEY));
        pictures.draw(before.apply(spread)).write().mode(SaveMode.Append).parquet(options.out());
    }

    private static long errors(@Nullable Dataset<Row> table) {
        return table == null ? 0 : table.where(col("error").isNotNull()).count();
    }
}
