// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.CudaEvent;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.plan.Stage;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Calls on a GPU: {@link #DEPTH} slots in turn. The index of a non-finite value and the times of a
 * call are read when its slot comes round again, so the device never waits for the host.
 */
final class DeviceCalls implements InFlight {
    private static final double NANOS_PER_MILLI = 1e6;

    /** Joins in flight at most: more than lie between two calls, so that the host seldom waits for one. */
    private static final int JOINS = 8;

    private final Worker worker;
    private final CudaStream stream;
    private final Slot[] slots = new Slot[DEPTH];
    private final Join[] joins = new Join[JOINS];
    private int current;
    private int currentJoin;

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
        long count;
        boolean open;
        boolean timed;

        Slot(Worker worker, CudaStream stream) {
            found = worker.bytes(Long.BYTES, "index of a non-finite value");
            foundOnHost = worker.staging(Long.BYTES, "index of a non-finite value");
            begin = stream.device().newTimedEvent();
            networkBegin = stream.device().newTimedEvent();
            networkEnd = stream.device().newTimedEvent();
            end = stream.device().newTimedEvent();
        }
    }

    /** Work that joins calls: only its time is asked for. */
    private static final class Join {
        final CudaEvent begin;
        final CudaEvent end;
        boolean open;

        Join(CudaStream stream) {
            begin = stream.device().newTimedEvent();
            end = stream.device().newTimedEvent();
        }
    }

    DeviceCalls(Worker worker, CudaStream stream) {
        this.worker = worker;
        this.stream = stream;
        for (int i = 0; i < DEPTH; i++) {
            slots[i] = new Slot(worker, stream);
        }
        for (int i = 0; i < JOINS; i++) {
            joins[i] = new Join(stream);
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
    public void watch(MemorySegment noise, Stage stage, int step) {
        Slot slot = slots[current];
        slot.count = noise.byteSize() / Float.BYTES;
        slot.stage = stage;
        slot.step = step;
        worker.kernels.findNonFinite(slot.found, noise, slot.count);
        stream.download(slot.foundOnHost, slot.found, Long.BYTES);
    }

    @Override
    public void end() {
        Slot slot = slots[current];
        stream.record(slot.end);
        slot.open = true;
    }

    @Override
    public void beginJoin() {
        currentJoin = (currentJoin + 1) % JOINS;
        Join join = joins[currentJoin];
        long start = System.nanoTime();
        settle(join);
        worker.waitNanos += System.nanoTime() - start;
        stream.record(join.begin);
    }

    @Override
    public void endJoin() {
        stream.record(joins[currentJoin].end);
        joins[currentJoin].open = true;
    }

    private void settle(Join join) {
        if (join.open) {
            join.end.synchronize();
            join.open = false;
            worker.kernelNanos += nanos(join.begin, join.end);
        }
    }

    @Override
    public void drain() {
        for (Join join : joins) {
            settle(join);
        }
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
        if (stage != null && slot.foundOnHost.get(ValueLayout.JAVA_LONG, 0) < slot.count) {
            throw NonFinite.inStage(stage, slot.step);
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
        for (Join join : joins) {
            join.begin.close();
            join.end.close();
        }
    }
}
