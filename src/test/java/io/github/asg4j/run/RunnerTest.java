// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.asg4j.GeneratedImage;
import io.github.asg4j.ModelParts;
import io.github.asg4j.PromptFolders;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.JavaKernels;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.plan.Arithmetic;
import io.github.asg4j.planning.Planner;
import io.github.asg4j.run.work.Cancellation;
import io.github.asg4j.run.worker.EngineParts;
import io.github.asg4j.run.worker.Fleet;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;

import java.util.List;

/** Requests on workers as the system gives them. */
class RunnerTest {
    /** As where there is no thread to be had: those that have begun still use the request's memory. */
    @Test
    void aWorkerThatCannotBeStartedIsLost() {
        long before = Memory.bytesInUse();
        Bundle bundle = Bundle.open(Tiny.bundle(), ModelParts.NONE, false);
        JavaKernels kernels = new JavaKernels();
        try (Fleet fleet = Fleet.ofCpu(List.of("cpu#0", "cpu#1"), 1, null, false, kernels);
                LoadedModel model = LoadedModel.open(bundle, fleet.placements(), List.of())) {
            fleet.lanes().get(1).thread().shutdown();
            Planner planner =
                    new Planner(
                            bundle,
                            2,
                            new Arithmetic(
                                    "fp32",
                                    "ONNX Runtime",
                                    false,
                                    "fp32",
                                    Arithmetic.Holding.PACKED),
                            fleet.gpuMemory(),
                            Long.MAX_VALUE);
            Runner runner =
                    new Runner(
                            new EngineParts(
                                    bundle,
                                    model,
                                    List.of(bundle.tokenizer(0)),
                                    PromptFolders.NONE,
                                    kernels,
                                    "test"),
                            planner,
                            fleet.lanes(),
                            Long.MAX_VALUE,
                            WorkerHook.NONE);
            GeneratedImage image =
                    runner.run(
                            planner.planned(Tiny.request().build()),
                            event -> {},
                            new Cancellation());
            assertEquals(List.of("cpu#1"), image.report().devices().lost());
        }
        assertEquals(before, Memory.bytesInUse());
    }
}
