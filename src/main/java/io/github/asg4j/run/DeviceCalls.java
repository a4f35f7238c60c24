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

    /** What a log's times are counted from, and when that was; null: nobody keeps a log. */
    private final @Nullable CudaEvent origin;

    private final long originNanos;
    private int current;

    /** One call: where what was found comes to lie, on the device and in page-locked memory. */
    private static final class Slot {
        final MemorySegment found;
        final MemorySegment foundOnHost;
        final CudaEvent begin;
        final CudaEvent networkBegin;
        final CudaEvent networkEnd;
        final CudaEvent end;
        @Nullable Units part;
        int unit;
        int unitStep;
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
        origin = worker.log == null ? null : stream.device().newTimedEvent();
        if (origin != null) {
            stream.record(origin);
            origin.synchronize();
        }
        originNanos = System.nanoTime();
    }

    @Override
    public void begin(Units part, int unit, int step) {
        current = (current + 1) % DEPTH;
        Slot slot = slots[current];
        long start = System.nanoTime();
        settle(slot);
        worker.waitNanos += System.nanoTime() - start;
        stream.record(slot.begin);
        slot.part = part;
        slot.unit = unit;
        slot.unitStep = step;
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
        log(slot);
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

    private void log(Slot slot) {
        CallLog log = worker.log;
        Units part = slot.part;
        if (log != null && origin != null && part != null) {
            long begin = since(origin, slot.begin);
            long networkBegin = slot.timed ? since(origin, slot.networkBegin) : begin;
            long networkEnd = slot.timed ? since(origin, slot.networkEnd) : begin;
            log.add(
                    part,
                    slot.unit,
                    slot.unitStep,
                    begin,
                    networkBegin,
                    networkEnd,
                    since(origin, slot.end));
        }
    }

    private long since(CudaEvent origin, CudaEvent event) {
        return originNanos + nanos(origin, event);
    }

    private static long nanos(CudaEvent from, CudaEvent to) {
        return Math.round(from.millisUntil(to) * NANOS_PER_MILLI);
    }

    @Override
    public void close() {
        if (origin != null) {
            origin.close();
        }
        for (Slot slot : slots) {
            slot.begin.close();
            slot.networkBegin.close();
            slot.networkEnd.close();
            slot.end.close();
        }
    }
}
