// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.plan.Stage;

import java.lang.foreign.MemorySegment;

/** Calls on the CPU: each is done when it returns. */
final class HostCalls implements InFlight {
    private final Worker worker;
    private long start;

    HostCalls(Worker worker) {
        this.worker = worker;
    }

    @Override
    public void begin() {}

    @Override
    public int slot() {
        return 0;
    }

    @Override
    public void networkBegins() {
        start = System.nanoTime();
    }

    @Override
    public void networkEnds() {
        worker.unetNanos += System.nanoTime() - start;
    }

    @Override
    public void watch(MemorySegment noise, Stage stage, int step) {
        NonFinite.check(worker.kernels, noise, stage, step);
    }

    @Override
    public void end() {}

    @Override
    public void beginJoin() {}

    @Override
    public void endJoin() {}

    @Override
    public void drain() {}

    @Override
    public void close() {}
}
