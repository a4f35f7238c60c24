// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.OptionNames;

import java.util.LinkedHashMap;
import java.util.Map;

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

    /** Settings by their names in reports; {@code steps}: those of the stage. */
    Map<String, Object> settings(int steps) {
        Map<String, Object> map = new LinkedHashMap<>();
        if (weight > 0) {
            map.put("guide_space", OptionNames.of(space));
            map.put("guide_upsampling", OptionNames.of(upsampling));
            map.put("guide_weight", weight);
            map.put("guide_schedule", OptionNames.of(schedule));
            map.put("mask", OptionNames.of(mask));
            map.put("mask_norm", OptionNames.of(maskNorm));
            map.put("staleness", staleness);
        }
        int n = interactionSteps;
        map.put("interaction", n == 0 ? "off" : n >= steps ? "every" : Integer.toString(n));
        return map;
    }
}
