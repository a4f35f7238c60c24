// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

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
public final class DeviceCalls implements CallsInFlight {
    private static final double NANOS_PER_MILLI = 1e6;

    /**
     * Steps without a network that may be in flight: more than lie between two calls, so that the host
     * seldom waits for one.
     */
    private static final int JOINS = 8;

    private final Worker worker;
    private final CudaStream stream;
    private final Slot[] slots = new Slot[DEPTH];
    private final Span[] joinSpans = new Span[JOINS];

    /** What a log's times are counted from, and when that was; null: nobody keeps a log. */
    private final @Nullable CudaEvent origin;

    private final long originNanos;
    private int current;
    private int currentJoin;

    /** What begin has begun. */
    private Span span;

    /** A step of a unit: which, from when to when. */
    private static class Span {
        final CudaEvent begin;
        final CudaEvent end;
        String part = "";
        int unit;
        int unitStep;
        boolean open;

        Span(CudaStream stream) {
            begin = stream.device().newTimedEvent();
            end = stream.device().newTimedEvent();
        }
    }

    /** One call: where what was found comes to lie, on the device and in page-locked memory. */
    private static final class Slot extends Span {
        final MemorySegment found;
        final MemorySegment foundOnHost;
        final CudaEvent networkBegin;
        final CudaEvent networkEnd;
        @Nullable Stage stage;
        int step;
        boolean timed;

        Slot(Worker worker, CudaStream stream) {
            super(stream);
            found = worker.bytes(Long.BYTES, "index of a non-finite value");
            stream.fill(found, Kernels.NONE_FOUND_BYTE, Long.BYTES);
            foundOnHost = worker.staging(Long.BYTES, "index of a non-finite value");
            networkBegin = stream.device().newTimedEvent();
            networkEnd = stream.device().newTimedEvent();
        }
    }

    public DeviceCalls(Worker worker, CudaStream stream) {
        this.worker = worker;
        this.stream = stream;
        for (int i = 0; i < DEPTH; i++) {
            slots[i] = new Slot(worker, stream);
        }
        for (int i = 0; i < JOINS; i++) {
            joinSpans[i] = new Span(stream);
        }
        span = joinSpans[0];
        origin = worker.log() == null ? null : stream.device().newTimedEvent();
        if (origin != null) {
            stream.record(origin);
            origin.synchronize();
        }
        originNanos = System.nanoTime();
    }

    @Override
    public void begin(String stage, int unit, boolean joins, int step) {
        if (joins) {
            currentJoin = (currentJoin + 1) % JOINS;
            span = joinSpans[currentJoin];
        } else {
            current = (current + 1) % DEPTH;
            span = slots[current];
        }
        worker.beginWait();
        settle(span);
        worker.endWait();
        stream.record(span.begin);
        span.part = stage;
        span.unit = unit;
        span.unitStep = step;
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
        stream.record(span.end);
        span.open = true;
    }

    @Override
    public void drain() {
        for (Span join : joinSpans) {
            settle(join);
        }
        for (int i = 1; i <= DEPTH; i++) {
            settle(slots[(current + i) % DEPTH]);
        }
        stream.synchronize();
    }

    /** Waits for a step and accounts for it. */
    private void settle(Span done) {
        if (!done.open) {
            return;
        }
        done.end.synchronize();
        done.open = false;
        if (!(done instanceof Slot slot)) {
            log(done, done.begin, done.begin);
            worker.countKernelTime(nanos(done.begin, done.end));
            return;
        }
        if (slot.timed) {
            log(slot, slot.networkBegin, slot.networkEnd);
            long network = nanos(slot.networkBegin, slot.networkEnd);
            worker.countUnet(network);
            worker.countKernelTime(nanos(slot.begin, slot.end) - network);
            slot.timed = false;
        } else {
            log(slot, slot.begin, slot.begin);
        }
        Stage stage = slot.stage;
        slot.stage = null;
        if (stage != null) {
            NonFinite.check(slot.foundOnHost, stage, slot.step);
        }
    }

    private void log(Span done, CudaEvent networkBegin, CudaEvent networkEnd) {
        CallLog log = worker.log();
        if (log != null && origin != null) {
            log.add(
                    done.part,
                    done.unit,
                    done.unitStep,
                    since(origin, done.begin),
                    since(origin, networkBegin),
                    since(origin, networkEnd),
                    since(origin, done.end));
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
            slot.networkBegin.close();
            slot.networkEnd.close();
            close(slot);
        }
        for (Span join : joinSpans) {
            close(join);
        }
    }

    private static void close(Span span) {
        span.begin.close();
        span.end.close();
    }
}
