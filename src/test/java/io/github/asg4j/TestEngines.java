// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import io.github.asg4j.run.LocalEngine;
import io.github.asg4j.run.worker.Gpus;
import io.github.asg4j.run.worker.WorkerHook;

/**
 * Engines with a hook into their workers, or with other GPUs than those of the machine; in this package
 * because the constructor of {@link Engine} is not public.
 */
public final class TestEngines {
    private TestEngines() {}

    public static Engine open(EngineOptions options, WorkerHook hook) {
        return open(options, hook, Gpus.ofMachine());
    }

    public static Engine open(EngineOptions options, WorkerHook hook, Gpus gpus) {
        return new Engine(LocalEngine.open(options, hook, gpus));
    }
}
