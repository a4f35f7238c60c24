// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import io.github.asg4j.device.CheckedCuda;
import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.ffi.EmulatedCuda;

import org.junit.jupiter.api.Tag;

/** What {@link GpuKernelsTest} does on a GPU, on the emulated driver and under all its checks. */
@Tag("optimised")
class CopiedCudaKernelsTest extends KernelsContract {
    CopiedCudaKernelsTest() {
        super(emulated());
    }

    private static Kernels emulated() {
        CudaDevice device =
                CudaDevice.open(new CheckedCuda(EmulatedCuda.open(EmulatedCuda.Machine.USUAL)), 0);
        return new CopyingKernels(device, EmulatedKernels.program(device)).kernels();
    }
}
