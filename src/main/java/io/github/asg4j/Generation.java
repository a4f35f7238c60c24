// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.concurrent.CompletableFuture;

/** A request on its way. Thread-safe. */
public interface Generation {
    /**
     * Completes with the picture, or exceptionally with an {@link AsgException}. Cancelling the
     * future does not cancel the work: use {@link #cancel()}.
     */
    CompletableFuture<GeneratedImage> future();

    /**
     * Ends the work within one UNet call; the future then fails with CancelledException. A request that
     * still waits ends at once: its future has failed when this returns, and its place in the queue is
     * free.
     */
    void cancel();

    /** Waits for the picture and throws the {@link AsgException} of a failed generation itself. */
    GeneratedImage join();
}
