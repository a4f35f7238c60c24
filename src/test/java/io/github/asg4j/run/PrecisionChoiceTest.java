// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.ffi.OpenVinoLibraries;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.Set;

/** What "--precision" means on machines without OpenVINO, or without a CPU or model for it. */
class PrecisionChoiceTest {
    private static final Set<String> AMX = Set.of("avx512f", "avx512_bf16", "amx_bf16");

    @TempDir Path empty;

    @AfterEach
    void forget() {
        System.clearProperty(OpenVinoLibraries.PROPERTY);
    }

    private PrecisionChoice choose(String name, String devices, long bytes, Set<String> cpu) {
        System.setProperty(OpenVinoLibraries.PROPERTY, empty.toString());
        return PrecisionChoice.choose(
                name,
                Devices.parse(devices, OptionalInt.empty(), () -> 1),
                new PrecisionChoice.Stored("fp16", "fp16", bytes, 16L << 30),
                new OpenVinoLibraries(),
                cpu);
    }

    private static void refused(Class<? extends AsgException> type, String text, Runnable choice) {
        AsgException e = assertThrows(type, choice::run);
        assertTrue(String.valueOf(e.getMessage()).contains(text), e.getMessage());
    }

    private static void isFp32(String reason, PrecisionChoice choice) {
        assertNull(choice.provider());
        assertEquals("fp32", choice.precision());
        assertTrue(choice.reason().startsWith(reason), choice.reason());
    }

    @Test
    void autoLeavesSmallModelsToOnnxRuntime() {
        isFp32(
                "fp32: to compile a denoiser of 255 MiB",
                choose("auto", "cpu:1", (256L << 20) - 1, AMX));
    }

    @Test
    void autoNeedsMatrixUnits() {
        isFp32(
                "fp32: this CPU has no amx_bf16",
                choose("auto", "cpu:1", 1L << 30, Set.of("avx512_bf16")));
    }

    /** The weights once, 6.5 bytes for each in two networks, and four while one is compiled. */
    @Test
    void autoNeedsMemory() {
        isFp32(
                "fp32: the denoiser compiled for bf16 takes 19456 MiB, the limit is 16384 MiB",
                choose("auto", "cpu:1", 2L << 30, AMX));
    }

    @Test
    void autoSaysWhatToInstall() {
        isFp32(
                "fp32: bf16 would be faster, but libonnxruntime_providers_openvino_plugin.so was"
                        + " not found",
                choose("auto", "cpu:1", 1L << 30, AMX));
    }

    @Test
    void fp32IsAlwaysThere() {
        isFp32("fp32: asked for", choose("fp32", "cpu:1", 1L << 30, AMX));
        isFp32("fp32: asked for", choose("fp32", "cpu:1", 1L << 30, Set.of()));
    }

    @Test
    void bf16IsRefusedWhereItCannotBeHad() {
        refused(
                DeviceException.class,
                "neither amx_bf16 nor avx512_bf16",
                () -> choose("bf16", "cpu:1", 1, Set.of("avx2")));
        refused(
                DeviceException.class,
                "install it with: pip install",
                () -> choose("bf16", "cpu:1", 1, AMX));
    }

    @Test
    void gpusComputeAsTheNetworksAreStored() {
        PrecisionChoice choice = choose("auto", "cuda:0", 1L << 30, AMX);
        assertEquals("fp16", choice.precision());
        assertTrue(choice.computedBy().endsWith(" CUDA"));
        refused(
                BadRequestException.class,
                "leave --precision out",
                () -> choose("bf16", "cuda:0", 1, AMX));
        refused(
                BadRequestException.class,
                "leave --precision out",
                () -> choose("fp32", "cuda:0", 1, AMX));
    }

    @Test
    void anotherNameIsABadRequest() {
        refused(
                BadRequestException.class,
                "one of auto, fp32, bf16",
                () -> choose("fp16", "cpu:1", 1, AMX));
    }
}
