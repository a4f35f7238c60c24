// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.MethodOptions.CutDiffusionOptions;
import io.github.asg4j.MethodOptions.DemoFusionOptions;
import io.github.asg4j.MethodOptions.DirectOptions;
import io.github.asg4j.MethodOptions.MultiDiffusionOptions;
import io.github.asg4j.MethodOptions.RelayOptions;
import io.github.asg4j.MethodOptions.ScaleCrafterOptions;
import io.github.asg4j.MethodOptions.SuperResOptions;
import io.github.asg4j.PhaseOptions;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.plan.Guide;

import java.util.OptionalDouble;

/**
 * What methods made of patches and windows do where a request says nothing. The engine's own choice
 * follows its evaluation (README); the papers' form is that of {@code paperDefaults}.
 */
public final class Defaults {
    private Defaults() {}

    /**
     * What the method called {@code name} does by itself, as far as the picture's size and the bundle leave
     * it open.
     *
     * @throws io.github.asg4j.BadRequestException if there is no such method
     */
    public static MethodOptions of(String name) {
        return switch (MethodOptions.of(name)) {
            case AsgOptions o -> new AsgOptions(asg().guideOptions(), asg().windowOptions());
            case CutDiffusionOptions o ->
                    new CutDiffusionOptions(
                            cutDiffusion().guideOptions(), cutDiffusion().windowOptions());
            case MultiDiffusionOptions o -> new MultiDiffusionOptions(multiDiffusion().options());
            case DemoFusionOptions o ->
                    new DemoFusionOptions(demoFusion().options(), demoFusion().windows().options());
            case DirectOptions o -> o;
            case RelayOptions o -> new RelayOptions(o.legs(), relay().options());
            case ScaleCrafterOptions o -> o;
            case SuperResOptions o -> o;
        };
    }

    /**
     * Stage 1 and stage 2.
     *
     * @param guide how the patches agree
     * @param stage1Share share of the steps that stage 1 takes
     * @param windows stage 2
     */
    public record TwoStages(Guide guide, double stage1Share, Windows windows) {
        private GuideOptions guideOptions() {
            return GuideOptions.DEFAULT
                    .withWeight(guide.weight())
                    .withSchedule(guide.schedule())
                    .withSpace(guide.space())
                    .withUpsampling(guide.upsampling())
                    .withMask(guide.mask())
                    .withMaskNorm(guide.maskNorm())
                    .withStaleness(guide.staleness())
                    .withInteractionSteps(guide.interactionSteps())
                    .withStage1Share(stage1Share)
                    .withPatchAspect(Method.PATCH_ASPECT);
        }

        private WindowOptions windowOptions() {
            return windows.options().withObjectShare(windows.objectShare());
        }
    }

    /**
     * Overlapping windows, half of the native size apart.
     *
     * @param jitter windows move at random, by a quarter of their overlap at most
     * @param guidanceScale empty: the request's
     * @param objectShare share of a window that the object has to cover to hold it; 0: any
     * @param backgroundGuidance part of the guidance scale's excess over 1 that windows without the
     *     object keep
     */
    public record Windows(
            WindowOptions.Weight weight,
            WindowOptions.Conditioning conditioning,
            boolean jitter,
            OptionalDouble guidanceScale,
            double objectShare,
            double backgroundGuidance) {

        private WindowOptions options() {
            return WindowOptions.DEFAULT.withWeight(weight).withConditioning(conditioning);
        }

        /** These windows, with less guidance for those that the object covers by less. */
        Windows background(double share, double guidance) {
            return new Windows(weight, conditioning, jitter, guidanceScale, share, guidance);
        }
    }

    /**
     * ASGDiffusion as evaluated here at 2x and 4x (README). Guidance on clean latents adds no noise;
     * upsampled, it leaves no blocks on edges, and so needs no mask. 65 % of the steps in stage 1
     * leave stage 2 less time to repeat the object, and windows without it get an eighth of the
     * guidance.
     */
    public static TwoStages asg() {
        return new TwoStages(
                new Guide(
                        1,
                        GuideOptions.Schedule.CONSTANT,
                        GuideOptions.Space.LATENT,
                        GuideOptions.Upsampling.BICUBIC,
                        GuideOptions.Mask.NONE,
                        GuideOptions.MaskNorm.MINMAX,
                        1,
                        GuideOptions.EVERY_STEP),
                0.65,
                windows(WindowOptions.Weight.FEATHER).background(0.02, 1.0 / 8));
    }

    /**
     * ASGDiffusion as published: guidance on noise estimates, one step old, on top of CutDiffusion.
     * The weight is not published; 0.5 is the middle of its Fig. 8.
     */
    public static TwoStages asgPaper() {
        return new TwoStages(
                new Guide(
                        0.5,
                        GuideOptions.Schedule.CONSTANT,
                        GuideOptions.Space.NOISE,
                        GuideOptions.Upsampling.NEAREST,
                        GuideOptions.Mask.KEY,
                        GuideOptions.MaskNorm.MINMAX,
                        1,
                        GuideOptions.EVERY_STEP),
                0.5,
                windows(WindowOptions.Weight.UNIFORM));
    }

    /** CutDiffusion's code: interaction in every step of the first half, then windows. */
    static TwoStages cutDiffusion() {
        return new TwoStages(
                new Guide(
                        0,
                        GuideOptions.Schedule.CONSTANT,
                        GuideOptions.Space.NOISE,
                        GuideOptions.Upsampling.NEAREST,
                        GuideOptions.Mask.NONE,
                        GuideOptions.MaskNorm.MINMAX,
                        0,
                        GuideOptions.EVERY_STEP),
                0.5,
                windows(WindowOptions.Weight.UNIFORM));
    }

    /**
     * Phases of DemoFusion; see {@link io.github.asg4j.plan.PhaseCourse}.
     *
     * @param windows local views
     */
    public record Phases(
            double skipExponent,
            double dilatedExponent,
            double blurExponent,
            double blur,
            Windows windows) {
        private PhaseOptions options() {
            return PhaseOptions.DEFAULT
                    .withSkipExponent(skipExponent)
                    .withDilatedExponent(dilatedExponent)
                    .withBlurExponent(blurExponent)
                    .withBlur(blur);
        }
    }

    /** DemoFusion's code; the blur is that of its examples, windows are CutDiffusion's. */
    public static Phases demoFusion() {
        return new Phases(3, 1, 1, 0.8, windows(WindowOptions.Weight.UNIFORM));
    }

    /** MultiDiffusion's code, with windows half of the native size apart. */
    static Windows multiDiffusion() {
        return new Windows(
                WindowOptions.Weight.UNIFORM,
                WindowOptions.Conditioning.WHOLE,
                false,
                OptionalDouble.empty(),
                0,
                1);
    }

    /** Windows of a relay, where its stages have some. */
    static Windows relay() {
        return windows(WindowOptions.Weight.FEATHER);
    }

    private static Windows windows(WindowOptions.Weight weight) {
        return new Windows(
                weight, WindowOptions.Conditioning.CROP, true, OptionalDouble.empty(), 0, 1);
    }
}
