// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spark;

import static org.apache.spark.sql.functions.col;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.batch.Batch;
import io.github.asg4j.batch.BatchOptions;
import io.github.asg4j.batch.PictureFormat;
import io.github.asg4j.batch.Setting;
import io.github.asg4j.batch.Shard;

import org.apache.spark.SparkException;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;

/** Pictures of tables, drawn by a local master with two threads. */
class AsgPicturesTest {
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

    @AfterEach
    void realEngines() {
        ExecutorEngine.openWith(ExecutorEngine::open);
    }

    private static Dataset<Row> sql(String select) {
        return spark.sql(select);
    }

    private static AsgPictures pictures(String... more) {
        return new AsgPictures(SparkTables.options(more));
    }

    /** Rows, drawn by a batch: its pictures by their keys. */
    private Map<String, JsonNode> batch(String... lines) throws Exception {
        Path rows = folder.resolve("rows.jsonl");
        Files.write(rows, List.of(lines));
        Path out = folder.resolve("batch");
        EngineOptions options =
                EngineOptions.DEFAULT.withModel(Path.of(SparkTables.TINY)).withDevices("cpu:2");
        try (Engine engine = Engine.open(options);
                Batch batch =
                        Batch.open(
                                new BatchOptions(
                                        rows,
                                        out,
                                        List.of(),
                                        List.of(Setting.NONE),
                                        List.of(),
                                        1,
                                        Shard.ALL,
                                        PictureFormat.PNG,
                                        false),
                                engine.describe())) {
            batch.draw(engine::submit, progress -> {});
        }
        Map<String, JsonNode> records = new TreeMap<>();
        for (String line : Files.readAllLines(out.resolve("records.jsonl"))) {
            JsonNode record = new ObjectMapper().readTree(line);
            records.put(record.get("key").asText(), record);
        }
        return records;
    }

    @Test
    void keysAndBytesAreThoseOfABatchAndOfOnePicture() throws Exception {
        Map<String, JsonNode> records =
                batch(
                        "{\"prompt\":\"a red"
                            + " ball\",\"size\":\"128x128\",\"steps\":2,\"guidance_scale\":7.5}",
                        "{\"prompt\":\"a blue"
                            + " cube\",\"size\":\"128x128\",\"steps\":3,\"method\":\"direct\"}");
        // Numbers as SQL has them: an INT, a DECIMAL, a null.
        Dataset<Row> rows =
                sql(
                        "SELECT * FROM VALUES ('a red ball', 2, 7.5, null, 11), ('a blue cube', 3,"
                                + " null, 'direct', 12) AS t(prompt, steps, guidance_scale, method,"
                                + " id)");
        Dataset<Row> drawn = pictures("keep", "id").draw(rows).cache();

        assertEquals(
                List.of("id", "key", "request", "png", "bytes", "sha256", "pixels_sha256", "error"),
                List.of(drawn.columns()));
        assertEquals(Map.copyOf(map(records, "sha256")), SparkTables.byKey(drawn, "sha256"));
        assertEquals(map(records, "pixels_sha256"), SparkTables.byKey(drawn, "pixels_sha256"));
        Row ball = drawn.where(col("id").equalTo(11)).first();
        JsonNode record = records.get(ball.getString(1));
        assertArrayEquals(
                Files.readAllBytes(folder.resolve("batch").resolve(record.get("file").asText())),
                ball.<byte[]>getAs("png"));
        assertEquals(record.get("bytes").intValue(), ball.<Integer>getAs("bytes"));
        assertEquals(
                record.get("request"), new ObjectMapper().readTree(ball.<String>getAs("request")));

        try (Engine engine =
                Engine.open(EngineOptions.DEFAULT.withModel(Path.of(SparkTables.TINY)))) {
            GenerationRequest request =
                    GenerationRequest.builder("a red ball")
                            .size(128, 128)
                            .steps(2)
                            .guidanceScale(7.5)
                            .seed(record.get("request").get("seed").asLong())
                            .build();
            assertArrayEquals(engine.submit(request).join().png(), ball.<byte[]>getAs("png"));
        }
    }

    private static Map<String, String> map(Map<String, JsonNode> records, String key) {
        Map<String, String> values = new TreeMap<>();
        records.forEach((name, record) -> values.put(name, record.get(key).asText()));
        return values;
    }

