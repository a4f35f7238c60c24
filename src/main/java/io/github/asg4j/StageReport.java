// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Consecutive denoising steps over views of one shape, as planned.
 *
 * @param name as in {@link GenerationEvent#stage}
 * @param steps denoising steps
 * @param views patches or windows of a step, each of which the denoiser evaluates
 * @param viewLatents latent cells of a view
 * @param calls of the denoiser in a step
 * @param guidanceScale of classifier-free guidance; 1: none
 * @param rowsPerView rows of the denoiser's batch for a view: 2 with guidance, 1 without; the most of
 *     any step
 * @param guidedSteps steps with guidance, the others have one row; null: all have, or none could have
 * @param barriers moments at which all workers wait for each other
 * @param settings what the method and the request decided
 */
public record StageReport(
        String name,
        int steps,
        int views,
        Size viewLatents,
        int calls,
        double guidanceScale,
        int rowsPerView,
        @Nullable Steps guidedSteps,
        int barriers,
        Settings settings) {

    /**
     * Steps of a stage that follow each other.
     *
     * @param first of them, from 0; 0 where there are none
     * @param count how many
     */
    public record Steps(int first, int count) {
        /** As in "4-20", both included, or "none". */
        @Override
        public String toString() {
            int last = first + count - 1;
            return count == 0 ? "none" : first == last ? "" + first : first + "-" + last;
        }
    }

    /** What was decided for a stage; a record for each kind of stage. */
    public sealed interface Settings {
        /** The windows of a stage that has some; null: it has none. */
        default @Nullable Windows windowed() {
            return null;
        }
    }

    /**
     * Native-size patches, each a sub-sampled view of the whole picture (stage 1 of CutDiffusion, arXiv
     * 2404.15141, and ASGDiffusion, arXiv 2412.06163).
     *
     * @param guidance of the patches by the key patch; null: none
     * @param interactionSteps first steps in which patches exchange pixels, at most all of the stage's
     */
    public record Patches(@Nullable Guidance guidance, int interactionSteps) implements Settings {}

    /**
     * Guidance of the patches by the key patch (ASGDiffusion, Eq. 3 and 4).
     *
     * @param weight w before its schedule, more than 0
     * @param schedule course of the weight
     * @param space what is guided
     * @param upsampling how the key patch becomes the guide of another patch
     * @param mask whose attention map weighs the correction
     * @param maskNorm how a map becomes weights
     * @param staleness age of the guide, steps
     */
    public record Guidance(
            double weight,
            GuideOptions.Schedule schedule,
            GuideOptions.Space space,
            GuideOptions.Upsampling upsampling,
            GuideOptions.Mask mask,
            GuideOptions.MaskNorm maskNorm,
            int staleness) {}

    /**
     * Windows over one canvas whose noise estimates are averaged in every step.
     *
     * @param canvasLatents latent cells of the stage's canvas
     * @param grid windows by columns and rows
     * @param guidanceScale of classifier-free guidance in the windows; 1: none
     * @param overlap null: there is one window
     * @param background what windows without an object get instead; null: all windows are alike
     * @param cache in which steps the whole denoiser runs; null: in all
     */
    public record Windows(
            Size canvasLatents,
            Size grid,
            double guidanceScale,
            @Nullable Overlap overlap,
            @Nullable Background background,
            @Nullable Cache cache)
            implements Settings {
        @Override
        public Windows windowed() {
            return this;
        }
    }

    /**
     * Which steps run the whole denoiser; in the others its outermost layers take the features of the last
     * such step (DeepCache, arXiv 2312.00858).
     *
     * @param interval steps from one to the next at most
     * @param wholeSteps that run the whole denoiser
     * @param shallowSteps the others
     */
    public record Cache(int interval, int wholeSteps, int shallowSteps) {}

    /**
     * How windows overlap.
     *
     * @param stride latent cells between windows, by axis
     * @param jitter largest random shift, latent cells by axis
     * @param weight how windows are averaged
     * @param conditioning what a window is told of its place
     */
    public record Overlap(
            Size stride,
            Size jitter,
            WindowOptions.Weight weight,
            WindowOptions.Conditioning conditioning) {}

    /**
     * What windows get that do not hold the object.
     *
     * @param objectShare share of its cells, (0, 1], that a window holds the object with
     * @param guidanceScale of classifier-free guidance in the others; 1: none
     * @param prompt of the others; null: the request's
     */
    public record Background(double objectShare, double guidanceScale, @Nullable String prompt) {}

    /**
     * A phase of DemoFusion (arXiv 2311.16973): windows beside dilated views of the same canvas. The
     * stage's guidance scale is that of the dilated views.
     *
     * @param windows local views
     * @param dilatedViews views that hold every s-th cell of the canvas
     * @param dilatedLatents latent cells of a dilated view
     * @param skipExponent exponent of the skip residual's weight
     * @param dilatedExponent exponent of the dilated views' weight
     * @param blurExponent exponent of the blur's course
     * @param blur standard deviation of the blur at first, latent cells
     */
    public record Phase(
            Windows windows,
            int dilatedViews,
            Size dilatedLatents,
            double skipExponent,
            double dilatedExponent,
            double blurExponent,
            double blur)
            implements Settings {
        @Override
        public Windows windowed() {
            return windows;
        }
    }

    /**
     * A stage of a relay.
     *
     * @param row of the relay's table that it was made of
     * @param windows over the stage's canvas
     * @param refresh how the canvas comes from the stage before; null: it is noise
     * @param told pixels that the network is told of the picture
     * @param lowBand what low frequencies get instead; null: nothing
     */
    public record Leg(
            RelayStage row,
            Windows windows,
            @Nullable Refresh refresh,
            Size told,
            @Nullable LowBand lowBand)
            implements Settings {
        @Override
        public Windows windowed() {
            return windows;
        }
    }

    /**
     * How a stage's canvas comes from the stage before it.
     *
     * @param latents latent cells of the stage before
     * @param enlarge how they grow
     * @param upscalers files of the networks that enlarge
     * @param sharpen weight of an unsharp mask after that; 0: none
     */
    public record Refresh(
            Size latents, RelayStage.Enlarge enlarge, List<String> upscalers, double sharpen) {
        public Refresh {
            upscalers = List.copyOf(upscalers);
        }
    }

    /**
     * What low frequencies get instead.
     *
     * @param filter that takes them out
     * @param guidanceScale of classifier-free guidance; 1: none
     * @param heldSteps first steps whose predictions have those of the stage before
     */
    public record LowBand(RelayStage.LowPass filter, double guidanceScale, int heldSteps) {}

    /**
     * Steps with dilated convolutions (ScaleCrafter, arXiv 2310.07702).
     *
     * @param dilation factors of the first step by group of convolutions
     * @param damping factors of the second unconditional call of noise-damped guidance; empty: none
     * @param course of the factors
     * @param dampedSteps first steps with noise-damped guidance
     * @param dilationBySteps the factors of all steps
     * @param dampingBySteps the second call's factors of all damped steps
     */
    public record Dilated(
            Map<String, Double> dilation,
            Map<String, Double> damping,
            DilationOptions.Course course,
            int dampedSteps,
            List<Factors> dilationBySteps,
            List<Factors> dampingBySteps)
            implements Settings {
        public Dilated {
            dilation = ordered(dilation);
            damping = ordered(damping);
            dilationBySteps = List.copyOf(dilationBySteps);
            dampingBySteps = List.copyOf(dampingBySteps);
        }
    }

    /**
     * Dilation factors of steps {@code first} to {@code last} of a stage, both included.
     *
     * @param factors by group of convolutions
     */
    public record Factors(int first, int last, Map<String, Double> factors) {
        public Factors {
            factors = ordered(factors);
        }
    }

    private static Map<String, Double> ordered(Map<String, Double> map) {
        return Collections.unmodifiableMap(new LinkedHashMap<>(map));
    }
}
