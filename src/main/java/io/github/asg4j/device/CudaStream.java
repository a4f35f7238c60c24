// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.device;

import static io.github.asg4j.ffi.Sizes.requireBytes;

import io.github.asg4j.ffi.CudaApi;
import io.github.asg4j.ffi.LaunchArguments;

import java.lang.foreign.MemorySegment;

/**
 * A queue of work on a GPU, done in order. All calls but {@link #synchronize} return at once and
 * allocate nothing. One thread, with the device current.
 */
public final class CudaStream implements AutoCloseable {
    private final CudaDevice device;
    private final CudaApi api;
    private final long handle;
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

    /** From page-locked host memory to the device. */
    public void upload(MemorySegment to, MemorySegment from, long bytes) {
        requireOpen();
        requireBytes(to, bytes, "upload", "to");
        requireBytes(from, bytes, "upload", "from");
        api.copyHostToDevice(to.address(), from, bytes, handle);
    }

    /** From the device to page-locked host memory. */
    public void download(MemorySegment to, MemorySegment from, long bytes) {
        requireOpen();
        requireBytes(to, bytes, "download", "to");
        requireBytes(from, bytes, "download", "from");
        api.copyDeviceToHost(to, from.address(), bytes, handle);
    }

    /** Within the device. */
    public void copy(MemorySegment to, MemorySegment from, long bytes) {
        requireOpen();
        requireBytes(to, bytes, "copy", "to");
        requireBytes(from, bytes, "copy", "from");
        api.copyDeviceToDevice(to.address(), from.address(), bytes, handle);
    }

    /** From memory of another device to memory of this one. */
    public void copyFrom(CudaDevice other, MemorySegment to, MemorySegment from, long bytes) {
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

    /** Blocks until all work so far is done; an error of that work comes out here. */
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
            api.destroyStream(handle);
        }
    }
}
