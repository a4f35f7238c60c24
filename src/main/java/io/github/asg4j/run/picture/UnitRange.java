// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.kernel.Kernels;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;

/** Pictures in [0, 1], as upscalers take and give them. */
public final class UnitRange {
    private UnitRange() {}

    /** Maps a picture from [-1, 1], the range of the VAE, to [0, 1] in place; what lies outside is clamped. */
    public static void enter(Kernels kernels, MemorySegment picture) {
        kernels.scaleShift(picture, picture, picture.byteSize() / 4, 0.5f, 0.5f);
        clamp(picture);
    }

    /**
     * A crop as RGB8 (SPEC §9).
     *
     * @param out uint8 [outHeight, outWidth, 3]
     * @param picture [3, height, width]
     */
    public static void rgb8(
            ByteBuffer out,
            MemorySegment picture,
            int height,
            int width,
            int top,
            int left,
            int outHeight,
            int outWidth) {
        for (int y = 0; y < outHeight; y++) {
            for (int x = 0; x < outWidth; x++) {
                for (int c = 0; c < 3; c++) {
                    long at = ((long) c * height + top + y) * width + left + x;
                    float v = picture.getAtIndex(ValueLayout.JAVA_FLOAT, at);
                    out.put((byte) (Math.clamp(v * 255, 0f, 255f) + 0.5f));
                }
            }
        }
        out.flip();
    }

    public static void clamp(MemorySegment picture) {
        for (long i = 0; i < picture.byteSize() / 4; i++) {
            float v = picture.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            picture.setAtIndex(ValueLayout.JAVA_FLOAT, i, Math.clamp(v, 0f, 1f));
        }
    }
}
