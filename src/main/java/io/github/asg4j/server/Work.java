// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.PlanReport;
import io.github.asg4j.StageReport;

/** What a picture takes, out of its plan. */
record Work(PlanReport plan) {
    int width() {
        return plan.size().width();
    }

    int height() {
        return plan.size().height();
    }

    long pixels() {
        return (long) width() * height();
    }

    /** Returns the steps of all stages together. */
    int steps() {
        return plan.stages().stream().mapToInt(StageReport::steps).sum();
    }

    /** That are evaluated, of all stages together. */
    long views() {
        return plan.stages().stream()
                .mapToLong(stage -> (long) stage.steps() * stage.views())
                .sum();
    }

    /** Share of the denoising that is done after a step of a stage: of its views, 0..1. */
    double share(String stage, int step) {
        long done = 0;
        long all = 0;
        boolean reached = false;
        for (StageReport each : plan.stages()) {
            if (each.name().equals(stage)) {
                done = all + (long) each.views() * step;
                reached = true;
            }
            all += (long) each.views() * each.steps();
        }
        if (reached) {
            return (double) done / all;
        }
        // before the first stage the text is encoded, after the last one latents become pixels
        return stage.equals("text") ? 0 : 1;
    }
}
