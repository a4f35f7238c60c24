// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.run.worker.Worker;

import org.jspecify.annotations.Nullable;

/**
 * What each worker has for each call of a stage, made in its thread at its first use, so that the loop
 * allocates nothing.
 */
final class PerCall<T> {
    private final @Nullable Object[][] values;
    private final Maker<T> maker;

    /** Makes what a worker needs for a call. */
    interface Maker<T> {
        T make(Worker worker, int call);
    }

    /**
     * @param workers how many there are
     * @param calls how many the stage has
     */
    PerCall(int workers, int calls, Maker<T> maker) {
        values = new Object[workers][calls];
        this.maker = maker;
    }

    /** The worker's own for call {@code call}. */
    @SuppressWarnings("unchecked") // only what the maker makes is put in
    T of(Worker worker, int call) {
        T own = (T) values[worker.index()][call];
        if (own == null) {
            own = maker.make(worker, call);
            values[worker.index()][call] = own;
        }
        return own;
    }
}
