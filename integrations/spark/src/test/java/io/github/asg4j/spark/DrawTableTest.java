// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;

import org.apache.spark.SparkException;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/** Tables in files, drawn, stopped and drawn on. */
class DrawTableTest {
    private static SparkSession spark;

    @TempDir Path folder;

    @BeforeAll
    static void open() {
        spark = SparkTables.session();
    }

    @AfterAll
    static void close() {
        spark.stop();
    }

    private TableOptions options(Path in, String... more) {
        List<String> args =
                new ArrayList<>(
                        List.of(
                                "--in",
                                in.toString(),
                                "--out",
                                folder.resolve("pictures").toString(),
                                "--model",
                                SparkTables.TINY,
                                "--size=128x128",
                                "--steps=2",
                                "--devices=cpu:1"));
        args.addAll(List.of(more));
        return TableOptions.parse(args.toArray(String[]::new));
    }

    private DrawTable.Done draw(TableOptions options) throws Exception {
        return new DrawTable(spark, options, rows -> rows).draw();
    }

    private Path csv() throws Exception {
        Path rows = folder.resolve("rows.csv");
        Files.writeString(
                rows,
                "prompt,steps,id\n\"a \"\"red\"\" ball, round\",,1\na cube,3,2\na cube,3,3\n"
                        + "a cone,many,4\na disc,,5\na rod,,6\n");
        return rows;
    }

    @Test
    void aSecondRunDrawsNothingAndANewRowIsAdded() throws Exception {
        Path rows = csv();
        TableOptions options =
                options(
                        rows,
                        "--keep=id",
                        "--pictures-per-job=2",
                        "--pictures-per-task=1",
                        "--rows",
                        folder.resolve("named").toString());
        DrawTable.Done first = draw(options);
        assertEquals(List.of(6L, 1L, 0L, 4L, 0L), numbers(first));
        Dataset<Row> table = spark.read().parquet(options.out());
        assertEquals(4, table.count());
        assertEquals(
                1,
                table.where("request LIKE '%a \\\\\\\\\"red\\\\\\\\\" ball, round%'").count(),
                () -> SparkTables.strings(table, "request").toString());
        Map<String, String> before = SparkTables.byKey(table, "sha256");

        assertEquals(List.of(6L, 1L, 4L, 0L, 0L), numbers(draw(options)));
        Files.writeString(rows, Files.readString(rows) + "a cross,,7\na star,0,8\n");
        assertEquals(List.of(8L, 2L, 4L, 1L, 0L), numbers(draw(options)));
        Map<String, String> after =
                SparkTables.byKey(spark.read().parquet(options.out()), "sha256");
        assertEquals(5, after.size());
        before.forEach((key, sha256) -> assertEquals(sha256, after.get(key)));
        // Each row finds its picture.
        Dataset<Row> named = spark.read().parquet(folder.resolve("named").toString());
        assertEquals(
                6,
                named.join(spark.read().parquet(options.out()).select("key", "png"), "key")
                        .where("png IS NOT NULL")
                        .select("id")
                        .distinct()
                        .count());
    }

    @Test
    void errorsOfThisRunAreCounted() throws Exception {
        Path rows = folder.resolve("rows.csv");
        String odd = "prompt,size\na ball,127x128\n"; // the engine says no, not the request
        Files.writeString(rows, odd);
        assertEquals(List.of(1L, 0L, 0L, 1L, 1L), numbers(draw(options(rows))));
        Files.writeString(rows, odd + "a cube,\na cone,127x128\na rod,127x128\n");
        TableOptions options = options(rows, "--pictures-per-job=1");
        assertEquals(List.of(4L, 0L, 1L, 3L, 2L), numbers(draw(options)));
        assertEquals(List.of(4L, 0L, 4L, 0L, 0L), numbers(draw(options)));
    }

    private static List<Long> numbers(DrawTable.Done done) {
        return List.of(done.rows(), done.unnamed(), done.there(), done.drawn(), done.errors());
    }

    @Test
    void whatAJobPublishedIsThereAfterTheNextOneFailed() throws Exception {
        TableOptions options =
                options(csv(), "--keep=id", "--pictures-per-job=2", "--pictures-per-task=1");
        AtomicInteger jobs = new AtomicInteger();
        DrawTable failing =
                new DrawTable(
                        spark,
                        options,
                        rows -> {
                            if (jobs.incrementAndGet() == 2) {
                                throw new IllegalStateException("the driver dies");
                            }
                            return rows;
                        });
        assertThrows(IllegalStateException.class, failing::draw);
        long published = spark.read().parquet(options.out()).count();
        assertTrue(published > 0 && published < 4, published + " pictures");
        assertEquals(List.of(6L, 1L, published, 4 - published, 0L), numbers(draw(options)));
    }

    @Test
    void filesThatAreNoTableAreRefused() throws Exception {
        Path rows = folder.resolve("rows.txt");
        Files.writeString(rows, "a ball\n\n  a cube \n");
        TableOptions text = options(rows);
        assertEquals(List.of(2L, 0L, 0L, 2L, 0L), numbers(draw(text)));

        spark.range(1).write().parquet(folder.resolve("other").toString());
        TableOptions other =
                new TableOptions(
                        text.in(),
                        text.format(),
                        folder.resolve("other").toString(),
                        null,
                        1,
                        1,
                        text.pictures());
        String message = assertThrows(BadRequestException.class, () -> draw(other)).getMessage();
        assertTrue(message.contains("is no table of pictures: it has no column \"key\""), message);

        Path damaged = folder.resolve("damaged.parquet");
        Files.writeString(damaged, "no Parquet at all, but long enough for its footer");
        Exception unreadable = assertThrows(SparkException.class, () -> draw(options(damaged)));
        assertTrue(unreadable.getMessage().contains("damaged.parquet"), unreadable.getMessage());
        Exception missing =
                assertThrows(Exception.class, () -> draw(options(folder.resolve("none.csv"))));
        assertTrue(missing.getMessage().contains("none.csv"), missing.getMessage());
    }

    private static String misuse(String... args) {
        return assertThrows(BadRequestException.class, () -> TableOptions.parse(args)).getMessage();
    }

    @Test
    void theCommandLineIsChecked() {
        TableOptions options =
                TableOptions.parse(
                        "--in", "a.jsonl", "--out", "b", "--paper_defaults", "--steps", "3");
        assertEquals("json", options.format());
        assertEquals(Map.of("paper-defaults", "true", "steps", "3"), options.pictures());
        assertEquals(20, options.picturesOfTask());
        assertEquals(10_000, options.picturesOfJob());
        assertEquals("--out is missing", misuse("--in", "a.csv"));
        assertEquals("--steps needs a value", misuse("--in", "a.csv", "--steps"));
        assertEquals("--in is there twice", misuse("--in", "a.csv", "--in", "b.csv"));
        assertEquals("'a.csv' follows no option: give --in and --out", misuse("a.csv"));
        assertEquals(
                "--pictures-per-job is 0: it has to be at least 1",
                misuse("--in", "a.csv", "--out", "b", "--pictures-per-job", "0"));
        assertEquals(
                "what 'a' is cannot be told from its ending: give --format parquet, orc, csv, json"
                        + " or text",
                misuse("--in", "a", "--out", "b"));
        assertTrue(misuse("--colour", "red").startsWith("unknown option \"colour\""));
    }
}
