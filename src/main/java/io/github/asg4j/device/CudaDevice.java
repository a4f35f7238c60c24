// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.device;

import io.github.asg4j.DeviceException;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.ffi.CudaApi;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A GPU: its primary context, which ONNX Runtime's CUDA provider uses too, and what was made on it.
 * A thread calls {@link #makeCurrent} before it uses the device; streams have one thread each. {@link
 * #close()} frees what was not freed before, the last made first, and all of it even if something
 * fails.
 */
public final class CudaDevice implements AutoCloseable {
    /** The oldest architecture that CUDA 13 compiles for. */
    private static final int OLDEST = 75;

    /** CUDA 13.0, the first of the interface that we and ONNX Runtime's provider are built for. */
    private static final int OLDEST_DRIVER = 13000;

    final CudaApi api;
    private final int ordinal;
    private final String model;
    private final int architecture;
    private final int multiprocessors;
    private final long context;
    private final Deque<AutoCloseable> owned = new ArrayDeque<>();
    private final AtomicLong bytesInUse = new AtomicLong();
    private boolean closed;

    private CudaDevice(CudaApi api, int ordinal) {
        this.api = api;
        this.ordinal = ordinal;
        model = api.deviceName(ordinal);
        architecture =
                10 * api.deviceAttribute(CudaApi.COMPUTE_CAPABILITY_MAJOR, ordinal)
                        + api.deviceAttribute(CudaApi.COMPUTE_CAPABILITY_MINOR, ordinal);
        multiprocessors = api.deviceAttribute(CudaApi.MULTIPROCESSOR_COUNT, ordinal);
        if (architecture < OLDEST) {
            throw new DeviceException(
                    this
                            + " has compute capability "
                            + architecture / 10.0
                            + ", CUDA 13 needs 7.5 (Turing) or newer; use another device or cpu:N");
        }
        context = api.retainPrimaryContext(ordinal);
    }

    /**
     * Opens device {@code ordinal} and makes its context current in the calling thread.
     *
     * @throws DeviceException if there is no such device, or driver or device are too old
     */
    public static CudaDevice open(CudaApi api, int ordinal) {
        int driver = api.driverVersion();
        if (driver < OLDEST_DRIVER) {
            throw new DeviceException(
                    "the NVIDIA driver serves CUDA "
                            + driver / 1000
                            + "."
                            + driver % 1000 / 10
                            + ", this build needs 13.0: install driver 580 or newer");
        }
        int count = api.deviceCount();
        if (ordinal >= count) {
            throw new DeviceException(
                    "there is no device cuda:"
                            + ordinal
                            + ": this machine has "
                            + count
                            + " (cuda:0 is the first; CUDA_VISIBLE_DEVICES may hide some)");
        }
        CudaDevice device = new CudaDevice(api, ordinal);
        device.makeCurrent();
        return device;
    }

    /** Returns the name of the model, such as "NVIDIA H100 80GB HBM3". */
    public String model() {
        return model;
    }

    /** Number of the device, as in "cuda:0". */
    public int ordinal() {
        return ordinal;
    }

    /** Returns the compute capability as a number: 90 for 9.0. */
    public int architecture() {
        return architecture;
    }

    public int multiprocessors() {
        return multiprocessors;
    }

    long context() {
        return context;
    }

    /** Bytes of device memory that nobody uses; the device's context has to be current. */
    public long freeBytes() {
        return api.memoryInfo(false);
    }

    public long totalBytes() {
        return api.memoryInfo(true);
    }

    /**
     * Whether the device still answers. After an error that its context does not survive (a fault of a
     * kernel, a GPU that fell off the bus) every call fails until the process ends.
     */
    public boolean isAlive() {
        try {
            makeCurrent();
            try (CudaStream stream = newStream()) {
                stream.synchronize();
            }
            return true;
        } catch (OutOfMemoryException e) {
            return true; // it has no memory for a stream, and says so
        } catch (DeviceException e) {
            return false;
        }
    }

    /** Bytes of device memory that were allocated here and not freed. */
    public long bytesInUse() {
        return bytesInUse.get();
    }

    /** Makes the device current in the calling thread. */
    public void makeCurrent() {
        api.setCurrent(context);
    }

    /** Work on this device may from now on read the memory of the other; false if it cannot. */
    public boolean enablePeerAccess(CudaDevice other) {
        if (!api.canAccessPeer(ordinal, other.ordinal)) {
            return false;
        }
        makeCurrent();
        api.enablePeerAccess(other.context);
        return true;
    }

    public CudaStream newStream() {
        return own(new CudaStream(this, api.createStream()));
    }

    public CudaEvent newEvent() {
        return own(new CudaEvent(this, api.createEvent(false)));
    }

    /** An event that {@link CudaEvent#millisUntil} can be asked of. */
    public CudaEvent newTimedEvent() {
        return own(new CudaEvent(this, api.createEvent(true)));
    }

    /**
     * Device memory of undefined contents. The host cannot touch it; the segment only carries address
     * and size.
     */
    public DeviceBuffer allocate(long bytes, String label) {
        return own(DeviceBuffer.device(this, bytes, label));
    }

    /** Page-locked host memory, zeroed: what asynchronous copies need on the host's side. */
    public DeviceBuffer allocateHost(long bytes, String label) {
        return own(DeviceBuffer.pinned(this, bytes, label));
    }

    /** Loads machine code. */
    public CudaModule load(MemorySegment cubin, String name) {
        return own(new CudaModule(this, api.loadModule(cubin, name), name));
    }

    void count(long bytes) {
        bytesInUse.addAndGet(bytes);
    }

    private synchronized <T extends AutoCloseable> T own(T resource) {
        if (closed) {
            throw new IllegalStateException(this + " is closed");
        }
        owned.push(resource);
        return resource;
    }

    synchronized void disown(AutoCloseable resource) {
        owned.remove(resource);
    }

    @Override
    public void close() {
        Deque<AutoCloseable> rest;
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            rest = new ArrayDeque<>(owned);
        }
        makeCurrent();
        List<RuntimeException> failures = new ArrayList<>();
        while (!rest.isEmpty()) {
            attempt(rest.pop(), failures);
        }
        attempt(() -> api.releasePrimaryContext(ordinal), failures);
        if (!failures.isEmpty()) {
            RuntimeException first = failures.removeFirst();
            failures.forEach(first::addSuppressed);
            throw first;
        }
    }

    private static void attempt(AutoCloseable resource, List<RuntimeException> failures) {
        try {
            resource.close();
        } catch (RuntimeException e) {
            failures.add(e);
        } catch (Exception e) {
            throw new AssertionError("close of ours throws no checked exception", e);
        }
    }

    @Override
    public String toString() {
        return "cuda:" + ordinal + " (" + model + ")";
    }
}
