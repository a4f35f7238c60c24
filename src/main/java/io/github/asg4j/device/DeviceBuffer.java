// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.device;

import io.github.asg4j.OutOfMemoryException;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Memory that a GPU works on: of its own, or page-locked memory of the host that it reads and writes
 * by asynchronous copies. Has to be closed after all work that uses it; closing frees.
 */
public final class DeviceBuffer implements AutoCloseable {
    private final CudaDevice device;

    /** Only for the segment's scope: who keeps the segment beyond {@link #close} is found out. */
    private final Arena arena = Arena.ofShared();

    private final MemorySegment segment;
    private final String label;
    private final boolean pinned;
    private boolean closed;

    private DeviceBuffer(
            CudaDevice device, long address, long bytes, String label, boolean pinned) {
        this.device = device;
        this.segment = sized(address, bytes, arena);
        this.label = label;
        this.pinned = pinned;
    }

    static DeviceBuffer device(CudaDevice device, long bytes, String label) {
        long address;
        try {
            address = device.api.allocate(bytes);
        } catch (OutOfMemoryException e) {
            throw new OutOfMemoryException(device + ", " + label + ": " + e.getMessage(), e);
        }
        device.count(bytes);
        return new DeviceBuffer(device, address, bytes, label, false);
    }

    static DeviceBuffer pinned(CudaDevice device, long bytes, String label) {
        DeviceBuffer buffer =
                new DeviceBuffer(device, device.api.allocateHost(bytes), bytes, label, true);
        buffer.segment.fill((byte) 0);
        return buffer;
    }

    /** Exactly {@code bytes} at {@code address}, so that every check of sizes holds. */
    @SuppressWarnings("restricted")
    private static MemorySegment sized(long address, long bytes, Arena arena) {
        return MemorySegment.ofAddress(address).reinterpret(bytes, arena, null);
    }

    /**
     * Address and size. Only of page-locked memory may the host read or write the contents; touching
     * device memory ends the process.
     */
    public MemorySegment segment() {
        if (closed) {
            throw new IllegalStateException(label + " of " + device + " is freed");
        }
        return segment;
    }

    /** Idempotent. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        arena.close();
        device.disown(this);
        if (pinned) {
            device.api.freeHost(segment.address());
        } else {
            device.api.free(segment.address());
            device.count(-segment.byteSize());
        }
    }
}
