// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.planning;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.ModelParts;
import io.github.asg4j.PlanReport;
import io.github.asg4j.RequestJson;
import io.github.asg4j.Tiny;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.CallShape;
import io.github.asg4j.plan.Arithmetic;
import io.github.asg4j.plan.Plan;
import io.github.asg4j.plan.Stage;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/** The shapes that a denoiser is compiled for, against calls that were counted by hand. */
class CallShapesTest {
    private static Plan plan(Path folder, GenerationRequest request, boolean compiles) {
        try (Bundle bundle = Bundle.open(folder, ModelParts.NONE, false)) {
            Planner planner =
                    new Planner(
                            bundle,
                            2,
                            new Arithmetic(
                                    compiles ? "bf16" : "fp32",
                                    "any",
                                    compiles,
                                    "fp32",
                                    Arithmetic.Holding.MAPPED),
                            new LinkedHashMap<>(),
                            Long.MAX_VALUE);
            return planner.planned(request).plan();
        }
    }

    /** 4 patches in calls of 2, 9 windows in calls of 2, 2, 2, 2 and 1; two rows a view. */
    @Test
    void viewsThatDoNotDivideMakeASecondShape() {
        GenerationRequest request =
                GenerationRequest.builder("a ball").size(128, 128).viewBatch(2).build();
        Plan plan = plan(Tiny.bundle(), request, true);
        assertEquals(
                List.of(new CallShape(4, 8, 8), new CallShape(2, 8, 8)),
                plan.callShapes(Stage.Network.PLAIN));
        assertEquals(List.of(), plan.callShapes(Stage.Network.DILATED));
        assertEquals(2, plan.report().compiledShapes());
    }

    /** The first phase has one view of 8 x 6 cells, as the dilated views of the others have. */
    @Test
    void dilatedViewsAreNotOfTheSizeOfWindows() {
        GenerationRequest request =
                GenerationRequest.builder("a ball").method("demofusion").size(192, 128).build();
        Plan plan = plan(Tiny.bundle(), request, true);
        assertEquals(
                Set.of(new CallShape(2, 6, 8), new CallShape(2, 8, 8)),
                Set.copyOf(plan.callShapes(Stage.Network.PLAIN)));
    }

    /**
     * Dilated steps with their second, unconditional call; the rest by the plain network. The canvas is
     * three patches of 11 x 6 cells a side, the aspect of the picture.
     */
    @Test
    void networkWithDilationIsCompiledForItself() {
        GenerationRequest request =
                RequestJson.read(
                        """
                        {"prompt": "a ball", "size": "256x128", "method": "scalecrafter", "steps": 4,
                         "dilate": {"mid_block": 3}, "dilate_share": 0.75,
                         "damped": {"mid_block": 2}, "damped_share": 0.5}\
                        """);
        Plan plan = plan(Tiny.resource("tiny-methods"), request, true);
        assertEquals(
                List.of(new CallShape(2, 18, 33), new CallShape(1, 18, 33)),
                plan.callShapes(Stage.Network.DILATED));
        assertEquals(List.of(new CallShape(2, 18, 33)), plan.callShapes(Stage.Network.PLAIN));
    }

    /** The network that gives its features serves all steps of the stages that keep them. */
    @Test
    void networkThatGivesItsFeaturesIsCompiled() {
        GenerationRequest request =
                GenerationRequest.builder("a ball").size(256, 128).cacheInterval(2).build();
        Plan plan = plan(Tiny.bundle(), request, true);
        assertEquals(List.of(new CallShape(2, 6, 11)), plan.callShapes(Stage.Network.PLAIN));
        assertEquals(List.of(new CallShape(2, 8, 8)), plan.callShapes(Stage.Network.CACHED));
        assertEquals(2, plan.report().compiledShapes());
    }

    /** The VAE is compiled whole, and for its tiles. */
    @Test
    void vaeIsCompiled(@TempDir Path folder) {
        GenerationRequest request = GenerationRequest.builder("a ball").size(256, 256).build();
        Path parts = Tiny.withTiledVae(folder, "", false);
        PlanReport.Decoding whole = decoding(parts, request);
        assertEquals("whole in bf16", whole.summary());
        PlanReport.Decoding tiles = decoding(parts, request.toBuilder().vaeTile(128).build());
        assertTrue(tiles.summary().endsWith(" pixels in bf16"), tiles.summary());
        assertTrue(tiles.bf16());
    }

    private static PlanReport.Decoding decoding(Path bundle, GenerationRequest request) {
        return Objects.requireNonNull(plan(bundle, request, true).report().decoding());
    }

    /** What they take where nothing is kept on disk. */
    @Test
    void compiledNetworksAreCountedAsWeights() {
        GenerationRequest request =
                GenerationRequest.builder("a ball").size(128, 128).viewBatch(2).build();
        Plan bf16 = plan(Tiny.bundle(), request, true);
        Plan fp32 = plan(Tiny.bundle(), request, false);
        long denoiser;
        long decoder;
        try (Bundle bundle = Bundle.open(Tiny.bundle(), ModelParts.NONE, false)) {
            denoiser = bundle.graphBytes(bundle.manifest().denoiser().file()) / 4;
            decoder = bundle.graphBytes(bundle.manifest().vae().decoder()) / 4;
        }
        // of fp32: 6.5 bytes for each weight and shape, 4 while one is compiled
        long compiled = (long) (denoiser * (2 * 6.5 + 4)) + (long) (decoder * (6.5 + 4));
        assertEquals(fp32.memory().weights() + compiled, bf16.memory().weights());
        assertTrue(bf16.memory().vae() < fp32.memory().vae(), "it works in less");
        assertEquals(0, fp32.report().compiledShapes());
    }
}
