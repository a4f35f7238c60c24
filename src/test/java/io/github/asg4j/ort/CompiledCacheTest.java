// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** {@link CompiledCache} with files in the place of networks. */
class CompiledCacheTest {
    private static final int BYTES = 1000;

    @TempDir private Path folder;

    private static Consumer<Path> network(int bytes) {
        return model -> {
            try {
                Files.writeString(model, "model");
                Files.write(model.resolveSibling("network.bin"), new byte[bytes]);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        };
    }

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void findsWhatWasKeptWhole() throws IOException {
        CompiledCache cache = new CompiledCache(folder, 1 << 20);
        assertTrue(cache.keeps(BYTES));
        assertNull(cache.find("a"));
        Path model = cache.keep("a", network(BYTES));
        assertNotNull(model);
        assertEquals("model", Files.readString(model));
        assertEquals(model, cache.find("a"));
        assertEquals(List.of("a"), names());
    }

    @ParameterizedTest
    @ValueSource(strings = {".onnx", ".bin", "sums"})
    void damagedOnesAreRemoved(String ending) throws IOException {
        CompiledCache cache = new CompiledCache(folder, 1 << 20);
        cache.keep("a", network(BYTES));
        Path file = file(ending);
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length / 2] ^= 1;
        Files.write(file, bytes);
        assertNull(cache.find("a"));
        assertEquals(List.of(), names());
        cache.keep("a", network(BYTES));
        Files.delete(file(ending));
        assertNull(cache.find("a"));
        assertEquals(List.of(), names());
    }

    private Path file(String ending) throws IOException {
        try (Stream<Path> files = Files.list(folder.resolve("a"))) {
            return files.filter(f -> f.toString().endsWith(ending)).findFirst().orElseThrow();
        }
    }

    /** The compiler knows a file that it has open by its path. */
    @Test
    void whatIsKeptAgainHasAnotherPath() throws IOException {
        CompiledCache cache = new CompiledCache(folder, 1 << 20);
        Path first = cache.keep("a", network(BYTES));
        cache.remove("a");
        Path second = cache.keep("a", network(BYTES));
        assertNotEquals(first, second);
        assertEquals(second, cache.find("a"));
    }

    @Test
    void thoseUsedLongestAgoLeave() throws IOException {
        CompiledCache cache = new CompiledCache(folder, 3 * BYTES);
        for (String key : List.of("a", "b")) {
            cache.keep(key, network(BYTES));
            Files.setLastModifiedTime(
                    folder.resolve(key).resolve("sums"),
                    FileTime.from(Instant.now().minus(Duration.ofHours(key.equals("a") ? 2 : 1))));
        }
        assertNotNull(cache.find("a"));
        cache.keep("c", network(BYTES));
        assertEquals(List.of("a", "c"), names());
    }

    /** Two processes compile the same network; a third was killed while it did. */
    @Test
    void otherProcesses() throws IOException {
        CompiledCache cache = new CompiledCache(folder, 1 << 20);
        Path left = Files.createDirectory(folder.resolve("unfinished-1"));
        Files.write(left.resolve("network.bin"), new byte[BYTES]);
        Path running = Files.createDirectory(folder.resolve("unfinished-2"));
        Files.setLastModifiedTime(left, FileTime.from(Instant.now().minus(Duration.ofDays(1))));
        Path model =
                cache.keep(
                        "a",
                        path -> {
                            new CompiledCache(folder, 1 << 20).keep("a", network(BYTES));
                            network(BYTES).accept(path);
                        });
        assertEquals(model, cache.find("a"));
        assertTrue(Files.exists(running));
        assertEquals(List.of("a", "unfinished-2"), names());
    }

    @Test
    void failuresOfTheCompilerLeaveNothing() throws IOException {
        CompiledCache cache = new CompiledCache(folder, 1 << 20);
        assertThrows(
                IllegalStateException.class,
                () ->
                        cache.keep(
                                "a",
                                model -> {
                                    network(BYTES).accept(model);
                                    throw new IllegalStateException("no memory");
                                }));
        assertNull(cache.keep("a", model -> {})); // it wrote nothing
        assertEquals(List.of(), names());
    }

    @Test
    void limits() throws IOException {
        assertFalse(new CompiledCache(folder, BYTES).keeps(BYTES + 1));
        assertFalse(new CompiledCache(folder, Long.MAX_VALUE).keeps(Long.MAX_VALUE / 2), "disk");
        assertFalse(CompiledCache.NONE.keeps(0));
        Path file = Files.writeString(folder.resolve("file"), "");
        assertFalse(new CompiledCache(file, BYTES).keeps(1), "no folder");
    }

    @Test
    void settingOfTheUser() {
        try {
            System.setProperty(CompiledCache.PROPERTY, "0");
            assertFalse(CompiledCache.ofUser().keeps(1));
            System.setProperty(CompiledCache.PROPERTY, "1GB");
            BadRequestException e = assertThrows(BadRequestException.class, CompiledCache::ofUser);
            assertTrue(e.getMessage().contains("\"1GB\""), e.getMessage());
        } finally {
            System.clearProperty(CompiledCache.PROPERTY);
        }
    }
}
