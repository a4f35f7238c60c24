// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.EngineInfo;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PlanReport;
import io.github.asg4j.evaluate.PictureEngine;

/** Draws one picture after the other; Ctrl-C ends whichever is being drawn. */
record Watched(PictureEngine engine, Interruption interruption) implements PictureEngine {
    @Override
    public Generation submit(GenerationRequest request, GenerationListener listener) {
        Generation generation = engine.submit(request, listener);
        interruption.watch(generation::cancel);
        return generation;
    }

    @Override
    public PlanReport plan(GenerationRequest request) {
        return engine.plan(request);
    }

    @Override
    public EngineInfo describe() {
        return engine.describe();
    }
}
