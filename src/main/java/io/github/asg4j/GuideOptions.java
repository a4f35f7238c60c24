// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * What is asked of stage 1: native-size patches that agree on one structure. ASGDiffusion (arXiv
 * 2412.06163, Eq. 3 and 4); CutDiffusion is the same without guidance. What is empty or null is the
 * method's default for the picture's size, printed by the plan.
 *
 * @param weight w_t of Eq. 3/4 before its schedule, the "key patch guidance scale"
 * @param schedule course of the weight over stage 1
 * @param space what is blended: noise estimates as the paper writes it, or predicted clean latents
 * @param upsampling how the key patch's clean latents become those of the other patches
 * @param mask whose attention map weighs the correction (M of Eq. 4)
 * @param maskNorm how a map becomes weights in [0, 1]
 * @param maskBlocks names of the up blocks whose maps are used; empty: all of the bundle
 * @param maskTokens indices of prompt tokens (0: the first after the start token); empty: all
 * @param staleness age of the guidance in steps: 0 synchronous, 1 the paper's asynchronous form
 * @param interactionSteps pixel interaction in the first so many steps; 0: off, {@link #EVERY_STEP}: in all of stage 1
 * @param stage1Share share of the steps that stage 1 takes, 0..1
 * @param patchAspect how a picture that is not square is cut
 */
public record GuideOptions(
        OptionalDouble weight,
        @Nullable Schedule schedule,
        @Nullable Space space,
        @Nullable Upsampling upsampling,
        @Nullable Mask mask,
        @Nullable MaskNorm maskNorm,
        List<String> maskBlocks,
        List<Integer> maskTokens,
        OptionalInt staleness,
        OptionalInt interactionSteps,
        OptionalDouble stage1Share,
        @Nullable PatchAspect patchAspect) {

    /** Pixel interaction in every step of stage 1. */
    public static final int EVERY_STEP = Integer.MAX_VALUE;

    /** Of {@code weight}. */
    public static final Range WEIGHT_RANGE = new Range(0, 10);

    /** Of {@code staleness}, steps. */
    public static final Range STALENESS_RANGE = new Range(0, GenerationRequest.MAX_STEPS);

    /** Of {@code interactionSteps}. */
    public static final Range INTERACTION_RANGE = new Range(0, EVERY_STEP);

    /** Of each of {@code maskTokens}. */
    public static final Range TOKEN_RANGE = new Range(0, 4096);

    /** Nothing asked for: all by the method. */
    public static final GuideOptions DEFAULT =
            new GuideOptions(
                    OptionalDouble.empty(),
                    null,
                    null,
                    null,
                    null,
                    null,
                    List.of(),
                    List.of(),
                    OptionalInt.empty(),
                    OptionalInt.empty(),
                    OptionalDouble.empty(),
                    null);

    public GuideOptions {
        WEIGHT_RANGE.check("guide weight", weight);
        STALENESS_RANGE.check("staleness", staleness);
        INTERACTION_RANGE.check("interaction steps", interactionSteps);
        Range.SHARE.check("stage-1 share", stage1Share);
        maskBlocks = List.copyOf(maskBlocks);
        maskTokens = List.copyOf(maskTokens);
        for (int token : maskTokens) {
            TOKEN_RANGE.check("mask token", token);
        }
    }

    /** Course of the guide weight over stage 1: 1, 0.5(1 + cos(pi k/T1)), or 1 - k/T1. */
    public enum Schedule {
        CONSTANT,
        COSINE,
        LINEAR
    }

    /** What the guidance blends: noise estimates (Eq. 3/4) or predicted clean latents. */
    public enum Space {
        NOISE,
        LATENT
    }

    /**
     * The guide, enlarged to the canvas and cut like it, is what each patch gets: the nearest cell,
     * so that all get the same as the paper has it, or bicubic, so that each gets the key patch's
     * picture at its own cells. Noise estimates cannot be interpolated.
     */
    public enum Upsampling {
        NEAREST,
        BICUBIC
    }

    /** The key patch's map, each patch's own, or none (Eq. 3). */
    public enum Mask {
        KEY,
        OWN,
        NONE
    }

    /** Min-max to [0, 1], division by the maximum, or a binary mask at the mean. */
    public enum MaskNorm {
        MINMAX,
        MAX,
        MEAN_THRESHOLD
    }

    /** How a picture that is not square is cut; a square one is cut the same by both. */
    public enum PatchAspect {
        /** Patches of native size, a factor per axis, as CutDiffusion's code: objects are stretched. */
        AXIS,

        /** Patches of the picture's aspect and about the native area, one factor for both axes. */
        PICTURE
    }

    public GuideOptions withWeight(double value) {
        Copy copy = new Copy(this);
        copy.weight = OptionalDouble.of(value);
        return copy.build();
    }

    public GuideOptions withSchedule(Schedule value) {
        Copy copy = new Copy(this);
        copy.schedule = value;
        return copy.build();
    }

    public GuideOptions withSpace(Space value) {
        Copy copy = new Copy(this);
        copy.space = value;
        return copy.build();
    }

    public GuideOptions withUpsampling(Upsampling value) {
        Copy copy = new Copy(this);
        copy.upsampling = value;
        return copy.build();
    }

    public GuideOptions withMask(Mask value) {
        Copy copy = new Copy(this);
        copy.mask = value;
        return copy.build();
    }

    public GuideOptions withMaskNorm(MaskNorm value) {
        Copy copy = new Copy(this);
        copy.maskNorm = value;
        return copy.build();
    }

    public GuideOptions withMaskBlocks(List<String> value) {
        Copy copy = new Copy(this);
        copy.maskBlocks = value;
        return copy.build();
    }

    public GuideOptions withMaskTokens(List<Integer> value) {
        Copy copy = new Copy(this);
        copy.maskTokens = value;
        return copy.build();
    }

    public GuideOptions withStaleness(int value) {
        Copy copy = new Copy(this);
        copy.staleness = OptionalInt.of(value);
        return copy.build();
    }

    public GuideOptions withInteractionSteps(int value) {
        Copy copy = new Copy(this);
        copy.interactionSteps = OptionalInt.of(value);
        return copy.build();
    }

    public GuideOptions withStage1Share(double value) {
        Copy copy = new Copy(this);
        copy.stage1Share = OptionalDouble.of(value);
        return copy.build();
    }

    public GuideOptions withPatchAspect(PatchAspect value) {
        Copy copy = new Copy(this);
        copy.patchAspect = value;
        return copy.build();
    }

    /** The components, to change one of them. */
    private static final class Copy {
        private OptionalDouble weight;
        private @Nullable Schedule schedule;
        private @Nullable Space space;
        private @Nullable Upsampling upsampling;
        private @Nullable Mask mask;
        private @Nullable MaskNorm maskNorm;
        private List<String> maskBlocks;
        private List<Integer> maskTokens;
        private OptionalInt staleness;
        private OptionalInt interactionSteps;
        private OptionalDouble stage1Share;
        private @Nullable PatchAspect patchAspect;

        Copy(GuideOptions from) {
            weight = from.weight;
            schedule = from.schedule;
            space = from.space;
            upsampling = from.upsampling;
            mask = from.mask;
            maskNorm = from.maskNorm;
            maskBlocks = from.maskBlocks;
            maskTokens = from.maskTokens;
            staleness = from.staleness;
            interactionSteps = from.interactionSteps;
            stage1Share = from.stage1Share;
            patchAspect = from.patchAspect;
        }

        GuideOptions build() {
            return new GuideOptions(
                    weight,
                    schedule,
                    space,
                    upsampling,
                    mask,
                    maskNorm,
                    maskBlocks,
                    maskTokens,
                    staleness,
                    interactionSteps,
                    stage1Share,
                    patchAspect);
        }
    }
}
