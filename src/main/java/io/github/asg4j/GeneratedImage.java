// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.nio.ByteBuffer;
import java.util.Map;

/**
 * A picture and how it came about. The pixels are on the Java heap and belong to the caller.
 *
 * @param width pixels
 * @param height pixels
 * @param rgb RGB8, row-major, {@code width * height * 3} bytes, read-only
 * @param report settings and measurements, keys and units as the command line's {@code --json}
 */
public record GeneratedImage(int width, int height, ByteBuffer rgb, Map<String, Object> report) {
    public GeneratedImage {
        rgb = rgb.asReadOnlyBuffer();
        if (rgb.remaining() != Math.multiplyExact(Math.multiplyExact(width, height), 3)) {
            throw new IllegalArgumentException(
                    rgb.remaining() + " bytes are no RGB8 picture of " + width + "x" + height);
        }
    }

    @Override
    public ByteBuffer rgb() {
        return rgb.duplicate();
    }
}
