// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.WindowAxis;

import java.util.ArrayList;
import java.util.List;

/**
 * ASGDiffusion (arXiv 2412.06163). Stage 1: native-size patches, each a sub-sampled view of the
 * picture, with pixel interaction (CutDiffusion, arXiv 2404.15141) and guided by the key patch (Eq.
 * 3 and 4). Stage 2: overlapping windows refine the relocated canvas.
 */
final class AsgDiffusion implements Method {
    @Override
    public List<Stage> stages(
            GenerationRequest request, Canvas canvas, int steps, double guidanceScale) {
        GuideOptions guide = request.guide();
        int stage1 = (int) Math.floor(steps * guide.stage1Share() + 0.5);
        List<Stage> stages = new ArrayList<>();
        if (stage1 > 0) {
            stages.add(
                    new Stage.Patches(
                            0,
                            stage1,
                            canvas.patches(),
                            canvas.y().patch(),
                            canvas.x().patch(),
                            guidanceScale,
                            guide));
        }
        if (stage1 < steps) {
            WindowOptions options = request.windows();
            stages.add(
                    new Stage.Windows(
                            stage1,
                            steps - stage1,
                            axis(canvas.height(), canvas.nativeHeight(), options),
                            axis(canvas.width(), canvas.nativeWidth(), options),
                            options.weight(),
                            options.conditioning(),
                            options.guidanceScale().orElse(guidanceScale),
                            "stage2"));
        }
        return List.copyOf(stages);
    }

    private static WindowAxis axis(int canvas, int nativeSize, WindowOptions options) {
        int stride = options.stride().orElse(Math.max(1, nativeSize / 2));
        int jitter = options.jitter().orElse(Math.max(0, (nativeSize - stride) / 4));
        return WindowAxis.of(canvas, nativeSize, stride, jitter);
    }
}
