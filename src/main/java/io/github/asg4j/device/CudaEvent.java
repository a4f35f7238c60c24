// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.device;

/**
 * A point in a stream's work that others wait for: streams of any device by {@link
 * CudaStream#await}, the host by {@link #synchronize}, asleep. Never recorded, it counts as done.
 */
public final class CudaEvent implements AutoCloseable {
    private final CudaDevice device;
    private final long handle;
    private volatile boolean closed;

    CudaEvent(CudaDevice device, long handle) {
        this.device = device;
        this.handle = handle;
    }

    long handle() {
        if (closed) {
            throw new IllegalStateException("an event of " + device + " is closed");
        }
        return handle;
    }

    public void synchronize() {
        device.api.synchronizeEvent(handle());
    }

    /** Returns the time between two events that were made with timing and are done. */
    public float millisUntil(CudaEvent later) {
        return device.api.elapsedMillis(handle(), later.handle());
    }

    public boolean done() {
        return device.api.queryEvent(handle());
    }

    /** Idempotent. */
    @Override
    public void close() {
        if (!closed) {
            closed = true;
            device.disown(this);
            device.api.destroyEvent(handle);
        }
    }
}
