// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.plan.Stage;

import java.util.List;
import java.util.OptionalDouble;

/**
 * CutDiffusion (arXiv 2404.15141): native-size patches that exchange pixels at random in every step,
 * relocated after half of the steps and refined by overlapping windows. ASGDiffusion with a guide
 * weight of 0 is this method.
 */
final class CutDiffusion implements Method {
    @Override
    public List<Stage> stages(Setting setting) {
        return Stages.of(setting, Defaults.cutDiffusion());
    }

    @Override
    public Sampling paper() {
        return new Sampling(null, OptionalDouble.of(7.5), 0);
    }
}
