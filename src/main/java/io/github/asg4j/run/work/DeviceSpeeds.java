// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.work;

import io.github.asg4j.run.worker.DeviceLane;
import io.github.asg4j.run.worker.Worker;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * How fast the GPUs of an engine have been so far, in views through the denoiser per nanosecond: the
 * next picture is shared out by it. The bytes of a picture do not depend on who draws what. One
 * thread.
 */
public final class DeviceSpeeds {
    private final Map<DeviceLane, Measured> measured = new HashMap<>();

    private static final class Measured {
        long views;
        long nanos;
    }

    /** Adds what a picture took; workers on the CPU share its cores and are left out. */
    public void add(DeviceLane lane, Worker worker) {
        if (!worker.onHost() && worker.views() > 0 && worker.unetNanos() > 0) {
            Measured sum = measured.computeIfAbsent(lane, l -> new Measured());
            sum.views += worker.views();
            sum.nanos += worker.unetNanos();
        }
    }

    /** Returns the speed of each lane; all equal while one of them is unknown. */
    public double[] of(List<DeviceLane> lanes) {
        boolean known = measured.keySet().containsAll(lanes);
        return lanes.stream().mapToDouble(lane -> known ? speed(lane) : 1).toArray();
    }

    private double speed(DeviceLane lane) {
        Measured sum = measured.getOrDefault(lane, new Measured());
        return (double) sum.views / Math.max(1, sum.nanos);
    }
}
