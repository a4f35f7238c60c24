// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.GeneratedImage;

/** How near two results are to each other. */
final class Closeness {
    private Closeness() {}

    /** Levels of 255 by which the worst of all samples differ. */
    static int levels(GeneratedImage one, GeneratedImage other) {
        int worst = 0;
        for (int i = 0; i < one.rgb().remaining(); i++) {
            int a = one.rgb().get(i) & 0xFF;
            worst = Math.max(worst, Math.abs(a - (other.rgb().get(i) & 0xFF)));
        }
        return worst;
    }

    /**
     * Fails if a value differs by more than a share of the largest one.
     *
     * @param what for the message
     */
    static void assertClose(String what, float[] expected, float[] actual, double share) {
        double largest = 0;
        double worst = 0;
        for (int i = 0; i < expected.length; i++) {
            largest = Math.max(largest, Math.abs(expected[i]));
            worst = Math.max(worst, Math.abs((double) expected[i] - actual[i]));
        }
        assertEquals(expected.length, actual.length);
        assertTrue(worst <= share * largest, what + " differs by " + worst + " of " + largest);
    }
}
