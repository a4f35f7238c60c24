// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.device;

/** Machine code that is loaded on a GPU. */
public final class CudaModule implements AutoCloseable {
    private final CudaDevice device;
    private final long handle;
    private final String name;
    private boolean closed;

    CudaModule(CudaDevice device, long handle, String name) {
        this.device = device;
        this.handle = handle;
        this.name = name;
    }

    /** Handle of a kernel, for {@link CudaStream#launch}; valid until the module is closed. */
    public long function(String kernel) {
        if (closed) {
            throw new IllegalStateException("module " + name + " is unloaded");
        }
        return device.api.function(handle, kernel);
    }

    /** Idempotent. */
    @Override
    public void close() {
        if (!closed) {
            closed = true;
            device.disown(this);
            device.api.unloadModule(handle);
        }
    }
}
