// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.run.worker.InterruptibleRuns;
import io.github.asg4j.run.worker.NetworkThread;
import io.github.asg4j.run.worker.Worker;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.Semaphore;

/**
 * A decode or an encode. Its units are the whole, or tiles, each taken by whoever is idle. A tile is
 * computed alone and from the same input whoever takes it, and what tiles have in common is put together
 * in their order: the result does not depend on the number of workers.
 */
public abstract class VaeRun extends TileUnits implements AutoCloseable {
    /** Freed with this object. */
    final Memory memory;

    private final Semaphore room;
    private volatile @Nullable OutOfMemoryException shortage;

    /**
     * @param atOnce units that may be carried out at the same time
     * @param memory is closed with this object
     */
    VaeRun(String name, int units, int atOnce, Memory memory) {
        super(name, units);
        this.memory = memory;
        room = new Semaphore(atOnce);
    }

    /** Carries out a unit with the networks of {@code worker}. */
    public abstract void carryOut(NetworkThread thread, int worker, int unit);

    /** What memory was missing for when it gave up; null: for nothing. */
    public final @Nullable OutOfMemoryException shortage() {
        return shortage;
    }

    /** Whether it gave up, for whatever reason: what is left of it is handed out and not done. */
    public boolean givenUp() {
        return shortage != null;
    }

    /**
     * Carries out all units in the calling thread.
     *
     * @param network runs the networks
     * @param worker whose networks they are
     */
    final void carryOut(InterruptibleRuns network, int worker) {
        NetworkThread thread =
                new NetworkThread() {
                    @Override
                    public void run(Binding binding) {
                        network.run(binding);
                    }

                    @Override
                    public MemorySegment hostFloats(long count, String label) {
                        return memory.floats(count, label);
                    }
                };
        for (int unit = 0; unit < units() && !givenUp(); unit++) {
            attempt(thread, worker, unit);
        }
    }

    private void attempt(NetworkThread thread, int worker, int unit) {
        try {
            carryOut(thread, worker, unit);
        } catch (OutOfMemoryException e) {
            shortage = e;
        }
    }

    @Override
    public final boolean execute(Worker worker, int unit, int step) {
        room.acquireUninterruptibly(); // those that have it are ended by a cancellation
        try {
            if (!givenUp()) {
                attempt(worker, worker.index(), unit);
            }
        } finally {
            room.release();
        }
        return true;
    }

    @Override
    public void close() {
        memory.close();
    }
}
