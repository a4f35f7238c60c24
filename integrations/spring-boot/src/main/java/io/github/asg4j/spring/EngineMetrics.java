// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spring;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineActivity;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.MeterBinder;

import java.time.Duration;
import java.util.function.ToDoubleFunction;

/**
 * Meters of the engine, with the names of the server's: {@code asg.queue.length}, {@code
 * asg.queue.capacity}, {@code asg.drawing}, {@code asg.native.bytes}, {@code asg.busy.seconds}. They are
 * there once the engine is open.
 */
final class EngineMetrics implements MeterBinder {
    private final EngineHolder holder;

    EngineMetrics(EngineHolder holder) {
        this.holder = holder;
    }

    @Override
    public void bindTo(MeterRegistry registry) {
        holder.whenOpen(engine -> bind(registry, engine));
    }

    private static void bind(MeterRegistry registry, Engine engine) {
        gauge(registry, engine, "asg.queue.length", "pictures that wait", EngineActivity::waiting);
        gauge(
                registry,
                engine,
                "asg.queue.capacity",
                "pictures that may wait",
                EngineActivity::capacity);
        gauge(registry, engine, "asg.drawing", "pictures at work", EngineActivity::running);
        Gauge.builder("asg.native.bytes", Engine::nativeBytesInUse)
                .description("off-heap memory")
                .baseUnit("bytes")
                .register(registry);
        for (String device : engine.activity().busy().keySet()) {
            FunctionCounter.builder("asg.busy.seconds", engine, e -> busy(e, device))
                    .description("time that a device spent in the denoiser, kernels and exchange")
                    .tag("device", device)
                    .register(registry);
        }
    }

    private static void gauge(
            MeterRegistry registry,
            Engine engine,
            String name,
            String what,
            ToDoubleFunction<EngineActivity> value) {
        Gauge.builder(name, engine, e -> value.applyAsDouble(e.activity()))
                .description(what)
                .register(registry);
    }

    private static double busy(Engine engine, String device) {
        return engine.activity().busy().getOrDefault(device, Duration.ZERO).toNanos() / 1e9;
    }
}
