// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.PhaseOptions;
import io.github.asg4j.plan.PhaseCourse;
import io.github.asg4j.plan.Stage;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;

/**
 * DemoFusion (arXiv 2311.16973): a picture of native size, then phases at 2, 3, ... times its size,
 * each all steps long: progressive upscaling (§3.1 there), skip residual (§3.2) and dilated sampling
 * (§3.3). A given picture takes the place of the first one, and phase 1 works on it too.
 */
final class DemoFusion implements Method {
    @Override
    public List<Stage> stages(Setting setting) {
        List<Stage> stages = new ArrayList<>();
        boolean given = setting.request().image() != null;
        if (given) {
            Encoders.require(setting.manifest(), "which --image needs", "draw without --image");
        } else {
            stages.add(Direct.whole(setting, patchHeight(setting), patchWidth(setting), "phase1"));
        }
        for (int s = given ? 1 : 2; s <= setting.scale(); s++) {
            stages.add(phase(setting, s));
        }
        return List.copyOf(stages);
    }

    private static Stage.Phase phase(Setting setting, int s) {
        Defaults.Phases usual = Defaults.demoFusion();
        PhaseOptions options = setting.request().phases();
        return new Stage.Phase(
                s,
                Stages.windows(
                        setting,
                        usual.windows(),
                        s * patchHeight(setting),
                        s * patchWidth(setting),
                        0,
                        "phase" + s),
                setting.guidanceScale(),
                new PhaseCourse(
                        options.skipExponent().orElse(usual.skipExponent()),
                        options.dilatedExponent().orElse(usual.dilatedExponent()),
                        options.blurExponent().orElse(usual.blurExponent()),
                        options.blur().orElse(usual.blur()),
                        setting.manifest().scheduler().levels().trainSteps()));
    }

    private static int patchHeight(Setting setting) {
        return setting.canvas().y().patch();
    }

    private static int patchWidth(Setting setting) {
        return setting.canvas().x().patch();
    }

    /** All phases have the picture's aspect. */
    @Override
    public GuideOptions.PatchAspect aspect(GenerationRequest request) {
        return GuideOptions.PatchAspect.PICTURE;
    }

    @Override
    public boolean enlargesPicture() {
        return true;
    }

    @Override
    public boolean noisesPicture() {
        return false;
    }

    /** Returns the settings of the examples in its code. */
    @Override
    public Sampling paper() {
        return new Sampling(null, OptionalDouble.of(7.5), 0);
    }
}
