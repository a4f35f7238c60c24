// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spring;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineActivity;
import io.github.asg4j.EngineInfo;

import org.jspecify.annotations.Nullable;
import org.springframework.boot.health.contributor.Health;
import org.springframework.boot.health.contributor.HealthIndicator;

/**
 * Health of the engine: down when all its devices are lost, unknown before it is opened. Draws nothing
 * and opens nothing. A full queue is no illness.
 */
final class EngineHealth implements HealthIndicator {
    private final EngineHolder holder;
    private volatile @Nullable EngineInfo info;

    EngineHealth(EngineHolder holder) {
        this.holder = holder;
        holder.whenOpen(engine -> info = engine.describe());
    }

    @Override
    public Health health() {
        Engine engine = holder.ifOpen();
        EngineInfo facts = info;
        if (engine == null || facts == null) {
            return Health.unknown().withDetail("engine", "not opened yet").build();
        }
        EngineActivity activity = engine.activity();
        Health.Builder health = activity.canDraw() ? Health.up() : Health.down();
        if (!activity.lost().isEmpty()) {
            health.withDetail("lost", activity.lost());
        }
        return health.withDetail("model", facts.model())
                .withDetail("devices", facts.devices())
                .withDetail("waiting", activity.waiting())
                .withDetail("capacity", activity.capacity())
                .withDetail("drawing", activity.running())
                .build();
    }
}
