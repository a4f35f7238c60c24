// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * What is asked of ScaleCrafter (arXiv 2310.07702). What is empty or null is the method's default for
 * the bundle and the picture's size, printed by the plan.
 *
 * @param factors dilation factor, 1..8, per group of convolutions ("mid_block", "up_blocks.0"); groups left out: 1; empty: the method's table
 * @param share share of the steps that are dilated, 0..1
 * @param course of the factors over these steps
 * @param dampedFactors factors of the second, less dilated unconditional pass of noise-damped guidance; empty: the method's table
 * @param dampedShare share of the steps with noise-damped guidance, 0..1
 */
public record DilationOptions(
        Map<String, Double> factors,
        OptionalDouble share,
        @Nullable Course course,
        Map<String, Double> dampedFactors,
        OptionalDouble dampedShare) {

    /** Of each factor: beyond 8 a 3x3 kernel spans more than a native view. */
    public static final Range FACTOR_RANGE = new Range(1, 8);

    /** Nothing asked for: all by the method. */
    public static final DilationOptions DEFAULT =
            new DilationOptions(
                    Map.of(), OptionalDouble.empty(), null, Map.of(), OptionalDouble.empty());

    public DilationOptions {
        Range.SHARE.check("dilate share", share);
        Range.SHARE.check("damped share", dampedShare);
        factors = factors(factors);
        dampedFactors = factors(dampedFactors);
    }

    /** All dilated steps alike, or less and less. */
    public enum Course {
        CONSTANT,
        PROGRESSIVE
    }

    /** Checked, in the order given. */
    private static Map<String, Double> factors(Map<String, Double> given) {
        given.forEach((group, factor) -> FACTOR_RANGE.check("dilation of " + group, factor));
        return Collections.unmodifiableMap(new LinkedHashMap<>(given));
    }

    public DilationOptions withFactors(Map<String, Double> value) {
        Copy copy = new Copy(this);
        copy.factors = value;
        return copy.build();
    }

    public DilationOptions withShare(double value) {
        Copy copy = new Copy(this);
        copy.share = OptionalDouble.of(value);
        return copy.build();
    }

    public DilationOptions withCourse(Course value) {
        Copy copy = new Copy(this);
        copy.course = value;
        return copy.build();
    }

    public DilationOptions withDampedFactors(Map<String, Double> value) {
        Copy copy = new Copy(this);
        copy.dampedFactors = value;
        return copy.build();
    }

    public DilationOptions withDampedShare(double value) {
        Copy copy = new Copy(this);
        copy.dampedShare = OptionalDouble.of(value);
        return copy.build();
    }

    /** The components, to change one of them. */
    private static final class Copy {
        private Map<String, Double> factors;
        private OptionalDouble share;
        private @Nullable Course course;
        private Map<String, Double> dampedFactors;
        private OptionalDouble dampedShare;

        Copy(DilationOptions from) {
            factors = from.factors;
            share = from.share;
            course = from.course;
            dampedFactors = from.dampedFactors;
            dampedShare = from.dampedShare;
        }

        DilationOptions build() {
            return new DilationOptions(factors, share, course, dampedFactors, dampedShare);
        }
    }
}
