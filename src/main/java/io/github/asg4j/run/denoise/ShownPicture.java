// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import java.lang.foreign.MemorySegment;

/**
 * What networks are shown beside the latents of a view: its part of a picture, or of what was made of one.
 *
 * @param channels planes of a frame
 * @param factor samples per latent cell and axis
 * @param frames the whole canvas, at the resolution that a stage draws at
 */
public record ShownPicture(int channels, int factor, Frames frames) {
    /** The whole canvas at a resolution. */
    public interface Frames {
        /**
         * Makes a frame.
         *
         * @param rows samples
         * @param columns samples
         * @param down latent cells of the canvas by which the frame lies below it
         * @param right latent cells of the canvas by which the frame lies right of it
         * @return float32 [channels, rows, columns] in host memory of the request
         */
        MemorySegment frame(int rows, int columns, double down, double right);
    }

    /** What one worker shows the networks of the views of one call. */
    interface Views {
        /**
         * Writes the parts of a picture that the views of the call hold.
         *
         * @param picture index in {@link Conditioning#shown}
         * @param k step of the stage
         * @param out [rows * views, channels, h * factor, w * factor]
         * @param rows per view, as in the call's sample
         */
        void show(int picture, int k, MemorySegment out, int rows);
    }

    /** Values of a part of so many latent cells. */
    long floats(long h, long w) {
        return channels * h * factor * w * factor;
    }
}
