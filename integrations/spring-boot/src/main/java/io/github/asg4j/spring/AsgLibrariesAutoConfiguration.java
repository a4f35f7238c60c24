// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spring;

import io.github.asg4j.Engine;
import io.micrometer.core.instrument.binder.MeterBinder;

import org.springframework.beans.factory.ObjectProvider;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnClass;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.boot.health.autoconfigure.contributor.ConditionalOnEnabledHealthIndicator;
import org.springframework.boot.health.contributor.HealthIndicator;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/**
 * What there are libraries for: Spring AI's and LangChain4j's image models, which draw with the {@link
 * Engine} bean, health and metrics of an engine that {@link AsgAutoConfiguration} made.
 */
@AutoConfiguration(after = AsgAutoConfiguration.class)
public final class AsgLibrariesAutoConfiguration {
    @Configuration(proxyBeanMethods = false)
    @ConditionalOnClass({
        org.springframework.ai.image.ImageModel.class,
        io.github.asg4j.springai.AsgImageModel.class
    })
    @ConditionalOnProperty(
            name = "spring.ai.model.image",
            havingValue = "asg4j",
            matchIfMissing = true)
    static final class SpringAiConfiguration {
        @Bean
        @ConditionalOnMissingBean(org.springframework.ai.image.ImageModel.class)
        io.github.asg4j.springai.AsgImageModel asgSpringAiImageModel(
                ObjectProvider<Engine> engine, AsgProperties properties) {
            return new io.github.asg4j.springai.AsgImageModel(
                    engine::getObject, properties::settings);
        }
    }

    @Configuration(proxyBeanMethods = false)
    @ConditionalOnClass({
        dev.langchain4j.model.image.ImageModel.class,
        io.github.asg4j.langchain4j.AsgImageModel.class
    })
    static final class LangChain4jConfiguration {
        @Bean
        @ConditionalOnMissingBean(dev.langchain4j.model.image.ImageModel.class)
        io.github.asg4j.langchain4j.AsgImageModel asgLangChain4jImageModel(
                ObjectProvider<Engine> engine, AsgProperties properties) {
            return new io.github.asg4j.langchain4j.AsgImageModel(
                    engine::getObject, properties::settings);
        }
    }

    @Configuration(proxyBeanMethods = false)
    @ConditionalOnClass(ConditionalOnEnabledHealthIndicator.class)
    static final class HealthConfiguration {
        @Bean
        @ConditionalOnBean(EngineHolder.class)
        @ConditionalOnEnabledHealthIndicator("asg4j")
        HealthIndicator asg4jHealthIndicator(EngineHolder holder) {
            return new EngineHealth(holder);
        }
    }

    @Configuration(proxyBeanMethods = false)
    @ConditionalOnClass(MeterBinder.class)
    static final class MetricsConfiguration {
        @Bean
        @ConditionalOnBean(EngineHolder.class)
        MeterBinder asg4jMetrics(EngineHolder holder) {
            return new EngineMetrics(holder);
        }
    }
}
