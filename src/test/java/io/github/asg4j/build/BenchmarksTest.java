// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.build;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

import javax.tools.ToolProvider;

/** {@code benchmarks} is a project of its own, which this build does not make: it has to fit the engine. */
class BenchmarksTest {
    private static final Path SOURCES = Path.of("benchmarks/src/main/java");

    @TempDir Path folder;

    @Test
    void compileAndKnowEveryKernel() throws Exception {
        List<String> arguments =
                new ArrayList<>(
                        List.of(
                                "-proc:none",
                                "-d",
                                folder.toString(),
                                "-cp",
                                System.getProperty("java.class.path")));
        try (Stream<Path> files = Files.walk(SOURCES)) {
            files.map(Path::toString).filter(f -> f.endsWith(".java")).forEach(arguments::add);
        }
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        int exit =
                ToolProvider.getSystemJavaCompiler()
                        .run(null, output, output, arguments.toArray(new String[0]));
        assertEquals(0, exit, output::toString);
        // Its initialiser fails for a kernel without a benchmark.
        try (URLClassLoader loader = new URLClassLoader(new URL[] {url(folder)})) {
            Class.forName("io.github.asg4j.benchmarks.KernelCatalogue", true, loader);
        }
    }

    private static URL url(Path folder) throws IOException {
        return folder.toUri().toURL();
    }
}
