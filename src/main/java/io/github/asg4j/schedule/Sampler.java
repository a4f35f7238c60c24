// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import io.github.asg4j.BadRequestException;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Locale;

/**
 * A solver as users name it, perhaps together with a spacing. The one place that reads such names:
 * those of this engine, those of diffusers' classes, and those of AUTOMATIC1111's web UI and of
 * ComfyUI, as in {@code dpmpp_2m}, {@code DPMSolverMultistepScheduler} and {@code DPM++ 2M Karras}.
 * Case, blanks, hyphens and underscores do not count.
 *
 * @param spacing null: the name says nothing of it
 */
public record Sampler(Solver solver, @Nullable Spacing spacing) {
    /**
     * The solver of that name, and the spacing if one follows.
     *
     * @throws BadRequestException if there is none; it lists the names
     */
    public static Sampler named(String name) {
        String asked = bare(name);
        for (Solver solver : Solver.values()) {
            for (String of : bare(solver.names())) {
                if (!asked.startsWith(of)) {
                    continue;
                }
                if (asked.equals(of)) {
                    return new Sampler(solver, null);
                }
                Spacing spacing = spacing(asked.substring(of.length()));
                if (spacing != null) {
                    return new Sampler(solver, spacing);
                }
            }
        }
        throw unknown("scheduler", name, Solver.ids());
    }

    /**
     * The spacing of that name.
     *
     * @throws BadRequestException if there is none; it lists the names
     */
    public static Spacing spacingNamed(String name) {
        Spacing found = spacing(bare(name));
        if (found == null) {
            throw unknown("timestep spacing", name, Spacing.ids());
        }
        return found;
    }

    /** The name by which {@link #named} finds it, as in {@code dpmpp_2m_karras}. */
    @Override
    public String toString() {
        return spacing == null ? solver.id() : solver.id() + "_" + spacing.id();
    }

    private static @Nullable Spacing spacing(String asked) {
        for (Spacing spacing : Spacing.values()) {
            if (bare(spacing.names()).contains(asked)) {
                return spacing;
            }
        }
        return null;
    }

    private static List<String> bare(List<String> names) {
        return names.stream().map(Sampler::bare).toList();
    }

    private static String bare(String name) {
        return name.toLowerCase(Locale.ROOT).replaceAll("[\\s_-]", "");
    }

    private static BadRequestException unknown(String what, String name, List<String> names) {
        return new BadRequestException(
                "there is no "
                        + what
                        + " \""
                        + name
                        + "\": choose one of "
                        + String.join(", ", names));
    }
}
