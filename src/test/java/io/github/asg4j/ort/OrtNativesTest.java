// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.DeviceException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/** Where ONNX Runtime's libraries cannot be unpacked, in processes of their own. */
class OrtNativesTest {
    private static final String LIBRARY =
            "org/bytedeco/onnxruntime/linux-x86_64/libonnxruntime.so.1";

    @TempDir Path cache;
    @TempDir Path temporary;

    /** Asks twice; prints what comes. */
    static final class Ask {
        private Ask() {}

        public static void main(String[] args) {
            for (int i = 0; i < 2; i++) {
                try {
                    System.out.println(OrtRuntime.version());
                } catch (DeviceException e) {
                    System.out.println(e.getMessage());
                }
            }
            System.out.println(System.getProperty("org.bytedeco.javacpp.loadlibraries"));
        }
    }

    @Test
    void aLibraryThatTheCacheDoesNotTakeIsCopiedToATemporaryFolder() throws Exception {
        String jar =
                Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                        .map(entry -> Path.of(entry).getFileName().toString())
                        .filter(name -> name.matches("onnxruntime-.*-linux-x86_64.jar"))
                        .findFirst()
                        .orElseThrow();
        // A folder where the file should be.
        Files.createDirectories(cache.resolve(jar).resolve(LIBRARY).resolve("taken"));
        assertEquals(List.of("1.24.1", "1.24.1", "null"), ask("unlimited"));
        try (Stream<Path> left = Files.list(temporary)) {
            assertEquals(List.of(), left.filter(f -> f.toString().contains("asg4j")).toList());
        }
    }

    /** Nothing of ONNX Runtime's size can be written anywhere. */
    @Test
    void theFirstCauseIsToldEachTime() throws Exception {
        List<String> said = ask("4096");
        assertTrue(said.get(0).contains("File too large"), said::toString);
        assertTrue(said.get(0).contains("-Dorg.bytedeco.javacpp.cachedir="), said::toString);
        assertTrue(said.get(0).contains("-Djava.io.tmpdir="), said::toString);
        assertEquals(said.get(0), said.get(1));
        assertEquals("null", said.get(2));
    }

    private List<String> ask(String fileSize) throws Exception {
        Process process =
                new ProcessBuilder(
                                "sh",
                                "-c",
                                "ulimit -f " + fileSize + " && exec \"$@\"",
                                "sh",
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "--enable-native-access=ALL-UNNAMED",
                                "-Dorg.bytedeco.javacpp.cachedir=" + cache,
                                "-Djava.io.tmpdir=" + temporary,
                                "-cp",
                                System.getProperty("java.class.path"),
                                Ask.class.getName())
                        .redirectError(ProcessBuilder.Redirect.DISCARD)
                        .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        return output.lines().toList();
    }
}
