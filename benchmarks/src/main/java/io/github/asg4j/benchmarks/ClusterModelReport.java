// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;

/**
 * Holds {@link ClusterModel} against runs of {@code DrawTable}: {@code ClusterModelReport LOGS EVENTS
 * RUN...}, as {@code benchmarks/cluster.sh} calls it.
 *
 * <p>LOGS are the {@code log.jsonl} of batches with commas between them: how long pictures take. EVENTS is
 * the {@code events.jsonl} that {@code FaultyTable} wrote of a run in which an executor was lost: what
 * start, restart, tasks and jobs take beside the pictures. A RUN is NAME,EVENTS,PICTURES,TASK,JOB, and
 * SECONDS,DRAWING of a batch beside it, if there was one; the inputs hold nothing of it. A line of a table
 * is printed for each.
 */
final class ClusterModelReport {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int RUNS = 101;

    private ClusterModelReport() {}

    /** A task that wrote pictures; seconds from the beginning of its run. */
    private record Task(String executor, int stage, double launched, double finished, int rows) {
        double seconds() {
            return finished - launched;
        }
    }

    /**
     * A run.
     *
     * @param tasks in the order in which they were launched
     * @param lost executor and moment
     * @param end of the last job
     */
    private record Run(List<Task> tasks, Map<String, Double> lost, double end) {
        static Run of(Path events) throws IOException {
            List<Task> tasks = new ArrayList<>();
            Map<String, Double> lost = new TreeMap<>();
            double began = 0;
            double end = 0;
            for (JsonNode event : lines(events)) {
                double at = event.get("at").asDouble() / 1000;
                switch (event.get("event").asText()) {
                    case "began" -> began = at;
                    case "lost" -> lost.put(event.get("executor").asText(), at - began);
                    case "drawn" -> end = at - began;
                    default -> {
                        if (event.get("successful").asBoolean() && event.get("rows").asInt() > 0) {
                            tasks.add(
                                    new Task(
                                            event.get("executor").asText(),
                                            event.get("stage").asInt(),
                                            event.get("launched").asDouble() / 1000 - began,
                                            at - began,
                                            event.get("rows").asInt()));
                        }
                    }
                }
            }
            tasks.sort((a, b) -> Double.compare(a.launched, b.launched));
            return new Run(tasks, lost, end);
        }

        /** Tasks of each job. */
        Collection<List<Task>> jobs() {
            Map<Integer, List<Task>> jobs = new TreeMap<>();
            tasks.forEach(t -> jobs.computeIfAbsent(t.stage, s -> new ArrayList<>()).add(t));
            return jobs.values();
        }

        /** Seconds from each job's first task to its last. */
        double drawing() {
            double seconds = 0;
            for (List<Task> job : jobs()) {
                seconds += job.stream().mapToDouble(Task::finished).max().orElseThrow();
                seconds -= job.getFirst().launched;
            }
            return seconds;
        }

        /** The first task of the executor that replaced one; null: none was lost. */
        Task replacing() {
            return lost.isEmpty()
                    ? null
                    : tasks.stream()
                            .filter(t -> t.executor.equals(String.valueOf(newest())))
                            .findFirst()
                            .orElseThrow(
                                    () ->
                                            new IllegalArgumentException(
                                                    "no task ran on the executor that replaced the"
                                                            + " one that was lost"));
        }

        private int newest() {
            return tasks.stream().mapToInt(t -> Integer.parseInt(t.executor)).max().orElseThrow();
        }
    }

