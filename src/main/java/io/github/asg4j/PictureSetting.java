// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.Locale;

/**
 * Settings that a method decided for a picture, by their names in JSON, in PNG files and on pages. The
 * constants are in the order of the text in PNG files.
 */
public enum PictureSetting {
    GUIDE_SPACE,
    GUIDE_UPSAMPLING,
    GUIDE_WEIGHT,
    GUIDE_SCHEDULE,
    MASK,
    MASK_NORM,
    MASK_BLOCKS,
    MASK_TOKENS,
    STALENESS,
    INTERACTION,
    STAGE1_STEPS,
    PATCHES,
    WINDOW_STRIDE,
    JITTER,
    WINDOW_WEIGHT,
    WINDOW_CONDITIONING,
    STAGE2_GUIDANCE_SCALE,
    REGIONS,
    OBJECT_SHARE,
    BACKGROUND_PROMPT,
    BACKGROUND_GUIDANCE_SCALE,
    COSINE_SCALE_1,
    COSINE_SCALE_2,
    COSINE_SCALE_3,
    BLUR,
    PRESET,
    STAGES,
    DILATION,
    DILATION_COURSE,
    DILATED_STEPS,
    DAMPED_DILATION,
    DAMPED_STEPS,
    UPSCALERS;

    /** Key in JSON: {@code GUIDE_WEIGHT} is "guide_weight". */
    public String key() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** In words: {@code GUIDE_WEIGHT} is "Guide weight". */
    public String words() {
        return name().charAt(0) + name().substring(1).toLowerCase(Locale.ROOT).replace('_', ' ');
    }
}
