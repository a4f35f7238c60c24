// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.build;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What both launchers start Java with, told by a Java that prints its locale and its arguments. */
class LauncherTest {
    private static final String SOURCES = "asg";
    private static final String PORTABLE = "dist/bin/asg";
    private static final String ECHO = "#!/bin/sh\nprintf '%s\\n' \"LC_ALL=${LC_ALL:-}\" \"$@\"\n";

    @TempDir Path folder;

    private record Outcome(int code, List<String> lines) {}

    /** A folder of sources, built, and a portable one. */
    @BeforeEach
    void makeFolders() throws IOException {
        for (String part : List.of("src/main", "src/demo", "native", "target/lib", "dist/bin")) {
            Files.createDirectories(folder.resolve(part));
        }
        Files.createFile(folder.resolve("pom.xml"));
        Files.createFile(folder.resolve("target/asg4j-1.jar"));
        Files.createFile(folder.resolve("target/lib/asg4j-1-demo.jar"));
        for (String java : List.of("jdk/bin/java", "jdk/bin/javac", "dist/runtime/bin/java")) {
            executable(folder.resolve(java), ECHO);
        }
        Files.writeString(folder.resolve("jdk/release"), "JAVA_VERSION=\"25.0.1\"\n");
        executable(folder.resolve(SOURCES), Files.readString(Path.of("asg")));
        executable(folder.resolve(PORTABLE), Files.readString(Path.of("src/dist/asg")));
        stamp(Instant.now().plusSeconds(60));
    }

    private void stamp(Instant time) throws IOException {
        Path stamp = folder.resolve("target/asg.stamp");
        if (Files.notExists(stamp)) {
            Files.createFile(stamp);
        }
        Files.setLastModifiedTime(stamp, FileTime.from(time));
    }

    private static void executable(Path file, String text) throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, text);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    private Outcome run(List<String> command, Map<String, String> environment) throws Exception {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().keySet().removeIf(name -> name.matches("LC_.*|LANG|JAVA_.*|ASG_.*"));
        builder.environment().put("ASG_JAVA_HOME", folder.resolve("jdk").toString());
        builder.environment().putAll(environment);
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Outcome(process.waitFor(), output.lines().toList());
    }

    private List<String> started(String launcher, Map<String, String> environment)
            throws Exception {
        Outcome outcome =
                run(List.of(folder.resolve(launcher).toString(), "gr\u00fcn"), environment);
        assertEquals(0, outcome.code(), outcome.lines()::toString);
        return outcome.lines();
    }

    @ParameterizedTest
    @ValueSource(strings = {SOURCES, PORTABLE})
    void aLocaleThatIsNotInstalledIsReplaced(String launcher) throws Exception {
        assertEquals(
                "LC_ALL=C.UTF-8", started(launcher, Map.of("LC_ALL", "xx_XX.UTF-8")).getFirst());
        assertEquals("LC_ALL=C.UTF-8", started(launcher, Map.of("LANG", "xx_XX.utf8")).getFirst());
        assertEquals("LC_ALL=C.UTF-8", started(launcher, Map.of("LANG", "C")).getFirst());
        assertEquals("LC_ALL=C.UTF-8", started(launcher, Map.of()).getFirst());
    }

    @ParameterizedTest
    @ValueSource(strings = {SOURCES, PORTABLE})
    void anInstalledOneStays(String launcher) throws Exception {
        assumeTrue(
                run(List.of("locale", "charmap"), Map.of("LANG", "C.utf8"))
                        .lines()
                        .contains("UTF-8"));
        List<String> said = started(launcher, Map.of("LANG", "C.utf8"));
        assertEquals("LC_ALL=", said.getFirst());
        assertEquals("gr\u00fcn", said.getLast());
    }

    @ParameterizedTest
    @ValueSource(strings = {SOURCES, PORTABLE})
    void aCollectorOfTheUsersReplacesOurs(String launcher) throws Exception {
        assertTrue(started(launcher, Map.of()).contains("-XX:+UseSerialGC"));
        assertTrue(
                started(launcher, Map.of("ASG_JAVA_OPTS", "-Xmx4g")).contains("-XX:+UseSerialGC"));
        List<String> said = started(launcher, Map.of("ASG_JAVA_OPTS", "-Xmx4g -XX:+UseZGC"));
        assertTrue(said.contains("-XX:+UseZGC"), said::toString);
        assertFalse(said.contains("-XX:+UseSerialGC"), said::toString);
        assertFalse(
                started(launcher, Map.of("JDK_JAVA_OPTIONS", "-XX:+UseG1GC"))
                        .contains("-XX:+UseSerialGC"));
    }

    /** Root may write anywhere: the test steps down to another user then. */
    @Test
    void anOldBuildOfAnotherOwnerSaysWhoseItIs() throws Exception {
        stamp(Instant.EPOCH);
        Path target = folder.resolve("target");
        List<String> command = new ArrayList<>();
        if (run(List.of("id", "-u"), Map.of()).lines().contains("0")) {
            assumeTrue(Files.isExecutable(Path.of("/usr/bin/setpriv")), "skipped: no setpriv");
            command.addAll(List.of("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"));
            Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
        } else {
            Files.setPosixFilePermissions(target, PosixFilePermissions.fromString("r-xr-xr-x"));
        }
        command.add(folder.resolve(SOURCES).toString());
        Outcome outcome = run(command, Map.of());
        Files.setPosixFilePermissions(target, PosixFilePermissions.fromString("rwxr-xr-x"));
        assertEquals(1, outcome.code(), outcome.lines()::toString);
        assertTrue(
                outcome.lines()
                        .getFirst()
                        .contains("cannot write " + target + ", which belongs to "),
                outcome.lines()::toString);
    }
}
