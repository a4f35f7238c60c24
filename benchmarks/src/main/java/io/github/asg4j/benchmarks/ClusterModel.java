// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.PriorityQueue;
import java.util.Random;

/**
 * A discrete-event model of many pictures on G executors with a device each, as {@code DrawTable} draws
 * them: a job publishes its pictures at its end and is cut into tasks, whoever is idle takes the next
 * task, an executor that fails loses its task and starts anew, and near the end of a job a task that takes
 * long may be drawn twice. Where {@link DeviceModel} spreads one picture over devices, this one gives each
 * device pictures of its own.
 *
 * <p>{@code ClusterModel} prints the tables of NOTES.md; {@code ClusterModel PICTURES TASK JOB EXECUTORS
 * PICTURE START TASK_OVERHEAD JOB_OVERHEAD} predicts the seconds of one run.
 */
final class ClusterModel {
    /**
     * What happens, seconds.
     *
     * @param pictures seconds of a picture as measured; each is one of these by chance
     * @param start from the loss of an executor, or the beginning, to its first picture
     * @param task around each task: its start, its file
     * @param job around each job, in which all wait: planning, publishing
     * @param slow of how many executors one takes twice as long; 0: none does
     * @param failures expected number in an hour, of all executors together
     * @param speculation whether idle executors draw once more what others still draw
     */
    record Setting(
            double[] pictures,
            double start,
            double task,
            double job,
            int slow,
            double failures,
            boolean speculation) {}

    /**
     * What the model says.
     *
     * @param seconds of all jobs
     * @param busy share of the executors' time in which they drew pictures that counted
     * @param failures that happened
     */
    record Result(double seconds, double busy, int failures) {}

    private final Setting setting;
    private final Random random;
    private final double[] freeAt;
    private double now;
    private double nextFailure;
    private double useful;
    private int failures;

    /** Of an executor: its time for a picture, in those of most. */
    private double factor(int executor) {
        return setting.slow > 0 && executor % setting.slow == setting.slow - 1 ? 2 : 1;
    }

    private record Attempt(int task, int executor, double end, double draws) {}

    private ClusterModel(Setting setting, int executors, long seed) {
        this.setting = setting;
        random = new Random(seed);
        freeAt = new double[executors];
        Arrays.fill(freeAt, setting.start);
        nextFailure = failure(0);
    }

    private double failure(double after) {
        double rate = setting.failures / 3600;
        return rate == 0
                ? Double.POSITIVE_INFINITY
                : after - Math.log(1 - random.nextDouble()) / rate;
    }

    static Result run(
            Setting setting, int pictures, int ofTask, int ofJob, int executors, long seed) {
        ClusterModel model = new ClusterModel(setting, executors, seed);
        for (int left = pictures; left > 0; left -= ofJob) {
            model.job(Math.min(left, ofJob), ofTask);
        }
        return new Result(model.now, model.useful / (model.now * executors), model.failures);
    }

    /** Draws a job's tasks, each at last once. */
    private void job(int pictures, int ofTask) {
        now += setting.job;
        Deque<Integer> waiting = new ArrayDeque<>();
        int tasks = Math.ceilDiv(pictures, ofTask);
        double[] draws = new double[tasks];
        for (int t = 0; t < tasks; t++) {
            waiting.add(t);
            for (int p = t * ofTask; p < Math.min(pictures, (t + 1) * ofTask); p++) {
                draws[t] += setting.pictures[random.nextInt(setting.pictures.length)];
            }
        }
        boolean[] done = new boolean[tasks];
        int left = tasks;
        PriorityQueue<Attempt> running =
                new PriorityQueue<>(Comparator.comparingDouble(Attempt::end));
        PriorityQueue<Integer> idle =
                new PriorityQueue<>(Comparator.comparingDouble((Integer e) -> freeAt[e]));
        for (int e = 0; e < freeAt.length; e++) {
            freeAt[e] = Math.max(freeAt[e], now);
            idle.add(e);
        }
        while (left > 0) {
            assign(waiting, running, idle, draws);
            Attempt next = running.peek();
            if (nextFailure < next.end) {
                fail(waiting, running, idle, done);
                continue;
            }
            running.poll();
            now = next.end;
            freeAt[next.executor] = now;
            idle.add(next.executor);
            if (!done[next.task]) {
                done[next.task] = true;
                left--;
                useful += next.draws;
                if (setting.speculation) {
                    killOthers(next.task, running, idle);
                }
            }
        }
    }

