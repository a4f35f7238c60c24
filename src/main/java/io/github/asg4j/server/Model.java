// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PlanReport;
import io.github.asg4j.UsualMethod;

/**
 * A model that is open: plans can be made with it, whether its networks are loaded or not.
 *
 * @param name by which requests name it
 * @param hash SHA-256 of the bundle
 * @param nativeWidth pixels that the model was trained for
 * @param nativeHeight pixels that the model was trained for
 * @param sizeMultiple what the sides of a picture are multiples of, pixels
 * @param usualMethod that draws where a request names none
 * @param steps denoising steps where none are asked for
 * @param bytes of the weights, as they are stored
 */
record Model(
        Engine engine,
        String name,
        String hash,
        int nativeWidth,
        int nativeHeight,
        int sizeMultiple,
        UsualMethod usualMethod,
        int steps,
        long bytes) {
    /** The model of an engine, by its own name. */
    static Model of(Engine engine) {
        return of(engine, engine.describe().model());
    }

    /** The model of an engine, by another name. */
    static Model of(Engine engine, String name) {
        EngineInfo facts = engine.describe();
        PlanReport plan = engine.plan(GenerationRequest.builder("a picture").build());
        return new Model(
                engine,
                name,
                facts.bundleSha256(),
                facts.nativeSize().width(),
                facts.nativeSize().height(),
                plan.canvasPixels().width() / plan.canvasLatents().width(),
                facts.usualMethod(),
                plan.steps(),
                plan.memory().weights());
    }

    /** The first ten digits of the hash, as AUTOMATIC1111's web UI shows them. */
    String shortHash() {
        return hash.substring(0, Math.min(10, hash.length()));
    }
}
