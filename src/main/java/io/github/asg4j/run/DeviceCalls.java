// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.CudaEvent;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Stage;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/**
 * Calls on a GPU: {@link #DEPTH} slots in turn. The index of a non-finite value and the times of a
 * call are read when its slot comes round again, so the device never waits for the host.
 */
final class DeviceCalls implements InFlight {
    private static final double NANOS_PER_MILLI = 1e6;

    private final Worker worker;
    private final CudaStream stream;
    private final Slot[] slots = new Slot[DEPTH];
    private int current;

    /** One call: where what was found comes to lie, on the device and in page-locked memory. */
    private static final class Slot {
        final MemorySegment found;
        final MemorySegment foundOnHost;
        final CudaEvent begin;
        final CudaEvent networkBegin;
        final CudaEvent networkEnd;
        final CudaEvent end;
        @Nullable Stage stage;
        int step;
        boolean open;
        boolean timed;

        Slot(Worker worker, CudaStream stream) {
            found = worker.bytes(Long.BYTES, "index of a non-finite value");
            stream.fill(found, Kernels.NONE_FOUND_BYTE, Long.BYTES);
            foundOnHost = worker.staging(Long.BYTES, "index of a non-finite value");
            begin = stream.device().newTimedEvent();
            networkBegin = stream.device().newTimedEvent();
            networkEnd = stream.device().newTimedEvent();
            end = stream.device().newTimedEvent();
        }
    }

    DeviceCalls(Worker worker, CudaStream stream) {
        this.worker = worker;
        this.stream = stream;
        for (int i = 0; i < DEPTH; i++) {
            slots[i] = new Slot(worker, stream);
        }
    }

    @Override
    public void begin() {
        current = (current + 1) % DEPTH;
        Slot slot = slots[current];
        long start = System.nanoTime();
        settle(slot);
        worker.waitNanos += System.nanoTime() - start;
        stream.record(slot.begin);
    }

    @Override
    public int slot() {
        return current;
    }

    @Override
    public void networkBegins() {
        stream.record(slots[current].networkBegin);
    }

    @Override
    public void networkEnds() {
        Slot slot = slots[current];
        stream.record(slot.networkEnd);
        slot.timed = true;
    }

    @Override
    public MemorySegment found() {
        return slots[current].found;
    }

    @Override
    public void watch(Stage stage, int step) {
        Slot slot = slots[current];
        slot.stage = stage;
        slot.step = step;
        stream.download(slot.foundOnHost, slot.found, Long.BYTES);
    }

    @Override
    public void end() {
        Slot slot = slots[current];
        stream.record(slot.end);
        slot.open = true;
    }

    @Override
    public void drain() {
        for (int i = 1; i <= DEPTH; i++) {
            settle(slots[(current + i) % DEPTH]);
        }
        stream.synchronize();
    }

    /** Waits for a call and accounts for it. */
    private void settle(Slot slot) {
        if (!slot.open) {
            return;
        }
        slot.end.synchronize();
        slot.open = false;
        if (slot.timed) {
            long network = nanos(slot.networkBegin, slot.networkEnd);
            worker.unetNanos += network;
            worker.kernelNanos += nanos(slot.begin, slot.end) - network;
            slot.timed = false;
        }
        Stage stage = slot.stage;
        slot.stage = null;
        if (stage != null) {
            NonFinite.check(slot.foundOnHost, stage, slot.step);
        }
    }

    private static long nanos(CudaEvent from, CudaEvent to) {
        return Math.round(from.millisUntil(to) * NANOS_PER_MILLI);
    }

    @Override
    public void close() {
        for (Slot slot : slots) {
            slot.begin.close();
            slot.networkBegin.close();
            slot.networkEnd.close();
            slot.end.close();
        }
    }
}
