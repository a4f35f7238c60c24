// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import java.util.List;

/**
 * A picture as its file has it.
 *
 * @param width pixels as stored
 * @param height pixels as stored
 * @param channels of the rows, without alpha
 * @param conversion of the rows to sRGB
 * @param orientation 1 to 8, as {@link Exif#orientation} has it
 * @param notes what the user should know, one line each
 */
record DecodedPicture(
        int width,
        int height,
        int channels,
        PixelRows rows,
        SrgbConversion conversion,
        int orientation,
        List<String> notes) {}
