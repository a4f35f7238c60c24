// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.asg4j.model.Bundle;
import io.github.asg4j.run.LocalEngine;
import io.github.asg4j.run.worker.Gpus;
import io.github.asg4j.run.worker.WorkerHook;

import java.util.function.Supplier;

/**
 * Engines with a hook into their workers, or with other GPUs than those of the machine; in this package
 * because the constructor of {@link Engine} is not public.
 */
public final class TestEngines {
    private TestEngines() {}

    public static Engine open(EngineOptions options, WorkerHook hook) {
        return open(options, hook, Gpus.ofMachine());
    }

    /** Draws a request on the tiny bundle with 1 to 3 workers that pause: the bytes are the same. */
    public static void assertSameBytesForAnyWorkers(GenerationRequest request) {
        String first = null;
        for (int workers = 1; workers <= 3; workers++) {
            int pause = workers;
            try (Engine engine = open(Tiny.options(workers), p -> Tiny.sleep(pause))) {
                String hash = Tiny.hash(engine.submit(request).join());
                first = first == null ? hash : first;
                assertEquals(first, hash, workers + " workers");
            }
        }
    }

    /** An engine over a model that is opened otherwise than by its place. */
    public static Engine open(EngineOptions options, Supplier<Bundle> model) {
        return new Engine(LocalEngine.open(options, model, WorkerHook.NONE, Gpus.ofMachine()));
    }

    public static Engine open(EngineOptions options, WorkerHook hook, Gpus gpus) {
        return new Engine(LocalEngine.open(options, hook, gpus));
    }
}
