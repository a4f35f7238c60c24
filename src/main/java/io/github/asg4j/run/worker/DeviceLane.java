// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.DeviceException;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.device.Queue;
import io.github.asg4j.kernel.Kernels;

import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;

/**
 * What one worker of an engine works with, request after request.
 *
 * @param name in reports and messages
 * @param queue the worker's work; its thread's alone
 * @param side another queue to the same memory, for the thread that a request is drawn by
 * @param kernels on {@code queue}
 * @param memoryLimit bytes of the device that a request may take
 * @param thread executes the worker's part of a request
 * @param sideThread beside it what else a request does on the device
 * @param busyNanos time that it has worked since the engine was opened
 */
public record DeviceLane(
        String name,
        Queue queue,
        Queue side,
        Kernels kernels,
        long memoryLimit,
        ExecutorService thread,
        ExecutorService sideThread,
        AtomicLong busyNanos) {
    /** Whether what it works with is a GPU. */
    public boolean onGpu() {
        return queue instanceof CudaStream;
    }

    /** Whether its GPU is lost, after what failed there. */
    public boolean isLost(Throwable failure) {
        return (failure instanceof DeviceException e && e.lost())
                || (queue instanceof CudaStream stream && !stream.device().isAlive());
    }

    /** Does the work in the worker's thread, on its device, and waits for it, interrupted or not. */
    public <T> T call(Supplier<T> work) {
        return call(thread, work);
    }

    /**
     * The same in the side thread, which does not wait for the worker: that may be at a part of a
     * request that takes long.
     */
    public <T> T callBeside(Supplier<T> work) {
        return call(sideThread, work);
    }

    private <T> T call(ExecutorService thread, Supplier<T> work) {
        Future<T> done =
                thread.submit(
                        () -> {
                            queue.enter();
                            return work.get();
                        });
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    return done.get();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } catch (ExecutionException e) {
            Throwable cause = e.getCause();
            if (cause instanceof RuntimeException unchecked) {
                throw unchecked;
            }
            if (cause instanceof Error error) {
                throw error;
            }
            throw new AssertionError("a supplier throws no checked exception", cause);
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
