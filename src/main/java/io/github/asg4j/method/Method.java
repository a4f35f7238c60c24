// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.Upscaling;
import io.github.asg4j.schedule.Stretch;

import org.jspecify.annotations.Nullable;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.Set;

/** A way to draw a picture larger than the denoiser's native size: a list of stages. */
public interface Method {
    /**
     * The stages that draw the picture, in order, with every setting that the request leaves open
     * decided.
     *
     * @throws BadRequestException for what the method or the bundle cannot do
     */
    List<Stage> stages(Setting setting);

    /**
     * The stretches of noise levels that the stages visit, one behind the other; empty: the schedule of
     * all steps. Steps of stages are counted through all of them.
     *
     * @throws BadRequestException for noise levels that the model does not know
     */
    default List<Stretch> stretches(Setting setting) {
        int all = setting.skipped() + setting.steps();
        return setting.skipped() == 0
                ? List.of()
                : List.of(new Stretch.Part(all, setting.skipped(), all));
    }

    /**
     * What becomes of the decoded picture; null: it is of the size asked for.
     *
     * @throws BadRequestException for what the bundle cannot do
     */
    default @Nullable Upscaling upscaling(Setting setting) {
        return null;
    }

    /**
     * Whether a start picture takes the place of the one of native size that the method draws first; else
     * the canvas begins as the picture with noise of a middle level (SDEdit, arXiv 2108.01073).
     */
    default boolean enlargesPicture() {
        return false;
    }

    /**
     * Whether a start picture is drawn from with noise of a chosen level: then that has a strength, and
     * parts of the picture can be kept.
     */
    default boolean noisesPicture() {
        return true;
    }

    /** How a picture that is not square is cut where the request says nothing. */
    GuideOptions.PatchAspect PATCH_ASPECT = GuideOptions.PatchAspect.PICTURE;

    /** How a picture that is not square is cut. */
    default GuideOptions.PatchAspect aspect(GenerationRequest request) {
        GuideOptions.PatchAspect asked = request.guide().patchAspect();
        return asked == null ? PATCH_ASPECT : asked;
    }

    /** How the method's paper and code sample; used with {@code paperDefaults}. */
    default Sampling paper() {
        return Sampling.AS_BUNDLE;
    }

    /**
     * A sampler's settings.
     *
     * @param scheduler null: the bundle's
     * @param guidanceScale empty: the bundle's
     * @param eta stochasticity of DDIM
     */
    record Sampling(@Nullable String scheduler, OptionalDouble guidanceScale, double eta) {
        /** All of the bundle, deterministic. */
        public static final Sampling AS_BUNDLE = new Sampling(null, OptionalDouble.empty(), 0);
    }

    /** How to sample where the request leaves it open. */
    default Sampling sampling(GenerationRequest request) {
        return request.paperDefaults() ? paper() : Sampling.AS_BUNDLE;
    }

    /** All methods by their names on the command line. */
    Map<String, Method> ALL = all();

    private static Map<String, Method> all() {
        Map<String, Method> methods = new LinkedHashMap<>();
        methods.put("asg", new AsgDiffusion());
        methods.put("direct", new Direct());
        methods.put("multidiffusion", new MultiDiffusion());
        methods.put("cutdiffusion", new CutDiffusion());
        methods.put("demofusion", new DemoFusion());
        methods.put("relay", new Relay());
        methods.put("scalecrafter", new ScaleCrafter());
        methods.put("superres", new SuperRes());
        return Collections.unmodifiableMap(methods);
    }

    /** Names in the order of {@link #ALL}. */
    static Set<String> names() {
        return ALL.keySet();
    }

    /** The method of a request that names one. */
    static Method of(GenerationRequest request) {
        return Objects.requireNonNull(ALL.get(request.method()), "no method is named");
    }
}