    private static List<JsonNode> lines(Path file) throws IOException {
        List<JsonNode> lines = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            lines.add(JSON.readTree(line));
        }
        return lines;
    }

    private static double[] pictures(String logs) throws IOException {
        List<Double> seconds = new ArrayList<>();
        for (String log : logs.split(",", -1)) {
            List<JsonNode> lines = lines(Path.of(log));
            // The first picture of a run warms up.
            for (JsonNode line : lines.subList(2, lines.size())) {
                JsonNode times = line.get("times_ms");
                if (times != null) {
                    seconds.add(
                            (times.get("load").asDouble() + times.get("total").asDouble()) / 1000);
                }
            }
        }
        return seconds.stream().mapToDouble(Double::doubleValue).sorted().toArray();
    }

    private static double mean(double[] values) {
        return Arrays.stream(values).average().orElseThrow();
    }

    /** What a run says of the times beside its pictures. */
    private static ClusterModel.Times times(double[] pictures, Run run) {
        double picture = mean(pictures);
        Map<String, Task> first = new TreeMap<>();
        run.tasks.forEach(t -> first.putIfAbsent(t.executor, t));
        ToDoubleFunction<Task> beside = t -> t.seconds() - t.rows * picture;
        double task =
                run.tasks.stream()
                        .filter(t -> !first.containsValue(t))
                        .mapToDouble(beside)
                        .average()
                        .orElseThrow();
        Task replacing = Objects.requireNonNull(run.replacing(), "a run without a loss");
        first.remove(replacing.executor);
        // An executor's first task loads classes and warms up the engine: a part of its start.
        double warmUp = first.values().stream().mapToDouble(beside).average().orElseThrow() - task;
        List<Double> gaps = new ArrayList<>();
        double ended = 0;
        for (List<Task> job : run.jobs()) {
            if (ended > 0) {
                gaps.add(job.getFirst().launched - ended);
            }
            ended = job.stream().mapToDouble(Task::finished).max().orElseThrow();
        }
        gaps.add(run.end - ended);
        double job = mean(gaps.stream().mapToDouble(Double::doubleValue).toArray());
        double restart =
                replacing.launched
                        + beside.applyAsDouble(replacing)
                        - task
                        - run.lost.values().iterator().next();
        return new ClusterModel.Times(
                pictures, run.tasks.getFirst().launched + warmUp, restart, task, job);
    }

    public static void main(String[] arguments) throws IOException {
        double[] pictures = pictures(arguments[0]);
        ClusterModel.Times times = times(pictures, Run.of(Path.of(arguments[1])));
        System.out.printf(
                Locale.ROOT,
                "Measured inputs: %d pictures of %.3f s (%.3f to %.3f), start %.1f s, restart %.1f"
                        + " s, task %.2f s, job %.2f s%n%n",
                pictures.length,
                mean(pictures),
                pictures[0],
                pictures[pictures.length - 1],
                times.start(),
                times.restart(),
                times.task(),
                times.job());
        System.out.println(
                "| run | pictures | batch on cpu:2, s | while it drew, pictures/s | local-cluster,"
                        + " s | while it drew, pictures/s | to batch | model, s | off by |");
        System.out.println("|---|---|---|---|---|---|---|---|---|");
        for (String run : Arrays.asList(arguments).subList(2, arguments.length)) {
            System.out.println(line(times, run.split(",", -1)));
        }
    }

    private static String line(ClusterModel.Times times, String... run) throws IOException {
        Run measured = Run.of(Path.of(run[1]));
        int pictures = Integer.parseInt(run[2]);
        ClusterModel.Layout layout =
                new ClusterModel.Layout(
                        pictures, Integer.parseInt(run[3]), Integer.parseInt(run[4]), 2, false);
        double[] lost =
                measured.lost.values().stream().mapToDouble(Double::doubleValue).sorted().toArray();
        double model =
                ClusterModel.median(times, ClusterModel.Faults.ofEqual(0, lost), layout, RUNS)
                        .seconds();
        double rate = pictures / measured.drawing();
        String batch = "| |";
        String ratio = "";
        if (run.length > 5) {
            double batchRate = pictures / Double.parseDouble(run[6]);
            batch = number("%.1f | %.2f |", Double.parseDouble(run[5]), batchRate);
            ratio = number("%.2f", rate / batchRate);
        }
        return number("| %s | %d | %s ", run[0], pictures, batch)
                + number("%.1f | %.2f | %s | ", measured.end, rate, ratio)
                + number("%.1f | %+.1f %% |", model, 100 * (model / measured.end - 1));
    }

    private static String number(String format, Object... values) {
        return String.format(Locale.ROOT, format, values);
    }
}
