// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.device.Memory;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
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

    /** Enlarged twice with two more source cells on each side: the inner part is what it was. */
    @Test
    void aLargerPartIsTheWholeWithABorder() {
        try (Memory memory = new Memory("test")) {
            ResampleAxis whole = ResampleAxis.antialiasedBicubic(memory, 10, 20);
            ResampleAxis part = ResampleAxis.antialiasedBicubic(memory, 10, 28, -2, 14);
            assertEquals(whole.taps(), part.taps());
            long row = 4L * whole.taps();
            long inside = 20 * row;
            assertEquals(-1, whole.weight().mismatch(part.weight().asSlice(4 * row, inside)));
            assertEquals(-1, whole.index().mismatch(part.index().asSlice(4 * row, inside)));
            for (int i = 0; i < 3; i++) { // beyond the border all cells are the same
                assertEquals(
                        -1,
                        part.weight()
                                .asSlice(i * row, row)
                                .mismatch(part.weight().asSlice(0, row)));
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

    /** Of a ramp, away from the border: every output cell reads its own place. */
    @ParameterizedTest
    @CsvSource({"2, true", "3, true", "4, false", "1, false"})
    void anEnlargementIsExactOnRamps(int factor, boolean centred) {
        int from = 9;
        try (Memory memory = new Memory("test")) {
            ResampleAxis axis = ResampleAxis.bicubic(memory, from, factor, centred);
            assertEquals(from * factor, axis.to());
            for (int i = 2 * factor; i < (from - 2) * factor; i++) {
                double sum = 0;
                for (int tap = 0; tap < axis.taps(); tap++) {
                    long entry = (long) i * axis.taps() + tap;
                    sum +=
                            axis.index().getAtIndex(ValueLayout.JAVA_INT, entry)
                                    * (double)
                                            axis.weight().getAtIndex(ValueLayout.JAVA_FLOAT, entry);
                }
                double first = centred ? (factor - 1) / 2.0 : 0;
                assertEquals((i - first) / factor, sum, 1e-6);
            }
        }
    }
}
