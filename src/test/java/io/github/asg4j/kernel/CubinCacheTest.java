// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Compiled once, found again, never wrong: whatever happens to the files. */
class CubinCacheTest {
    private static final byte[] CUBIN = {1, 2, 3, 4, 5};

    @TempDir Path folder;

    private int compiled;

    private byte[] get(Path where, String source, List<String> options, String compiler) {
        return new CubinCache(where)
                .get(
                        "guided_step",
                        source,
                        Map.of("a.cuh", "header"),
                        options,
                        compiler,
                        () -> {
                            compiled++;
                            return CUBIN;
                        });
    }

    private byte[] get() {
        return get(folder, "source", List.of("-arch=sm_90"), "13.1");
    }

    private Path onlyFile() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            List<Path> all = files.toList();
            assertEquals(1, all.size(), all::toString);
            return all.getFirst();
        }
    }

    @Test
    void compilesOnce() throws IOException {
        assertArrayEquals(CUBIN, get());
        assertArrayEquals(CUBIN, get());
        assertEquals(1, compiled);
        assertEquals(32 + CUBIN.length, Files.size(onlyFile()), "no temporary file is left");
    }

    @Test
    void everyIngredientCounts() {
        get();
        get(folder, "other", List.of("-arch=sm_90"), "13.1");
        get(folder, "source", List.of("-arch=sm_80"), "13.1");
        get(folder, "source", List.of("-arch=sm_90"), "13.0");
        new CubinCache(folder)
                .get(
                        "guided_step",
                        "source",
                        Map.of("a.cuh", "another header"),
                        List.of("-arch=sm_90"),
                        "13.1",
                        () -> {
                            compiled++;
                            return CUBIN;
                        });
        assertEquals(5, compiled);
    }

    @Test
    void damagedFilesAreMadeAgain() throws IOException {
        get();
        Path file = onlyFile();
        byte[] good = Files.readAllBytes(file);
        byte[] flipped = good.clone();
        flipped[35] ^= 1;
        int expected = 1;
        for (byte[] damaged :
                new byte[][] {
                    flipped,
                    {},
                    java.util.Arrays.copyOf(good, 20),
                    java.util.Arrays.copyOf(good, 36)
                }) {
            Files.write(file, damaged);
            assertArrayEquals(CUBIN, get());
            assertEquals(++expected, compiled);
            assertArrayEquals(good, Files.readAllBytes(file));
        }
    }

    @Test
    void aFolderThatCannotBeWrittenOnlyCostsTime() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "");
        assertArrayEquals(CUBIN, get(file.resolve("cache"), "source", List.of(), "13.1"));
        assertArrayEquals(CUBIN, get(file.resolve("cache"), "source", List.of(), "13.1"));
        assertEquals(2, compiled);
    }

    @Test
    void aFailureIsNotKept() {
        CubinCache cache = new CubinCache(folder);
        assertThrows(
                IllegalStateException.class,
                () ->
                        cache.get(
                                "guided_step",
                                "source",
                                Map.of(),
                                List.of(),
                                "13.1",
                                () -> {
                                    throw new IllegalStateException("does not compile");
                                }));
        get();
        assertEquals(1, compiled);
    }
}
