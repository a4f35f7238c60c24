// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import org.jspecify.annotations.Nullable;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A measure and its 95 % interval.
 *
 * @param value of the measure
 * @param low end of the interval
 * @param high end of the interval
 */
public record Interval(double value, double low, double high) {
    private static final int DIGITS = 5;

    private static final double Z = 1.959963984540054;

    /** Wilson's interval of a share (JASA 22, 1927). */
    static Interval wilson(int hits, int n) {
        if (n == 0) {
            return new Interval(Double.NaN, 0, 1);
        }
        double p = (double) hits / n;
        double z2 = Z * Z / n;
        double centre = (p + z2 / 2) / (1 + z2);
        double half = Z / (1 + z2) * Math.sqrt(p * (1 - p) / n + z2 / (4.0 * n));
        return new Interval(p, Math.max(0, centre - half), Math.min(1, centre + half));
    }

    /** Returns a map for JSON, which has no NaN: ends that are not known are null. */
    Map<String, @Nullable Object> toMap() {
        Map<String, @Nullable Object> map = new LinkedHashMap<>();
        map.put("value", rounded(value));
        map.put("low", rounded(low));
        map.put("high", rounded(high));
        return map;
    }

    /** Rounds to five significant digits; null where the value is not finite. */
    static @Nullable Double rounded(double x) {
        return Double.isFinite(x)
                ? new BigDecimal(x).round(new MathContext(DIGITS)).doubleValue()
                : null;
    }
}
