// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.ffi.CudaDriver;
import io.github.asg4j.ffi.CudaLibraries;

import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The kernels on a GPU, held to the contract of all kernels; skipped on a machine without one. See
 * {@code benchmarks/gpu/parity.sh}.
 */
class GpuKernelsTest extends KernelsContract {
    GpuKernelsTest() {
        super(onGpu());
    }

    private static Kernels onGpu() {
        assumeTrue(Files.exists(Path.of("/dev/nvidiactl")), "skipped: this machine has no GPU");
        CudaDevice device = CudaDevice.open(CudaDriver.open(), 0);
        CudaProgram program = CudaProgram.load(device, new CudaLibraries(), CubinCache.ofUser());
        return new CopyingKernels(device, program).kernels();
    }
}
