// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.AsgException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.StringJoiner;

/**
 * What the workers of one request share: who owns which call, how far each call is, and whether the
 * work goes on. One monitor, no allocation while waiting. On the CPU the state of a call lives in
 * memory that all share at its last step boundary, so the calls of a lost worker are redone by the
 * others from there.
 */
final class Board {
    /** No unit left for this worker in this part of the work. */
    static final int PART_DONE = -1;

    private final List<Units> parts = new ArrayList<>();
    private final List<String> names;
    private final double[] speeds;
    private final @Nullable Throwable[] lost;
    private int alive;
    private int finished;
    private @Nullable AsgException failure;

    /** Whether a worker's thread has ended, and of its failure nothing could be told. */
    private boolean untold;

    /**
     * @param names of the workers
     * @param speeds views per unit of time of the workers
     */
    Board(List<String> names, double[] speeds) {
        this.names = List.copyOf(names);
        this.speeds = speeds.clone();
        this.lost = new Throwable[names.size()];
        this.alive = names.size();
    }

    /** Adds work; before the workers start on it. */
    synchronized void add(Units part) {
        parts.add(part);
        if (part.sharedOut()) {
            System.arraycopy(part.owners(speeds), 0, part.owner, 0, part.units());
        }
    }

    /** Before the workers that are left start on parts that were added. */
    synchronized void begin() {
        finished = lost.length - alive;
    }

    synchronized boolean isLost(Worker worker) {
        return lost[worker.index] != null;
    }

    /**
     * The unit that {@code worker} does next in {@code part}: of those it owns or may take and whose
     * inputs are there, the one furthest behind; of equals one that joins, which others may wait for.
     * Waits while there is none.
     *
     * @return the unit, or {@link #PART_DONE}
     */
    synchronized int next(Units part, Worker worker) {
        long start = System.nanoTime();
        try {
            while (true) {
                check();
                if (lost[worker.index] != null) {
                    throw new IllegalStateException("a lost worker asks for work");
                }
                int best = -1;
                boolean open = false;
                for (int unit = 0; unit < part.units(); unit++) {
                    if (part.done[unit] < part.total(unit)) {
                        open = true;
                        boolean may =
                                part.owner[unit] == worker.index
                                        || part.owner[unit] == Units.NOBODY;
                        if (may && goesFirst(part, unit, best) && part.ready(unit)) {
                            best = unit;
                        }
                    }
                }
                if (!open) {
                    return PART_DONE;
                }
                if (best >= 0) {
                    part.owner[best] = worker.index;
                    return best;
                }
                await();
            }
        } finally {
            worker.waitNanos += System.nanoTime() - start;
        }
    }

    private static boolean goesFirst(Units part, int unit, int best) {
        if (best < 0 || part.done[unit] != part.done[best]) {
            return best < 0 || part.done[unit] < part.done[best];
        }
        return part.joins(unit) && !part.joins(best);
    }

    /** {@code unit} has completed its step, or on a GPU enqueued it. */
    synchronized void complete(Units part, int unit) {
        part.done[unit]++;
        if (!part.sharedOut()) {
            part.owner[unit] = Units.NOBODY;
        }
        notifyAll();
    }

    /** Makes the guide of {@code step} visible to all. */
    synchronized void publishGuide(PatchRun stage, int step) {
        stage.guidesPublished = Math.max(stage.guidesPublished, step + 1);
        notifyAll();
    }

    /**
     * Waits for the guide of {@code step}.
     *
     * @return false if this worker has become the owner of the key patch meanwhile and has to
     *     compute the guide itself first
     */
    synchronized boolean awaitGuide(PatchRun stage, int step, Worker worker) {
        long start = System.nanoTime();
        try {
            while (stage.guidesPublished <= step) {
                check();
                if (stage.owner[PatchRun.KEY_CALL] == worker.index) {
                    return false;
                }
                await();
            }
            return true;
        } finally {
            worker.waitNanos += System.nanoTime() - start;
        }
    }

    /** Moves the units of a lost worker to the others; the request has failed when none is left. */
    synchronized void lose(Worker worker, Throwable cause) {
        lost[worker.index] = cause;
        alive--;
        if (alive == 0) {
            notifyAll(); // there is no heir
            return;
        }
        for (Units part : parts) {
            int heir = worker.index;
            for (int unit = 0; unit < part.units(); unit++) {
                if (part.owner[unit] == worker.index && !part.sharedOut()) {
                    part.owner[unit] = Units.NOBODY;
                } else if (part.owner[unit] == worker.index) {
                    do {
                        heir = (heir + 1) % lost.length;
                    } while (lost[heir] != null);
                    part.owner[unit] = heir;
                }
            }
        }
        notifyAll();
    }

    /** Ends the request; the first failure counts. */
    synchronized void fail(AsgException cause) {
        if (failure == null) {
            failure = cause;
        }
        notifyAll();
    }

    /** Whether {@code e} is what {@link #check} throws: another worker's, or the caller's. */
    synchronized boolean hasFailedWith(Throwable e) {
        return e == failure;
    }

    /**
     * A worker's thread has ended its part, in whatever way.
     *
     * @param told whether the board knows, if it failed; memory to tell it may have been wanting
     */
    synchronized void workerFinished(Worker worker, boolean told) {
        finished++;
        untold |= !told && lost[worker.index] == null;
        notifyAll();
    }

    synchronized boolean allFinished() {
        return finished == lost.length;
    }

    /** Devices lost on the way, for the report. */
    synchronized List<String> lostDevices() {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < lost.length; i++) {
            if (lost[i] != null) {
                names.add(this.names.get(i));
            }
        }
        return names;
    }

    /** Throws what ended the request, if something did. */
    synchronized void check() {
        if (failure == null && alive == 0) {
            failure = allLost();
        } else if (failure == null && untold) {
            failure = new DeviceException("a worker failed, and what with could not be told");
        }
        if (failure != null) {
            throw failure;
        }
    }

    private AsgException allLost() {
        StringJoiner reasons = new StringJoiner("; ");
        for (int i = 0; i < lost.length; i++) {
            reasons.add(names.get(i) + ": " + lost[i]);
        }
        return new DeviceException("all devices are lost: " + reasons, lost[lost.length - 1]);
    }

    /** Waits up to {@code millis} for any change; the caller looks again what has changed. */
    @SuppressWarnings("WaitNotInLoop") // every caller loops over its own condition
    synchronized void awaitChange(long millis) {
        try {
            wait(millis);
        } catch (InterruptedException e) {
            fail(new CancelledException("interrupted"));
        }
    }

    @SuppressWarnings("WaitNotInLoop") // every caller loops over its own condition
    private void await() {
        try {
            wait();
        } catch (InterruptedException e) {
            fail(new CancelledException("interrupted"));
        }
    }
}
