// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

/**
 * Which parts of a start picture are drawn anew.
 *
 * @param mask a picture of the same size as the start picture: white parts are drawn, black ones stay as
 *     they are, grey ones are mixed; null: all of it is drawn
 * @param blur standard deviation by which the mask's borders are softened, pixels of the picture to draw;
 *     0: not
 * @param inverted black parts are drawn instead
 */
public record InpaintOptions(@Nullable Content mask, double blur, boolean inverted) {
    /** Of {@code blur}. */
    public static final Range BLUR_RANGE = new Range(0, 64);

    /** No mask. */
    public static final InpaintOptions DEFAULT = new InpaintOptions(null, 0, false);

    public InpaintOptions {
        BLUR_RANGE.check("inpaint blur", blur);
    }

    public InpaintOptions withMask(@Nullable Content picture) {
        return new InpaintOptions(picture, blur, inverted);
    }

    public InpaintOptions withBlur(double pixels) {
        return new InpaintOptions(mask, pixels, inverted);
    }

    public InpaintOptions withInverted(boolean black) {
        return new InpaintOptions(mask, blur, black);
    }
}
