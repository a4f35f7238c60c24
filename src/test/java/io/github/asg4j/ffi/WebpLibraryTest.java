// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;

import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.Properties;

/** Where libwebp comes from, and what is said where there is none. */
class WebpLibraryTest {
    private static String failure(String path, URL resource) {
        return assertThrows(
                        NativeLoadException.class, () -> WebpLibrary.load(path, resource).version())
                .getMessage();
    }

    @Test
    void theArtifactHasTheVersionThatMessagesName() throws Exception {
        WebpLibrary library = WebpLibrary.load();
        assertEquals("1.6.0", library.version());
        assertEquals("the artifact leptonica", library.origin());
        Properties pom = new Properties();
        try (InputStream in =
                WebpLibraryTest.class.getResourceAsStream(
                        "/META-INF/maven/org.bytedeco/leptonica/pom.properties")) {
            pom.load(in);
        }
        assertEquals(
                WebpLibrary.ARTIFACT,
                pom.getProperty("groupId")
                        + ":"
                        + pom.getProperty("artifactId")
                        + ":"
                        + pom.getProperty("version"));
    }

    @Test
    void aMissingLibraryIsNamedWithWhatToInstall() {
        String message = failure("", null);
        assertTrue(
                message.contains("add the artifact org.bytedeco:leptonica:")
                        && message.contains("-Dasg.webp.path=FILE"),
                message);
        message = failure("/none/libwebp.so.7", null);
        assertTrue(
                message.contains("/none/libwebp.so.7 is not a file")
                        && message.contains("-Dasg.webp.path"),
                message);
    }

    /** A library that is something else is not called. */
    @Test
    void aLibraryWithoutTheFunctionsIsRefused() {
        Path other = Path.of("/lib/x86_64-linux-gnu/libm.so.6");
        assumeTrue(Files.exists(other), "skipped: no " + other);
        String message = failure(other.toString(), null);
        assertTrue(message.contains("has no WebPGetEncoderVersion"), message);
    }

    /** The files of another release may differ; they begin alike. */
    @Test
    void theSystemsLibraryEncodesToo() throws NativeLoadException {
        Path system = Path.of("/lib/x86_64-linux-gnu/libwebp.so.7");
        assumeTrue(Files.exists(system), "skipped: no " + system);
        WebpLibrary library = WebpLibrary.load(system.toString(), null);
        assertTrue(library.version().matches("1\\.\\d+\\.\\d+"), library.version());
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment grey = arena.allocate(3 * 5 * 4).fill((byte) 100);
            MemorySegment file = library.encode(grey, 5, 4, OptionalInt.empty(), arena);
            byte[] start = file.asSlice(0, 4).toArray(ValueLayout.JAVA_BYTE);
            assertEquals("RIFF", new String(start, StandardCharsets.US_ASCII));
        }
    }
}
