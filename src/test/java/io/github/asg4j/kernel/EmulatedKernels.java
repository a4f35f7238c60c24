// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.ffi.CudaApi;
import io.github.asg4j.ffi.EmulatedCuda;

/** {@link CudaKernels} on the emulated driver. */
public final class EmulatedKernels {
    /** What the emulated driver takes for machine code. */
    private static final byte[] ELF = {0x7F, 'E', 'L', 'F'};

    private EmulatedKernels() {}

    /** Kernels that work on memory of the host. */
    static CudaKernels create(EmulatedCuda.Order order) {
        CudaApi api = EmulatedCuda.open(EmulatedCuda.Machine.USUAL.with(order));
        EmulatedCuda.takeAnyMemory();
        CudaDevice device = CudaDevice.open(api, 0);
        return new CudaKernels(device.newStream(), program(device));
    }

    public static CudaProgram program(CudaDevice device) {
        return new CudaProgram(device, (operation, architecture) -> ELF);
    }
}
