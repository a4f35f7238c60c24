// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.work;

import io.github.asg4j.AsgException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.run.worker.Worker;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.StringJoiner;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * What the workers of one request share: who owns which call, how far each call is, and whether the
 * work goes on. One monitor, no allocation while waiting. On the CPU the state of a call lives in
 * memory that all share at its last step boundary, so the calls of a lost worker are redone by the
 * others from there.
 */
public final class WorkScheduler {
    /** No unit left for this worker in this part of the work. */
    public static final int PART_DONE = -1;

    private final IdentityHashMap<WorkUnits, Part> parts = new IdentityHashMap<>();
    private final List<String> names;
    private final double[] speeds;
    private final @Nullable Throwable[] lost;
    private int alive;
    private int finished;
    private long changes;
    private @Nullable AsgException failure;

    /** Whether a worker's thread has ended, and of its failure nothing could be told. */
    private boolean untold;

    /**
     * @param names of the workers
     * @param speeds views per unit of time of the workers
     */
    public WorkScheduler(List<String> names, double[] speeds) {
        this.names = List.copyOf(names);
        this.speeds = speeds.clone();
        this.lost = new Throwable[names.size()];
        this.alive = names.size();
    }

    /** How far the units of some work are, and whose they are; all of it under the monitor. */
    private static final class Part implements Progress {
        final WorkUnits units;

        /** Completed steps by unit. */
        final int[] done;

        /** Worker by unit. */
        final int[] owner;

        Part(WorkUnits units, int[] owner) {
            this.units = units;
            this.owner = owner;
            done = new int[units.units()];
        }

        @Override
        public int completed(int unit) {
            return done[unit];
        }
    }

    /** Adds work; before the workers start on it. What would be a lost worker's is another's at once. */
    public synchronized void add(WorkUnits units) {
        Part part = new Part(units, units.owners(speeds));
        for (int worker = 0; worker < lost.length; worker++) {
            if (lost[worker] != null && alive > 0) {
                inherit(part, worker);
            }
        }
        parts.put(units, part);
    }

    private Part part(WorkUnits units) {
        Part part = parts.get(units);
        if (part == null) {
            throw new IllegalStateException(units.name() + " was not added");
        }
        return part;
    }

    /** Looks at how far some work is: {@code look} is called once, and nothing moves meanwhile. */
    public synchronized <T> T look(WorkUnits units, Function<Progress, T> look) {
        return look.apply(part(units));
    }

    /** The same for what acts on it, such as asking for a preview of a step that none has begun. */
    public synchronized void request(WorkUnits units, Consumer<Progress> action) {
        action.accept(part(units));
    }

    /** A publication that nothing was published of yet. */
    public Publication newPublication() {
        return new Publication();
    }

    /**
     * Results that one unit makes step by step and other units read: those of all steps up to some
     * one are there.
     */
    public final class Publication {
        private int published;

        private Publication() {}

        /** Makes the result of {@code step}, and with it all before, visible to all workers. */
        public void publish(int step) {
            synchronized (WorkScheduler.this) {
                published = Math.max(published, step + 1);
                changed();
            }
        }

        /**
         * Waits for the result of {@code step}.
         *
         * @param units with {@code unit}, which publishes
         * @return false if the waiting worker has become the owner of that unit meanwhile and has to
         *     compute the result itself first
         */
        public boolean await(int step, WorkUnits units, int unit, Worker worker) {
            synchronized (WorkScheduler.this) {
                Part part = part(units);
                worker.beginWait();
                try {
                    while (published <= step) {
                        check();
                        if (part.owner[unit] == worker.index()) {
                            return false;
                        }
                        WorkScheduler.this.await();
                    }
                    return true;
                } finally {
                    worker.endWait();
                }
            }
        }
    }

    /** Before the workers that are left start on parts that were added. */
    public synchronized void begin() {
        finished = lost.length - alive;
    }

    public synchronized boolean isLost(Worker worker) {
        return lost[worker.index()] != null;
    }

