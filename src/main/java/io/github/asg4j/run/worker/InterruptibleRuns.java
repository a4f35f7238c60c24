// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.CancelledException;
import io.github.asg4j.ort.Binding;

import org.jspecify.annotations.Nullable;

/** Runs networks in one thread, until another one ends it. */
public final class InterruptibleRuns {
    private volatile @Nullable Binding running;
    private volatile boolean terminated;

    /**
     * @throws CancelledException it was ended before or meanwhile
     */
    public void run(Binding binding) {
        running = binding;
        try {
            if (terminated) {
                throw new CancelledException("the generation was cancelled");
            }
            binding.run();
        } finally {
            running = null;
        }
    }

    /** Ends a running call at its next node, and refuses all later ones. */
    public void terminate() {
        terminated = true;
        Binding binding = running;
        if (binding != null) {
            binding.terminate();
        }
    }
}
