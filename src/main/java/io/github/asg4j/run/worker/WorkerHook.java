// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

/**
 * Called by a worker's thread before each step of a unit: the place where tests delay, block or
 * lose a worker. What it throws counts as the loss of that device.
 */
@FunctionalInterface
public interface WorkerHook {
    WorkerHook NONE =
            new WorkerHook() {
                @Override
                public void before(Point point) {}

                @Override
                public boolean enabled() {
                    return false;
                }
            };

    void before(Point point);

    /** Whether {@link #before} is called at all. */
    default boolean enabled() {
        return true;
    }

    /**
     * Where a worker stands.
     *
     * @param worker index of the worker
     * @param stage name of the stage, as in events
     * @param unit index of the call, or of the tile; behind a stage's calls are the units that join them
     * @param joins whether the unit joins calls: the stage switch, or a step of the canvas or a strip of it
     * @param step step within the stage
     * @param spoil overwrites all memory the worker owns with NaN, as a lost device would
     */
    record Point(int worker, String stage, int unit, boolean joins, int step, Runnable spoil) {}
}
