// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.PlanReport;
import io.github.asg4j.model.ControlManifest;

import java.util.List;

/**
 * What a control network does for a request.
 *
 * @param name of the network
 * @param manifest of the network
 * @param activeIn whether it takes part, by step of the schedule
 */
public record ControlWork(String name, ControlManifest manifest, List<Boolean> activeIn) {
    /**
     * Share of a denoiser's working memory that a control network takes: it has the denoiser's inner half,
     * without the skip connections that wait for the outer one.
     */
    private static final double WORKSPACE = 0.5;

    public ControlWork {
        activeIn = List.copyOf(activeIn);
    }

    /** What a caller is told of it. */
    PlanReport.ControlNetwork report(List<Stage> stages) {
        long rows = 0;
        int steps = 0;
        for (Stage stage : stages) {
            for (int k = 0; k < stage.steps(); k++) {
                if (activeIn.get(stage.firstStep() + k)) {
                    rows += stage.rowsOf(k);
                    steps++;
                }
            }
        }
        return new PlanReport.ControlNetwork(name, steps, rows, manifest.bytes());
    }

    /** Bytes of the pictures that all networks are shown in a stage. */
    static double pictureBytes(List<ControlWork> controls, Stage stage) {
        if (controls.isEmpty()) {
            return 0;
        }
        int factor = controls.getFirst().manifest.vaeFactor();
        double cells =
                switch (stage) {
                    case Stage.Patches p -> (p.views() + 1.0) * p.viewHeight() * p.viewWidth();
                    case Stage.Windows w -> (double) w.y().canvas() * w.x().canvas();
                    case Stage.Leg l ->
                            (double) l.windows().y().canvas() * l.windows().x().canvas();
                    case Stage.Phase p ->
                            (double) p.local().y().canvas() * p.local().x().canvas()
                                    + (p.dilatedViews() + 1.0)
                                            * p.dilatedHeight()
                                            * p.dilatedWidth();
                    case Stage.Dilated d -> 0;
                };
        return controls.size() * 3.0 * Float.BYTES * factor * factor * cells;
    }

    /**
     * Bytes of what the networks of a worker read and write in calls of a stage.
     *
     * @param rows of a call
     */
    static double workerBytes(List<ControlWork> controls, Stage stage, int rows) {
        if (controls.isEmpty()) {
            return 0;
        }
        ControlManifest first = controls.getFirst().manifest;
        double residuals =
                first.residuals().stream()
                        .mapToDouble(r -> r.row(stage.viewHeight(), stage.viewWidth()))
                        .sum();
        double factor = first.vaeFactor();
        double picture = 3 * factor * factor * stage.viewHeight() * stage.viewWidth();
        int kept = controls.size() > 1 ? 2 : 1;
        return rows * Float.BYTES * (kept * residuals + controls.size() * picture);
    }

    /** Working memory of all networks, where the denoiser takes so much. */
    static double workspace(List<ControlWork> controls, double denoiser) {
        return controls.size() * WORKSPACE * denoiser;
    }
}
