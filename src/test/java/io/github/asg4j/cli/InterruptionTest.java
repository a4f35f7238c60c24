// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Ctrl-C in the middle: the process ends soon, with 130, and leaves no file. In real processes. */
class InterruptionTest {
    private static final String STARTED = "drawing";

    @TempDir Path folder;

    /** The command line over a generation that never ends by itself. */
    static final class EndlessMain {
        private EndlessMain() {}

        public static void main(String[] args) {
            FakeEngines engines = new FakeEngines();
            engines.endless = true;
            engines.deaf = Boolean.getBoolean("asg.test.deaf");
            engines.whileDrawing = () -> System.err.println(STARTED);
            Cli cli = new Cli(engines, System.out, System.err, false, () -> FakeEngines.SEED);
            System.exit(cli.run(args));
        }
    }

    /** Runs in the background have SIGINT ignored, and children inherit that. */
    @BeforeEach
    void needsEnvThatResetsSignals() throws Exception {
        Process env = new ProcessBuilder("env", "--default-signal=INT", "true").start();
        assumeTrue(env.waitFor() == 0, "env --default-signal (coreutils 8.31)");
    }

    private Process start(String command, boolean deaf, String... options) throws IOException {
        List<String> words =
                new ArrayList<>(
                        List.of(
                                "env",
                                "--default-signal=INT",
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-XX:+UseSerialGC",
                                "-XX:TieredStopAtLevel=1",
                                "--enable-native-access=ALL-UNNAMED",
                                "-Dasg.test.deaf=" + deaf,
                                "-cp",
                                System.getProperty("java.class.path"),
                                EndlessMain.class.getName(),
                                command,
                                "--json",
                                "--out",
                                folder.resolve("a").toString()));
        words.addAll(List.of(options));
        return new ProcessBuilder(words).redirectErrorStream(true).start();
    }

    /** Sends SIGINT once the generation runs; returns what was printed after that. */
    private String interrupt(Process process) throws Exception {
        try (BufferedReader printed = process.inputReader()) {
            String line = printed.readLine();
            while (line != null && line.matches("(eval|batch): 0 of .*|\\{\"done\":0,.*")) {
                line = printed.readLine();
            }
            assertEquals(STARTED, line);
            new ProcessBuilder("kill", "-INT", Long.toString(process.pid())).start().waitFor();
            assertTrue(process.waitFor(20, TimeUnit.SECONDS), "still running");
            return printed.lines().collect(Collectors.joining("\n"));
        } finally {
            process.destroyForcibly();
        }
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.toList();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"generate", "compare"})
    void cancelsAndLeavesNoFile(String command) throws Exception {
        Process process = start(command, false, "--prompt", "a ball");
        assertEquals("asg: cancelled in step 3 of 50", interrupt(process));
        assertEquals(130, process.exitValue());
        assertEquals(List.of(), files());
    }

    @Test
    void doesNotWaitForeverForTheGeneration() throws Exception {
        Process process = start("generate", true, "--prompt", "a ball");
        assertEquals("asg: leaving while a UNet call is still running", interrupt(process));
        assertEquals(130, process.exitValue());
        assertEquals(List.of(), files());
    }

    @Test
    void anEvaluationSaysHowToGoOn() throws Exception {
        Process process = start("eval", false, "--methods", "direct");
        assertEquals(
                "asg: stopped after 0 of 64 pictures, which are kept in '"
                        + folder.resolve("a")
                        + "': the same command goes on from there",
                interrupt(process));
        assertEquals(130, process.exitValue());
    }

    @Test
    void aBatchSaysHowToGoOn() throws Exception {
        Path rows = Files.writeString(folder.resolve("rows.txt"), "a ball\na cube\n");
        Process process = start("batch", false, "--in", rows.toString());
        assertEquals(
                "asg: stopped after 0 of 2 pictures, which are kept in '"
                        + folder.resolve("a")
                        + "': the same command goes on from there",
                interrupt(process));
        assertEquals(130, process.exitValue());
    }
}
