// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static io.github.asg4j.model.FakeBundle.field;
import static io.github.asg4j.model.FakeBundle.graphModel;
import static io.github.asg4j.model.FakeBundle.number;
import static io.github.asg4j.model.FakeBundle.tensor;
import static io.github.asg4j.model.FakeBundle.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;

import org.junit.jupiter.api.Test;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import java.util.Set;

/** External data is found wherever ONNX allows a tensor, and damage is an error that says so. */
class ExternalDataTest {
    private static Set<String> locations(byte[] model) {
        return ExternalData.locations("x.onnx", MemorySegment.ofArray(model));
    }

    @Test
    void inEveryPlaceThatHoldsTensors() {
        byte[] subgraph =
                FakeBundle.concat(
                        field(1, field(5, field(5, tensor("node in a subgraph")))),
                        field(5, tensor("subgraph")));
        byte[] model =
                FakeBundle.concat(
                        graphModel(
                                field(5, tensor("initializer")),
                                field(5, tensor()),
                                field(15, field(1, tensor("values")), field(2, tensor("indices"))),
                                field(
                                        1,
                                        text(4, "If"),
                                        field(5, field(5, tensor("t"))),
                                        field(5, field(6, subgraph)),
                                        field(5, field(10, tensor("tensors"))),
                                        field(5, field(11, field(5, tensor("graphs")))),
                                        field(5, field(22, field(1, tensor("sparse")))),
                                        field(5, field(23, field(2, tensor("sparses")))))),
                        field(
                                25,
                                field(7, field(5, field(5, tensor("function")))),
                                field(11, field(5, tensor("function default")))),
                        field(
                                20,
                                field(1, field(5, tensor("training 1"))),
                                field(2, field(5, tensor("training 2")))));
        assertEquals(
                Set.of(
                        "initializer",
                        "values",
                        "indices",
                        "t",
                        "node in a subgraph",
                        "subgraph",
                        "tensors",
                        "graphs",
                        "sparse",
                        "sparses",
                        "function",
                        "function default",
                        "training 1",
                        "training 2"),
                locations(model));
    }

    @Test
    void onlyLocationsCount() {
        assertEquals(Set.of(), locations(FakeBundle.model(tensor())));
        // The same bytes as weights are not looked into.
        byte[] data = field(9, field(13, text(1, "location"), text(2, "no")));
        assertEquals(Set.of(), locations(FakeBundle.model(data)));
        // Key after value, as a writer may put it.
        byte[] swapped = field(13, text(2, "late.bin"), text(1, "location"));
        assertEquals(Set.of("late.bin"), locations(FakeBundle.model(swapped)));
    }

    private static byte[] entry(String key, String value) {
        return field(13, text(1, key), text(2, value));
    }

    private static byte[] tensorAt(String location, String offset, String length) {
        return FakeBundle.concat(
                number(1, 3),
                entry("offset", offset),
                length.isEmpty() ? new byte[0] : entry("length", length),
                entry("location", location),
                number(14, 1));
    }

    private static long size(byte[]... initializers) {
        byte[][] fields = new byte[initializers.length][];
        for (int i = 0; i < fields.length; i++) {
            fields[i] = field(5, initializers[i]);
        }
        return ExternalData.size("x.onnx", MemorySegment.ofArray(graphModel(fields)), file -> 1000);
    }

    /** Of a file that other graphs read too only the parts of this one count, each of them once. */
    @Test
    void countsWhatTensorsTakeOfFiles() {
        assertEquals(0, size(tensor()));
        assertEquals(
                100 + 30 + 100,
                size(
                        tensorAt("a.data", "0", "100"),
                        tensorAt("a.data", "0", "100"),
                        tensorAt("a.data", "400", "30"),
                        tensorAt("b.data", "0", "100"),
                        tensor()));
        assertEquals(600, size(tensorAt("a.data", "400", "")));
        for (String[] wrong :
                new String[][] {{"1001", "1"}, {"990", "11"}, {"-4", "1"}, {"x", "1"}}) {
            assertThrows(
                    BadBundleException.class, () -> size(tensorAt("a.data", wrong[0], wrong[1])));
        }
    }

    private static void broken(byte[] model, String fragment) {
        String message =
                assertThrows(BadBundleException.class, () -> locations(model)).getMessage();
        assertTrue(message.startsWith("x.onnx: not a whole ONNX model: "), message);
        assertTrue(message.contains(fragment), message);
    }

    @Test
    void damageIsAnError() {
        byte[] model = FakeBundle.model(tensor("w.bin"));
        broken(new byte[0], "no graph");
        broken(number(1, 8), "no graph");
        broken(Arrays.copyOf(model, model.length / 2), "are left");
        broken(new byte[] {(byte) 0x80}, "cut off");
        broken("<html>Not found</html>".getBytes(java.nio.charset.StandardCharsets.UTF_8), "");
        broken(new byte[] {0x3A, (byte) 0xFF, (byte) 0xFF}, "cut off");
        broken(new byte[] {0x0B}, "wire type 3");
        broken(new byte[] {0x00, 0x00}, "field number 0");
        byte[] negative = new byte[11];
        Arrays.fill(negative, (byte) 0xFF);
        negative[0] = 0x3A;
        negative[10] = 1;
        broken(negative, "18446744073709551615 bytes");
        byte[] nested = tensor("deep");
        for (int i = 0; i < 60; i++) {
            nested = field(1, field(5, field(6, nested)));
        }
        broken(graphModel(nested), "nested deeper");
    }

    /** Whatever the bytes, the walk ends, with an answer or with the typed error. */
    @Test
    void garbageNeverEscapes() {
        long seed = Long.getLong("asg.test.seed", 20261123L);
        Random random = new Random(seed);
        byte[] model = graphModel(field(1, field(5, field(6, field(5, tensor("a.bin"))))));
        int refused = 0;
        for (int i = 0; i < 20_000; i++) {
            byte[] changed = Arrays.copyOf(model, model.length);
            for (int n = 0; n <= i % 4; n++) {
                changed[random.nextInt(changed.length)] = (byte) random.nextInt();
            }
            try {
                locations(changed);
            } catch (BadBundleException e) {
                refused++;
            } catch (RuntimeException e) {
                throw new AssertionError("seed " + seed + ", round " + i, e);
            }
        }
        assertTrue(refused > 1000, "only " + refused + " were refused");
    }
}
