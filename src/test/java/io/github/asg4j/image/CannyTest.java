// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.zip.CRC32;

/** Edges of a made-up picture, pixel by pixel those of OpenCV 5.0.0's Canny: their number and the CRC-32 of all pixels. */
class CannyTest {
    @ParameterizedTest
    @CsvSource({
        "40, 56, 100, 200, 430, 3605164893",
        "33, 47, 50, 150, 396, 617440092",
        "64, 31, 20, 60, 558, 1922273539",
        "5, 5, 10, 20, 14, 1451985984"
    })
    void edgesAreThoseOfOpenCv(
            int height, int width, double low, double high, int edges, long crc) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment picture = picture(arena, height, width);
            Canny.edges(picture, height, width, low, high);
            byte[] found = new byte[height * width];
            int count = 0;
            for (int i = 0; i < found.length; i++) {
                float value = picture.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                for (int c = 1; c < 3; c++) {
                    assertEquals(
                            value,
                            picture.getAtIndex(
                                    ValueLayout.JAVA_FLOAT, i + (long) c * found.length));
                }
                found[i] = (byte) value;
                count += found[i];
            }
            CRC32 sum = new CRC32();
            sum.update(found);
            assertEquals(edges, count);
            assertEquals(crc, sum.getValue());
        }
    }

    /** Slopes, a disc and a chequered ground, each channel another. */
    private static MemorySegment picture(Arena arena, int height, int width) {
        MemorySegment picture = arena.allocate(3L * height * width * Float.BYTES, 64);
        for (int c = 0; c < 3; c++) {
            for (int y = 0; y < height; y++) {
                for (int x = 0; x < width; x++) {
                    int across = x - width / 3;
                    int down = y - height / 2;
                    boolean disc = across * across + down * down < (height / 4) * (height / 4);
                    int slope = (x * (3 + c) + y * (5 - c)) % 97;
                    int level = slope + (disc ? 120 : 0) + (x / 9 + y / (7 + c)) % 2 * 30;
                    picture.setAtIndex(
                            ValueLayout.JAVA_FLOAT,
                            ((long) c * height + y) * width + x,
                            Math.min(level, 255));
                }
            }
        }
        return picture;
    }
}
