// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import java.util.Arrays;

/** How units that stay with their worker are shared out at first. */
final class Shares {
    /** Speeds that differ by less are taken for equal: they are measured, and the turn is simpler. */
    private static final double NOTICEABLE = 1.05;

    private Shares() {}

    /**
     * In turn where all workers are equally fast. Else each unit goes to the worker that would have
     * done it first, the units before it done, so that all end at nearly the same time.
     *
     * @param views of each unit, 0 for one without
     * @param speeds views per unit of time, by worker
     * @return worker by unit
     */
    static int[] owners(int[] views, double[] speeds) {
        int[] owners = new int[views.length];
        double fastest = Arrays.stream(speeds).max().orElse(1);
        double slowest = Arrays.stream(speeds).min().orElse(1);
        if (fastest < slowest * NOTICEABLE) {
            Arrays.setAll(owners, unit -> unit % speeds.length);
            return owners;
        }
        double[] ends = new double[speeds.length];
        for (int unit = 0; unit < views.length; unit++) {
            int best = 0;
            for (int worker = 1; worker < speeds.length; worker++) {
                if (ends[worker] + views[unit] / speeds[worker]
                        < ends[best] + views[unit] / speeds[best]) {
                    best = worker;
                }
            }
            ends[best] += views[unit] / speeds[best];
            owners[unit] = best;
        }
        return owners;
    }
}
