// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.Memory;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The workers of a request, all on the CPU or all on GPUs, and the tensors that they share.
 *
 * @param workers by index
 * @param memory host memory of the request
 */
record Crew(List<Worker> workers, Memory memory) {
    int size() {
        return workers.size();
    }

    /** Float32 [floats] that one worker at a time writes; zeros at first. */
    Shared floats(long floats, String label) {
        return inParts(label, floats);
    }

    /** Float32 in parts of so many, one behind the other; zeros at first. */
    Shared inParts(String label, long... floats) {
        long[] bytes = new long[floats.length];
        long all = 0;
        for (int part = 0; part < floats.length; part++) {
            bytes[part] = Math.multiplyExact(floats[part], Float.BYTES);
            all += floats[part];
        }
        return onHost()
                ? new HostTensor(memory.floats(all, label), floats.length)
                : new DeviceTensor(workers.size(), label, bytes, null);
    }

    /** What the host has written; it stays as it is, unless the workers are on the CPU. */
    Shared of(MemorySegment host, String label) {
        return inParts(host, label, host.byteSize());
    }

    /** The same in parts of so many bytes. */
    Shared inParts(MemorySegment host, String label, long... bytes) {
        return onHost()
                ? new HostTensor(host, bytes.length)
                : new DeviceTensor(workers.size(), label, bytes, host);
    }

    @Nullable Shared orNull(@Nullable MemorySegment host, String label) {
        return host == null ? null : of(host, label);
    }

    private boolean onHost() {
        return workers.getFirst().onHost();
    }
}
