// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.WindowOptions;
import io.github.asg4j.plan.Guidance;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.WindowAxis;

import java.util.List;

/** Direct inference: the whole canvas in one view, as the model's own pipeline would. */
final class Direct implements Method {
    @Override
    public List<Stage> stages(Setting setting) {
        return List.of(from(setting, 0));
    }

    /** The whole canvas as one view, from step {@code first} to the end. */
    static Stage.Windows from(Setting setting, int first) {
        var canvas = setting.canvas();
        return whole(setting, first, canvas.height(), canvas.width(), "denoise");
    }

    /** All steps over a canvas of {@code height} x {@code width} latent cells as one view. */
    static Stage.Windows whole(Setting setting, int height, int width, String name) {
        return whole(setting, 0, height, width, name);
    }

    private static Stage.Windows whole(
            Setting setting, int first, int height, int width, String name) {
        return new Stage.Windows(
                first,
                setting.steps() - first,
                WindowAxis.whole(height),
                WindowAxis.whole(width),
                WindowOptions.Weight.UNIFORM,
                WindowOptions.Conditioning.WHOLE,
                Guidance.always(setting.guidanceScale()),
                null,
                1,
                name);
    }
}
