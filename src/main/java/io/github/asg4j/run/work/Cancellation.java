// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.work;

import io.github.asg4j.CancelledException;

import org.jspecify.annotations.Nullable;

import java.util.concurrent.atomic.AtomicBoolean;

/** The way to end a running request from another thread. Thread-safe. */
public final class Cancellation {
    private final AtomicBoolean cancelled = new AtomicBoolean();
    private volatile @Nullable Runnable action;

    /** Ends the request, now or as soon as it begins. */
    public void cancel() {
        cancelled.set(true);
        Runnable a = action;
        if (a != null) {
            a.run();
        }
    }

    /**
     * Ends the caller's work once the request was cancelled.
     *
     * @throws CancelledException it was
     */
    public void check() {
        if (cancelled.get()) {
            throw new CancelledException("the generation was cancelled");
        }
    }

    /** Says what {@link #cancel} does from now on; null: it only leaves its mark. */
    void onCancel(@Nullable Runnable a) {
        action = a;
        if (a != null && cancelled.get()) {
            a.run();
        }
    }
}
