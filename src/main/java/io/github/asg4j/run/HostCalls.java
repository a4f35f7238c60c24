// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.plan.Stage;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/** Calls on the CPU: each is done when it returns. */
final class HostCalls implements InFlight {
    private final Worker worker;
    private @Nullable Units part;
    private int unit;
    private int step;
    private long begin;
    private long networkBegin;
    private long networkEnd;

    HostCalls(Worker worker) {
        this.worker = worker;
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
    public void watch(MemorySegment noise, Stage stage, int step) {
        NonFinite.check(worker.kernels, noise, stage, step);
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
