// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.WindowAxis;

import java.util.List;

/** Direct inference: the whole canvas in one view, as the model's own pipeline would. */
final class Direct implements Method {
    @Override
    public List<Stage> stages(
            GenerationRequest request, Canvas canvas, int steps, double guidanceScale) {
        return List.of(
                new Stage.Windows(
                        0,
                        steps,
                        WindowAxis.whole(canvas.height()),
                        WindowAxis.whole(canvas.width()),
                        WindowOptions.Weight.UNIFORM,
                        WindowOptions.Conditioning.WHOLE,
                        guidanceScale,
                        "denoise"));
    }
}
