// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.ffi.OpenVinoLibraries;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.ort.CompiledCache;
import io.github.asg4j.ort.OpenVinoProvider;
import io.github.asg4j.ort.OrtRuntime;
import io.github.asg4j.ort.Provider;
import io.github.asg4j.plan.Arithmetic;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.stream.Stream;

/**
 * In which precision the denoiser is computed, and why; the VAE's whole networks follow it.
 *
 * @param provider that compiles them on the CPU; null: ONNX Runtime's own kernels, or GPUs
 * @param precision "fp32", "fp16" or "bf16"
 * @param computedBy what computes it, with its version
 * @param reason one line for logs and {@code doctor}
 */
record PrecisionChoice(
        @Nullable Provider provider, String precision, String computedBy, String reason) {
    private static final System.Logger LOG = System.getLogger(PrecisionChoice.class.getName());

    /**
     * Bytes of a denoiser from which "auto" compiles it. The demo's has 8 MB: compiling takes longer than
     * a picture's steps save. From here on it is won back within the first steps, and what compiling its
     * VAE takes, 0.2 s beside opening it, within the first decode (benchmarks/NOTES.md).
     */
    static final long WORTH_COMPILING = 256L << 20;

    /** Matrix units that compute in bf16: those that "auto" was measured with. */
    private static final String MATRIX_UNITS = "amx_bf16";

    private static final String VECTORS = "avx512_bf16";

    /**
     * Chooses once for an engine and logs the choice.
     *
     * @param name "auto", "fp32" or "bf16"
     * @param memoryLimit bytes that a request may take
     * @throws BadRequestException for another name, or on GPUs for any but "auto"
     * @throws DeviceException if bf16 was asked for and cannot be had; only auto falls back
     */
    static PrecisionChoice choose(String name, Devices devices, Bundle bundle, long memoryLimit) {
        Manifest.Denoiser denoiser = bundle.manifest().denoiser();
        Stored stored =
                new Stored(
                        denoiser.precision(),
                        bundle.weightPrecision(),
                        bundle.graphBytes(denoiser.file()),
                        memoryLimit);
        PrecisionChoice choice =
                choose(name, devices, stored, new OpenVinoLibraries(), instructions());
        LOG.log(Level.INFO, "precision: {0}", choice.reason);
        return choice;
    }

    /**
     * The denoiser in the bundle.
     *
     * @param precision that its graph computes in
     * @param weights type of its weights as they are stored
     * @param bytes with its weights
     * @param memory bytes that a request may take
     */
    record Stored(String precision, String weights, long bytes, long memory) {
        /** Bytes that it takes where it is compiled for two shapes, as most requests have at most. */
        private long compiledTwice() {
            return bytes + Arithmetic.compiledBytes(weights, bytes, 2);
        }
    }

    /**
     * The same.
     *
     * @param instructions of the CPU, as Linux names them
     */
    static PrecisionChoice choose(
            String name,
            Devices devices,
            Stored stored,
            OpenVinoLibraries libraries,
            Set<String> instructions) {
        if (devices.onGpus()) {
            return onGpus(name, stored.precision());
        }
        return switch (name) {
            case "auto" -> auto(devices, stored, libraries, instructions);
            case "fp32" -> fp32("fp32: asked for");
            case "bf16" -> {
                if (!instructions.contains(MATRIX_UNITS) && !instructions.contains(VECTORS)) {
                    throw new DeviceException(
                            "this CPU cannot compute in bf16: it has neither "
                                    + MATRIX_UNITS
                                    + " nor "
                                    + VECTORS
                                    + " among its flags in /proc/cpuinfo; use --precision fp32");
                }
                yield bf16(devices, libraries, "bf16: asked for");
            }
            default ->
                    throw new BadRequestException(
                            "precision \"" + name + "\" is unknown: one of auto, fp32, bf16");
        };
    }

    private static PrecisionChoice onGpus(String name, String stored) {
        if (!name.equals("auto")) {
            throw new BadRequestException(
                    "precision \""
                            + name
                            + "\" is for CPUs: GPUs compute in the precision that the model's"
                            + " networks are stored in, "
                            + stored
                            + " here; leave --precision out");
        }
        return new PrecisionChoice(
                null,
                stored,
                "ONNX Runtime " + OrtRuntime.version() + " CUDA",
                stored + ": as the networks are stored");
    }

    private static PrecisionChoice auto(
            Devices devices, Stored stored, OpenVinoLibraries libraries, Set<String> instructions) {
        long bytes = stored.bytes();
        if (bytes < WORTH_COMPILING) {
            return fp32(
                    "fp32: to compile a denoiser of "
                            + (bytes >> 20)
                            + " MiB for bf16 would take longer than it saves");
        }
        if (!instructions.contains(MATRIX_UNITS)) {
            return fp32("fp32: this CPU has no " + MATRIX_UNITS);
        }
        if (stored.compiledTwice() > stored.memory()) {
            return fp32(
                    "fp32: the denoiser compiled for bf16 takes "
                            + (stored.compiledTwice() >> 20)
                            + " MiB, the limit is "
                            + (stored.memory() >> 20)
                            + " MiB");
        }
        try {
            return bf16(devices, libraries, "bf16: this CPU has " + MATRIX_UNITS);
        } catch (DeviceException e) {
            return fp32("fp32: bf16 would be faster, but " + e.getMessage());
        }
    }

    private static PrecisionChoice fp32(String reason) {
        return new PrecisionChoice(null, "fp32", "ONNX Runtime " + OrtRuntime.version(), reason);
    }

    private static PrecisionChoice bf16(
            Devices devices, OpenVinoLibraries libraries, String reason) {
        OpenVinoProvider provider =
                OpenVinoProvider.open(
                        libraries.find(),
                        devices.workers(),
                        devices.threadsPerWorker(),
                        CompiledCache.ofUser());
        return new PrecisionChoice(
                provider, "bf16", "OpenVINO plug-in " + provider.version(), reason);
    }

    /** What the CPU can do, as Linux names it; empty where that cannot be read. */
    private static Set<String> instructions() {
        try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
            return lines.filter(line -> line.startsWith("flags"))
                    .findFirst()
                    .map(
                            line ->
                                    Set.of(
                                            line.substring(line.indexOf(':') + 1)
                                                    .strip()
                                                    .split("\\s+")))
                    .orElse(Set.of());
        } catch (IOException e) {
            LOG.log(Level.DEBUG, "/proc/cpuinfo cannot be read", e);
            return Set.of();
        }
    }
}
