// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.PictureReport;
import io.github.asg4j.evaluate.Drawing.Drawn;
import io.github.asg4j.schedule.Sampler;

import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/** The settings that a controlled comparison keeps equal; whether it did is read from the reports. */
record SharedSettings(Collection<Drawn> pictures) {
    /** One of them. */
    enum Setting {
        SCHEDULER,
        SPACING,
        STEPS,
        ETA,
        GUIDANCE_SCALE;

        /** Its value in a picture, as people read it. */
        String value(PictureReport report) {
            return ReportText.plain(
                    switch (this) {
                        case SCHEDULER -> report.sampling().scheduler();
                        case SPACING -> report.sampling().spacing();
                        case STEPS -> report.plan().steps();
                        case ETA -> report.sampling().eta();
                        case GUIDANCE_SCALE -> report.sampling().guidanceScale();
                    });
        }

        private String sentence(String value) {
            return switch (this) {
                case SCHEDULER -> Sampler.named(value).solver().label() + " scheduler";
                case SPACING -> value + " timesteps";
                case STEPS -> value + " steps";
                case ETA -> "η\u00a0=\u00a0" + value;
                case GUIDANCE_SCALE -> "classifier-free guidance scale " + value;
            };
        }

        /** As in "guidance scale". */
        String words() {
            return name().toLowerCase(Locale.ROOT).replace('_', ' ');
        }
    }

    /** Whether all pictures were drawn with the same value. */
    boolean same(Setting setting) {
        return values(setting).size() <= 1;
    }

    /** Those in which the pictures differ. */
    List<Setting> different() {
        return Arrays.stream(Setting.values()).filter(setting -> !same(setting)).toList();
    }

    /** What all pictures have in common, in words. */
    List<String> common() {
        return Arrays.stream(Setting.values())
                .filter(this::same)
                .map(setting -> setting.sentence(values(setting).iterator().next()))
                .toList();
    }

    private Set<String> values(Setting setting) {
        Set<String> values = new LinkedHashSet<>();
        pictures.forEach(d -> values.add(setting.value(d.report())));
        return values;
    }
}
