// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.math.BigInteger;

/**
 * A seed as people write it. It has 64 bits: -2^63 to -1 and 2^63 to 2^64 - 1 are two ways to write
 * the same ones. The text "-1" asks for a random seed, as in other tools.
 */
public final class Seed {
    private static final BigInteger LARGEST = BigInteger.TWO.pow(64).subtract(BigInteger.ONE);

    private Seed() {}

    /**
     * The bits of a seed between -2^63 and 2^64 - 1.
     *
     * @throws BadRequestException if {@code text} is none
     */
    public static long parse(String text) {
        try {
            BigInteger value = new BigInteger(text.strip());
            if (value.compareTo(BigInteger.valueOf(Long.MIN_VALUE)) >= 0
                    && value.compareTo(LARGEST) <= 0) {
                return value.longValue();
            }
        } catch (NumberFormatException e) {
            // Falls through to the message.
        }
        throw new BadRequestException(
                "'" + text + "' is no whole number between " + Long.MIN_VALUE + " and " + LARGEST);
    }

    /** Whether {@code text} asks for a random seed. */
    public static boolean random(String text) {
        return text.strip().equals("-1");
    }

    /**
     * The number that draws the same picture again when it is typed: the seed itself, or 2^64 - 1 in
     * the place of -1, which would ask for a random seed.
     */
    public static Number number(long seed) {
        return seed == -1 ? (Number) LARGEST : (Number) seed;
    }
}
