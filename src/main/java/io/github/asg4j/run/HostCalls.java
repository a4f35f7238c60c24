// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Stage;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/** Calls on the CPU: each is done when it returns. */
final class HostCalls implements InFlight {
    private final Worker worker;
    private final MemorySegment found;
    private @Nullable Units part;
    private int unit;
    private int step;
    private long begin;
    private long networkBegin;
    private long networkEnd;

    HostCalls(Worker worker) {
        this.worker = worker;
        found = worker.bytes(Long.BYTES, "index of a non-finite value");
        found.fill(Kernels.NONE_FOUND_BYTE);
    }

    @Override
    public void begin(Units part, int unit, int step) {
        this.part = part;
        this.unit = unit;
        this.step = step;
        begin = System.nanoTime();
        networkBegin = begin;
        networkEnd = begin;
    }

    @Override
    public int slot() {
        return 0;
    }

    @Override
    public void networkBegins() {
        networkBegin = System.nanoTime();
    }

    @Override
    public void networkEnds() {
        networkEnd = System.nanoTime();
        worker.unetNanos += networkEnd - networkBegin;
    }

    @Override
    public MemorySegment found() {
        return found;
    }

    @Override
    public void watch(Stage stage, int step) {
        NonFinite.check(found, stage, step);
    }

    @Override
    public void end() {
        CallLog log = worker.log;
        Units part = this.part;
        if (log != null && part != null) {
            log.add(part, unit, step, begin, networkBegin, networkEnd, System.nanoTime());
        }
    }

    @Override
    public void drain() {}

    @Override
    public void close() {}
}
