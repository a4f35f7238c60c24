// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Stage;

import java.lang.foreign.MemorySegment;

/** Calls on the CPU: each is done when it returns. */
final class HostCalls implements InFlight {
    private final Worker worker;
    private final MemorySegment found;
    private long start;

    HostCalls(Worker worker) {
        this.worker = worker;
        found = worker.bytes(Long.BYTES, "index of a non-finite value");
        found.fill(Kernels.NONE_FOUND_BYTE);
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
    public MemorySegment found() {
        return found;
    }

    @Override
    public void watch(Stage stage, int step) {
        NonFinite.check(found, stage, step);
    }

    @Override
    public void end() {}

    @Override
    public void drain() {}

    @Override
    public void close() {}
}
