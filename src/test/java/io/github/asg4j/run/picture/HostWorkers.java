// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.device.HostQueue;
import io.github.asg4j.kernel.JavaKernels;
import io.github.asg4j.run.worker.DeviceLane;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.WorkerHook;

import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;

/** CPU workers, whose work the test's thread does. */
final class HostWorkers implements AutoCloseable {
    private final Worker[] workers;

    HostWorkers(int count) {
        workers = new Worker[count];
        for (int i = 0; i < count; i++) {
            ExecutorService unused = ForkJoinPool.commonPool();
            workers[i] = new Worker(i, count, lane("cpu#" + i, unused), WorkerHook.NONE, null);
        }
    }

    /** A lane of the host. */
    static DeviceLane lane(String name, ExecutorService threads) {
        HostQueue queue = HostQueue.INSTANCE;
        return new DeviceLane(
                name, queue, queue, new JavaKernels(), 0, threads, threads, new AtomicLong());
    }

    Worker get(int worker) {
        return workers[worker];
    }

    /** Carries out all units, each by any worker as soon as it may be, in an order by chance. */
    static void inAnyOrder(VaeRun run, int count) {
        Random random = new Random(count);
        try (HostWorkers workers = new HostWorkers(count)) {
            int[] done = new int[run.units()];
            for (int left = run.units(); left > 0; left--) {
                List<Integer> open =
                        IntStream.range(0, run.units())
                                .filter(unit -> done[unit] == 0 && run.ready(unit, i -> done[i]))
                                .boxed()
                                .toList();
                int unit = open.get(random.nextInt(open.size()));
                assertTrue(run.execute(workers.get(random.nextInt(count)), unit, 0));
                done[unit] = 1;
            }
        }
    }

    @Override
    public void close() {
        for (Worker worker : workers) {
            worker.close();
        }
    }
}
