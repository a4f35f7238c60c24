// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PlanReport;
import io.github.asg4j.evaluate.PictureEngine;

import java.util.Set;

/** Where the commands get their engine from; tests put one in its place that needs no model. */
interface EngineFactory {
    /** Names of the methods; cheap, loads no engine. */
    Set<String> methods();

    /** Opens an engine; see {@link Engine#open}. */
    Handle open(EngineOptions options);

    /** The real thing. */
    static EngineFactory real() {
        return new EngineFactory() {
            @Override
            public Set<String> methods() {
                return Engine.methods();
            }

            @Override
            public Handle open(EngineOptions options) {
                return new RealHandle(Engine.open(options));
            }
        };
    }

    /** What the commands use of an {@link Engine}. */
    interface Handle extends PictureEngine, AutoCloseable {
        @Override
        void close();
    }

    /** Hands on to the engine, which it owns. */
    record RealHandle(Engine engine) implements Handle {
        @Override
        public Generation submit(GenerationRequest request, GenerationListener listener) {
            return engine.submit(request, listener);
        }

        @Override
        public PlanReport plan(GenerationRequest request) {
            return engine.plan(request);
        }

        @Override
        public EngineInfo describe() {
            return engine.describe();
        }

        @Override
        public void close() {
            engine.close();
        }
    }
}
