// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.MethodOptions.RelayOptions;
import io.github.asg4j.MethodOptions.UsualOptions;
import io.github.asg4j.image.PngParameters;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;

/** Requests that name no method are drawn by the model's, which is asg where the model names none. */
class UsualMethodTest {
    private static final UsualMethod RELAY = new UsualMethod("relay", "few steps");
    private static final GuideOptions MASKED = GuideOptions.DEFAULT.withMask(GuideOptions.Mask.KEY);

    @TempDir Path folder;

    private Engine engine() {
        return Engine.open(Tiny.options(Tiny.usual("relay", folder), 1));
    }

    @Test
    void aRequestThatNamesAMethodKeepsIt() {
        GenerationRequest asked = GenerationRequest.builder("a ball").method("asg").build();
        assertSame(asked, RELAY.of(asked));
    }

    @Test
    void whatWasAskedOfNoMethodIsAskedOfTheUsualOne() {
        GenerationRequest asked =
                GenerationRequest.builder("a ball")
                        .steps(3)
                        .options(UsualOptions.DEFAULT.withGuide(MASKED))
                        .build();
        assertNull(asked.method());
        GenerationRequest asg = new UsualMethod("asg", "tiny").of(asked);
        assertEquals(AsgOptions.DEFAULT.withGuide(MASKED), asg.options());
        assertEquals(asked.toBuilder().options(asg.options()).build(), asg);
        assertEquals(
                RelayOptions.DEFAULT,
                RELAY.of(GenerationRequest.builder("a ball").build()).options());
    }

    @Test
    void anOptionThatItDoesNotHaveIsRefusedWithTheFix() {
        GenerationRequest asked =
                GenerationRequest.builder("a ball")
                        .options(UsualOptions.DEFAULT.withGuide(MASKED))
                        .build();
        String said = assertThrows(BadRequestException.class, () -> RELAY.of(asked)).getMessage();
        assertEquals(
                "--mask is an option of asg, cutdiffusion, not of relay, by which the model \"few"
                        + " steps\" draws where no method is named: leave it out, or name a method"
                        + " that has it, as in --method asg",
                said);
    }

    @Test
    void enginesPlanDrawAndReportIt() {
        try (Engine engine = engine()) {
            assertEquals(new UsualMethod("relay", "tiny"), engine.describe().usualMethod());
            assertEquals("relay", ReportJson.map(engine.describe()).get("default_method"));
            GenerationRequest asked = Tiny.request().options(UsualOptions.DEFAULT).build();
            assertEquals("relay", engine.plan(asked).method());
            GeneratedImage image = engine.draw(asked);
            assertEquals("relay", image.report().request().method());
            assertEquals("relay", ReportJson.map(image.report()).get("method"));
            String text = PngParameters.text(image.report());
            assertEquals("relay", PngParameters.settings(text).get("Method"));
            assertTrue(text.contains("\\\"method\\\":\\\"relay\\\""), text);
            GenerationRequest named = asked.toBuilder().method("relay").build();
            assertEquals(Tiny.hash(engine.draw(named)), Tiny.hash(image));
            GenerationRequest masked =
                    asked.toBuilder().options(UsualOptions.DEFAULT.withGuide(MASKED)).build();
            String said =
                    assertThrows(BadRequestException.class, () -> engine.submit(masked))
                            .getMessage();
            assertTrue(said.contains("not of relay, by which the model \"tiny\" draws"), said);
            GenerationRequest fixed =
                    asked.toBuilder().options(AsgOptions.DEFAULT.withGuide(MASKED)).build();
            assertEquals("asg", engine.plan(fixed).method());
        }
        try (Engine engine = Engine.open(Tiny.options(1))) {
            assertEquals("asg", engine.plan(Tiny.request().build()).method());
        }
    }
}
