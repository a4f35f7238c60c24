// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.work;

/**
 * How far the units of some work are. Handed out by the {@link WorkScheduler} for the length of one
 * call under its lock: who holds one may read it, and is not to keep it.
 */
@FunctionalInterface
public interface Progress {
    /** Steps that a unit has completed. */
    int completed(int unit);
}
