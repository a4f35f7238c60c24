// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;

class SafeTensorsTest {
    @TempDir Path temp;

    private static SafeTensorsFile whole() {
        return new SafeTensorsFile()
                .metadata("format", "pt")
                .floats("a", List.of(2L, 3L), 1, 2, 3, 4, 5, 6)
                .tensor("b", "F16", List.of(3L), new byte[] {0, 0x3c, 0, 0x40, 0, 0x42})
                .floats("scalar", List.of(), 7)
                .floats("empty", List.of(0L, 4L));
    }

    @Test
    void readsTensorsWhereTheyLie() {
        try (SafeTensors file = SafeTensors.open(whole().write(temp.resolve("x.safetensors")))) {
            assertEquals(Map.of("format", "pt"), file.metadata());
            assertEquals(
                    List.of("a", "b", "scalar", "empty"), List.copyOf(file.tensors().keySet()));
            Tensor a = file.tensors().get("a");
            assertEquals(List.of(2L, 3L), a.shape());
            assertEquals(6, a.count());
            assertEquals(6, a.data().getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, 5));
            Tensor b = file.tensors().get("b");
            assertEquals(ElementType.F16, b.type());
            short last = b.data().getAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, 2);
            assertEquals(3, Float.float16ToFloat(last));
            assertEquals(1, file.tensors().get("scalar").count());
            assertEquals(0, file.tensors().get("empty").count());
        }
    }

    @Test
    void isUnreadableOnceClosed() {
        SafeTensors file = SafeTensors.open(whole().write(temp.resolve("x.safetensors")));
        Tensor a = file.tensors().get("a");
        file.close();
        assertThrows(
                IllegalStateException.class,
                () -> a.data().getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, 0));
    }

    static Stream<Arguments> damaged() {
        List<Long> two = List.of(2L);
        byte[] whole = whole().toBytes();
        byte[] longHeader =
                ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN).putLong(-1).array();
        String pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
        return Stream.of(
                Arguments.of(new byte[0], "is empty"),
                Arguments.of(new byte[] {1, 2, 3}, "has 3 bytes, fewer than"),
                Arguments.of(longHeader, "18446744073709551615 bytes"),
                Arguments.of(Arrays.copyOf(whole, 40), "its header alone takes"),
                Arguments.of(Arrays.copyOf(whole, whole.length - 1), "download it again"),
                Arguments.of(whole().bytes(new byte[] {9}).toBytes(), "something was added"),
                Arguments.of(pointer.getBytes(StandardCharsets.UTF_8), "git lfs pull"),
                Arguments.of("<!DOCTYPE html><p>".getBytes(StandardCharsets.UTF_8), "web page"),
                Arguments.of("PK\3\4        ".getBytes(StandardCharsets.UTF_8), "pickle"),
                Arguments.of(new byte[] {(byte) 0x80, 2, '}', 0, 0, 0, 0, 0, 0}, "pickle"),
                Arguments.of("GGUF12345678".getBytes(StandardCharsets.UTF_8), "GGUF"),
                Arguments.of("{\"a\": 1, \"b\": 2}".getBytes(StandardCharsets.UTF_8), "JSON text"),
                Arguments.of(new SafeTensorsFile().raw("\"a\":1").toBytes(), "is no object"),
                Arguments.of(new SafeTensorsFile().raw("\"a\":{}").toBytes(), "lacks dtype"),
                Arguments.of(
                        new SafeTensorsFile().raw("\"__metadata__\":{\"a\":1}").toBytes(),
                        "__metadata__.a is no string"),
                Arguments.of(whole().raw("\"a\":{\"dtype\":\"F32\"}").toBytes(), "not valid JSON"),
                Arguments.of(
                        new SafeTensorsFile().entry("a", "F4", two, 0, 1).toBytes(),
                        "the element type F4, which is not supported"),
                Arguments.of(
                        new SafeTensorsFile().entry("a", "F32", two, 0, 4).toBytes(),
                        "has 4 bytes, but F32 of shape [2] takes 8"),
                Arguments.of(
                        new SafeTensorsFile().entry("a", "F32", two, 8, 0).toBytes(),
                        "not [begin, end]"),
                Arguments.of(
                        new SafeTensorsFile().entry("a", "F32", List.of(-2L), 0, 8).toBytes(),
                        "its shape holds -2"),
                Arguments.of(
                        new SafeTensorsFile()
                                .entry("a", "F32", List.of(1L << 40, 1L << 40), 0, 8)
                                .toBytes(),
                        "which is too large"),
                Arguments.of(
                        new SafeTensorsFile()
                                .floats("a", two, 1, 2)
                                .entry("b", "F32", two, 4, 12)
                                .bytes(new byte[4])
                                .toBytes(),
                        "begins at byte 4, but \"a\" ends at 8: they overlap"),
                Arguments.of(
                        new SafeTensorsFile()
                                .floats("a", two, 1, 2)
                                .entry("b", "F32", two, 12, 20)
                                .bytes(new byte[12])
                                .toBytes(),
                        "there is a gap"),
                Arguments.of(
                        new SafeTensorsFile().entry("a", "F32", two, 0, 8).toBytes(),
                        "the file is incomplete"));
    }

    @ParameterizedTest
    @MethodSource("damaged")
    void saysWhatIsWrong(byte[] bytes, String what) throws IOException {
        Path file = Files.write(temp.resolve("x.safetensors"), bytes);
        String message =
                assertThrows(BadBundleException.class, () -> SafeTensors.open(file)).getMessage();
        assertTrue(message.startsWith(file.toString()), message);
        assertTrue(message.contains(what), message);
    }

    @Test
    void refusesFoldersAndMissingFiles() {
        assertThrows(BadBundleException.class, () -> SafeTensors.open(temp));
        Path missing = temp.resolve("missing.safetensors");
        assertThrows(BadBundleException.class, () -> SafeTensors.open(missing));
    }

    /** Whatever bytes are changed: a whole file, or one typed error. */
    @Test
    void survivesAnyBytes() throws IOException {
        Random random = new Random(1);
        byte[] whole = whole().toBytes();
        Path path = temp.resolve("x.safetensors");
        for (int i = 0; i < 20_000; i++) {
            byte[] bytes =
                    Arrays.copyOf(
                            whole,
                            random.nextInt(8) == 0 ? random.nextInt(whole.length) : whole.length);
            for (int n = random.nextInt(4); n >= 0 && bytes.length > 0; n--) {
                bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
            }
            Files.write(path, bytes);
            try (SafeTensors file = SafeTensors.open(path)) {
                for (Tensor tensor : file.tensors().values()) {
                    tensor.data().toArray(ValueLayout.JAVA_BYTE);
                }
            } catch (BadBundleException e) {
                assertTrue(e.getMessage().startsWith(path.toString()), e.getMessage());
            }
        }
    }
}
