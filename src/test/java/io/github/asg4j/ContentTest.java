// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.image.Npy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;

/** Pictures and latents that requests bring along. */
class ContentTest {
    @TempDir Path folder;

    @Test
    void bytesAreCopiedAndKnownByTheirHash() throws IOException {
        byte[] bytes = {1, 2, 3};
        Content content = Content.bytes(bytes);
        bytes[0] = 9;
        assertArrayEquals(new byte[] {1, 2, 3}, content.read());
        assertEquals(Content.bytes(new byte[] {1, 2, 3}), content);
        assertNotEquals(Content.bytes(bytes), content);
        // sha256sum of the bytes 1, 2, 3
        assertEquals("sha256:039058c6f2c0cb49", content.name());
        Path file = Files.write(folder.resolve("x.bin"), new byte[] {1, 2, 3});
        assertArrayEquals(content.read(), Content.file(file).read());
        assertEquals("x.bin", Content.file(file).name());
        assertEquals(file.toString(), Content.file(file).toString());
    }

    @Test
    void floatsAreAnNpyFile() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment data = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1, -2, 3, 4, 5, 0.5f);
            Content floats = Content.floats(data, 1, 2, 3);
            Path file = folder.resolve("z.npy");
            Npy.write(file, Npy.Type.FLOAT32, data, 1, 2, 3);
            assertArrayEquals(Files.readAllBytes(file), floats.read());
            BadRequestException e =
                    assertThrows(BadRequestException.class, () -> Content.floats(data, 7));
            assertTrue(
                    e.getMessage().contains("24 bytes are no floats of shape [7]"), e::getMessage);
        }
    }

    @Test
    void standardInputIsReadToItsEnd() throws IOException {
        byte[] bytes = new byte[100_000];
        bytes[99_999] = 5;
        assertArrayEquals(bytes, StandardInput.read(new ByteArrayInputStream(bytes)).read());
        BadRequestException e =
                assertThrows(
                        BadRequestException.class,
                        () -> StandardInput.read(new ByteArrayInputStream(new byte[0])));
        assertTrue(e.getMessage().contains("standard input is empty"), e::getMessage);
    }

    @Test
    @SuppressWarnings("restricted") // a size alone: nothing is read
    void tooManyBytesAreRefusedBeforeTheyAreCopied() {
        MemorySegment huge = MemorySegment.NULL.reinterpret(Content.MAX_BYTES + 1);
        assertThrows(BadRequestException.class, () -> Content.bytes(huge));
        assertThrows(BadRequestException.class, () -> Content.floats(huge, 1));
    }
}
