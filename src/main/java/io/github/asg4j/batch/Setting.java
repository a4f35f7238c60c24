// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import java.util.List;

/**
 * Options with which each row is drawn once more; they hold over those of the row.
 *
 * @param name as records have it; empty: the only setting
 */
public record Setting(String name, List<Given> options) {
    /** No setting but the row's own options. */
    public static final Setting NONE = new Setting("", List.of());

    public Setting {
        options = List.copyOf(options);
    }
}
