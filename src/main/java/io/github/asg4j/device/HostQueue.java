// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.device;

import java.lang.foreign.MemorySegment;

/** The calling thread: everything is done when the call returns. Any number of threads may use it. */
public enum HostQueue implements Queue {
    INSTANCE;

    @Override
    public void enter() {}

    @Override
    public Memory newMemory(String owner) {
        return new Memory(owner);
    }

    @Override
    public Memory newStagingMemory(String owner) {
        return new Memory(owner);
    }

    @Override
    public void copy(MemorySegment to, MemorySegment from, long bytes) {
        if (to.address() != from.address()) {
            MemorySegment.copy(from, 0, to, 0, bytes);
        }
    }

    @Override
    public void upload(MemorySegment to, MemorySegment from, long bytes) {
        copy(to, from, bytes);
    }

    @Override
    public void download(MemorySegment to, MemorySegment from, long bytes) {
        copy(to, from, bytes);
    }

    @Override
    public void write(MemorySegment to, MemorySegment from) {
        copy(to, from, from.byteSize());
    }

    @Override
    public void read(MemorySegment to, MemorySegment from) {
        copy(to, from, from.byteSize());
    }

    @Override
    public void synchronize() {}

    @Override
    public void close() {}
}
