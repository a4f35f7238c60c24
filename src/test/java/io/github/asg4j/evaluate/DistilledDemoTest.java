// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.List;
import java.util.Objects;

/** The demo's distilled model draws what prompts say in few steps and without unconditional rows. */
class DistilledDemoTest {
    private static final int PICTURES = 10;

    /** At native size 4 rows of the network, where the demo takes 100; 6 at twice that, unasked. */
    @ParameterizedTest
    @CsvSource({"direct, 128, 4, 8", "relay, 256, 6, 8", ", 256, 6, 8"})
    void drawsWhatPromptsSay(@Nullable String method, int size, int rows, int least) {
        EngineOptions turbo =
                EngineOptions.DEFAULT.withModel(EngineOptions.DEMO_TURBO).withDevices("cpu:2");
        try (Engine engine = Engine.open(turbo);
                Instruments instruments =
                        Instruments.open(turbo.model(), turbo.parts(), null, null, null)) {
            ObjectCounter counter = Objects.requireNonNull(instruments.counter());
            List<String> prompts =
                    Objects.requireNonNull(instruments.prompts()).lines().limit(PICTURES).toList();
            int right = 0;
            for (int seed = 0; seed < prompts.size(); seed++) {
                String prompt = prompts.get(seed);
                GenerationRequest.Builder request =
                        GenerationRequest.builder(prompt).size(size, size).seed(seed);
                if (method != null) {
                    request.method(method);
                }
                GeneratedImage image = engine.submit(request.build()).join();
                assertEquals("demo-turbo", image.report().model());
                assertEquals(rows, image.report().plan().unetRows());
                right += counter.examine(Picture.of(image), prompt).right() ? 1 : 0;
            }
            assertTrue(
                    right >= least, right + " of " + PICTURES + " pictures are what prompts say");
        }
    }
}
