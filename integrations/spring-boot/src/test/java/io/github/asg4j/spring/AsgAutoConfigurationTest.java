// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.CancelledException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;

import org.junit.jupiter.api.Test;
import org.springframework.ai.image.ImagePrompt;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.health.contributor.Health;
import org.springframework.boot.health.contributor.HealthIndicator;
import org.springframework.boot.health.contributor.Status;
import org.springframework.boot.test.context.FilteredClassLoader;
import org.springframework.boot.test.context.runner.ApplicationContextRunner;

import java.util.List;
import java.util.Map;

class AsgAutoConfigurationTest {
    private final ApplicationContextRunner runner =
            new ApplicationContextRunner()
                    .withConfiguration(
                            AutoConfigurations.of(
                                    AsgAutoConfiguration.class,
                                    AsgLibrariesAutoConfiguration.class))
                    .withPropertyValues(
                            "asg4j.devices=cpu:1",
                            "asg4j.image.method=direct",
                            "asg4j.image.size=128x128",
                            "asg4j.image.steps=3",
                            "asg4j.image.seed=7");

    private static Health health(org.springframework.context.ApplicationContext context) {
        return context.getBean(HealthIndicator.class).health();
    }

    private static GenerationRequest request(int steps) {
        return GenerationRequest.builder("a cube")
                .method("direct")
                .size(128, 128)
                .steps(steps)
                .build();
    }

    @Test
    void bothImageModelsDrawWithOneEngineThatIsOpenedForThem() {
        runner.withBean(SimpleMeterRegistry.class)
                .run(
                        context -> {
                            EngineHolder holder = context.getBean(EngineHolder.class);
                            assertNull(holder.ifOpen(), "opened although nobody draws");
                            assertEquals(Status.UNKNOWN, health(context).getStatus());
                            var spring =
                                    context.getBean(org.springframework.ai.image.ImageModel.class);
                            var langchain =
                                    context.getBean(dev.langchain4j.model.image.ImageModel.class);
                            String one =
                                    spring.call(new ImagePrompt("a red ball"))
                                            .getResult()
                                            .getOutput()
                                            .getB64Json();
                            Engine engine = holder.ifOpen();
                            assertNotNull(engine);
                            assertEquals(
                                    one, langchain.generate("a red ball").content().base64Data());
                            assertSame(engine, context.getBean(Engine.class));
                            Health open = health(context);
                            assertEquals(Status.UP, open.getStatus());
                            assertEquals("demo", open.getDetails().get("model"));
                            assertEquals(List.of("cpu#0"), open.getDetails().get("devices"));
                        });
    }

    @Test
    void metersTellOfTheEngine() {
        runner.withBean(SimpleMeterRegistry.class)
                .run(
                        context -> {
                            MeterRegistry registry = context.getBean(MeterRegistry.class);
                            context.getBeansOfType(
                                            io.micrometer.core.instrument.binder.MeterBinder.class)
                                    .values()
                                    .forEach(binder -> binder.bindTo(registry));
                            assertNull(registry.find("asg.queue.length").gauge());
                            Engine engine = context.getBean(Engine.class);
                            engine.draw(request(2));
                            assertEquals(16, registry.get("asg.queue.capacity").gauge().value());
                            assertEquals(0, registry.get("asg.drawing").gauge().value());
                            assertTrue(
                                    registry.get("asg.busy.seconds")
                                                    .tag("device", "cpu#0")
                                                    .functionCounter()
                                                    .count()
                                            > 0);
                        });
    }

    @Test
    void stopWaitsForWhatIsDrawn() {
        Generation[] drawn = new Generation[1];
        runner.run(context -> drawn[0] = context.getBean(Engine.class).submit(request(20)));
        assertNotNull(drawn[0].join(), "the context is closed and the picture complete");
    }

    @Test
    void stopDoesNotWaitForLongerThanItsTime() {
        Generation[] drawn = new Generation[1];
        runner.withPropertyValues("spring.lifecycle.timeout-per-shutdown-phase=100ms")
                .withConfiguration(
                        AutoConfigurations.of(
                                org.springframework.boot.autoconfigure.context
                                        .LifecycleAutoConfiguration.class))
                .run(context -> drawn[0] = context.getBean(Engine.class).submit(request(900)));
        assertThrows(CancelledException.class, drawn[0]::join);
    }

    @Test
    void ownEngineIsKept() {
        try (Engine own = Engine.open(EngineOptions.DEFAULT.withDevices("cpu:1"))) {
            runner.withBean("own", Engine.class, () -> own)
                    .run(
                            context -> {
                                assertSame(own, context.getBean(Engine.class));
                                assertFalse(context.containsBean("asgEngineHolder"));
                                context.getBean(org.springframework.ai.image.ImageModel.class)
                                        .call(new ImagePrompt("a red ball"));
                            });
        }
    }

    @Test
    void worksWithoutLibrariesThatAreNotThere() {
        runner.withClassLoader(
                        new FilteredClassLoader(
                                "org.springframework.ai",
                                "dev.langchain4j",
                                "io.github.asg4j.springai",
                                "io.github.asg4j.langchain4j",
                                "org.springframework.boot.health",
                                "io.micrometer"))
                .run(
                        context -> {
                            assertNull(context.getStartupFailure());
                            assertNotNull(context.getBean(Engine.class).draw(request(1)));
                        });
    }

    @Test
    void anotherProviderCanBeChosen() {
        runner.withPropertyValues("spring.ai.model.image=openai")
                .run(
                        context ->
                                assertTrue(
                                        context.getBeansOfType(
                                                        org.springframework.ai.image.ImageModel
                                                                .class)
                                                .isEmpty()));
    }

    @Test
    void whatIsWrongIsSaidAtTheStart() {
        Map<String, String> messages =
                Map.of(
                        "steps=0", "steps is 0",
                        "stepz=3", "asg4j.image.stepz: pictures have no such option",
                        "guide-weight=0.5",
                                "asg4j.image.guide-weight: --guide-weight is an option of",
                        "method=none", "asg4j.image.method: ",
                        "size=big", "asg4j.image.size: ");
        messages.forEach((property, message) -> assertFailure(message, "asg4j.image." + property));
        assertFailure("tpu:0", "asg4j.open=eager", "asg4j.devices=tpu:0");
    }

    private void assertFailure(String message, String... properties) {
        runner.withPropertyValues(properties)
                .run(
                        context -> {
                            Throwable failure = context.getStartupFailure();
                            assertNotNull(failure, message);
                            StringBuilder said = new StringBuilder();
                            for (Throwable each = failure; each != null; each = each.getCause()) {
                                said.append(each.getMessage()).append('\n');
                            }
                            assertTrue(said.toString().contains(message), said.toString());
                        });
    }
}
