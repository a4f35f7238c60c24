// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.stream.Stream;

/**
 * What is asked of overlapping windows: stage 2, and every other method that averages them. What is
 * empty or null is the method's default for the picture's size, printed by the plan.
 *
 * @param stride latent cells between windows
 * @param jitter largest random shift of a window, latent cells
 * @param weight how windows are averaged
 * @param conditioning what a window is told about its place (SDXL's time_ids)
 * @param guidanceScale classifier-free guidance scale of the windows, up to 1 none; empty: the
 *     request's
 * @param backgroundPrompt prompt of windows that hold no object by the key patch's mask
 * @param backgroundGuidanceScale guidance scale of windows that hold no object, up to 1 none: they
 *     then follow the background prompt, without its excess over the negative one
 * @param objectShare a window holds the object if at least this share of it does, 0..1; 0: every window does
 * @param regions parts of the picture with prompts of their own
 */
public record WindowOptions(
        OptionalInt stride,
        OptionalInt jitter,
        @Nullable Weight weight,
        @Nullable Conditioning conditioning,
        OptionalDouble guidanceScale,
        @Nullable String backgroundPrompt,
        OptionalDouble backgroundGuidanceScale,
        OptionalDouble objectShare,
        List<Region> regions) {

    /** Of {@code stride}, latent cells. */
    public static final Range STRIDE_RANGE = new Range(1, 4096);

    /** Of {@code jitter}, latent cells. */
    public static final Range JITTER_RANGE = new Range(0, 4096);

    /** Nothing asked for: all by the method. */
    public static final WindowOptions DEFAULT =
            new WindowOptions(
                    OptionalInt.empty(),
                    OptionalInt.empty(),
                    null,
                    null,
                    OptionalDouble.empty(),
                    null,
                    OptionalDouble.empty(),
                    OptionalDouble.empty(),
                    List.of());

    public WindowOptions {
        regions = List.copyOf(regions);
        STRIDE_RANGE.check("window stride", stride);
        JITTER_RANGE.check("jitter", jitter);
        GenerationRequest.GUIDANCE_SCALE_RANGE.check("stage-2 guidance scale", guidanceScale);
        GenerationRequest.GUIDANCE_SCALE_RANGE.check(
                "background guidance scale", backgroundGuidanceScale);
        Range.SHARE.check("object share", objectShare);
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

    public WindowOptions withStride(int value) {
        Copy copy = new Copy(this);
        copy.stride = OptionalInt.of(value);
        return copy.build();
    }

    public WindowOptions withJitter(int value) {
        Copy copy = new Copy(this);
        copy.jitter = OptionalInt.of(value);
        return copy.build();
    }

    public WindowOptions withWeight(Weight value) {
        Copy copy = new Copy(this);
        copy.weight = value;
        return copy.build();
    }

    public WindowOptions withConditioning(Conditioning value) {
        Copy copy = new Copy(this);
        copy.conditioning = value;
        return copy.build();
    }

    public WindowOptions withGuidanceScale(double value) {
        Copy copy = new Copy(this);
        copy.guidanceScale = OptionalDouble.of(value);
        return copy.build();
    }

    public WindowOptions withBackgroundPrompt(String value) {
        Copy copy = new Copy(this);
        copy.backgroundPrompt = value;
        return copy.build();
    }

    public WindowOptions withBackgroundGuidanceScale(double value) {
        Copy copy = new Copy(this);
        copy.backgroundGuidanceScale = OptionalDouble.of(value);
        return copy.build();
    }

    public WindowOptions withObjectShare(double value) {
        Copy copy = new Copy(this);
        copy.objectShare = OptionalDouble.of(value);
        return copy.build();
    }

    /** Adds regions to those that there are. */
    public WindowOptions withRegions(List<Region> more) {
        Copy copy = new Copy(this);
        copy.regions = Stream.concat(regions.stream(), more.stream()).toList();
        return copy.build();
    }

    /** The components, to change one of them. */
    private static final class Copy {
        private OptionalInt stride;
        private OptionalInt jitter;
        private @Nullable Weight weight;
        private @Nullable Conditioning conditioning;
        private OptionalDouble guidanceScale;
        private @Nullable String backgroundPrompt;
        private OptionalDouble backgroundGuidanceScale;
        private OptionalDouble objectShare;
        private List<Region> regions;

        Copy(WindowOptions from) {
            stride = from.stride;
            jitter = from.jitter;
            weight = from.weight;
            conditioning = from.conditioning;
            guidanceScale = from.guidanceScale;
            backgroundPrompt = from.backgroundPrompt;
            backgroundGuidanceScale = from.backgroundGuidanceScale;
            objectShare = from.objectShare;
            regions = from.regions;
        }

        WindowOptions build() {
            return new WindowOptions(
                    stride,
                    jitter,
                    weight,
                    conditioning,
                    guidanceScale,
                    backgroundPrompt,
                    backgroundGuidanceScale,
                    objectShare,
                    regions);
        }
    }
}
