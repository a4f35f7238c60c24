// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.report;

import io.github.asg4j.GenerationListener;

import java.util.function.Consumer;

/** A request's listener: one that throws is logged once, not obeyed. */
public final class GuardedListener {
    private static final System.Logger LOG = System.getLogger(GuardedListener.class.getName());

    private final GenerationListener listener;
    private boolean threw;

    public GuardedListener(GenerationListener listener) {
        this.listener = listener;
    }

    /** Tells the listener something. */
    public void tell(Consumer<GenerationListener> call) {
        try {
            call.accept(listener);
        } catch (Throwable e) { // errors and, from other languages, checked exceptions too
            if (!threw) {
                threw = true;
                LOG.log(System.Logger.Level.WARNING, "a generation listener threw", e);
            }
        }
    }
}
