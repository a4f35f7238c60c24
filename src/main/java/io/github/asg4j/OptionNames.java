// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.Locale;

/** How the constants of options are written on the command line, in reports and in pictures. */
public final class OptionNames {
    private OptionNames() {}

    /** Lower case, with hyphens: {@code MEAN_THRESHOLD} is "mean-threshold". */
    public static String of(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
