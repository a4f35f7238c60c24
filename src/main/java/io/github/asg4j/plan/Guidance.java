// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

/**
 * Classifier-free guidance of a stage. The steps that have it follow each other, since noise falls
 * within a stage; in all others the network is asked for the conditional row alone.
 *
 * @param scale at least 1; 1 is none
 * @param first step of the stage that has it
 * @param end behind the last such step; may be behind the stage's last
 */
public record Guidance(double scale, int first, int end) {
    /** Guidance in all steps. */
    public static Guidance always(double scale) {
        return new Guidance(scale, 0, Integer.MAX_VALUE);
    }

    /** The same in steps {@code from} to {@code to}, the latter excluded. */
    Guidance during(int from, int to) {
        return new Guidance(scale, from, to);
    }

    /** Whether step {@code k} of the stage has it. */
    public boolean holds(int k) {
        return k >= first && k < end;
    }

    /** How many of the first {@code steps} steps have it. */
    int count(int steps) {
        return Math.max(0, Math.min(end, steps) - first);
    }
}
