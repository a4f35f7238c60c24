// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * The native tests under AddressSanitizer and UndefinedBehaviorSanitizer, where CMake and a compiler
 * with both are installed. The build folder is kept: only what changed is compiled again.
 */
class SanitizedKernelsTest {
    private static final String BUILD = "target/native-asan";

    @TempDir Path folder;

    @Test
    void nativeTestsAreClean() throws Exception {
        assumeTrue(run("cmake", "--version") == 0, "skipped: CMake is not installed");
        Path probe = Files.writeString(folder.resolve("probe.cpp"), "int main() { return 0; }\n");
        Path program = folder.resolve("probe");
        assumeTrue(
                run(
                                        "c++",
                                        "-fsanitize=address,undefined",
                                        "-o",
                                        program.toString(),
                                        probe.toString())
                                == 0
                        && run(program.toString()) == 0,
                "skipped: the C++ compiler has no sanitizers");
        assertEquals(0, run("cmake", "-S", "native", "-B", BUILD, "-DASG_SANITIZE=ON"), log());
        assertEquals(
                0, run("cmake", "--build", BUILD, "--parallel", "--target", "native-tests"), log());
        assertEquals(0, run(BUILD + "/native-tests"), log());
        assertTrue(log().contains("instruction sets agree"), log());
    }

    /** Exit status; 127 if there is no such program. Output of the last one is the log. */
    private int run(String... command) throws InterruptedException {
        try {
            return new ProcessBuilder(List.of(command))
                    .redirectErrorStream(true)
                    .redirectOutput(folder.resolve("log").toFile())
                    .start()
                    .waitFor();
        } catch (IOException e) {
            return 127;
        }
    }

    private String log() throws IOException {
        return Files.readString(folder.resolve("log"));
    }
}
