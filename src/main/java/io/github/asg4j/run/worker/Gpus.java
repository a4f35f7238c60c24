// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.ffi.CudaApi;
import io.github.asg4j.ffi.CudaDriver;
import io.github.asg4j.ffi.CudaLibraries;
import io.github.asg4j.kernel.CubinCache;
import io.github.asg4j.kernel.CudaProgram;
import io.github.asg4j.ort.CudaProvider;
import io.github.asg4j.ort.Provider;

/** How the GPUs of a machine are used; tests have GPUs of their own. */
public interface Gpus {
    /**
     * The driver.
     *
     * @throws io.github.asg4j.DeviceException if there is none that can be used, or this build
     *     cannot use it
     */
    CudaApi driver();

    /**
     * Our kernels for a device.
     *
     * @throws io.github.asg4j.DeviceException if they cannot be compiled
     */
    CudaProgram program(CudaDevice device);

    /**
     * Runs networks on a stream, tensors in the memory of its device.
     *
     * @throws io.github.asg4j.DeviceException if the build or a library does not allow it
     */
    Provider onStream(CudaStream stream);

    /** Runs networks on a device, tensors in host memory; else as {@link #onStream}. */
    Provider withHostTensors(CudaDevice device);

    /** Returns the GPUs of this machine. */
    static Gpus ofMachine() {
        CudaLibraries libraries = new CudaLibraries();
        return new Gpus() {
            @Override
            public CudaApi driver() {
                CudaProvider.requireBuilt();
                return CudaDriver.open();
            }

            @Override
            public CudaProgram program(CudaDevice device) {
                return CudaProgram.load(device, libraries, CubinCache.ofUser());
            }

            @Override
            public Provider onStream(CudaStream stream) {
                return CudaProvider.on(stream, CudaProvider.NO_LIMIT, libraries);
            }

            @Override
            public Provider withHostTensors(CudaDevice device) {
                return CudaProvider.withHostTensors(device, CudaProvider.NO_LIMIT, libraries);
            }
        };
    }
}
