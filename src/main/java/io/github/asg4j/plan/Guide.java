// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

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
 * @param mask whose map weighs the correction
 * @param maskNorm how a map becomes weights
 * @param staleness age of the guidance in steps
 * @param interactionSteps pixel interaction in the first so many steps
 */
public record Guide(
        double weight,
        GuideOptions.Schedule schedule,
        GuideOptions.Space space,
        GuideOptions.Mask mask,
        GuideOptions.MaskNorm maskNorm,
        int staleness,
        int interactionSteps) {

    /** This guide with everything that {@code options} ask for. */
    public Guide with(GuideOptions options) {
        return new Guide(
                options.weight().orElse(weight),
                or(options.schedule(), schedule),
                or(options.space(), space),
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