    /**
     * The unit that {@code worker} does next in {@code part}: of those it owns or may take and whose
     * inputs are there, the one furthest behind; of equals one that joins, which others may wait for.
     * Waits while there is none.
     *
     * @return the unit, or {@link #PART_DONE}
     */
    public synchronized int next(WorkUnits units, Worker worker) {
        Part part = part(units);
        worker.beginWait();
        try {
            while (true) {
                check();
                if (lost[worker.index()] != null) {
                    throw new IllegalStateException("a lost worker asks for work");
                }
                int best = -1;
                boolean open = false;
                for (int unit = 0; unit < part.done.length; unit++) {
                    if (part.done[unit] < units.total(unit)) {
                        open = true;
                        boolean may =
                                part.owner[unit] == worker.index()
                                        || part.owner[unit] == WorkUnits.NOBODY;
                        if (may && goesFirst(part, unit, best) && units.ready(unit, part)) {
                            best = unit;
                        }
                    }
                }
                if (!open) {
                    return PART_DONE;
                }
                if (best >= 0) {
                    part.owner[best] = worker.index();
                    return best;
                }
                await();
            }
        } finally {
            worker.endWait();
        }
    }

    private static boolean goesFirst(Part part, int unit, int best) {
        if (best < 0 || part.done[unit] != part.done[best]) {
            return best < 0 || part.done[unit] < part.done[best];
        }
        return part.units.joins(unit) && !part.units.joins(best);
    }

    /** Steps that a unit has completed: the number of the one that it makes next. */
    public synchronized int completed(WorkUnits units, int unit) {
        return part(units).done[unit];
    }

    /** {@code unit} has completed its step, or on a GPU enqueued it. */
    public synchronized void complete(WorkUnits units, int unit) {
        Part part = part(units);
        part.done[unit]++;
        if (!units.sharedOut()) {
            part.owner[unit] = WorkUnits.NOBODY;
        }
        changed();
    }

    /** Moves the units of a lost worker to the others; the request has failed when none is left. */
    public synchronized void lose(Worker worker, Throwable cause) {
        lost[worker.index()] = cause;
        alive--;
        if (alive == 0) {
            changed(); // there is no heir
            return;
        }
        for (Part part : parts.values()) {
            inherit(part, worker.index());
        }
        changed();
    }

    /** Gives the units of a lost worker to the others in turn. */
    private void inherit(Part part, int worker) {
        int heir = worker;
        for (int unit = 0; unit < part.done.length; unit++) {
            if (part.owner[unit] == worker && !part.units.sharedOut()) {
                part.owner[unit] = WorkUnits.NOBODY;
            } else if (part.owner[unit] == worker) {
                do {
                    heir = (heir + 1) % lost.length;
                } while (lost[heir] != null);
                part.owner[unit] = heir;
            }
        }
    }

    /** Ends the request; the first failure counts. */
    public synchronized void fail(AsgException cause) {
        if (failure == null) {
            failure = cause;
        }
        changed();
    }

    /** Whether {@code e} is what {@link #check} throws: another worker's, or the caller's. */
    public synchronized boolean hasFailedWith(Throwable e) {
        return e == failure;
    }

    /**
     * A worker's thread has ended its part, in whatever way.
     *
     * @param told whether the board knows, if it failed; memory to tell it may have been wanting
     */
    public synchronized void workerFinished(Worker worker, boolean told) {
        finished++;
        untold |= !told && lost[worker.index()] == null;
        changed();
    }

    public synchronized boolean allFinished() {
        return finished == lost.length;
    }

    /** Devices lost on the way, for the report. */
    public synchronized List<String> lostDevices() {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < lost.length; i++) {
            if (lost[i] != null) {
                names.add(this.names.get(i));
            }
        }
        return names;
    }

    /** Throws what ended the request, if something did. */
    public synchronized void check() {
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

    private void changed() {
        changes++;
        notifyAll();
    }

    /**
     * Waits up to {@code millis} for a change that the caller has not seen yet, such as one that came after
     * it had last looked; the caller looks again what has changed.
     *
     * @param seen what this returned to the caller last; 0 at first
     * @return how many changes there were
     */
    @SuppressWarnings("WaitNotInLoop") // every caller loops over its own condition
    public synchronized long awaitChange(long seen, long millis) {
        try {
            if (changes == seen) {
                wait(millis);
            }
        } catch (InterruptedException e) {
            fail(new CancelledException("interrupted"));
        }
        return changes;
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
