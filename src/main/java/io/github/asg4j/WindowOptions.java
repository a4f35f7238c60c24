// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.Objects;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * Overlapping windows of native size over one canvas (MultiDiffusion, arXiv 2302.08113; stage 2 of
 * CutDiffusion, arXiv 2404.15141).
 *
 * @param stride latent cells between windows; empty: half of the native size
 * @param jitter largest random shift of a window in latent cells; empty: (native - stride) / 4
 * @param weight how overlapping windows are averaged
 * @param conditioning what a window is told about its place (SDXL's time_ids)
 * @param guidanceScale classifier-free guidance scale of the windows; empty: the request's
 */
public record WindowOptions(
        OptionalInt stride,
        OptionalInt jitter,
        Weight weight,
        Conditioning conditioning,
        OptionalDouble guidanceScale) {

    public static final WindowOptions DEFAULT =
            new WindowOptions(
                    OptionalInt.empty(),
                    OptionalInt.empty(),
                    Weight.FEATHER,
                    Conditioning.CROP,
                    OptionalDouble.empty());

    public WindowOptions {
        Checks.range("window stride", stride, 1, 4096);
        Checks.range("jitter", jitter, 0, 4096);
        Checks.range("stage-2 guidance scale", guidanceScale, 0, 100);
        Objects.requireNonNull(weight, "weight");
        Objects.requireNonNull(conditioning, "conditioning");
    }

    /** sin² towards the window's borders, or the plain mean. */
    public enum Weight {
        FEATHER,
        UNIFORM
    }

    /** The window's place in the picture, or as if it were the whole picture. */
    public enum Conditioning {
        CROP,
        WHOLE
    }

    public WindowOptions withStride(int cells) {
        return new WindowOptions(
                OptionalInt.of(cells), jitter, weight, conditioning, guidanceScale);
    }

    public WindowOptions withJitter(int cells) {
        return new WindowOptions(
                stride, OptionalInt.of(cells), weight, conditioning, guidanceScale);
    }

    public WindowOptions withWeight(Weight w) {
        return new WindowOptions(stride, jitter, w, conditioning, guidanceScale);
    }

    public WindowOptions withConditioning(Conditioning c) {
        return new WindowOptions(stride, jitter, weight, c, guidanceScale);
    }

    public WindowOptions withGuidanceScale(double scale) {
        return new WindowOptions(stride, jitter, weight, conditioning, OptionalDouble.of(scale));
    }
}
