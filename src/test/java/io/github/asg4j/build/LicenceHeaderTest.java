// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.build;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Every source file of ours begins with its licence. */
class LicenceHeaderTest {
    private static final String HEADER = "// SPDX-License-Identifier: Apache-2.0";
    private static final List<String> FOLDERS =
            List.of("src", "native", "kernels", "benchmarks/src", "integrations");

    @Test
    void everySourceFileBeginsWithTheLicence() throws IOException {
        for (String folder : FOLDERS) {
            if (!Files.isDirectory(Path.of(folder))) {
                continue;
            }
            try (Stream<Path> files = Files.walk(Path.of(folder))) {
                List<Path> without =
                        files.filter(LicenceHeaderTest::isSource).filter(f -> !begins(f)).toList();
                assertEquals(List.of(), without, "first line must be " + HEADER);
            }
        }
    }

    private static boolean isSource(Path file) {
        return Files.isRegularFile(file)
                && file.toString().matches(".*\\.(java|java\\.txt|h|hpp|cpp|cu|cuh)");
    }

    private static boolean begins(Path file) {
        try (Stream<String> lines = Files.lines(file)) {
            return lines.findFirst().orElse("").equals(HEADER);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
