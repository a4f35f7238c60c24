// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PlanReport;

import org.jspecify.annotations.Nullable;

import java.util.Set;

/**
 * What the APIs work with: the engine, its model and its jobs.
 *
 * @param model name of the bundle
 * @param modelHash SHA-256 of the bundle
 * @param nativeWidth pixels that the model was trained for
 * @param nativeHeight pixels that the model was trained for
 * @param sizeMultiple what the sides of a picture are multiples of, pixels
 * @param steps denoising steps where none are asked for
 */
record Studio(
        Engine engine,
        Jobs jobs,
        String model,
        String modelHash,
        int nativeWidth,
        int nativeHeight,
        int sizeMultiple,
        int steps) {
    /** Names that clients send when their user has named none. */
    private static final Set<String> OTHERS_DEFAULTS =
            Set.of(
                    "dall-e-2",
                    "dall-e-3",
                    "gpt-image-1",
                    "gpt-image-1-mini",
                    "gpt-image-1.5",
                    "gpt-image-2");

    static Studio of(Engine engine, Jobs jobs) {
        EngineInfo facts = engine.describe();
        PlanReport plan = engine.plan(GenerationRequest.builder("a picture").build());
        return new Studio(
                engine,
                jobs,
                facts.model(),
                facts.bundleSha256(),
                facts.nativeSize().width(),
                facts.nativeSize().height(),
                plan.canvasPixels().width() / plan.canvasLatents().width(),
                plan.steps());
    }

    /**
     * Accepts the name of a model that a request names.
     *
     * @throws Refusal if it is not here
     */
    void requireModel(@Nullable String name) {
        if (name != null && !name.equals(model) && !OTHERS_DEFAULTS.contains(name)) {
            throw Refusal.invalid(
                    404,
                    "model_not_found",
                    "model",
                    "there is no model \"" + name + "\" here: use \"" + model + "\", or name none");
        }
    }

    /** Waits until there is a studio: the server listens before its model is loaded. */
    interface Door {
        /**
         * @throws Refusal while the model is being loaded
         */
        Studio studio();
    }
}
