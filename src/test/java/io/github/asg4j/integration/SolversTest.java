// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PictureReport;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Solvers in whole pictures; the values of their latents are in {@link GoldenPipelineTest}. */
class SolversTest {
    /** Noise of a step belongs to cells, and past predictions lie where the latents are. */
    @ParameterizedTest
    @CsvSource({
        "asg, Euler a",
        "asg, UniPC Karras",
        "multidiffusion, DPM++ 2M SDE Karras",
        "demofusion, DPM++ 3M SDE Exponential",
        "relay, DPM++ 2M SDE"
    })
    void anyDevicesGiveTheSameBytes(String method, String scheduler) {
        GenerationRequest request =
                Tiny.request().method(method).scheduler(scheduler).steps(6).build();
        String expected = Tiny.hash(Tiny.drawOnCpu(Tiny.options(1), request));
        assertEquals(expected, Tiny.hash(Tiny.drawOnCpu(Tiny.options(3), request)));
        EngineOptions options = Tiny.options(1).withDevices("cuda:0,cuda:1");
        try (Engine engine = TestEngines.open(options, WorkerHook.NONE, new EmulatedGpus())) {
            assertEquals(expected, Tiny.hash(engine.submit(request).join()));
        }
    }

    @Test
    void solversBringTheirUsualNoiseAndSpacing() {
        GenerationRequest.Builder request = Tiny.request().method("direct").steps(4);
        try (Engine engine = Engine.open(Tiny.options(1))) {
            PictureReport.Sampling ancestral = sampling(engine, request.scheduler("euler_a"));
            assertEquals(1, ancestral.eta());
            assertEquals("leading", ancestral.spacing());
            assertEquals("distilled", sampling(engine, request.scheduler("lcm")).spacing());
            assertEquals("karras", sampling(engine, request.scheduler("LCM Karras")).spacing());
            String noisy = hash(engine, request.scheduler("euler_a"));
            assertNotEquals(noisy, hash(engine, request.eta(0)));
            assertEquals(
                    hash(engine, request.scheduler("euler")),
                    hash(engine, request.scheduler("euler_a")),
                    "without noise it is Euler's method");
        }
    }

    private static PictureReport.Sampling sampling(
            Engine engine, GenerationRequest.Builder request) {
        return engine.submit(request.build()).join().report().sampling();
    }

    private static String hash(Engine engine, GenerationRequest.Builder request) {
        return Tiny.hash(engine.submit(request.build()).join());
    }
}
