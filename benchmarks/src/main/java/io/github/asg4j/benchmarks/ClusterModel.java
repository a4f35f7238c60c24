// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.PriorityQueue;
import java.util.Random;

/**
 * A discrete-event model of many pictures on G executors with a device each, as {@code DrawTable} draws
 * them: a job publishes its pictures at its end and is cut into tasks of equal size, whoever is idle
 * takes the next task, an executor that fails loses its task and starts anew, and near the end of a job
 * a task that takes long may be drawn twice. Where {@link DeviceModel} spreads one picture over devices,
 * this one gives each device pictures of its own. {@link ClusterModelReport} holds it against runs.
 *
 * <p>{@code main} prints the tables of NOTES.md.
 */
final class ClusterModel {
    /** Spark's default: of a job's tasks, how many have to have ended before one is drawn twice. */
    private static final double QUANTILE = 0.9;

    /** Spark's default: how many times as long as the middle one of those a task has to take. */
    private static final double MULTIPLIER = 3;

    /**
     * What happens, seconds.
     *
     * @param pictures seconds of a picture as measured; each is one of these by chance
     * @param start from the beginning to the first picture
     * @param restart from the loss of an executor to the first picture of the one that replaces it
     * @param task around each task: its start, its file
     * @param job around each job, in which all wait: planning, publishing
     */
    record Times(double[] pictures, double start, double restart, double task, double job) {}

    /**
     * What goes wrong.
     *
     * @param slow of how many executors one is slow; 0: none is
     * @param factor how many times as long that one takes for a picture
     * @param anHour expected number of executors that fail in an hour, of all together
     * @param at seconds from the beginning at which one fails for certain, in their order
     */
    record Faults(int slow, double factor, double anHour, double... at) {
        static Faults ofEqual(double anHour, double... at) {
            return new Faults(0, 1, anHour, at);
        }
    }

    /**
     * How the pictures are cut.
     *
     * @param ofTask pictures of a task
     * @param ofJob pictures of a job
     * @param executors that draw
     * @param speculation whether idle executors draw once more what takes others long, by Spark's rule
     */
    record Layout(int pictures, int ofTask, int ofJob, int executors, boolean speculation) {}

    /**
     * What the model says.
     *
     * @param seconds of all jobs
     * @param busy share of the executors' time in which they drew pictures that counted
     */
    record Result(double seconds, double busy) {}

    private final Times times;
    private final Faults faults;
    private final Layout layout;
    private final Random random;
    private final Deque<Double> certain = new ArrayDeque<>();
    private final double[] freeAt;
    private double now;
    private double chance;
    private double useful;

    private record Attempt(int task, int executor, double begin, double end, double draws) {}

    private ClusterModel(Times times, Faults faults, Layout layout, long seed) {
        this.times = times;
        this.faults = faults;
        this.layout = layout;
        random = new Random(seed);
        freeAt = new double[layout.executors];
        now = times.start;
        for (double at : faults.at) {
            certain.add(at);
        }
        chance = byChance(0);
    }

    static Result run(Times times, Faults faults, Layout layout, long seed) {
        ClusterModel model = new ClusterModel(times, faults, layout, seed);
        int jobs = Math.ceilDiv(layout.pictures, layout.ofJob);
        for (int job = 0; job < jobs; job++) {
            int first = Math.toIntExact((long) layout.pictures * job / jobs);
            int behind = Math.toIntExact((long) layout.pictures * (job + 1) / jobs);
            model.new Job(behind - first).draw();
            model.now += times.job;
        }
        return new Result(model.now, model.useful / (model.now * layout.executors));
    }

    /** The middle of so many runs by their seconds. */
    static Result median(Times times, Faults faults, Layout layout, int runs) {
        List<Result> results = new ArrayList<>();
        for (int seed = 0; seed < runs; seed++) {
            results.add(run(times, faults, layout, seed));
        }
        results.sort(Comparator.comparingDouble(Result::seconds));
        return results.get(runs / 2);
    }

