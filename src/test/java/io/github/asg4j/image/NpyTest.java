// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.OutputException;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** .npy files are NumPy's to the byte, and whatever is none is refused before memory is taken. */
class NpyTest {
    private static final String SHAPE_2_3 =
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";

    @TempDir Path folder;
    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void free() {
        arena.close();
    }

    private Path file(int major, String header, int dataBytes) throws IOException {
        int prefix = major == 1 ? 10 : 12;
        ByteBuffer bytes =
                ByteBuffer.allocate(prefix + header.length() + dataBytes)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .put((byte) 0x93)
                        .put("NUMPY".getBytes(StandardCharsets.US_ASCII))
                        .put((byte) major)
                        .put((byte) 0);
        if (major == 1) {
            bytes.putShort((short) header.length());
        } else {
            bytes.putInt(header.length());
        }
        bytes.put(header.getBytes(StandardCharsets.ISO_8859_1));
        return Files.write(folder.resolve("a.npy"), bytes.array());
    }

    private String refusal(Path file) {
        BadRequestException e =
                assertThrows(
                        BadRequestException.class,
                        () ->
                                Npy.read(
                                        file,
                                        Npy.Type.FLOAT32,
                                        (bytes, alignment) -> {
                                            throw new AssertionError("asked for " + bytes);
                                        }));
        return e.getMessage();
    }

    @Test
    void aFileInMemoryIsReadAsOneOnDisk() throws IOException {
        byte[] bytes = Files.readAllBytes(file(2, SHAPE_2_3, 24));
        Npy.Array array = Npy.read("b.npy", bytes, Npy.Type.FLOAT32, arena);
        assertArrayEquals(new long[] {2, 3}, array.shape());
        assertEquals(24, array.data().byteSize());
        for (int cut : new int[] {3, 20, bytes.length - 1}) {
            byte[] part = java.util.Arrays.copyOf(bytes, cut);
            String message =
                    assertThrows(
                                    BadRequestException.class,
                                    () -> Npy.read("b.npy", part, Npy.Type.FLOAT32, arena))
                            .getMessage();
            assertTrue(message.contains("'b.npy'"), message);
        }
    }

    @ParameterizedTest
    @EnumSource(Npy.Type.class)
    void whatIsWrittenIsRead(Npy.Type type) {
        int elements = 40_000; // more than one chunk
        long bytes = elements * (type == Npy.Type.FLOAT32 ? 4L : 8L);
        MemorySegment data = arena.allocate(bytes, 8);
        for (long i = 0; i < bytes; i++) {
            data.set(ValueLayout.JAVA_BYTE, i, (byte) (i * 31 + i / 256));
        }
        Path file = folder.resolve("a.npy");
        Npy.write(file, type, data, 4, 100, 100);
        Npy.Array array = Npy.read(file, type, arena);
        assertEquals(type, array.type());
        assertArrayEquals(new long[] {4, 100, 100}, array.shape());
        assertEquals(-1, data.mismatch(array.data()));
    }

    @Test
    void bytesAreNumpys() throws IOException {
        Path file = folder.resolve("a.npy");
        MemorySegment data = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1f, -2f);
        Npy.write(file, Npy.Type.FLOAT32, data, 2);
        // numpy.save of numpy.array([1, -2], dtype='<f4')
        String header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
        String expected =
                "\u0093NUMPY\1\0v\0"
                        + header
                        + " ".repeat(117 - header.length())
                        + "\n"
                        + "\0\0\u0080?\0\0\0\u00c0";
        assertEquals(expected, new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void bothVersionsAreRead(int version) throws IOException {
        Npy.Array array = Npy.read(file(version, SHAPE_2_3 + "\n", 24), Npy.Type.FLOAT32, arena);
        assertArrayEquals(new long[] {2, 3}, array.shape());
        assertEquals(24, array.data().byteSize());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "(2, 3)|24",
                "(6,)|24",
                "()|4",
                "(0, 3)|0",
                "(2,3,)|24",
            })
    void shapes(String shape, int bytes) throws IOException {
        String header = SHAPE_2_3.replace("(2, 3)", shape);
        assertEquals(
                bytes, Npy.read(file(1, header, bytes), Npy.Type.FLOAT32, arena).data().byteSize());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'<f4'|'<f8'|'<f8', needed is '<f4'",
                "'<f4'|'>f4'|'>f4', needed is '<f4'",
                "'<f4'|[('a', '<f4')]|needed is '<f4'",
                "False|True|ascontiguousarray",
                "(2, 3)|(2, -3)|shape (2, -3)",
                "(2, 3)|(2, 3.5)|shape (2, 3.5)",
                "(2, 3)|(2, 4)|has 24 bytes of data",
                "(2, 3)|(1000000, 1000000)|has 24 bytes of data",
                "(2, 3)|(4611686018427387904, 4)|more than",
                "(2, 3)|(99999999999999999999,)|shape (99999999999999999999,)",
                "'shape'|'form'|no 'shape'",
                "'descr'|'type'|no 'descr'",
            })
    void wrongHeadersAreRefused(String right, String wrong, String message) throws IOException {
        String found = refusal(file(1, SHAPE_2_3.replace(right, wrong), 24));
        assertTrue(found.contains(message), found);
        assertTrue(found.contains("a.npy"), found);
    }

    @Test
    void wrongFilesAreRefused() throws IOException {
        assertTrue(refusal(folder.resolve("none.npy")).contains("there is no file"));
        assertTrue(refusal(folder).contains("cannot read"));
        Path text = Files.writeString(folder.resolve("text.npy"), "no array at all");
        assertTrue(refusal(text).contains("is no .npy file"));
        assertTrue(refusal(Files.write(text, new byte[3])).contains("middle of its header"));
        assertTrue(refusal(file(3, SHAPE_2_3, 24)).contains("format 3.0"));
        assertTrue(refusal(file(1, SHAPE_2_3, 23)).contains("has 23 bytes"));
        assertTrue(refusal(file(1, SHAPE_2_3, 25)).contains("has 25 bytes"));
        byte[] bytes = Files.readAllBytes(file(2, SHAPE_2_3, 24));
        bytes[11] = (byte) 0x80; // a header of 2 GiB
        assertTrue(refusal(Files.write(text, bytes)).contains("header of 2147"));
        byte[] cut = java.util.Arrays.copyOf(bytes, 10);
        assertTrue(refusal(Files.write(text, cut)).contains("middle of its header"));
    }

    @Test
    void missingFolderIsSaid() {
        MemorySegment data = arena.allocate(4);
        Path file = folder.resolve("no/a.npy");
        OutputException e =
                assertThrows(
                        OutputException.class, () -> Npy.write(file, Npy.Type.FLOAT32, data, 1));
        assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
        assertFalse(Files.exists(file));
    }

    @Test
    void shapeHasToFitTheData() {
        MemorySegment data = arena.allocate(8);
        assertThrows(
                IllegalArgumentException.class,
                () -> Npy.write(folder.resolve("a.npy"), Npy.Type.FLOAT32, data, 3));
    }
}
