// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.plan.Canvas;

/** What is cut out of a decoded picture, pixels. */
public record Crop(int top, int left, int height, int width) {
    /** The picture that was asked for in that of the whole canvas. */
    public static Crop of(Canvas canvas) {
        return new Crop(
                canvas.y().cropPixels(),
                canvas.x().cropPixels(),
                canvas.y().pixels(),
                canvas.x().pixels());
    }
}
