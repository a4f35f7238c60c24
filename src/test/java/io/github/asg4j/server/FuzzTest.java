// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static org.junit.jupiter.api.Assertions.fail;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Random;

/**
 * Mutated input for everything that reads what strangers send: it is read or refused, and nothing else
 * happens. The same in every build; {@code -Dasg.fuzz.seconds=600} gives each test so long, with inputs
 * that differ from run to run. A failure prints the input.
 */
class FuzzTest {
    private static final int SECONDS = Integer.getInteger("asg.fuzz.seconds", 0);

    /** What readers trip over. */
    private static final List<String> TOKENS =
            List.of(
                    "null",
                    "true",
                    "-1",
                    "0",
                    "1e999",
                    "-0.0",
                    "1e-999",
                    "9223372036854775808",
                    "18446744073709551616",
                    "NaN",
                    "Infinity",
                    "[]",
                    "{}",
                    "[[[[[[[[",
                    "\"\"",
                    "\\u0000",
                    "\\ud800",
                    "\"",
                    "\\",
                    ",",
                    ":",
                    "\r\n",
                    "--b",
                    "--b--\r\n",
                    "\u0000",
                    "%s",
                    "../",
                    "<lora:",
                    "BREAK",
                    "((((",
                    "]]]]",
                    "AND",
                    "x0",
                    "99999999999x64",
                    "64x64x64");

    @AfterAll
    static void close() {
        FuzzTarget.close();
    }

    @ParameterizedTest
    @EnumSource
    void isReadOrRefused(FuzzTarget target) throws IOException {
        long end = System.nanoTime() + SECONDS * 1_000_000_000L;
        Random random = new Random(SECONDS == 0 ? 7 : System.nanoTime());
        List<byte[]> seeds = target.seeds();
        for (int run = 0; SECONDS == 0 ? run < target.runs() : System.nanoTime() < end; run++) {
            byte[] input = seeds.get(random.nextInt(seeds.size()));
            for (int i = random.nextInt(4); i >= 0; i--) {
                input = mutated(input, seeds, random);
            }
            assertReadOrRefused(target, input);
        }
    }

    private static void assertReadOrRefused(FuzzTarget target, byte[] input) {
        try {
            target.readOrRefuse(input);
        } catch (Throwable e) {
            fail("input " + Base64.getEncoder().encodeToString(input), e);
        }
    }

    private static byte[] mutated(byte[] input, List<byte[]> seeds, Random random) {
        int at = random.nextInt(input.length + 1);
        int to = Math.min(input.length, at + random.nextInt(16));
        return switch (random.nextInt(7)) {
            case 0 -> Arrays.copyOf(input, at);
            case 1 -> joined(input, at, new byte[0], to);
            case 2 -> joined(input, to, Arrays.copyOfRange(input, at, to), to);
            case 3 -> joined(input, at, token(random), random.nextBoolean() ? at : to);
            case 4 -> {
                byte[] other = seeds.get(random.nextInt(seeds.size()));
                int from = random.nextInt(other.length + 1);
                yield joined(
                        input, at, Arrays.copyOfRange(other, from, other.length), input.length);
            }
            case 5 -> {
                byte[] noise = new byte[random.nextInt(1, 9)];
                random.nextBytes(noise);
                yield joined(input, at, noise, to);
            }
            default -> {
                byte[] flipped = input.clone();
                if (at < flipped.length) {
                    flipped[at] ^= (byte) (1 << random.nextInt(8));
                }
                yield flipped;
            }
        };
    }

    private static byte[] token(Random random) {
        return TOKENS.get(random.nextInt(TOKENS.size())).getBytes(StandardCharsets.UTF_8);
    }

    /** The bytes before {@code at}, the middle, and those from {@code rest} on. */
    private static byte[] joined(byte[] input, int at, byte[] middle, int rest) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(input, 0, at);
        out.writeBytes(middle);
        out.write(input, rest, input.length - rest);
        return out.toByteArray();
    }
}