    @Test
    void badRowsAreRowsWithAnError() {
        Dataset<Row> rows =
                sql(
                        "SELECT * FROM VALUES ('a red ball', '2'), ('a blue cube', 'many'), (null,"
                                + " '2'), ('a big ball', '1001') AS t(prompt, steps)");
        List<String> errors = SparkTables.strings(pictures().draw(rows), "error");
        assertEquals(4, errors.size());
        assertEquals("\"steps\": 'many' is no whole number, as in 20", errors.get(0));
        assertTrue(errors.get(1).contains("1001"), errors.get(1));
        assertEquals("null", errors.get(2));
        assertTrue(errors.get(3).startsWith("the row has no prompt"), errors.get(3));
        // Only the engine knows that this is no size of the model; the picture has a key all the
        // same.
        Row odd = pictures().draw(sql("SELECT 'a ball' AS prompt, '127x128' AS size")).first();
        assertNotNull(odd.getAs("key"));
        assertNotNull(odd.getAs("error"));
    }

    private static String refused(String select, String... options) {
        return assertThrows(BadRequestException.class, () -> pictures(options).draw(sql(select)))
                .getMessage();
    }

    @Test
    void columnsThatAreNoOptionsAreRefusedBeforeAnythingRuns() {
        String unknown = refused("SELECT 'a' AS promt");
        assertTrue(unknown.startsWith("unknown column \"promt\": there are prompt,"), unknown);
        assertTrue(unknown.endsWith("name it in \"keep\""), unknown);
        assertEquals(
                "the column \"steps\" is of type array<int>: options are text, numbers or booleans;"
                        + " name it in \"keep\" if it is none",
                refused("SELECT 'a' AS prompt, array(1) AS steps"));
        assertEquals(
                "the table has no column \"prompt\": add one, or give all rows one by the option"
                        + " \"prompt\"",
                refused("SELECT 1 AS steps"));
        pictures("prompt", "a ball").draw(sql("SELECT 1 AS steps"));
        assertEquals(
                "the column \"view-batch\" is there twice",
                refused("SELECT 'a' AS prompt, 1 AS view_batch, 2 AS `view-batch`"));
        assertEquals(
                "there would be two columns \"png\": rename that of the table",
                refused("SELECT 'a' AS prompt, 1 AS png", "keep", "png"));
        assertTrue(
                refused("SELECT '{}' AS request, 1 AS steps")
                        .contains("which says all of a picture"));
        assertEquals(
                "\"steps\": 'few' is no whole number, as in 20",
                assertThrows(BadRequestException.class, () -> pictures("steps", "few"))
                        .getMessage());
        assertThrows(BadRequestException.class, () -> pictures("threads_per_worker", "0"));
    }

    @Test
    void oneEngineServesAllTasksAndItsExecutorsGpus() {
        AtomicInteger opened = new AtomicInteger();
        ExecutorEngine.openWith(
                options -> {
                    opened.incrementAndGet();
                    return ExecutorEngine.open(options);
                });
        Dataset<Row> rows =
                spark.range(6).selectExpr("concat('a ball ', id) AS prompt").repartition(4);
        assertEquals(6, pictures().draw(rows).select("sha256").distinct().count());
        assertEquals(1, opened.get());
    }

    /** An engine that fails as {@code instead} says; null: it draws. */
    private static void failing(Function<GenerationRequest, Generation> instead) {
        ExecutorEngine.openWith(
                options -> {
                    ExecutorEngine real = ExecutorEngine.open(options);
                    return new ExecutorEngine(
                            request -> {
                                Generation other = instead.apply(request);
                                return other == null ? real.draws().apply(request) : other;
                            },
                            real.info(),
                            real.closes());
                });
    }

    /** A generation that ends by being told so. */
    private static final class Waiting implements Generation {
        static final CountDownLatch BEGUN = new CountDownLatch(2);
        static final CountDownLatch CANCELLED = new CountDownLatch(2);
        private final CompletableFuture<GeneratedImage> future = new CompletableFuture<>();

        @Override
        public CompletableFuture<GeneratedImage> future() {
            return future;
        }

        @Override
        public void cancel() {
            if (future.completeExceptionally(new CancelledException("cancelled"))) {
                CANCELLED.countDown();
            }
        }

        @Override
        public GeneratedImage join() {
            try {
                return future.join();
            } catch (CompletionException e) {
                throw (AsgException) e.getCause();
            }
        }
    }

