// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.plan.Stage;

import java.util.List;

/**
 * ASGDiffusion (arXiv 2412.06163). Stage 1: native-size patches, each a sub-sampled view of the
 * picture, with pixel interaction (CutDiffusion, arXiv 2404.15141) and guided by the key patch (Eq.
 * 3 and 4). Stage 2: overlapping windows refine the relocated canvas.
 */
final class AsgDiffusion implements Method {
    @Override
    public List<Stage> stages(Setting setting) {
        return Stages.of(
                setting, setting.request().paperDefaults() ? Defaults.asgPaper() : Defaults.asg());
    }
}
