// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What a picture takes, out of its plan.
 *
 * @param width pixels
 * @param height pixels
 * @param stages of the denoising, in their order
 * @param plan as the plan command prints it
 */
record Work(int width, int height, List<Stage> stages, Map<String, Object> plan) {
    /**
     * A stage of the denoising.
     *
     * @param name as in the engine's events
     * @param views that a step evaluates
     */
    record Stage(String name, int steps, int views) {}

    static Work of(Map<String, Object> plan) {
        List<Stage> stages = new ArrayList<>();
        if (plan.get("stages") instanceof List<?> list) {
            for (Object element : list) {
                if (element instanceof Map<?, ?> stage) {
                    stages.add(
                            new Stage(
                                    String.valueOf(stage.get("name")),
                                    number(stage.get("steps")),
                                    number(stage.get("views"))));
                }
            }
        }
        return new Work(
                number(plan.get("width")), number(plan.get("height")), List.copyOf(stages), plan);
    }

    private static int number(@Nullable Object value) {
        return value instanceof Number n ? n.intValue() : 0;
    }

    long pixels() {
        return (long) width * height;
    }

    /** Returns the steps of all stages together. */
    int steps() {
        return stages.stream().mapToInt(Stage::steps).sum();
    }

    /** That are evaluated, of all stages together. */
    long views() {
        return stages.stream().mapToLong(stage -> (long) stage.steps * stage.views).sum();
    }

    /** Share of the denoising that is done after a step of a stage: of its views, 0..1. */
    double share(String stage, int step) {
        long done = 0;
        long all = 0;
        boolean reached = false;
        for (Stage each : stages) {
            if (each.name.equals(stage)) {
                done = all + (long) each.views * step;
                reached = true;
            }
            all += (long) each.views * each.steps;
        }
        if (reached) {
            return (double) done / all;
        }
        // before the first stage the text is encoded, after the last one latents become pixels
        return stage.equals("text") ? 0 : 1;
    }
}
