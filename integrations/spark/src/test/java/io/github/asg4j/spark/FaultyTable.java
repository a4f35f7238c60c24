// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spark;

import io.github.asg4j.DeviceException;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;

import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.SparkListenerTaskStart;
import org.apache.spark.scheduler.TaskInfo;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * {@link DrawTable} on a cluster that fails: {@code FaultyTable FAULT,... FOLDER ARGUMENTS}. Each fault
 * happens once, in the first task that comes to its second row: "throw" fails the task, "kill" ends its
 * executor as {@code kill -9} does, "lose" loses its device, "straggle" lets it stand still until it is killed. In
 * the folder, which executors see, is a file for each fault that has happened, one named by the process of each
 * executor that draws, and {@code events.jsonl}: what happened to executors and tasks, and when.
 */
public final class FaultyTable {
    private FaultyTable() {}

    public static void main(String[] args) throws Exception {
        List<String> faults = args[0].isEmpty() ? List.of() : List.of(args[0].split(","));
        Path folder = Files.createDirectories(Path.of(args[1]));
        TableOptions options = TableOptions.parse(Arrays.copyOfRange(args, 2, args.length));
        try (SparkSession spark = SparkSession.builder().appName("asg4j").getOrCreate()) {
            Events events = new Events(folder.resolve("events.jsonl"));
            spark.sparkContext().addSparkListener(events);
            Faults function = new Faults(faults, folder.toString());
            System.out.println(
                    new DrawTable(
                                    spark,
                                    options,
                                    rows ->
                                            rows.mapPartitions(
                                                    function, Encoders.row(rows.schema())))
                            .draw());
            events.write("drawn", System.currentTimeMillis(), "");
            System.out.println("tasks and executors: " + events);
        }
    }

    /** What happened to tasks and executors: counted, and a line of JSON for each. */
    private static final class Events extends SparkListener {
        private final Path file;
        private final Map<String, AtomicInteger> counts =
                new ConcurrentHashMap<>(Map.of("tasks", new AtomicInteger()));

        Events(Path file) {
            this.file = file;
            write("began", ManagementFactory.getRuntimeMXBean().getStartTime(), "");
        }

        private void count(String what) {
            counts.computeIfAbsent(what, name -> new AtomicInteger()).incrementAndGet();
        }

        /**
         * @param at milliseconds since 1970
         * @param more keys, each behind a comma
         */
        private void write(String what, long at, String more) {
            try {
                Files.writeString(
                        file,
                        "{\"event\":\"%s\",\"at\":%d%s}%n".formatted(what, at, more),
                        StandardOpenOption.CREATE,
                        StandardOpenOption.APPEND);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        @Override
        public void onExecutorRemoved(SparkListenerExecutorRemoved removed) {
            count("executors lost");
            write("lost", removed.time(), ",\"executor\":\"" + removed.executorId() + '"');
        }

        @Override
        public void onTaskStart(SparkListenerTaskStart start) {
            count("tasks");
            if (start.taskInfo().speculative()) {
                count("speculative");
            }
        }

        @Override
        public void onTaskEnd(SparkListenerTaskEnd end) {
            TaskInfo task = end.taskInfo();
            if (!task.successful()) {
                count(end.reason().getClass().getSimpleName().replace("$", ""));
            }
            TaskMetrics metrics = end.taskMetrics();
            write(
                    "task",
                    task.finishTime(),
                    ",\"executor\":\"%s\",\"stage\":%d,\"launched\":%d,\"successful\":%b,\"rows\":%d"
                            .formatted(
                                    task.executorId(),
                                    end.stageId(),
                                    task.launchTime(),
                                    task.successful(),
                                    metrics == null
                                            ? 0
                                            : metrics.outputMetrics().recordsWritten()));
        }

        @Override
        public String toString() {
            return new TreeMap<>(counts).toString();
        }
    }

    /** What an engine says of a picture once its last GPU is lost. */
    private record Unplugged() implements Generation {
        @Override
        public CompletableFuture<GeneratedImage> future() {
            return CompletableFuture.failedFuture(DeviceException.lost("unplugged", null));
        }

        @Override
        public void cancel() {}

        @Override
        public GeneratedImage join() {
            throw DeviceException.lost("unplugged", null);
        }
    }

    private record Faults(List<String> faults, String folder)
            implements MapPartitionsFunction<Row, Row> {
        private static final long serialVersionUID = 1L;

        @Override
        public Iterator<Row> call(Iterator<Row> rows) {
            write("process-" + ProcessHandle.current().pid());
            if (faults.contains("lose") && rows.hasNext() && write("fault-lose")) {
                ExecutorEngine.openWith(
                        options -> {
                            ExecutorEngine real = ExecutorEngine.open(options);
                            return new ExecutorEngine(
                                    request -> new Unplugged(), real.info(), real.closes());
                        });
            }
            return new Iterator<>() {
                private int row;

                @Override
                public boolean hasNext() {
                    return rows.hasNext();
                }

                @Override
                public Row next() {
                    if (++row == 2) {
                        fail();
                    }
                    return rows.next();
                }
            };
        }

        private void fail() {
            if (faults.contains("throw") && write("fault-throw")) {
                throw new IllegalStateException("a task fails");
            } else if (faults.contains("kill") && write("fault-kill")) {
                Runtime.getRuntime().halt(137);
            } else if (faults.contains("straggle") && write("fault-straggle")) {
                while (!TaskContext.get().isInterrupted()) {
                    try {
                        Thread.sleep(50);
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                        return;
                    }
                }
            }
        }

        /** Whether the file was not there. */
        private boolean write(String name) {
            try {
                Files.createFile(Path.of(folder, name));
                return true;
            } catch (FileAlreadyExistsException e) {
                return false;
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
