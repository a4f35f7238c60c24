// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.StageReport;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;

/** A denoiser that takes the guidance scale as an input, as latent consistency models do. */
class GuidedNetworkTest {
    @TempDir Path folder;

    private Path bundle() {
        return Tiny.withDenoiser(
                folder,
                "guided",
                denoiser ->
                        denoiser.withArray("inputs")
                                .addObject()
                                .put("name", "guidance")
                                .put("role", "guidance")
                                .put("width", 8));
    }

    private static GenerationRequest request(String method, double scale) {
        return Tiny.request().method(method).guidanceScale(scale).steps(3).build();
    }

    @ParameterizedTest
    @ValueSource(strings = {"direct", "asg", "multidiffusion", "demofusion", "relay"})
    void theScaleChangesThePictureThoughNoUnconditionalRowIsRun(String method) {
        try (Engine one = Engine.open(Tiny.options(bundle(), 1));
                Engine two = Engine.open(Tiny.options(folder, 2))) {
            GenerationRequest strong = request(method, 6.5);
            for (StageReport stage : one.plan(strong).stages()) {
                assertEquals(1, stage.rowsPerView());
            }
            GeneratedImage image = one.submit(strong).join();
            GeneratedImage weak = one.submit(request(method, 2)).join();
            assertNotEquals(Tiny.hash(weak), Tiny.hash(image));
            assertEquals(6.5, image.report().sampling().guidanceScale());
            assertEquals(Tiny.hash(image), Tiny.hash(two.submit(strong).join()));
        }
    }

    @Test
    void aGpuIsGivenTheSameValues() {
        Path bundle = bundle();
        GenerationRequest request = request("asg", 6.5);
        GeneratedImage expected = Tiny.drawOnCpu(Tiny.options(bundle, 1), request);
        EmulatedGpus gpus = new EmulatedGpus();
        EngineOptions options = Tiny.options(bundle, 1).withDevices("cuda:0,cuda:1");
        try (Engine engine = TestEngines.open(options, WorkerHook.NONE, gpus)) {
            assertEquals(Tiny.hash(expected), Tiny.hash(engine.submit(request).join()));
        }
    }
}
