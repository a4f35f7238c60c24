// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.SplittableRandom;

/** SPEC §1 and §3 against published vectors, the NumPy reference and independent mathematics. */
class PhiloxTest {
    private static final JsonNode GOLDENS = read("/goldens/philox.json");

    private static JsonNode read(String resource) {
        try (InputStream in = PhiloxTest.class.getResourceAsStream(resource)) {
            return new ObjectMapper().readTree(in);
        } catch (IOException e) {
            throw new UncheckedIOException(resource, e);
        }
    }

    /** Known answers of Random123 1.14 (kat_vectors, philox4x32 10). */
    @Test
    void knownAnswers() {
        assertBlock(
                "00000000 00000000 00000000 00000000",
                "00000000 00000000",
                "6627e8d5 e169c58d bc57ac4c 9b00dbd8");
        assertBlock(
                "ffffffff ffffffff ffffffff ffffffff",
                "ffffffff ffffffff",
                "408f276d 41c83b0e a20bc7c6 6d5451fd");
        assertBlock(
                "243f6a88 85a308d3 13198a2e 03707344",
                "a4093822 299f31d0",
                "d16cfe09 94fdcceb 5001e420 24126ea1");
    }

    private static void assertBlock(String counter, String key, String out) {
        int[] c = words(counter);
        int[] k = words(key);
        assertEquals(
                out,
                hex(Philox.block(c[0], c[1], c[2], c[3], k[0], k[1], false))
                        + " "
                        + hex(Philox.block(c[0], c[1], c[2], c[3], k[0], k[1], true)));
    }

    private static int[] words(String text) {
        return Arrays.stream(text.split(" ", -1)).mapToInt(HexFormat::fromHexDigits).toArray();
    }

    private static String hex(long pair) {
        HexFormat format = HexFormat.of();
        return format.toHexDigits((int) (pair >>> 32)) + " " + format.toHexDigits((int) pair);
    }

    @Test
    void wordsAreThoseOfTheReference() {
        for (JsonNode n : GOLDENS.get("words")) {
            long seed = HexFormat.fromHexDigitsToLong(n.get("seed").asText());
            long element = HexFormat.fromHexDigitsToLong(n.get("element").asText());
            int step = n.get("step").asInt();
            int purpose = n.get("purpose").asInt();
            String expected = String.join(" ", texts(n.get("out")));
            assertEquals(
                    expected,
                    hex(Philox.words(seed, element, step, purpose, false))
                            + " "
                            + hex(Philox.words(seed, element, step, purpose, true)),
                    n::toString);
            assertEquals(
                    words(expected)[0], Philox.word(seed, element, step, purpose), n::toString);
        }
    }

    private static List<String> texts(JsonNode array) {
        List<String> texts = new ArrayList<>();
        array.forEach(n -> texts.add(n.asText()));
        return texts;
    }

    @Test
    void normalsAreThoseOfTheReference() {
        for (JsonNode n : GOLDENS.get("normals")) {
            float z =
                    Philox.normal(
                            n.get("seed").asLong(),
                            n.get("element").asLong(),
                            n.get("step").asInt(),
                            n.get("purpose").asInt());
            assertEquals(
                    n.get("float32").asText(),
                    HexFormat.of().toHexDigits(Float.floatToRawIntBits(z)),
                    n::toString);
        }
    }

    @Test
    void inverseCdfIsThatOfTheReferenceBitForBit() {
        for (JsonNode n : GOLDENS.get("inverse_cdf")) {
            long k = HexFormat.fromHexDigitsToLong(n.get("k").asText());
            double u = Philox.uniform(k << 12);
            assertEquals(
                    n.get("u").asText(),
                    HexFormat.of().toHexDigits(Double.doubleToRawLongBits(u)),
                    n::toString);
            assertEquals(
                    n.get("z").asText(),
                    HexFormat.of()
                            .toHexDigits(Double.doubleToRawLongBits(Philox.inverseNormalCdf(u))),
                    n::toString);
        }
    }

    @Test
    void permutationsAreThoseOfTheReference() {
        byte[] p = new byte[256];
        for (JsonNode n : GOLDENS.get("permutations")) {
            int patches = n.get("patches").asInt();
            for (int column = 0; column < n.get("q").size(); column++) {
                Philox.permutation(
                        p,
                        patches,
                        n.get("seed").asLong(),
                        n.get("q").get(column).asLong(),
                        n.get("step").asInt());
                for (int slot = 0; slot < patches; slot++) {
                    assertEquals(
                            n.get("p").get(column).get(slot).asInt(), p[slot] & 255, n::toString);
                }
            }
        }
    }

    /** The same through the kernels, where a vectorised generator would first go wrong. */
    @Test
    void nativeNormalsAreThoseOfTheReference() {
        for (Kernels kernels : Implementations.natives()) {
            for (JsonNode n : GOLDENS.get("normals")) {
                try (Arena arena = Arena.ofConfined()) {
                    MemorySegment out = arena.allocate(4, 4);
                    kernels.normal(
                            out,
                            1,
                            n.get("seed").asLong(),
                            n.get("element").asLong(),
                            n.get("step").asInt(),
                            n.get("purpose").asInt(),
                            1);
                    assertEquals(
                            n.get("float32").asText(),
                            HexFormat.of().toHexDigits(out.get(ValueLayout.JAVA_INT, 0)),
                            () -> kernels.name() + " " + n);
                }
            }
        }
    }

    /** Float32 results within one ulp of the true quantile: centre, joints of AS241, far tails. */
    @Test
    void inverseCdfIsAccurate() {
        SplittableRandom random = new SplittableRandom(Cases.SEED);
        for (int i = 0; i < 4_000; i++) {
            // Every magnitude of the tail probability down to 2^-53, both sides.
            long k = random.nextLong(1L << 52) >>> random.nextInt(52);
            assertAccurate(k);
            assertAccurate((1L << 52) - 1 - k);
        }
        for (double joint : new double[] {0.075, 0.925, 1.3887943864964021e-11}) {
            long k = (long) (joint * 0x1p52);
            for (long d = -3; d <= 3; d++) {
                assertAccurate(k + d);
                assertAccurate((1L << 52) - 1 - k - d);
            }
        }
    }

    private static void assertAccurate(long k) {
        double exact = InverseNormal.of(k);
        float z = (float) Philox.inverseNormalCdf(Philox.uniform(k << 12));
        assertTrue(
                Math.abs(z - exact) <= Math.ulp((float) exact),
                () -> "k " + k + ": " + z + " for " + exact + " (seed " + Cases.SEED + ")");
    }
}
