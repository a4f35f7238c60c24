// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.OptionalDouble;

/**
 * What is asked of DemoFusion's phases (arXiv 2311.16973). What is empty or null is the method's
 * default.
 *
 * @param skipExponent a1 of c1 = f^a1, the course of the skip residual (cosine_scale_1)
 * @param dilatedExponent a2 of c2 = f^a2, the weight of the dilated views (cosine_scale_2)
 * @param blurExponent a3 of c3 = 0.99 f^a3 + 0.01, the course of the blur (cosine_scale_3)
 * @param blur standard deviation of the blur before dilated sampling, latent cells (sigma)
 */
public record PhaseOptions(
        OptionalDouble skipExponent,
        OptionalDouble dilatedExponent,
        OptionalDouble blurExponent,
        OptionalDouble blur) {

    /** Of each exponent. */
    public static final Range EXPONENT_RANGE = new Range(0, 100);

    /** Of {@code blur}, latent cells. */
    public static final Range BLUR_RANGE = new Range(0.01, 100);

    /** Nothing asked for: all by the method. */
    public static final PhaseOptions DEFAULT =
            new PhaseOptions(
                    OptionalDouble.empty(),
                    OptionalDouble.empty(),
                    OptionalDouble.empty(),
                    OptionalDouble.empty());

    public PhaseOptions {
        EXPONENT_RANGE.check("cosine scale", skipExponent);
        EXPONENT_RANGE.check("cosine scale", dilatedExponent);
        EXPONENT_RANGE.check("cosine scale", blurExponent);
        BLUR_RANGE.check("blur", blur);
    }

    public PhaseOptions withSkipExponent(double value) {
        Copy copy = new Copy(this);
        copy.skipExponent = OptionalDouble.of(value);
        return copy.build();
    }

    public PhaseOptions withDilatedExponent(double value) {
        Copy copy = new Copy(this);
        copy.dilatedExponent = OptionalDouble.of(value);
        return copy.build();
    }

    public PhaseOptions withBlurExponent(double value) {
        Copy copy = new Copy(this);
        copy.blurExponent = OptionalDouble.of(value);
        return copy.build();
    }

    public PhaseOptions withBlur(double value) {
        Copy copy = new Copy(this);
        copy.blur = OptionalDouble.of(value);
        return copy.build();
    }

    /** The components, to change one of them. */
    private static final class Copy {
        private OptionalDouble skipExponent;
        private OptionalDouble dilatedExponent;
        private OptionalDouble blurExponent;
        private OptionalDouble blur;

        Copy(PhaseOptions from) {
            skipExponent = from.skipExponent;
            dilatedExponent = from.dilatedExponent;
            blurExponent = from.blurExponent;
            blur = from.blur;
        }

        PhaseOptions build() {
            return new PhaseOptions(skipExponent, dilatedExponent, blurExponent, blur);
        }
    }
}
