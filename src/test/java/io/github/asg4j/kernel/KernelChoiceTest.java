// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.ffi.CpuLibrary;

import org.junit.jupiter.api.Test;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A choice is the best there is or exactly what was asked for, and says why. */
class KernelChoiceTest {
    @Test
    void autoTakesTheBest() {
        KernelChoice choice = KernelChoice.choose("auto");
        assertEquals(KernelChoice.usable().getLast(), choice.kernels().name());
        assertTrue(choice.reason().startsWith(choice.kernels().name() + ": "), choice.reason());
        // A build that had the tools and yet falls back is broken.
        assertEquals(CpuLibrary.built(), choice.kernels() instanceof NativeKernels);
    }

    @Test
    void aNamedChoiceIsTakenOrRefused() {
        for (String name : List.of("java", "scalar", "avx2", "avx512")) {
            if (KernelChoice.usable().contains(name)) {
                assertEquals(name, KernelChoice.choose(name).kernels().name());
            } else {
                DeviceException e =
                        assertThrows(DeviceException.class, () -> KernelChoice.choose(name));
                assertTrue(e.getMessage().contains("use auto or one of java"), e.getMessage());
            }
        }
        assertInstanceOf(JavaKernels.class, KernelChoice.choose("java").kernels());
    }

    @Test
    void unknownNameListsTheKnown() {
        BadRequestException e =
                assertThrows(BadRequestException.class, () -> KernelChoice.choose("sse9"));
        assertEquals(
                "kernels \"sse9\" are unknown: one of auto, java, scalar, avx2, avx512",
                e.getMessage());
    }

    /**
     * In a process whose library cannot be opened: auto falls back with the reason, a forced name
     * fails with it.
     */
    @Test
    void javaKernelsServeWithoutTheLibrary() throws Exception {
        List<String> output = new ArrayList<>();
        Process process =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "--enable-native-access=ALL-UNNAMED",
                                "-XX:TieredStopAtLevel=1",
                                "-Dasg.native.path=/no/such/library.so",
                                "-cp",
                                System.getProperty("java.class.path"),
                                Fallback.class.getName())
                        .redirectErrorStream(true)
                        .start();
        try (var lines = process.inputReader()) {
            lines.lines().forEach(output::add);
        }
        assertEquals(0, process.waitFor(), output::toString);
        String all = String.join("\n", output);
        assertTrue(all.contains("chose java"), all);
        assertTrue(all.contains("/no/such/library.so is not a file"), all);
        assertTrue(all.contains("forced: kernels scalar cannot run here: /no/such"), all);
        assertEquals(CpuLibrary.built(), all.contains("WARNING: kernels: java"), all);
    }

    /** The other process. */
    static final class Fallback {
        private Fallback() {}

        @SuppressWarnings("SystemOut")
        public static void main(String[] args) {
            System.out.println("chose " + KernelChoice.choose("auto").kernels().name());
            try {
                KernelChoice.choose("scalar");
            } catch (DeviceException e) {
                System.out.println("forced: " + e.getMessage());
            }
        }
    }
}
