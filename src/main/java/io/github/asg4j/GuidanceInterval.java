// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

/**
 * The noise levels at which a picture is drawn with classifier-free guidance: those with {@code low <
 * sigma <= high}. At all others the network is asked for the conditional row alone, which is half the
 * work (Kynkäänniemi et al. 2024, arXiv 2404.07724). Sigma is the standard deviation of the noise beside
 * clean latents of weight 1, {@code sqrt((1 - abar) / abar)}, whatever the solver; of a model of flow
 * matching it is that of {@code x = (1 - sigma) * x0 + sigma * noise}, 0..1. Written as in {@code
 * "0.28..5.42"}.
 */
public record GuidanceInterval(double low, double high) {
    private static final String DOTS = "..";

    public GuidanceInterval {
        if (!(low >= 0) || !Double.isFinite(low) || !(high >= 0) || !Double.isFinite(high)) {
            throw new BadRequestException(
                    "the guidance interval is "
                            + text(low, high)
                            + ": both ends have to be finite numbers, at least 0");
        }
        if (low >= high) {
            throw new BadRequestException(
                    "the guidance interval "
                            + text(low, high)
                            + (low == high ? " is empty" : " is turned around")
                            + ": give the smaller sigma first, as in 0.28..5.42");
        }
    }

    /**
     * Reads an interval as {@link #toString} writes it.
     *
     * @throws BadRequestException with what was found and what would have been right
     */
    public static GuidanceInterval parse(String text) {
        int dots = text.indexOf(DOTS);
        if (dots < 0) {
            throw new BadRequestException(
                    "'" + text + "' is no interval of sigma: write both ends, as in 0.28..5.42");
        }
        return new GuidanceInterval(
                OptionType.decimal().parse().apply(text.substring(0, dots)),
                OptionType.decimal().parse().apply(text.substring(dots + DOTS.length())));
    }

    /** Whether a picture is guided at a noise level. */
    public boolean contains(double sigma) {
        return low < sigma && sigma <= high;
    }

    @Override
    public String toString() {
        return text(low, high);
    }

    private static String text(double low, double high) {
        return Range.number(low) + DOTS + Range.number(high);
    }
}
