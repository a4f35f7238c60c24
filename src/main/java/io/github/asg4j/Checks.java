// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.OptionalDouble;
import java.util.OptionalInt;

/** Range checks whose messages give the value, the limits and the name of the setting. */
final class Checks {
    private Checks() {}

    static void range(String name, double value, double min, double max) {
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

    static void range(String name, OptionalDouble value, double min, double max) {
        if (value.isPresent()) {
            range(name, value.getAsDouble(), min, max);
        }
    }

    static void range(String name, OptionalInt value, int min, int max) {
        if (value.isPresent()) {
            range(name, value.getAsInt(), min, max);
        }
    }

    private static String number(double value) {
        return value == Math.rint(value) && Math.abs(value) < 1e15
                ? Long.toString((long) value)
                : Double.toString(value);
    }
}
