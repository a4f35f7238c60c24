// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.run.worker.Worker;

import org.jspecify.annotations.Nullable;

import java.util.function.Function;

/**
 * What each worker has for itself, made in its thread at its first use, so that the loop allocates
 * nothing.
 */
final class PerWorker<T> {
    private final @Nullable Object[] values;
    private final Function<Worker, T> make;

    /**
     * @param workers how many there are
     */
    PerWorker(int workers, Function<Worker, T> make) {
        values = new Object[workers];
        this.make = make;
    }

    /** The worker's own. */
    @SuppressWarnings("unchecked") // only what make gives is put in
    T of(Worker worker) {
        T own = (T) values[worker.index()];
        if (own == null) {
            own = make.apply(worker);
            values[worker.index()] = own;
        }
        return own;
    }
}