    private double byChance(double after) {
        double rate = faults.anHour / 3600;
        return rate == 0
                ? Double.POSITIVE_INFINITY
                : after - Math.log(1 - random.nextDouble()) / rate;
    }

    private double nextFailure() {
        return certain.isEmpty() ? chance : Math.min(chance, certain.peek());
    }

    private double takeFailure() {
        double at = nextFailure();
        if (at == chance) {
            chance = byChance(at);
        } else {
            certain.poll();
        }
        return at;
    }

    /** Of an executor: its time for a picture, in those of most. */
    private double factor(int executor) {
        return faults.slow > 0 && executor % faults.slow == faults.slow - 1 ? faults.factor : 1;
    }

    /** Pictures that are published at once. */
    private final class Job {
        private final Deque<Integer> waiting = new ArrayDeque<>();
        private final double[] draws;
        private final boolean[] done;
        private final List<Double> took = new ArrayList<>();
        private final PriorityQueue<Attempt> running =
                new PriorityQueue<>(Comparator.comparingDouble(Attempt::end));
        private final PriorityQueue<Integer> idle =
                new PriorityQueue<>(Comparator.comparingDouble((Integer e) -> freeAt[e]));

        Job(int pictures) {
            int tasks = Math.ceilDiv(pictures, layout.ofTask);
            draws = new double[tasks];
            done = new boolean[tasks];
            for (int p = 0; p < pictures; p++) {
                draws[p % tasks] += times.pictures[random.nextInt(times.pictures.length)];
            }
            for (int t = 0; t < tasks; t++) {
                waiting.add(t);
            }
            for (int e = 0; e < freeAt.length; e++) {
                freeAt[e] = Math.max(freeAt[e], now);
                idle.add(e);
            }
        }

        void draw() {
            int left = draws.length;
            while (left > 0) {
                while (!waiting.isEmpty() && !idle.isEmpty()) {
                    begin(waiting.poll());
                }
                double end = running.peek().end;
                Attempt slow = overdue();
                double again = slow == null ? Double.POSITIVE_INFINITY : overdueAt(slow);
                if (nextFailure() < Math.min(end, again)) {
                    fail(takeFailure());
                } else if (again < end) {
                    now = Math.max(now, again);
                    begin(slow.task);
                } else {
                    left -= end(running.poll());
                }
            }
        }

        private void begin(int task) {
            int executor = idle.poll();
            double begin = Math.max(now, freeAt[executor]);
            double draw = factor(executor) * draws[task];
            running.add(new Attempt(task, executor, begin, begin + times.task + draw, draw));
        }

        /** How many tasks this ends. */
        private int end(Attempt attempt) {
            now = attempt.end;
            free(attempt);
            if (done[attempt.task]) {
                return 0;
            }
            done[attempt.task] = true;
            took.add(attempt.end - attempt.begin);
            useful += attempt.draws;
            for (Attempt other : List.copyOf(running)) {
                if (other.task == attempt.task) {
                    running.remove(other);
                    free(other);
                }
            }
            return 1;
        }

        private void free(Attempt attempt) {
            freeAt[attempt.executor] = now;
            idle.add(attempt.executor);
        }

        private boolean alone(Attempt attempt) {
            return running.stream().filter(other -> other.task == attempt.task).count() == 1;
        }

        /** The attempt that is the next to be drawn once more by an executor that is idle; null: none is. */
        private Attempt overdue() {
            boolean some = took.size() >= QUANTILE * draws.length;
            return !layout.speculation || !some || idle.isEmpty()
                    ? null
                    : running.stream()
                            .filter(this::alone)
                            .min(Comparator.comparingDouble(Attempt::begin))
                            .orElse(null);
        }

        private double overdueAt(Attempt attempt) {
            double[] sorted = took.stream().mapToDouble(Double::doubleValue).sorted().toArray();
            return attempt.begin + MULTIPLIER * sorted[sorted.length / 2];
        }

