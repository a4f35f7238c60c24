// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.math.BigDecimal;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** How values of options are written on the command line, in reports and in pictures. */
public final class OptionNames {
    private OptionNames() {}

    /** Dilation factors as {@code --dilate} takes them: "mid_block=2,up_blocks.0=2.5". */
    public static String of(Map<String, Double> factors) {
        return factors.entrySet().stream()
                .map(
                        each ->
                                each.getKey()
                                        + "="
                                        + BigDecimal.valueOf(each.getValue())
                                                .stripTrailingZeros()
                                                .toPlainString())
                .collect(Collectors.joining(","));
    }

    /** Lower case, with hyphens: {@code MEAN_THRESHOLD} is "mean-threshold". */
    public static String of(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
