// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Ctrl-C while a command works: cancels it and gives it time to end, to delete its
 * temporary file and to say so, then lets the process go (with exit code 130, which the JVM sets).
 * From creation to {@link #close()}. A command that says nothing of how to cancel it ends at once.
 */
final class Interruption implements AutoCloseable {
    /** People press Ctrl-C again if nothing happens. */
    private static final long WAIT_SECONDS = 2;

    private final CountDownLatch ended = new CountDownLatch(1);
    private final Thread hook = new Thread(this::interrupt, "asg-interrupted");
    private @Nullable Runnable cancel;
    private boolean requested;

    Interruption() {
        Runtime.getRuntime().addShutdownHook(hook);
    }

    /** How to cancel what is done; at once if the interruption came before. */
    synchronized void watch(Runnable action) {
        cancel = action;
        if (requested) {
            action.run();
        }
    }

    synchronized boolean requested() {
        return requested;
    }

    private void interrupt() {
        synchronized (this) {
            requested = true;
            if (cancel == null) {
                return;
            }
            cancel.run();
        }
        try {
            // Nothing to do if time runs out: the process ends in any case.
            boolean inTime = ended.await(WAIT_SECONDS, TimeUnit.SECONDS);
            if (!inTime) {
                System.err.println("asg: leaving while a UNet call is still running");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** The work has ended, its files are in order and all is said. */
    @Override
    public void close() {
        ended.countDown();
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            // The process is on its way out: the hook is what waits for us.
        }
    }
}
