// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.StageReport;

/**
 * How the patches of stage 1 agree, every setting decided (SPEC.md §3 to §5; ASGDiffusion, arXiv
 * 2412.06163, Eq. 3 and 4).
 *
 * @param weight w before its schedule; 0: no guidance, as CutDiffusion
 * @param schedule course of the weight
 * @param space what is blended
 * @param upsampling how the guide becomes that of each patch; nearest where space is noise
 * @param mask whose map weighs the correction
 * @param maskNorm how a map becomes weights
 * @param staleness age of the guidance in steps
 * @param interactionSteps pixel interaction in the first so many steps
 */
public record Guide(
        double weight,
        GuideOptions.Schedule schedule,
        GuideOptions.Space space,
        GuideOptions.Upsampling upsampling,
        GuideOptions.Mask mask,
        GuideOptions.MaskNorm maskNorm,
        int staleness,
        int interactionSteps) {

    /**
     * This guide with everything that {@code options} ask for.
     *
     * @throws BadRequestException for interpolated noise estimates
     */
    public Guide with(GuideOptions options) {
        GuideOptions.Space chosen = or(options.space(), space);
        boolean noise = chosen == GuideOptions.Space.NOISE;
        if (noise && options.upsampling() == GuideOptions.Upsampling.BICUBIC) {
            throw new BadRequestException(
                    "guide upsampling bicubic: interpolated noise estimates would be no noise. Give"
                            + " --guide-space latent, or leave out --guide-upsampling");
        }
        return new Guide(
                options.weight().orElse(weight),
                or(options.schedule(), schedule),
                chosen,
                noise ? GuideOptions.Upsampling.NEAREST : or(options.upsampling(), upsampling),
                or(options.mask(), mask),
                or(options.maskNorm(), maskNorm),
                options.staleness().orElse(staleness),
                options.interactionSteps().orElse(interactionSteps));
    }

    private static <T> T or(@org.jspecify.annotations.Nullable T asked, T usual) {
        return asked == null ? usual : asked;
    }

    /** What a caller is told of a stage of {@code steps} steps. */
    StageReport.Patches report(int steps) {
        return new StageReport.Patches(
                weight == 0
                        ? null
                        : new StageReport.Guidance(
                                weight, schedule, space, upsampling, mask, maskNorm, staleness),
                Math.min(interactionSteps, steps));
    }
}
