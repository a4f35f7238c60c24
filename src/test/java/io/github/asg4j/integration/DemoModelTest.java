// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.ReportJson;
import io.github.asg4j.Tiny;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;

/** The demo bundle in the jar draws what it is asked for, in few steps. */
class DemoModelTest {
    @Test
    void drawsARedBallOnGrassAtTwiceItsSize() {
        try (Engine engine = Engine.open(EngineOptions.DEFAULT.withDevices("cpu:2"))) {
            GenerationRequest request =
                    GenerationRequest.builder("a red ball on grass").seed(1).steps(20).build();
            GeneratedImage ball = engine.submit(request).join();
            assertEquals(256, ball.width());
            assertEquals(256, ball.height());
            assertEquals("demo", ball.report().model());
            // Grass is green, and only the ball is red: a broken pipeline draws neither.
            assertTrue(share(ball, 1) > 0.3, "green pixels: " + share(ball, 1));
            assertTrue(share(ball, 0) > 0.01, "red pixels: " + share(ball, 0));
            GenerationRequest grass = GenerationRequest.builder("grass").seed(1).steps(20).build();
            GeneratedImage empty = engine.submit(grass).join();
            assertNotEquals(Tiny.hash(ball), Tiny.hash(empty));
            assertTrue(share(empty, 0) < share(ball, 0), "red pixels without a ball");
        }
    }

    @Test
    void enlargesARedBallOnGrass() {
        try (Engine engine = Engine.open(EngineOptions.DEFAULT.withDevices("cpu:2"))) {
            GeneratedImage ball =
                    engine.submit(
                                    GenerationRequest.builder("a red ball on grass")
                                            .method("superres")
                                            .seed(1)
                                            .steps(20)
                                            .build())
                            .join();
            assertEquals(256, ball.width());
            assertEquals(List.of("upscaler_x2.onnx"), ball.report().plan().upscaling().files());
            assertTrue(share(ball, 1) > 0.3, "green pixels: " + share(ball, 1));
            assertTrue(share(ball, 0) > 0.01, "red pixels: " + share(ball, 0));
        }
    }

    @Test
    void reportsWhatTheCommandLinePrints() {
        try (Engine engine = Engine.open(EngineOptions.DEFAULT.withDevices("cpu:1"))) {
            GeneratedImage image =
                    engine.submit(
                                    GenerationRequest.builder("a blue cube on sand")
                                            .size(128, 128)
                                            .method("direct")
                                            .steps(2)
                                            .build())
                            .join();
            Map<String, Object> report = ReportJson.map(image.report());
            for (String key :
                    List.of(
                            "width",
                            "height",
                            "seed",
                            "method",
                            "steps",
                            "scheduler",
                            "guidance_scale",
                            "devices",
                            "view_batch",
                            "threads_per_worker",
                            "kernels",
                            "barriers",
                            "guided_evaluations",
                            "unet_runs",
                            "pixels_sha256",
                            "peak_bytes",
                            "process_peak_bytes",
                            "version",
                            "bundle_sha256",
                            "times_ms")) {
                assertTrue(report.containsKey(key), "no " + key + " in " + report.keySet());
            }
            assertEquals(2L, report.get("guided_evaluations"));
        }
    }

    /** Share of pixels in which one channel outdoes the others by half. */
    private static double share(GeneratedImage image, int channel) {
        ByteBuffer rgb = image.rgb();
        int hits = 0;
        int pixels = image.width() * image.height();
        for (int i = 0; i < pixels; i++) {
            int strong = rgb.get(3 * i + channel) & 0xff;
            int a = rgb.get(3 * i + (channel + 1) % 3) & 0xff;
            int b = rgb.get(3 * i + (channel + 2) % 3) & 0xff;
            hits += 2 * strong > 3 * Math.max(a, b) ? 1 : 0;
        }
        return (double) hits / pixels;
    }
}
