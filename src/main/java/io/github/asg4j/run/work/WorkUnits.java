// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.work;

import io.github.asg4j.run.worker.Worker;

import java.util.Arrays;

/**
 * Work cut into units, each of one or more steps, that the {@link WorkScheduler} hands to workers. It
 * says what a unit waits for and what its steps do; how far a unit is, and whose it is, only the
 * scheduler knows.
 */
public abstract class WorkUnits {
    /** Owner of a unit that whoever is idle may take. */
    public static final int NOBODY = -1;

    private final int count;

    protected WorkUnits(int count) {
        this.count = count;
    }

    /** Number of units. */
    public final int units() {
        return count;
    }

    /** Name in events and messages. */
    public abstract String name();

    /** Whether {@code unit} joins what others have computed. */
    public abstract boolean joins(int unit);

    /** Whether units belong to workers from the start; else whoever is idle takes the next step of one. */
    public abstract boolean sharedOut();

    /**
     * Who each unit belongs to at first: {@link #NOBODY} where they are not shared out.
     *
     * @param speeds views per unit of time, by worker
     * @return worker by unit
     */
    public int[] owners(double[] speeds) {
        int[] views = new int[count];
        if (!sharedOut()) {
            Arrays.fill(views, NOBODY);
            return views;
        }
        Arrays.setAll(views, this::views);
        return WorkSharing.inTurn(views, speeds);
    }

    /** Views that a step of {@code unit} sends through the network. */
    public abstract int views(int unit);

    /** Steps that {@code unit} has in all. */
    public abstract int total(int unit);

    /** Whether all that the next step of {@code unit} reads is there. */
    public abstract boolean ready(int unit, Progress progress);

    /**
     * Carries out one step of a unit.
     *
     * @return false if it has to be begun again, because this worker has work to do before
     */
    public abstract boolean execute(Worker worker, int unit, int step);
}
