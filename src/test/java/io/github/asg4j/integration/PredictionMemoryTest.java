// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Engine;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PlanReport;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.concurrent.atomic.AtomicLong;
import java.util.function.ToLongFunction;

/** What a solver with a memory keeps of the steps before is in the plan, and it is what is allocated. */
class PredictionMemoryTest {
    /** Bytes of a patch [4, 8, 8], of which a picture of 128 x 128 has four. */
    private static final long PATCH = 4L * 8 * 8 * Float.BYTES;

    /** Two predictions of every latent; a phase has two paths, stage 1 one of a call more. */
    @ParameterizedTest
    @CsvSource({
        "direct, 8, 0",
        "multidiffusion, 8, 0",
        "asg, 16, 4",
        "cutdiffusion, 16, 4",
        "demofusion, 18, 0"
    })
    void predictionsAreCounted(String method, long patches, long ofWorker) {
        GenerationRequest plain = Tiny.request().method(method).viewBatch(4).build();
        GenerationRequest remembering = plain.toBuilder().scheduler("dpmpp_2m").build();
        try (Engine engine = Engine.open(Tiny.options(1))) {
            assertEquals(
                    patches * PATCH, more(engine, plain, remembering, PlanReport.Memory::latents));
            assertEquals(
                    ofWorker * PATCH, more(engine, plain, remembering, PlanReport.Memory::workers));
        }
        // The rows of the schedule are there once more.
        long rows = allocated(remembering) - allocated(plain) - (patches + ofWorker) * PATCH;
        assertTrue(rows > 0 && rows < 1024, rows + " bytes beside the predictions");
    }

    private static long more(
            Engine engine,
            GenerationRequest plain,
            GenerationRequest remembering,
            ToLongFunction<PlanReport.Memory> part) {
        return bytes(engine, remembering, part) - bytes(engine, plain, part);
    }

    private static long bytes(
            Engine engine, GenerationRequest request, ToLongFunction<PlanReport.Memory> part) {
        return part.applyAsLong(engine.plan(request).memory());
    }

    /** The most bytes that are in use while a picture is drawn, beyond those before it. */
    private static long allocated(GenerationRequest request) {
        AtomicLong most = new AtomicLong();
        WorkerHook hook = point -> most.accumulateAndGet(Memory.bytesInUse(), Math::max);
        try (Engine engine = TestEngines.open(Tiny.options(1), hook)) {
            long before = Memory.bytesInUse();
            engine.submit(request).join();
            return most.get() - before;
        }
    }
}
