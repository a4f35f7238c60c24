// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.run.picture.Crop;
import io.github.asg4j.run.picture.Pixels;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;

/**
 * The pixels of a start picture that inpainting keeps, in host memory of the request.
 *
 * @param share float32 [h, w]: how much of a pixel is drawn, 0..1
 * @param picture the start picture as RGB8 [h, w, 3]
 * @param width w
 * @param crop of both, which is the finished picture
 * @param area of the start picture that was drawn; null: all of it
 */
record KeptPixels(
        MemorySegment share,
        MemorySegment picture,
        int width,
        Crop crop,
        @Nullable MaskedArea area) {

    /** The drawn picture where it was to be drawn, and the given one's bytes elsewhere. */
    Pixels composite(Pixels drawn) {
        Pixels placed = area == null ? drawn : area.placed(drawn);
        ByteBuffer rgb = ByteBuffer.allocate(placed.rgb().remaining());
        ByteBuffer from = placed.rgb().duplicate();
        for (int y = 0; y < crop.height(); y++) {
            for (int x = 0; x < crop.width(); x++) {
                long at = (long) (crop.top() + y) * width + crop.left() + x;
                float weight = share.getAtIndex(ValueLayout.JAVA_FLOAT, at);
                for (int c = 0; c < 3; c++) {
                    int given = picture.get(ValueLayout.JAVA_BYTE, 3 * at + c) & 255;
                    int own = from.get() & 255;
                    rgb.put(level(given + weight * (own - given)));
                }
            }
        }
        return new Pixels(placed.width(), placed.height(), rgb.flip());
    }

    /** A value as a sample of 8 bits. */
    static byte level(float value) {
        return (byte) (int) Math.floor(Math.clamp(value, 0f, 255f) + 0.5f);
    }
}
