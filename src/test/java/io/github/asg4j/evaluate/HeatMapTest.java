// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.AttentionReport;

import org.junit.jupiter.api.Test;

import java.nio.FloatBuffer;
import java.util.Arrays;

/** Darkest is least, lightest is most, and more is always lighter. */
class HeatMapTest {
    private static AttentionReport.Map map(float... values) {
        return new AttentionReport.Map("m", 1, values.length, FloatBuffer.wrap(values));
    }

    private static byte[] colour(float value) {
        return HeatMap.overUnit(map(value)).pixels();
    }

    @Test
    void ownRangeGoesFromDarkToLight() {
        HeatMap heat = HeatMap.overItsRange(map(-2, 6, 2));
        assertEquals(-2, heat.least());
        assertEquals(6, heat.most());
        byte[] pixels = heat.pixels();
        assertArrayEquals(colour(0), Arrays.copyOfRange(pixels, 0, 3));
        assertArrayEquals(colour(1), Arrays.copyOfRange(pixels, 3, 6));
        assertArrayEquals(colour(0.5f), Arrays.copyOfRange(pixels, 6, 9));
    }

    @Test
    void flatMapIsLightAsItsMaskIsOne() {
        assertArrayEquals(colour(1), HeatMap.overItsRange(map(0.25f)).pixels());
    }

    @Test
    void valuesOutsideOfTheRangeAreItsEnds() {
        assertArrayEquals(colour(0), colour(-3));
        assertArrayEquals(colour(1), colour(3));
    }

    @Test
    void moreIsLighter() {
        double last = -1;
        for (int i = 0; i <= 100; i++) {
            byte[] rgb = colour(i / 100f);
            double light = 0.21 * (rgb[0] & 255) + 0.72 * (rgb[1] & 255) + 0.07 * (rgb[2] & 255);
            assertTrue(light > last, "at " + i);
            last = light;
        }
    }
}
