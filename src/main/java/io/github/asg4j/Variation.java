// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

/**
 * Other noise that the noise of a picture's seed is turned towards, for pictures that are alike: on the
 * sphere between both, {@code cos(a) * noise + sin(a) * other} with {@code a = strength * pi / 2}, which
 * again has unit variance.
 *
 * @param seed of the other noise; null: there is none
 * @param strength 0: the picture of its own seed, 1: the initial noise of the other; null: not given
 */
public record Variation(@Nullable Long seed, @Nullable Double strength) {
    /** The noise of the picture's seed alone. */
    public static final Variation NONE = new Variation(null, null);

    public Variation {
        if (strength != null) {
            Range.SHARE.check("variation strength", strength);
        }
    }

    public Variation withSeed(long other) {
        return new Variation(other, strength);
    }

    public Variation withStrength(double share) {
        return new Variation(seed, share);
    }

    /** Whether it changes the noise. */
    public boolean changes() {
        return seed != null && strength != null && strength > 0;
    }
}
