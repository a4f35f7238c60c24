// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.device.Memory;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.LongStream;

/**
 * The workers of a request, all on the CPU or all on GPUs, and the tensors that they share.
 *
 * @param workers by index
 * @param memory host memory of the request
 */
public record Workers(List<Worker> workers, Memory memory) {
    public int size() {
        return workers.size();
    }

    /** Float32 [floats] that one worker at a time writes; zeros at first. */
    public SharedTensor floats(long floats, String label) {
        return inParts(label, floats);
    }

    /** Float32 in parts of so many, one behind the other; zeros at first. */
    public SharedTensor inParts(String label, long... floats) {
        return inRows(label, 1, floats);
    }

    /**
     * Float32 [planes, rows, columns], of which a part is some rows of every plane; zeros at first.
     *
     * @param floats of one plane in each part
     */
    public SharedTensor inRows(String label, int planes, long... floats) {
        long[] bytes = LongStream.of(floats).map(n -> Math.multiplyExact(n, Float.BYTES)).toArray();
        return onHost()
                ? new HostTensor(
                        memory.floats(planes * LongStream.of(floats).sum(), label), floats.length)
                : new DeviceTensor(workers.size(), label, planes, bytes, null);
    }

    /** What the host has written; it stays as it is, unless the workers are on the CPU. */
    public SharedTensor of(MemorySegment host, String label) {
        return inParts(host, label, host.byteSize());
    }

    /** The same in parts of so many bytes. */
    public SharedTensor inParts(MemorySegment host, String label, long... bytes) {
        return onHost()
                ? new HostTensor(host, bytes.length)
                : new DeviceTensor(workers.size(), label, 1, bytes, host);
    }

    public @Nullable SharedTensor orNull(@Nullable MemorySegment host, String label) {
        return host == null ? null : of(host, label);
    }

    /** Whether they work on host memory, which they then have in common. */
    public boolean onHost() {
        return workers.getFirst().onHost();
    }
}
