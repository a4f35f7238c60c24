// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;

/**
 * Engines that the tests of a class share, each opened when it is first asked for: to open one takes
 * longer than to draw a small picture. For tests of what is drawn, not of what opening does; closed with
 * JUnit's AutoClose.
 */
public final class OpenEngines implements AutoCloseable {
    private final Map<Object, Engine> engines = new LinkedHashMap<>();

    /** The engine of these options, which stays this object's. */
    public Engine on(EngineOptions options) {
        return on(options, () -> Engine.open(options));
    }

    /**
     * The same of an engine that is opened in another way.
     *
     * @param key tells it from the others
     */
    public Engine on(Object key, Supplier<Engine> open) {
        return engines.computeIfAbsent(key, k -> open.get());
    }

    @Override
    public void close() {
        engines.values().forEach(Engine::close);
        engines.clear();
    }
}
