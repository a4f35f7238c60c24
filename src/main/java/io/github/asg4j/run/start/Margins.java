// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.start;

import io.github.asg4j.InpaintOptions.Borders;

/**
 * What lies between the edges of a given picture and those of the picture to draw, pixels of the
 * latter; negative where the given picture reaches beyond it.
 */
public record Margins(double left, double top, double right, double bottom) {
    /** The given picture fills the picture to draw. */
    public static final Margins NONE = new Margins(0, 0, 0, 0);

    /** Margins that are drawn. */
    public static Margins of(Borders borders) {
        return new Margins(borders.left(), borders.top(), borders.right(), borders.bottom());
    }

    /** Whether only a part of the given picture is in the picture to draw. */
    boolean cut() {
        return left < 0 || top < 0 || right < 0 || bottom < 0;
    }
}
