// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.evaluate.Drawing.Drawn;
import io.github.asg4j.schedule.Sampler;

import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** The settings that a controlled comparison keeps equal; whether it did is read from the reports. */
record SharedSettings(Collection<Drawn> pictures) {
    /** Keys of a report. */
    static final List<String> KEYS =
            List.of("scheduler", "spacing", "steps", "eta", "guidance_scale");

    /** Whether all pictures were drawn with the same value. */
    boolean same(String key) {
        return values(key).size() <= 1;
    }

    /** Those in which the pictures differ. */
    List<String> different() {
        return KEYS.stream().filter(key -> !same(key)).toList();
    }

    /** What all pictures have in common, in words. */
    List<String> common() {
        return KEYS.stream()
                .filter(this::same)
                .map(key -> words(key, values(key).iterator().next()))
                .toList();
    }

    private Set<String> values(String key) {
        Set<String> values = new LinkedHashSet<>();
        pictures.forEach(d -> values.add(ReportText.value(d, key)));
        return values;
    }

    private static String words(String key, String value) {
        return switch (key) {
            case "scheduler" -> Sampler.named(value).solver().label() + " scheduler";
            case "spacing" -> value + " timesteps";
            case "steps" -> value + " steps";
            case "eta" -> "η\u00a0=\u00a0" + value;
            case "guidance_scale" -> "classifier-free guidance scale " + value;
            default -> throw new IllegalArgumentException(key);
        };
    }
}
