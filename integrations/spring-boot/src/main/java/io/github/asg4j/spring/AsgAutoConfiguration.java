// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spring;

import io.github.asg4j.Engine;

import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Lazy;

/**
 * An {@link Engine}, opened when it is needed. An application that has an {@code Engine} bean of its own
 * keeps it.
 */
@AutoConfiguration
@EnableConfigurationProperties(AsgProperties.class)
public final class AsgAutoConfiguration {
    /** Both or none. */
    @Configuration(proxyBeanMethods = false)
    @ConditionalOnMissingBean(Engine.class)
    static final class EngineConfiguration {
        @Bean
        EngineHolder asgEngineHolder(AsgProperties properties) {
            return new EngineHolder(
                    properties.engineOptions(), properties.open() == AsgProperties.Open.EAGER);
        }

        /** Closed by its holder. */
        @Bean(destroyMethod = "")
        @Lazy
        Engine asgEngine(EngineHolder holder) {
            return holder.engine();
        }
    }
}
