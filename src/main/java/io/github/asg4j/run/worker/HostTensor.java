// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.device.Memory;

import java.lang.foreign.MemorySegment;

/** A tensor in host memory, which all workers share: the order of the work is all that it takes. */
public record HostTensor(MemorySegment data, int parts) implements SharedTensor {
    @Override
    public MemorySegment on(Worker worker) {
        return data;
    }

    @Override
    public void publish(Worker worker, int part) {}

    @Override
    public void publishWith(Worker worker, int part, SharedTensor other) {}

    @Override
    public void await(Worker worker, int part) {}

    @Override
    public void acquire(Worker worker, int part) {}

    @Override
    public MemorySegment read(Memory memory) {
        return data;
    }

    @Override
    public long byteSize() {
        return data.byteSize();
    }
}
