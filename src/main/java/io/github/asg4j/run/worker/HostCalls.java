// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Stage;

import java.lang.foreign.MemorySegment;

/** Calls on the CPU: each is done when it returns. */
public final class HostCalls implements CallsInFlight {
    private final Worker worker;
    private final MemorySegment found;
    private String part = "";
    private int unit;
    private int step;
    private long begin;
    private long networkBegin;
    private long networkEnd;

    public HostCalls(Worker worker) {
        this.worker = worker;
        found = worker.bytes(Long.BYTES, "index of a non-finite value");
        found.fill(Kernels.NONE_FOUND_BYTE);
    }

    @Override
    public void begin(String stage, int unit, boolean joins, int step) {
        this.part = stage;
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
        worker.countUnet(networkEnd - networkBegin);
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
        CallLog log = worker.log();
        if (log != null) {
            log.add(part, unit, step, begin, networkBegin, networkEnd, System.nanoTime());
        }
    }

    @Override
    public void drain() {}

    @Override
    public void close() {}
}
