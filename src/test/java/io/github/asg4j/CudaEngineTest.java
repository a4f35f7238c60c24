// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.run.WorkerHook;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.List;
import java.util.stream.Stream;

/**
 * The whole engine on GPUs without a GPU: emulated devices whose every access is checked for its
 * range and its order. The kernels have the bits of the CPU's and the networks run on the CPU, so the
 * pictures are those of the CPU.
 */
class CudaEngineTest {
    private static EngineOptions options(String devices) {
        return Tiny.options(1).withDevices(devices);
    }

    static Stream<GenerationRequest> requests() {
        GuideOptions guide = GuideOptions.DEFAULT;
        return Stream.of(
                Tiny.request().build(),
                Tiny.request().guide(guide.withStaleness(0)).build(),
                Tiny.request().guide(guide.withInteractionSteps(0)).build(),
                Tiny.request().guide(guide.withInteractionSteps(2)).build(),
                Tiny.request()
                        .guide(guide.withStaleness(3).withMask(GuideOptions.Mask.OWN))
                        .viewBatch(3)
                        .build(),
                Tiny.request().guide(guide.withMask(GuideOptions.Mask.NONE)).size(256, 64).build(),
                Tiny.request().method("direct").build(),
                Tiny.request().method("multidiffusion").build(),
                Tiny.request().method("cutdiffusion").scheduler("ddim").eta(1).build(),
                Tiny.request().method("demofusion").build());
    }

    @ParameterizedTest
    @MethodSource("requests")
    void picturesAreThoseOfTheCpu(GenerationRequest request) {
        String expected;
        try (Engine engine = Engine.open(Tiny.options(1))) {
            expected = Tiny.hash(engine.submit(request).join());
        }
        for (String devices : List.of("cuda:0", "cuda:1,cuda:0", "cuda:0,cuda:1,cuda:0")) {
            EmulatedGpus gpus = new EmulatedGpus();
            try (Engine engine = Engine.open(options(devices), WorkerHook.NONE, gpus)) {
                for (int i = 0; i < 2; i++) {
                    GeneratedImage image = engine.submit(request).join();
                    assertEquals(List.of(), image.report().get("lost_devices"), devices);
                    assertEquals(expected, Tiny.hash(image), devices + " " + request);
                }
                assertTrue(gpus.checked().launches().size() > 50);
            }
            assertEquals(0, EmulatedCuda.left(), "not freed on " + devices);
        }
    }
}
