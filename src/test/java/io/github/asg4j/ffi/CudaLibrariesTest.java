// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The order in which CUDA's libraries are looked for, on a made-up machine. */
class CudaLibrariesTest {
    private static final String NAME = "libx.so.1";

    @TempDir Path root;

    private CudaLibraries libraries(String property, Map<String, String> environment) {
        return new CudaLibraries(
                name -> environment.getOrDefault(name, ""), property, root, root.resolve("home"));
    }

    private Path put(String folder) throws IOException {
        Path file = Files.createDirectories(root.resolve(folder)).resolve(NAME);
        return Files.writeString(file, "");
    }

    /** Each place is found, and only when those before it are gone. */
    @Test
    void placesAreTriedInTheDocumentedOrder() throws IOException {
        List<Path> files =
                List.of(
                        put("environment"),
                        put("cuda-home/lib64"),
                        put("cuda-path/lib"),
                        put("usr/local/cuda/lib64"),
                        put("usr/local/cuda-13.1/lib64"),
                        put("usr/local/cuda-13.0/lib64"),
                        put("opt/cuda/targets/x86_64-linux/lib"),
                        put("usr/lib/x86_64-linux-gnu"),
                        put("venv/lib/python3.12/site-packages/nvidia/cu13/lib"),
                        put("venv/lib/python3.12/site-packages/nvidia/cudnn/lib"),
                        put("home/.local/lib/python3.11/site-packages/nvidia/cu13/lib"),
                        put(
                                "home/.javacpp/cache/cuda-redist-13.1.jar/org/bytedeco/cuda/linux-x86_64"));
        Map<String, String> environment =
                Map.of(
                        "LD_LIBRARY_PATH",
                        ":/nowhere::" + root.resolve("environment"),
                        "CUDA_HOME",
                        root.resolve("cuda-home").toString(),
                        "CUDA_PATH",
                        root.resolve("cuda-path").toString(),
                        "VIRTUAL_ENV",
                        root.resolve("venv").toString());
        CudaLibraries libraries = libraries("", environment);
        assertEquals(12, libraries.folders().size());
        for (Path file : List.of(files.get(0), files.get(1), files.get(2), files.get(3))) {
            assertEquals(Optional.of(file), libraries.find(NAME));
            Files.delete(file);
        }
        assertEquals(Optional.of(files.get(4)), libraries.find(NAME), "13.1 before 13.0");
        for (Path file : files.subList(4, 8)) {
            assertTrue(libraries.find(NAME).isPresent());
            Files.delete(file);
        }
        // The order within the wheels is not promised.
        assertTrue(libraries.find(NAME).orElseThrow().startsWith(root.resolve("venv")));
        Files.delete(files.get(8));
        Files.delete(files.get(9));
        assertEquals(Optional.of(files.get(10)), libraries.find(NAME));
        Files.delete(files.get(10));
        assertEquals(Optional.of(files.get(11)), libraries.find(NAME));
        Files.delete(files.get(11));
        assertEquals(Optional.empty(), libraries.find(NAME));
    }

    @Test
    void thePropertyReplacesAllOtherPlaces() throws IOException {
        put("usr/local/cuda/lib64");
        Path named = put("named");
        String both = root.resolve("nowhere") + ":" + root.resolve("named");
        assertEquals(Optional.of(named), libraries(both, Map.of()).find(NAME));
        assertEquals(
                Optional.empty(),
                libraries(root.resolve("nowhere").toString(), Map.of()).find(NAME));
    }

    @Test
    void aMissingLibraryIsNamedWithTheFix() throws IOException {
        put("usr/local/cuda/lib64");
        String message = libraries("", Map.of()).missing("liby.so.2", "install Y");
        assertTrue(message.startsWith("liby.so.2 was not found in ["), message);
        assertTrue(message.contains("usr/local/cuda/lib64]; install Y"), message);
        assertTrue(message.endsWith("-Dasg.cuda.path=FOLDER"), message);
    }
}
