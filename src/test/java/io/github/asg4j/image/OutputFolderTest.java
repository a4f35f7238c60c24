// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.OutputException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Folders appear whole or not at all, and what cannot become one is refused before the work. */
class OutputFolderTest {
    @TempDir private Path temp;

    private List<String> names() throws IOException {
        try (Stream<Path> entries = Files.list(temp)) {
            return entries.map(entry -> entry.getFileName().toString()).sorted().toList();
        }
    }

    private static String refusal(Path folder, long bytes) {
        String message =
                assertThrows(OutputException.class, () -> OutputFolder.check(folder, bytes))
                        .getMessage();
        assertTrue(message.contains("'" + folder) || bytes > 0, message);
        return message;
    }

    @Test
    void aFolderIsMadeOfWhatIsWritten() throws IOException {
        Path folder = temp.resolve("new");
        OutputFolder.write(folder, inside -> Files.writeString(inside.resolve("a"), "text"));
        assertEquals("text", Files.readString(folder.resolve("a")));
        assertEquals(List.of("new"), names());
    }

    @Test
    void anEmptyFolderIsFilled() throws IOException {
        Path folder = Files.createDirectory(temp.resolve("there"));
        OutputFolder.write(folder, inside -> Files.writeString(inside.resolve("a"), "text"));
        assertEquals("text", Files.readString(folder.resolve("a")));
        assertEquals(List.of("there"), names());
    }

    @Test
    void nothingIsLeftOfWhatFails() throws IOException {
        Path folder = temp.resolve("new");
        OutputException full =
                assertThrows(
                        OutputException.class,
                        () ->
                                OutputFolder.write(
                                        folder,
                                        inside -> {
                                            Files.createDirectory(inside.resolve("part"));
                                            Files.writeString(inside.resolve("part/a"), "text");
                                            throw new IOException("No space left on device");
                                        }));
        assertEquals(
                "cannot write '"
                        + folder
                        + "' (No space left on device): the disk is full: free some space or"
                        + " choose another folder",
                full.getMessage());
        assertThrows(
                IllegalStateException.class,
                () ->
                        OutputFolder.write(
                                folder,
                                inside -> {
                                    Files.writeString(inside.resolve("a"), "text");
                                    throw new IllegalStateException("cancelled");
                                }));
        assertEquals(List.of(), names());
    }

    @Test
    void whatCannotBecomeAFolderIsRefused() throws IOException {
        Path full = Files.createDirectory(temp.resolve("full"));
        Files.writeString(full.resolve("a"), "text");
        assertTrue(refusal(full, 0).contains("is not empty"));
        assertTrue(refusal(full.resolve("a"), 0).contains("is a file"));
        Path link = Files.createSymbolicLink(temp.resolve("link"), temp.resolve("nowhere"));
        assertTrue(refusal(link, 0).contains("is a link"));
        Path empty = Files.createDirectory(temp.resolve("empty"));
        Path linked = Files.createSymbolicLink(temp.resolve("linked"), empty);
        assertTrue(refusal(linked, 0).contains("is a link"));
        assertTrue(refusal(Path.of("."), 0).contains("is the current folder"));
        assertTrue(refusal(Path.of("src/.."), 0).contains("is the current folder"));
        assertTrue(refusal(Path.of("/"), 0).contains("is the root folder"));
        String none =
                assertThrows(
                                OutputException.class,
                                () -> OutputFolder.check(temp.resolve("no/such"), 0))
                        .getMessage();
        assertTrue(none.contains("does not exist: create it (mkdir -p"), none);
        String large = refusal(temp.resolve("new"), Long.MAX_VALUE);
        assertTrue(large.contains("bytes free, up to " + Long.MAX_VALUE), large);
        assertEquals(List.of("empty", "full", "link", "linked"), names());
    }
}
