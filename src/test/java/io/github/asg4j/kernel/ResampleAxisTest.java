// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.device.Memory;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

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

    /** Daubechies' db4 has four vanishing moments: cubics have no detail, away from the border. */
    @ParameterizedTest
    @ValueSource(ints = {16, 21, 40})
    void theApproximationBandOfACubicIsTheCubic(int cells) {
        double[] synthesis = {
            0.23037781330885523, 0.7148465705525415, 0.6308807679295904, -0.02798376941698385,
            -0.18703481171888114, 0.030841381835986965, 0.032883011666982945, -0.010597401784997278
        };
        double[] analysis = new double[8];
        for (int i = 0; i < 8; i++) {
            analysis[i] = synthesis[7 - i];
        }
        double[] cubic = new double[cells];
        for (int i = 0; i < cells; i++) {
            double x = (double) i / cells - 0.4;
            cubic[i] = 1 + 2 * x - 3 * x * x + 4 * x * x * x;
        }
        try (Memory memory = new Memory("test")) {
            ResampleAxis down = ResampleAxis.waveletDown(memory, cells, analysis);
            ResampleAxis up = ResampleAxis.waveletUp(memory, cells, synthesis);
            assertEquals((cells + 7) / 2, down.to());
            double[] back = applied(up, applied(down, cubic));
            for (int i = 7; i < cells - 7; i++) {
                assertEquals(cubic[i], back[i], 1e-6, "cell " + i);
            }
            double[] ones = new double[cells];
            java.util.Arrays.fill(ones, 1);
            for (double one : applied(up, applied(down, ones))) {
                assertEquals(1, one, 1e-6, "mirrored at the border");
            }
        }
    }

    @Test
    void linearNearestAndMirroredCells() {
        double[] ramp = {0, 1, 2, 3};
        try (Memory memory = new Memory("test")) {
            assertArrayEquals(
                    new double[] {0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3},
                    applied(ResampleAxis.bilinear(memory, 4, 8), ramp));
            assertArrayEquals(
                    new double[] {0.5, 2.5}, applied(ResampleAxis.bilinear(memory, 4, 2), ramp));
            assertArrayEquals(
                    new double[] {0, 0, 1, 2, 2, 3},
                    applied(ResampleAxis.nearest(memory, 4, 6), ramp));
            assertArrayEquals(
                    new double[] {0.5, 1, 2, 2.5},
                    applied(ResampleAxis.filter(memory, 4, 0.25, 0.5, 0.25), ramp));
        }
    }

    private static double[] applied(ResampleAxis axis, double[] source) {
        double[] out = new double[axis.to()];
        for (int i = 0; i < out.length; i++) {
            for (int tap = 0; tap < axis.taps(); tap++) {
                long entry = (long) i * axis.taps() + tap;
                out[i] +=
                        source[axis.index().getAtIndex(ValueLayout.JAVA_INT, entry)]
                                * axis.weight().getAtIndex(ValueLayout.JAVA_FLOAT, entry);
            }
        }
        return out;
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
