// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.device.Memory;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.ValueLayout;
import java.util.Objects;
import java.util.stream.Stream;

/** Tables of taps against the matrices of PyTorch (src/test/resources/resample). */
class ResampleAxisTest {
    static Stream<JsonNode> matrices() throws IOException {
        try (InputStream in =
                ResampleAxisTest.class.getResourceAsStream("/resample/matrices.json")) {
            return new ObjectMapper().readTree(Objects.requireNonNull(in)).valueStream();
        }
    }

    @ParameterizedTest
    @MethodSource("matrices")
    void tablesAreThoseOfPyTorch(JsonNode expected) {
        int from = expected.get("from").asInt();
        int to = expected.get("to").asInt();
        try (Memory memory = new Memory("test")) {
            ResampleAxis axis =
                    expected.get("antialias").asBoolean()
                            ? ResampleAxis.antialiasedBicubic(memory, from, to)
                            : ResampleAxis.bicubic(memory, from, to);
            for (int i = 0; i < to; i++) {
                double[] row = new double[from];
                for (int tap = 0; tap < axis.taps(); tap++) {
                    long entry = (long) i * axis.taps() + tap;
                    row[axis.index().getAtIndex(ValueLayout.JAVA_INT, entry)] +=
                            axis.weight().getAtIndex(ValueLayout.JAVA_FLOAT, entry);
                }
                for (int cell = 0; cell < from; cell++) {
                    double wanted = expected.get("matrix").get(i).get(cell).asDouble();
                    String at = from + " to " + to + ", [" + i + ", " + cell + "]";
                    // Four float32 weights may fall on one cell at the border.
                    assertEquals(wanted, row[cell], 4 * 0x1p-24, at);
                }
            }
        }
    }

    @Test
    void refusesAnEmptyAxis() {
        try (Memory memory = new Memory("test")) {
            assertThrows(IllegalArgumentException.class, () -> ResampleAxis.bicubic(memory, 0, 4));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> ResampleAxis.antialiasedBicubic(memory, 4, 0));
        }
    }
}