    @Test
    void aCancelledJobCancelsWhatItsTasksDraw() throws Exception {
        failing(
                request -> {
                    Waiting.BEGUN.countDown();
                    return new Waiting();
                });
        Dataset<Row> rows =
                spark.range(4).selectExpr("concat('a ball ', id) AS prompt").repartition(1);
        CompletableFuture<Throwable> failure = new CompletableFuture<>();
        Thread job =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    try {
                                        pictures().draw(rows).collectAsList();
                                        failure.complete(new AssertionError("was not cancelled"));
                                    } catch (Exception e) {
                                        failure.complete(e);
                                    }
                                });
        assertTrue(Waiting.BEGUN.await(60, TimeUnit.SECONDS), "two pictures are asked for at once");
        spark.sparkContext().cancelAllJobs();
        assertTrue(Waiting.CANCELLED.await(30, TimeUnit.SECONDS), "both are cancelled");
        job.join();
        assertTrue(failure.get().getMessage().contains("cancelled"), failure.get().toString());
    }

    @Test
    void aTaskThatFailedIsDrawnAgainWithTheSameRows() {
        Dataset<Row> rows =
                spark.range(6).selectExpr("concat('a ball ', id) AS prompt").repartition(2);
        Map<String, String> undisturbed = SparkTables.byKey(pictures().draw(rows), "sha256");
        AtomicInteger failures = new AtomicInteger();
        failing(
                request -> {
                    TaskContext task = TaskContext.get();
                    if (task.attemptNumber() < 2 && failures.incrementAndGet() > 0) {
                        throw new DeviceException("this card does not answer");
                    }
                    return null;
                });
        assertEquals(undisturbed, SparkTables.byKey(pictures().draw(rows), "sha256"));
        assertEquals(4, failures.get(), "two tasks, two failures each");
    }

    /** In a process of its own this ends the executor; here the driver itself draws. */
    @Test
    void aLostDeviceFailsTheJobOfALocalMasterAndSaysWhy() {
        failing(
                request -> {
                    throw DeviceException.lost("cuda:0 fell off the bus", null);
                });
        SparkException failure =
                assertThrows(
                        SparkException.class,
                        () -> pictures().draw(sql("SELECT 'a ball' AS prompt")).collectAsList());
        assertTrue(failure.getMessage().contains("cuda:0 fell off the bus"), failure.getMessage());
    }

    @Test
    void eachMissingPictureIsDrawnOnceAndAnExecutorWithAnotherModelFails() {
        Dataset<Row> rows =
                sql(
                        "SELECT * FROM VALUES ('a ball', 1), ('a cube', 2), ('a ball', 3), (null,"
                                + " 4) AS t(prompt, id)");
        Dataset<Row> named = pictures("keep", "id").names(rows).cache();
        assertEquals(List.of("prompt", "id", "key", "request", "error"), List.of(named.columns()));
        assertEquals(4, named.count());
        assertEquals(1, named.where("error IS NOT NULL AND key IS NULL AND id = 4").count());
        Dataset<Row> missing = AsgPictures.missing(named, null).cache();
        assertEquals(2, missing.count());
        Dataset<Row> ball = pictures().draw(missing.where("request LIKE '%ball%'")).cache();
        assertEquals(named.where("id = 3").first().<String>getAs("key"), ball.first().getString(0));
        assertEquals(1, AsgPictures.missing(named, ball).count());

        AsgPictures other =
                new AsgPictures(SparkTables.options("model", SparkTables.TINY + "-stepless"));
        SparkException failure =
                assertThrows(SparkException.class, () -> other.draw(missing).collectAsList());
        assertTrue(
                failure.getMessage().contains("model, version of asg4j, threads per worker"),
                failure.getMessage());
    }

    /** As in a program that has a pipeline of its own. */
    @Test
    void itIsAFunctionForPartitions() {
        Dataset<Row> rows = sql("SELECT 'a ball' AS prompt");
        AsgPictures pictures = pictures();
        int png = pictures.schema(rows.schema()).fieldIndex("png");
        MapPartitionsFunction<Row, Long> lengths =
                partition -> {
                    Iterator<Row> drawn = pictures.call(partition);
                    return List.of((long) ((byte[]) drawn.next().get(png)).length).iterator();
                };
        long length = rows.mapPartitions(lengths, Encoders.LONG()).first();
        assertTrue(length > 1000, length + " bytes");
        int bytes = rows.transform(pictures::draw).first().getAs("bytes");
        assertEquals(length, bytes);
    }

    @Test
    void devicesAreTheTasksGpusElseTheExecutorsCores() {
        EngineSettings settings = EngineSettings.of(Map.of());
        var gpus =
                new org.apache.spark.resource.ResourceInformation("gpu", new String[] {"0", "3"});
        assertEquals("cuda:0,cuda:3", settings.options(Map.of("gpu", gpus), 4).devices());
        assertEquals("cpu:4", settings.options(Map.of(), 4).devices());
        assertEquals(
                "cpu:1",
                EngineSettings.of(Map.of("devices", "cpu:1"))
                        .options(Map.of("gpu", gpus), 4)
                        .devices());
        EngineInfo info;
        try (Engine engine = Engine.open(settings.options(Map.of(), 1))) {
            info = engine.describe();
        }
        assertEquals(1, info.threadsPerWorker());
        assertEquals(1, info.devices().size());
    }
}
