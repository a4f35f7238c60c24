// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.build;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.stream.Stream;

/**
 * The null check of the build is alive: an old NullAway on a new JDK, or a package that is not
 * {@code @NullMarked}, says nothing at all. Compiles in a child javac with the options of the
 * build, which Maven wrote to {@code target/tools/javac.properties}.
 */
class NullnessCheckTest {
    private static final Path VIOLATION =
            Path.of("src/test/resources/negative/NullViolation.java.txt");
    private static final Path MAIN = Path.of("src/main/java");

    @TempDir Path folder;

    @Test
    void dereferenceOfNullableFailsTheBuild() throws Exception {
        Compilation compilation = compile(Files.readString(VIOLATION));
        assertNotEquals(0, compilation.exitCode(), compilation.output());
        assertTrue(
                compilation.output().contains("error: [NullAway] dereferenced expression"),
                compilation.output());
    }

    /** Without the violation the same file compiles: the failure above has no other cause. */
    @Test
    void checkedDereferencePasses() throws Exception {
        String source = Files.readString(VIOLATION);
        String checked = source.replace("text.length()", "text == null ? 0 : text.length()");
        assertNotEquals(source, checked);
        Compilation compilation = compile(checked);
        assertEquals(0, compilation.exitCode(), compilation.output());
    }

    @Test
    void everyPackageIsNullMarked() throws IOException {
        List<Path> unmarked = new ArrayList<>();
        try (Stream<Path> files = Files.walk(MAIN)) {
            for (Path folder : files.filter(Files::isDirectory).toList()) {
                if (hasSources(folder) && !isNullMarked(folder.resolve("package-info.java"))) {
                    unmarked.add(folder);
                }
            }
        }
        assertEquals(List.of(), unmarked, "each needs a package-info.java with @NullMarked");
    }

    private static boolean hasSources(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString())
                    .anyMatch(name -> name.endsWith(".java") && !name.equals("module-info.java"));
        }
    }

    private static boolean isNullMarked(Path packageInfo) throws IOException {
        return Files.exists(packageInfo) && Files.readString(packageInfo).contains("@NullMarked");
    }

    private record Compilation(int exitCode, String output) {}

    private Compilation compile(String source) throws IOException, InterruptedException {
        Properties build = new Properties();
        try (Reader reader = Files.newBufferedReader(Path.of("target/tools/javac.properties"))) {
            build.load(reader);
        }
        Path file = folder.resolve("NullViolation.java");
        Files.writeString(file, source);

        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "javac").toString());
        for (String name :
                List.of("api", "file", "main", "model", "parser", "processing", "tree", "util")) {
            command.add(
                    "-J--add-exports=jdk.compiler/com.sun.tools.javac." + name + "=ALL-UNNAMED");
        }
        for (String name : List.of("code", "comp")) {
            command.add("-J--add-opens=jdk.compiler/com.sun.tools.javac." + name + "=ALL-UNNAMED");
        }
        command.addAll(
                List.of("-XDcompilePolicy=simple", "--should-stop=ifError=FLOW", "-proc:none"));
        command.addAll(List.of("-processorpath", build.getProperty("processor.path")));
        command.add(build.getProperty("plugin"));
        command.addAll(List.of("-cp", System.getProperty("java.class.path")));
        command.addAll(List.of("-d", folder.resolve("classes").toString(), file.toString()));

        Path log = folder.resolve("javac.log");
        Process javac =
                new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectOutput(log.toFile())
                        .start();
        int exitCode = javac.waitFor();
        return new Compilation(exitCode, Files.readString(log));
    }
}