        /** An executor ends: its task waits again, unless another attempt at it goes on. */
        private void fail(double at) {
            int executor = random.nextInt(freeAt.length);
            for (Attempt attempt : List.copyOf(running)) {
                if (attempt.executor == executor) {
                    running.remove(attempt);
                    if (running.stream().noneMatch(other -> other.task == attempt.task)) {
                        waiting.addFirst(attempt.task);
                    }
                }
            }
            idle.remove(executor);
            now = Math.max(now, at);
            freeAt[executor] = at + times.restart;
            idle.add(executor);
        }
    }

    public static void main(String[] arguments) {
        scale();
        sizes();
    }

    /** Assumed: pictures of some spread about a mean, as those of rows of several sizes are. */
    private static Times assumed() {
        double mean = 6.2;
        double[] pictures = {
            0.6 * mean, 0.8 * mean, 0.8 * mean, mean, mean, 1.2 * mean, 1.6 * mean
        };
        return new Times(pictures, 90, 90, 1, 20);
    }

    /** Of 600 pictures for each GPU, the middle of five runs. */
    private static Result result(
            Faults faults, int ofTask, int ofJob, int gpus, boolean speculation) {
        Layout layout = new Layout(600 * gpus, ofTask, ofJob, gpus, speculation);
        return median(assumed(), faults, layout, 5);
    }

    private static void scale() {
        System.out.println(
                "| GPUs | no failure | a failure an hour | a failure an hour for each 8 GPUs |"
                    + " GPU-hours of 1,000 pictures, no failure | with a failure an hour for each 8"
                    + " |");
        System.out.println("|---|---|---|---|---|---|");
        for (int gpus : new int[] {1, 8, 32, 100, 320, 1000}) {
            List<Result> results = new ArrayList<>();
            for (double failures : new double[] {0, 1, gpus / 8.0}) {
                results.add(result(Faults.ofEqual(failures), 50, 200 * gpus, gpus, false));
            }
            System.out.printf(
                    Locale.ROOT,
                    "| %d | %.1f/s, %.1f %% | %.1f/s, %.1f %% | %.1f/s, %.1f %% | %.2f | %.2f |%n",
                    gpus,
                    rate(results.get(0), gpus),
                    100 * results.get(0).busy,
                    rate(results.get(1), gpus),
                    100 * results.get(1).busy,
                    rate(results.get(2), gpus),
                    100 * results.get(2).busy,
                    1000 * gpus / rate(results.get(0), gpus) / 3600,
                    1000 * gpus / rate(results.get(2), gpus) / 3600);
        }
    }

    private static double rate(Result result, int gpus) {
        return 600.0 * gpus / result.seconds;
    }

    private static void sizes() {
        System.out.println();
        System.out.println(
                "| pictures a task | jobs of 10,000 | jobs of 100,000 | jobs of 10,000, one GPU in"
                        + " 20 half as fast | a tenth as fast | the same with speculation |");
        System.out.println("|---|---|---|---|---|---|");
        Faults even = Faults.ofEqual(12.5);
        Faults half = new Faults(20, 2, 12.5);
        Faults tenth = new Faults(20, 10, 12.5);
        for (int ofTask : new int[] {5, 10, 20, 50, 100, 200}) {
            System.out.printf(
                    Locale.ROOT,
                    "| %d | %.1f | %.1f | %.1f | %.1f | %.1f |%n",
                    ofTask,
                    rate(result(even, ofTask, 10_000, 100, false), 100),
                    rate(result(even, ofTask, 100_000, 100, false), 100),
                    rate(result(half, ofTask, 10_000, 100, false), 100),
                    rate(result(tenth, ofTask, 10_000, 100, false), 100),
                    rate(result(tenth, ofTask, 10_000, 100, true), 100));
        }
    }
}