    private void killOthers(int task, PriorityQueue<Attempt> running, PriorityQueue<Integer> idle) {
        for (Attempt other : List.copyOf(running)) {
            if (other.task == task) {
                running.remove(other);
                freeAt[other.executor] = now;
                idle.add(other.executor);
            }
        }
    }

    private void assign(
            Deque<Integer> waiting,
            PriorityQueue<Attempt> running,
            PriorityQueue<Integer> idle,
            double[] draws) {
        while (!idle.isEmpty()) {
            Integer task = waiting.poll();
            if (task == null) {
                task = setting.speculation ? overtaken(running, draws) : null;
                if (task == null) {
                    return;
                }
            }
            int executor = idle.poll();
            double begin = Math.max(now, freeAt[executor]);
            running.add(
                    new Attempt(
                            task,
                            executor,
                            begin + setting.task + factor(executor) * draws[task],
                            factor(executor) * draws[task]));
        }
    }

    /** A task that one executor draws, and another that begins now would end sooner. */
    private Integer overtaken(PriorityQueue<Attempt> running, double[] draws) {
        for (Attempt attempt : running) {
            boolean alone =
                    running.stream().filter(other -> other.task == attempt.task).count() == 1;
            if (alone && attempt.end > now + setting.task + draws[attempt.task]) {
                return attempt.task;
            }
        }
        return null;
    }

    /** An executor ends: its task waits again, unless another attempt at it goes on. */
    private void fail(
            Deque<Integer> waiting,
            PriorityQueue<Attempt> running,
            PriorityQueue<Integer> idle,
            boolean[] done) {
        double at = nextFailure;
        nextFailure = failure(at);
        failures++;
        int executor = random.nextInt(freeAt.length);
        for (Attempt attempt : List.copyOf(running)) {
            if (attempt.executor == executor) {
                running.remove(attempt);
                if (!done[attempt.task]
                        && running.stream().noneMatch(other -> other.task == attempt.task)) {
                    waiting.addFirst(attempt.task);
                }
            }
        }
        idle.remove(executor);
        now = Math.max(now, at);
        freeAt[executor] = at + setting.start;
        idle.add(executor);
    }

    public static void main(String[] arguments) {
        if (arguments.length > 0) {
            double[] a = Arrays.stream(arguments).mapToDouble(Double::parseDouble).toArray();
            Setting setting = new Setting(new double[] {a[4]}, a[5], a[6], a[7], 0, 0, false);
            Result result = run(setting, (int) a[0], (int) a[1], (int) a[2], (int) a[3], 1);
            System.out.printf(Locale.ROOT, "%.1f s%n", result.seconds);
            return;
        }
        scale();
        sizes();
    }

    /** Pictures of some spread about a mean of so many seconds, as those of rows of several sizes are. */
    private static double[] pictures(double mean) {
        return new double[] {
            0.6 * mean, 0.8 * mean, 0.8 * mean, mean, mean, 1.2 * mean, 1.6 * mean
        };
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
                results.add(
                        median(
                                new Setting(pictures(6.2), 90, 1, 20, 0, failures, false),
                                50,
                                200 * gpus,
                                gpus));
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
                "| pictures a task | 100 GPUs, jobs of 10,000 | jobs of 100,000 | jobs of 10,000,"
                        + " one GPU in 20 half as fast | the same with speculation |");
        System.out.println("|---|---|---|---|---|");
        for (int ofTask : new int[] {5, 10, 20, 50, 100, 200}) {
            Setting plain = new Setting(pictures(6.2), 90, 1, 20, 0, 12.5, false);
            Setting uneven = new Setting(pictures(6.2), 90, 1, 20, 20, 12.5, false);
            Setting speculative = new Setting(pictures(6.2), 90, 1, 20, 20, 12.5, true);
            System.out.printf(
                    Locale.ROOT,
                    "| %d | %.1f | %.1f | %.1f | %.1f |%n",
                    ofTask,
                    rate(median(plain, ofTask, 10_000, 100), 100),
                    rate(median(plain, ofTask, 100_000, 100), 100),
                    rate(median(uneven, ofTask, 10_000, 100), 100),
                    rate(median(speculative, ofTask, 10_000, 100), 100));
        }
    }

    /** The middle of five runs by their seconds, of 600 pictures for each GPU. */
    private static Result median(Setting setting, int ofTask, int ofJob, int gpus) {
        List<Result> results = new ArrayList<>();
        for (int seed = 0; seed < 5; seed++) {
            results.add(run(setting, 600 * gpus, ofTask, ofJob, gpus, seed));
        }
        results.sort(Comparator.comparingDouble(Result::seconds));
        return results.get(2);
    }
}
