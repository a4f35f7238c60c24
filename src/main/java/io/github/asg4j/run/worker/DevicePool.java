// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.AsgException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.device.CudaStream;

import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import java.util.function.Supplier;

/**
 * The device lanes of an engine: those that still work, and the front, the one that has the text
 * encoders and the VAE. For the thread that requests are drawn by; {@link #lose} from any thread.
 */
public final class DevicePool {
    private final List<DeviceLane> lanes;

    /** GPUs that failed, and how: they are not used again. */
    private final Map<DeviceLane, String> lost = Collections.synchronizedMap(new LinkedHashMap<>());

    private int front;

    /**
     * @param lanes one per worker of the engine
     */
    public DevicePool(List<DeviceLane> lanes) {
        this.lanes = List.copyOf(lanes);
    }

    /** Lanes that are not lost: the workers of the next request. */
    public List<DeviceLane> working() {
        return lanes.stream().filter(lane -> !lost.containsKey(lane)).toList();
    }

    /** Number of a lane in the engine, by which the networks on its device are found. */
    public int indexOf(DeviceLane lane) {
        return lanes.indexOf(lane);
    }

    /** Names of the GPUs that are lost. */
    public List<String> lostNames() {
        synchronized (lost) { // which its own views leave to their readers
            return lost.keySet().stream().map(DeviceLane::name).toList();
        }
    }

    /** Number of lanes that are lost. */
    public int lostCount() {
        return lost.size();
    }

    /**
     * Checks that a lane is left.
     *
     * @throws DeviceException all are lost
     */
    public void requireOne() {
        if (lost.size() == lanes.size()) {
            Collection<String> reasons = lost.values();
            throw DeviceException.lost("all devices are lost: " + reasons, null);
        }
    }

    /** Takes a lane out of use for good. */
    public void lose(DeviceLane lane, String reason) {
        lost.putIfAbsent(lane, reason);
    }

    /** The lane that has the text encoders and the VAE. */
    public DeviceLane front() {
        return lanes.get(front);
    }

    /** Takes GPUs out of use that do not answer any more, after a failure that none was blamed for. */
    public void loseDead(DeviceException failure) {
        for (DeviceLane lane : working()) {
            if (lane.queue() instanceof CudaStream stream && !stream.device().isAlive()) {
                lose(lane, lostMessage(lane, failure));
            }
        }
    }

    /**
     * Chooses another front if the device of this one is lost.
     *
     * @param move brings the networks to the lane of this number; called in the new front's thread
     */
    public void leaveLostFront(IntConsumer move) {
        if (lost.containsKey(front())) {
            front = lanes.indexOf(working().getFirst());
            onFront(
                    () -> {
                        move.accept(front);
                        return front;
                    });
        }
    }

    /**
     * What a request does on the front beside the workers' part, which may show that its device is
     * lost. In a thread of the device's, as CUDA keeps a thread's last error whatever device it was of.
     */
    public <T> T onFront(Supplier<T> work) {
        DeviceLane lane = front();
        if (!lane.onGpu()) {
            return work.get();
        }
        try {
            return lane.callBeside(work);
        } catch (DeviceException e) {
            if (lane.isLost(e)) {
                lose(lane, lostMessage(lane, e));
            }
            throw e;
        }
    }

    /** "cuda:0 is lost: ..."; an exception of this library without the name of its class. */
    public static String lostMessage(DeviceLane lane, Throwable e) {
        String reason = e instanceof AsgException ? String.valueOf(e.getMessage()) : e.toString();
        return lane.name() + " is lost: " + reason;
    }
}
