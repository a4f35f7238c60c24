// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import java.util.Arrays;

/**
 * Work cut into units, each of one or more steps, that the {@link Board} hands to workers. {@code
 * done} and {@code owner} belong to the board's monitor.
 */
abstract class Units {
    /** Owner of a unit that whoever is idle may take. */
    static final int NOBODY = -1;

    /** Completed steps by unit. */
    final int[] done;

    /** Worker by unit. */
    final int[] owner;

    Units(int count) {
        done = new int[count];
        owner = new int[count];
        Arrays.fill(owner, NOBODY);
    }

    final int units() {
        return done.length;
    }

    /** In events and messages. */
    abstract String name();

    /** Whether {@code unit} joins what others have computed. */
    abstract boolean joins(int unit);

    /** Whether units belong to workers from the start; else whoever is idle takes the next step of one. */
    abstract boolean sharedOut();

    /**
     * Who each unit belongs to where they are shared out.
     *
     * @param speeds views per unit of time, by worker
     * @return worker by unit
     */
    int[] owners(double[] speeds) {
        int[] views = new int[units()];
        Arrays.setAll(views, this::views);
        return Shares.inTurn(views, speeds);
    }

    /** Views that a step of {@code unit} sends through the network. */
    abstract int views(int unit);

    /** Steps that {@code unit} has in all. */
    abstract int total(int unit);

    /** Whether all that the next step of {@code unit} reads is there; under the board's lock. */
    abstract boolean ready(int unit);

    /**
     * Carries out one step of a unit.
     *
     * @return false if it has to be begun again, because this worker has work to do before
     */
    abstract boolean execute(Worker worker, int unit, int step);
}
