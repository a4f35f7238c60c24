// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/** Where the steps of a schedule lie among the noise levels a model was trained on. */
public enum Spacing {
    /** Timesteps at whole strides from the clean end, plus the model's offset. */
    LEADING("leading"),
    /** Timesteps at strides from the noisy end. */
    TRAILING("trailing"),
    /** Timesteps at equal distances, both ends included. */
    LINSPACE("linspace", "uniform", "normal"),
    /** Timesteps at equal distances, the noisy end included and the clean end left out. */
    SGM_UNIFORM("sgm_uniform"),
    /** Sigmas whose seventh roots lie at equal distances (Karras et al. 2022, Eq. 5, rho 7). */
    KARRAS("karras"),
    /**
     * Sigmas whose logarithms lie at equal distances; "polyexponential" with its usual exponent 1 is the
     * same.
     */
    EXPONENTIAL("exponential", "polyexponential"),
    /** Sigmas by quantiles of Beta(0.6, 0.6) (Lee et al. 2024, arXiv 2407.12173), linear in sigma. */
    BETA("beta"),
    /** Trained timesteps at equal strides from the noisy end, as ComfyUI counts them. */
    SIMPLE("simple"),
    /** Align Your Steps (Sabour et al. 2024, arXiv 2404.14507), the levels for Stable Diffusion XL. */
    AYS("ays", "align_your_steps", "ays_sdxl"),
    /** The same for Stable Diffusion 1.5. */
    AYS_SD1("ays_sd1", "align_your_steps_sd1", "ays_sd15"),
    /** Some of the 50 timesteps that latent consistency models are distilled on, from the noisy end. */
    DISTILLED("distilled");

    private final String id;

    @SuppressWarnings("ImmutableEnumChecker") // of Stream.toList
    private final List<String> names;

    Spacing(String id, String... aliases) {
        this.id = id;
        this.names = Stream.concat(Stream.of(id), Stream.of(aliases)).toList();
    }

    /** Its name on the command line, in manifests and in reports. */
    public String id() {
        return id;
    }

    /** Returns what the names of AUTOMATIC1111's web UI say of it behind a solver's, as in " Karras". */
    public String suffix() {
        return switch (this) {
            case KARRAS -> " Karras";
            case EXPONENTIAL -> " Exponential";
            case BETA -> " Beta";
            case SIMPLE -> " Simple";
            case AYS -> " Align Your Steps";
            case AYS_SD1 -> " Align Your Steps SD1";
            case LEADING, TRAILING, LINSPACE, SGM_UNIFORM, DISTILLED -> "";
        };
    }

    /** All names that it is called by, here and in other programs. */
    public List<String> names() {
        return names;
    }

    /** The names of all spacings. */
    public static List<String> ids() {
        return Arrays.stream(values()).map(Spacing::id).toList();
    }

    @Override
    public String toString() {
        return id;
    }
}
