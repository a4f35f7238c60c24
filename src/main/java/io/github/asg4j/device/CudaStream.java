// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.device;

import static io.github.asg4j.ffi.Sizes.requireBytes;

import io.github.asg4j.ffi.CudaApi;
import io.github.asg4j.ffi.LaunchArguments;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/**
 * A queue of work on a GPU, done in order. All calls but {@link #write}, {@link #read} and {@link
 * #synchronize} return at once and allocate nothing. One thread at a time, which {@link #enter} has
 * made the device current in.
 */
public final class CudaStream implements Queue {
    /** Through which ordinary host memory is copied. */
    private static final long BOUNCE_BYTES = 1 << 20;

    private final CudaDevice device;
    private final CudaApi api;
    private final long handle;
    private @Nullable DeviceBuffer bounce;
    private boolean closed;

    CudaStream(CudaDevice device, long handle) {
        this.device = device;
        this.api = device.api;
        this.handle = handle;
    }

    public CudaDevice device() {
        return device;
    }

    /** The driver's handle, for ONNX Runtime's {@code user_compute_stream}. */
    public long handle() {
        requireOpen();
        return handle;
    }

    @Override
    public void enter() {
        device.makeCurrent();
    }

    @Override
    public Memory newMemory(String owner) {
        return Memory.of(this, owner);
    }

    @Override
    public Memory newStagingMemory(String owner) {
        return Memory.pinned(this, owner);
    }

    @Override
    public void write(MemorySegment to, MemorySegment from) {
        MemorySegment between = bounce().segment();
        for (long at = 0; at < from.byteSize(); at += BOUNCE_BYTES) {
            long bytes = Math.min(BOUNCE_BYTES, from.byteSize() - at);
            MemorySegment.copy(from, at, between, 0, bytes);
            upload(to.asSlice(at), between, bytes);
            synchronize();
        }
    }

    @Override
    public void read(MemorySegment to, MemorySegment from) {
        MemorySegment between = bounce().segment();
        for (long at = 0; at < from.byteSize(); at += BOUNCE_BYTES) {
            long bytes = Math.min(BOUNCE_BYTES, from.byteSize() - at);
            download(between, from.asSlice(at), bytes);
            synchronize();
            MemorySegment.copy(between, 0, to, at, bytes);
        }
    }

    private DeviceBuffer bounce() {
        requireOpen();
        DeviceBuffer made = bounce;
        if (made == null) {
            made = device.allocateHost(BOUNCE_BYTES, "copies from and to host memory");
            bounce = made;
        }
        return made;
    }

    /** Copies from page-locked host memory to the device. */
    @Override
    public void upload(MemorySegment to, MemorySegment from, long bytes) {
        requireOpen();
        requireBytes(to, bytes, "upload", "to");
        requireBytes(from, bytes, "upload", "from");
        api.copyHostToDevice(to.address(), from, bytes, handle);
    }

    /** Copies from the device to page-locked host memory. */
    @Override
    public void download(MemorySegment to, MemorySegment from, long bytes) {
        requireOpen();
        requireBytes(to, bytes, "download", "to");
        requireBytes(from, bytes, "download", "from");
        api.copyDeviceToHost(to, from.address(), bytes, handle);
    }

    /** Within the device. */
    @Override
    public void copy(MemorySegment to, MemorySegment from, long bytes) {
        requireOpen();
        requireBytes(to, bytes, "copy", "to");
        requireBytes(from, bytes, "copy", "from");
        api.copyDeviceToDevice(to.address(), from.address(), bytes, handle);
    }

    /** Copies from memory of another device, or of this one, to memory of this one. */
    public void copyFrom(CudaDevice other, MemorySegment to, MemorySegment from, long bytes) {
        if (other == device) {
            copy(to, from, bytes);
            return;
        }
        requireOpen();
        requireBytes(to, bytes, "copyFrom", "to");
        requireBytes(from, bytes, "copyFrom", "from");
        api.copyPeer(
                to.address(), device.context(), from.address(), other.context(), bytes, handle);
    }

    public void fill(MemorySegment to, byte value, long bytes) {
        requireOpen();
        requireBytes(to, bytes, "fill", "to");
        api.setBytes(to.address(), value, bytes, handle);
    }

    /** Later work of this stream waits for what the event recorded last; the host does not. */
    public void await(CudaEvent event) {
        requireOpen();
        api.waitEvent(handle, event.handle());
    }

    /** The event now stands for all work so far. */
    public void record(CudaEvent event) {
        requireOpen();
        api.recordEvent(event.handle(), handle);
    }

    /**
     * @param function of a {@link CudaModule} of this device
     */
    public void launch(
            long function,
            int gridX,
            int gridY,
            int gridZ,
            int blockThreads,
            LaunchArguments arguments) {
        requireOpen();
        api.launch(function, gridX, gridY, gridZ, blockThreads, handle, arguments);
    }

    @Override
    public void synchronize() {
        requireOpen();
        api.synchronizeStream(handle);
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("a stream of " + device + " is closed");
        }
    }

    /** Lets the work so far finish. Idempotent. */
    @Override
    public void close() {
        if (!closed) {
            closed = true;
            device.disown(this);
            try {
                if (bounce != null) {
                    api.synchronizeStream(handle);
                    bounce.close();
                }
            } finally {
                api.destroyStream(handle);
            }
        }
    }
}
