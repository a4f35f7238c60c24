// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.kernel.JavaKernels;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;

/** Threads of workers. */
class FleetTest {
    /** Else who waits for work that has not begun waits for ever. */
    @Test
    void closingDoesAllWorkInterruptedOrNot() throws Exception {
        Fleet fleet = Fleet.ofCpu(List.of("cpu"), 1, null, false, new JavaKernels());
        DeviceLane lane = fleet.lanes().getFirst();
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        CompletableFuture<Thread> second = new CompletableFuture<>();
        ExecutorService threads = Executors.newThreadPerTaskExecutor(daemons());
        Future<Boolean> running =
                threads.submit(
                        () ->
                                lane.call(
                                        () -> {
                                            begun.countDown();
                                            return await(release);
                                        }));
        assertTrue(begun.await(60, TimeUnit.SECONDS));
        Future<String> waiting =
                threads.submit(
                        () -> {
                            second.complete(Thread.currentThread());
                            return lane.call(() -> "done");
                        });
        awaitWaiting(second.get(60, TimeUnit.SECONDS));
        CompletableFuture<Thread> closer = new CompletableFuture<>();
        Future<Boolean> closing =
                threads.submit(
                        () -> {
                            closer.complete(Thread.currentThread());
                            Thread.currentThread().interrupt();
                            fleet.close();
                            return Thread.interrupted();
                        });
        awaitWaiting(closer.get(60, TimeUnit.SECONDS));
        release.countDown();
        assertTrue(running.get(60, TimeUnit.SECONDS), "it was interrupted");
        assertEquals("done", waiting.get(60, TimeUnit.SECONDS));
        assertTrue(closing.get(60, TimeUnit.SECONDS), "the interruption was kept from the caller");
    }

    private static ThreadFactory daemons() {
        return Thread.ofPlatform().daemon().factory();
    }

    private static void awaitWaiting(Thread thread) {
        while (thread.getState() != Thread.State.WAITING
                && thread.getState() != Thread.State.TIMED_WAITING) {
            Thread.onSpinWait();
        }
    }

    private static boolean await(CountDownLatch latch) {
        try {
            return latch.await(60, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            return false;
        }
    }
}
