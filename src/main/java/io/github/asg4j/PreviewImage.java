// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import io.github.asg4j.image.PictureEncoding;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/**
 * A picture on the way to the final one, of the predicted clean latents of a step. The pixels are on
 * the Java heap and belong to the caller.
 *
 * @param width pixels
 * @param height pixels
 * @param rgb RGB8, row-major, {@code width * height * 3} bytes, read-only
 * @param stage that it is of, as in {@link GenerationEvent#stage}
 * @param step steps of the stage that were done
 */
public record PreviewImage(int width, int height, ByteBuffer rgb, String stage, int step) {
    public PreviewImage {
        rgb = GeneratedImage.checked(width, height, rgb);
    }

    @Override
    public ByteBuffer rgb() {
        return rgb.duplicate();
    }

    /** The picture as the content of a PNG file. */
    public byte[] png() {
        return PictureEncoding.PNG.encode(width, height, MemorySegment.ofBuffer(rgb()), "");
    }
}
