// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.DeviceException;
import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.ffi.CudaLibraries;
import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.ffi.EmulatedCuda.Machine;
import io.github.asg4j.ffi.EmulatedCuda.Order;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** From sources to kernels on a device: NVRTC's real code, loaded by the emulated driver. */
class CudaProgramTest {
    private static final String NVRTC = "target/nvrtc/org/bytedeco/cuda/linux-x86_64";

    @TempDir Path cache;

    @AfterEach
    void forgetTheFolder() {
        System.clearProperty(CudaLibraries.PROPERTY);
    }

    private CudaProgram load(CudaDevice device, String libraries) {
        System.setProperty(CudaLibraries.PROPERTY, libraries);
        return CudaProgram.load(device, new CudaLibraries(), new CubinCache(cache));
    }

    private long files() throws IOException {
        try (Stream<Path> files = Files.list(cache)) {
            return files.count();
        }
    }

    @Test
    void loadsEveryKernelAndKeepsTheCode() throws IOException {
        try (CudaDevice device = CudaDevice.open(EmulatedCuda.open(Machine.USUAL), 0)) {
            CudaProgram program = load(device, NVRTC);
            for (CudaOperation operation : CudaOperation.values()) {
                assertTrue(program.function(operation) != 0, operation::name);
            }
            assertEquals(CudaOperation.values().length, files());
            load(device, NVRTC);
            assertEquals(CudaOperation.values().length, files());
        }
        assertEquals(0, EmulatedCuda.left());
    }

    @Test
    void aMissingCompilerIsNamed() {
        try (CudaDevice device = CudaDevice.open(EmulatedCuda.open(Machine.USUAL), 0)) {
            DeviceException e =
                    assertThrows(DeviceException.class, () -> load(device, cache.toString()));
            assertTrue(
                    e.getMessage().startsWith("libnvrtc.so.13 was not found in ["), e::getMessage);
            assertTrue(e.getMessage().contains("nvidia-cuda-nvrtc"), e.getMessage());
        }
    }

    @Test
    void anUnknownArchitectureIsNamed() {
        Machine future = new Machine(1, 14000, 150, 1 << 20, Order.ASCENDING);
        try (CudaDevice device = CudaDevice.open(EmulatedCuda.open(future), 0)) {
            DeviceException e = assertThrows(DeviceException.class, () -> load(device, NVRTC));
            assertTrue(e.getMessage().contains("sm_150"), e.getMessage());
            assertTrue(e.getMessage().contains("needs a newer one"), e.getMessage());
        }
    }

    @Test
    void codeForAnotherGpuIsRefused() {
        try (CudaDevice device = CudaDevice.open(EmulatedCuda.open(Machine.USUAL), 0)) {
            DeviceException e =
                    assertThrows(
                            DeviceException.class,
                            () -> new CudaProgram(device, (o, a) -> new byte[] {1, 2, 3, 4}));
            assertTrue(
                    e.getMessage().contains("cuModuleLoadData of normal failed")
                            && e.getMessage().contains("CUDA_ERROR_INVALID_IMAGE (200)"),
                    e.getMessage());
        }
    }
}
