// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.plan.Guidance;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.WindowAxis;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/** Stages that several methods share. */
final class Stages {
    private Stages() {}

    /** Patches of native size, then windows over what they relocate to (CutDiffusion's frame). */
    static List<Stage> of(Setting setting, Defaults.TwoStages usual) {
        GuideOptions options = setting.request().guide();
        var canvas = setting.canvas();
        double share = options.stage1Share().orElse(usual.stage1Share());
        int stage1 = setting.stepsWithin(share);
        List<Stage> stages = new ArrayList<>();
        if (stage1 > 0) {
            stages.add(
                    new Stage.Patches(
                            0,
                            stage1,
                            canvas.patches(),
                            canvas.y().patch(),
                            canvas.x().patch(),
                            Guidance.always(setting.guidanceScale()),
                            usual.guide().with(options)));
        }
        if (stage1 < setting.steps()) {
            stages.add(windows(setting, usual.windows(), stage1, "stage2"));
        }
        return List.copyOf(stages);
    }

    /** Windows over the whole canvas from step {@code first} to the end. */
    static Stage.Windows windows(Setting setting, Defaults.Windows usual, int first, String name) {
        var canvas = setting.canvas();
        return windows(setting, usual, canvas.height(), canvas.width(), first, name);
    }

    /** Windows over a canvas of {@code height} x {@code width} latent cells. */
    static Stage.Windows windows(
            Setting setting,
            Defaults.Windows usual,
            int height,
            int width,
            int first,
            String name) {
        WindowOptions options = setting.request().windows();
        var canvas = setting.canvas();
        double guidanceScale =
                Stage.guidanceScale(
                        options.guidanceScale()
                                .orElse(usual.guidanceScale().orElse(setting.guidanceScale())));
        return new Stage.Windows(
                first,
                setting.steps() - first,
                axis(height, canvas.nativeHeight(), options, usual),
                axis(width, canvas.nativeWidth(), options, usual),
                options.weight() == null ? usual.weight() : options.weight(),
                options.conditioning() == null ? usual.conditioning() : options.conditioning(),
                Guidance.always(guidanceScale),
                background(options, usual, guidanceScale, first),
                1,
                name);
    }

    static WindowAxis axis(
            int canvas, int nativeSize, WindowOptions options, Defaults.Windows usual) {
        int stride = options.stride().orElse(Math.max(1, nativeSize / 2));
        int jitter =
                options.jitter()
                        .orElse(usual.jitter() ? Math.max(0, (nativeSize - stride) / 4) : 0);
        return WindowAxis.of(canvas, nativeSize, stride, jitter);
    }

    private static Stage.@Nullable Background background(
            WindowOptions options, Defaults.Windows usual, double guidanceScale, int first) {
        double share = options.objectShare().orElse(first == 0 ? 0 : usual.objectShare());
        if (share > 0 && first == 0) {
            throw new BadRequestException(
                    "object share "
                            + share
                            + ": only after a stage 1 does a mask say which windows hold the"
                            + " object. Use a method with patches (asg, cutdiffusion) and a"
                            + " --stage1-share above 0, or leave out --object-share");
        }
        boolean asked =
                options.backgroundPrompt() != null || options.backgroundGuidanceScale().isPresent();
        if (share == 0 && asked) {
            throw new BadRequestException(
                    "a background prompt or guidance scale needs an --object-share above 0: the"
                            + " share of a window that the object has to cover, as in 0.02");
        }
        return share == 0
                ? null
                : new Stage.Background(
                        share,
                        Stage.guidanceScale(
                                options.backgroundGuidanceScale()
                                        .orElse(
                                                1
                                                        + usual.backgroundGuidance()
                                                                * (guidanceScale - 1))),
                        options.backgroundPrompt());
    }
}
