// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.OptionalDouble;
import java.util.OptionalInt;

/** Limits of a number, both included. */
public record Range(double min, double max) {
    /** Of a part of a whole. */
    public static final Range SHARE = new Range(0, 1);

    /**
     * Refuses a value out of the range.
     *
     * @param name of the setting, as it begins a sentence
     * @throws BadRequestException with the value and the limits
     */
    void check(String name, double value) {
        if (!(value >= min && value <= max)) {
            throw new BadRequestException(
                    name
                            + " is "
                            + number(value)
                            + ": it has to be a finite number between "
                            + number(min)
                            + " and "
                            + number(max));
        }
    }

    void check(String name, OptionalDouble value) {
        if (value.isPresent()) {
            check(name, value.getAsDouble());
        }
    }

    void check(String name, OptionalInt value) {
        if (value.isPresent()) {
            check(name, value.getAsInt());
        }
    }

    /** As in "0..10", or "at least 0" where the upper limit is that of whole numbers. */
    @Override
    public String toString() {
        return max == Integer.MAX_VALUE
                ? "at least " + number(min)
                : number(min) + ".." + number(max);
    }

    static String number(double value) {
        return value == Math.rint(value) && Math.abs(value) < 1e15
                ? Long.toString((long) value)
                : Double.toString(value);
    }
}
