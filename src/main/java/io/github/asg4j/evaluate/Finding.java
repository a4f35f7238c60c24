// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

/**
 * What is in a picture, held against its caption.
 *
 * @param count objects of the caption's colour
 * @param shape of the biggest, "none" without an object
 * @param colour of the biggest, "none" without an object
 * @param share of the picture that the biggest covers
 * @param aspect width over height of the box around the biggest; NaN without an object
 * @param rightShape the biggest has the caption's shape
 * @param rightColour the biggest has the caption's colour
 */
public record Finding(
        int count,
        String shape,
        String colour,
        double share,
        double aspect,
        boolean rightShape,
        boolean rightColour) {

    /** Exactly one object, of the right shape and colour. */
    public boolean right() {
        return count == 1 && rightShape && rightColour;
    }
}
