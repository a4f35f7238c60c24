// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.plan.RegionWindows;
import io.github.asg4j.plan.Stage;

import java.util.List;
import java.util.OptionalDouble;

/**
 * MultiDiffusion (arXiv 2302.08113, Eq. 5): overlapping windows over the whole canvas in every step,
 * averaged. A picture of native size has one window and is direct inference. Regions with prompts of their
 * own are those of its §4.2, by windows instead of by masks of every cell.
 */
final class MultiDiffusion implements Method {
    @Override
    public List<Stage> stages(Setting setting) {
        Stage.Windows windows = Stages.windows(setting, Defaults.multiDiffusion(), 0, "denoise");
        RegionWindows.of(windows, setting.canvas(), setting.request().windows().regions());
        return List.of(windows);
    }

    @Override
    public Sampling paper() {
        return new Sampling("ddim", OptionalDouble.of(7.5), 0);
    }
}
