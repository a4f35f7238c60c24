// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.DeviceException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.Tiny;
import io.github.asg4j.ffi.EmulatedCuda;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.List;
import java.util.stream.Stream;

/** Which GPUs an engine opens, and why it refuses others. */
class CudaDevicesTest {
    /** "auto" takes all GPUs that can be used, and says why it takes none. */
    @Test
    void autoTakesAllUsableGpusOrSaysWhyNone() {
        try (Engine engine = new EmulatedGpus().open("auto")) {
            assertEquals(List.of("cuda:0", "cuda:1"), engine.describe().devices());
        }
        try (Engine engine = Engine.open(Tiny.options(1).withDevices("auto"))) {
            String reason = engine.describe().devicesReason();
            assertTrue(reason.contains("no GPU: this build has no CUDA natives"), reason);
        }
    }

    @Test
    void kernelsAreTestedOnEveryDevice() {
        try (Engine engine = new EmulatedGpus().open("cuda:0,cuda:1")) {
            assertEquals(
                    Stream.of("kernels", "cuda:0", "cuda:1")
                            .map(name -> new EngineInfo.SelfTest(name, ""))
                            .toList(),
                    engine.describe().selfTests());
        }
    }

    @ParameterizedTest
    @CsvSource({
        "cuda:2, there is no device cuda:2: this machine has 2",
        "'cuda:0,cuda:9', there is no device cuda:9: this machine has 2"
    })
    void devicesThatAreNotThereAreRefused(String devices, String message) {
        DeviceException e =
                assertThrows(DeviceException.class, () -> new EmulatedGpus().open(devices));
        assertTrue(e.getMessage().contains(message), e.getMessage());
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    @Test
    void aDriverThatIsTooOldIsRefused() {
        EmulatedGpus gpus =
                new EmulatedGpus(
                        new EmulatedCuda.Machine(
                                2, 12080, 90, 1L << 30, EmulatedCuda.Order.ASCENDING));
        DeviceException e = assertThrows(DeviceException.class, () -> gpus.open("cuda:0"));
        assertTrue(e.getMessage().contains("serves CUDA 12.8"), e.getMessage());
        assertTrue(e.getMessage().contains("driver 580 or newer"), e.getMessage());
    }
}
