// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.work;

import java.util.Arrays;

/** How units that stay with their worker are shared out at first. */
public final class WorkSharing {
    /** Speeds that differ by less are taken for equal: they are measured, and the turn is simpler. */
    private static final double NOTICEABLE = 1.05;

    private WorkSharing() {}

    /**
     * In turn where all workers are equally fast. Else each unit goes to the worker that would have
     * done it first, the units before it done, so that all end at nearly the same time.
     *
     * @param views of each unit, 0 for one without
     * @param speeds views per unit of time, by worker
     * @return worker by unit
     */
    public static int[] inTurn(int[] views, double[] speeds) {
        int[] owners = new int[views.length];
        if (alike(speeds)) {
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

    /**
     * Neighbouring units to one worker, as many views as it has of the speed of all.
     *
     * @param views of each unit
     * @param speeds views per unit of time, by worker
     * @return worker by unit, ascending
     */
    public static int[] blocks(int[] views, double[] speeds) {
        boolean alike = alike(speeds);
        double speed = alike ? speeds.length : Arrays.stream(speeds).sum();
        double all = Arrays.stream(views).sum();
        int[] owners = new int[views.length];
        int worker = 0;
        double end = 0; // of this worker's block, as a share of all
        double before = 0;
        for (int unit = 0; unit < views.length; unit++) {
            double middle = (before + views[unit] / 2.0) / all;
            while (worker < speeds.length - 1
                    && middle >= end + share(alike, speeds, worker) / speed) {
                end += share(alike, speeds, worker) / speed;
                worker++;
            }
            owners[unit] = worker;
            before += views[unit];
        }
        return owners;
    }

    private static double share(boolean alike, double[] speeds, int worker) {
        return alike ? 1 : speeds[worker];
    }

    private static boolean alike(double[] speeds) {
        double fastest = Arrays.stream(speeds).max().orElse(1);
        double slowest = Arrays.stream(speeds).min().orElse(1);
        return fastest < slowest * NOTICEABLE;
    }
}
