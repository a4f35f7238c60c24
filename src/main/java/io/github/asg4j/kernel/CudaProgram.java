// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import io.github.asg4j.DeviceException;
import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaModule;
import io.github.asg4j.ffi.CudaLibraries;
import io.github.asg4j.ffi.NativeLoadException;
import io.github.asg4j.ffi.Nvrtc;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.function.BiFunction;

/** All kernels, compiled for a GPU and loaded on it; they go with the device. Thread-safe. */
public final class CudaProgram {
    private final long[] functions = new long[CudaOperation.values().length];

    /** {@code code} gives the machine code of an operation for an architecture. */
    CudaProgram(CudaDevice device, BiFunction<CudaOperation, Integer, byte[]> code) {
        for (CudaOperation operation : CudaOperation.values()) {
            byte[] cubin = code.apply(operation, device.architecture());
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment image = arena.allocateFrom(ValueLayout.JAVA_BYTE, cubin);
                CudaModule module = device.load(image, operation.source());
                functions[operation.ordinal()] = module.function(operation.float32());
            }
        }
    }

    /**
     * Compiles what the cache does not have.
     *
     * @throws DeviceException if NVRTC is missing, does not know the device's architecture, or fails
     */
    public static CudaProgram load(CudaDevice device, CudaLibraries libraries, CubinCache cache) {
        CudaCode code = new CudaCode();
        Nvrtc nvrtc = nvrtc(libraries);
        String compiler = nvrtc.version();
        return new CudaProgram(
                device,
                (operation, architecture) ->
                        cache.get(
                                operation.source(),
                                code.source(operation.source()),
                                code.headers(),
                                code.options(architecture),
                                compiler,
                                () -> compile(nvrtc, code, operation, device)));
    }

    private static Nvrtc nvrtc(CudaLibraries libraries) {
        Path path =
                libraries
                        .find(Nvrtc.LIBRARY)
                        .orElseThrow(
                                () ->
                                        new DeviceException(
                                                libraries.missing(
                                                        Nvrtc.LIBRARY,
                                                        "install CUDA 13's NVRTC (package"
                                                                + " cuda-nvrtc-13-1, or the Python"
                                                                + " wheel nvidia-cuda-nvrtc)")));
        try {
            return new Nvrtc(path);
        } catch (NativeLoadException e) {
            throw new DeviceException("NVRTC cannot be used: " + e.getMessage(), e);
        }
    }

    private static byte[] compile(
            Nvrtc nvrtc, CudaCode code, CudaOperation operation, CudaDevice device) {
        Nvrtc.Result result = code.compile(nvrtc, operation.source(), device.architecture());
        if (!result.error().isEmpty()) {
            throw new DeviceException(
                    "NVRTC "
                            + nvrtc.version()
                            + " cannot compile "
                            + operation.source()
                            + ".cu for "
                            + device
                            + ", sm_"
                            + device.architecture()
                            + ": "
                            + result.error()
                            + " "
                            + result.log().lines().findFirst().orElse("")
                            + "; a GPU newer than this NVRTC needs a newer one");
        }
        return result.cubin();
    }

    /** Returns the handle that {@link io.github.asg4j.device.CudaStream#launch} takes. */
    long function(CudaOperation operation) {
        return functions[operation.ordinal()];
    }
}
