// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Engine;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.PlanReport;
import io.github.asg4j.Tiny;
import io.github.asg4j.ffi.EmulatedCuda;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.List;

/** The memory of emulated GPUs: what the plan says of it, how it limits the view batch, what does not fit. */
class CudaMemoryTest {
    private static final int OUT_OF_MEMORY = 2;

    @Test
    void thePlanHasTheBytesOfEveryDevice() {
        try (Engine engine = new EmulatedGpus().open("cuda:0,cuda:1")) {
            PlanReport plan = engine.plan(Tiny.request().build());
            long first = plan.deviceMemory().get("cuda:0").weights();
            long second = plan.deviceMemory().get("cuda:1").weights();
            assertTrue(first > second, plan.toString());
            assertTrue(second > 0, plan.toString());
            assertEquals(0, plan.memory().weights());
        }
    }

    /** As many views as the devices have work for, in calls as even as can be. */
    @ParameterizedTest
    @CsvSource({
        "1024, cuda:0, 16", // 961 windows
        "1024, 'cuda:0,cuda:1', 16",
        "1024, 'cuda:0,cuda:1,cuda:0,cuda:1,cuda:0', 15", // 193 each in 13 calls
        "128, cuda:0, 9",
        "128, 'cuda:0,cuda:1', 5",
        "64, cuda:0, 1",
    })
    void theViewBatchIsChosenByTheWork(int side, String devices, int views) {
        assertEquals(views, chosen(devices, side, 1L << 40));
    }

    /** What is free has to hold the estimate and half of the networks' working memory once more. */
    @Test
    void theViewBatchIsChosenByMemory() {
        PlanReport.Memory bytes;
        try (Engine engine = new EmulatedGpus().open("cuda:0")) {
            PlanReport plan = engine.plan(Tiny.request().size(1024, 1024).viewBatch(16).build());
            bytes = plan.deviceMemory().get("cuda:0");
        }
        long networks = bytes.workspace() + bytes.vae();
        long needed = bytes.total() - bytes.weights() + networks / 2;
        assertTrue(networks > 0, bytes.toString());
        assertEquals(16, chosen("cuda:0", 1024, needed + (1 << 16))); // what the kernels hold
        long text = 1 << 17; // more than the prompt's embeddings, which are counted later
        assertTrue(chosen("cuda:0", 1024, needed - text) < 16);
        assertEquals(1, chosen("cuda:0", 1024, needed / 8));
    }

    private static int chosen(String devices, int side, long memory) {
        EmulatedCuda.Machine machine =
                new EmulatedCuda.Machine(2, 13010, 90, memory, EmulatedCuda.Order.ASCENDING);
        GenerationRequest request =
                Tiny.request().size(side, side).viewBatch(GenerationRequest.BY_MEMORY).build();
        try (Engine engine = new EmulatedGpus(machine).open(devices)) {
            return engine.plan(request).viewBatch();
        }
    }

    @Test
    void theSameViewBatchChosenOrGivenDrawsTheSamePicture() {
        GenerationRequest request = Tiny.request().viewBatch(GenerationRequest.BY_MEMORY).build();
        try (Engine engine = new EmulatedGpus().open("cuda:0")) {
            GeneratedImage image = engine.submit(request).join();
            int chosen = image.report().plan().viewBatch();
            assertTrue(chosen > 1, "chosen " + chosen);
            assertEquals(
                    Tiny.hash(engine.submit(Tiny.request().viewBatch(chosen).build()).join()),
                    Tiny.hash(image));
        }
    }

    @Test
    void outOfDeviceMemoryHalvesTheViewBatch() {
        GenerationRequest request = Tiny.request().viewBatch(4).build();
        try (Engine engine = new EmulatedGpus().open("cuda:0,cuda:1")) {
            EmulatedCuda.fail("cuMemAlloc", 9, OUT_OF_MEMORY);
            GeneratedImage image = engine.submit(request).join();
            assertEquals(2, image.report().plan().viewBatch());
            assertEquals(List.of(), image.report().devices().lost());
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    @Test
    void aPictureThatExceedsAGpuIsRefusedBeforeTheWork() {
        EmulatedCuda.Machine small =
                new EmulatedCuda.Machine(1, 13010, 90, 300_000, EmulatedCuda.Order.ASCENDING);
        try (Engine engine = new EmulatedGpus(small).open("cuda:0")) {
            Generation generation = engine.submit(Tiny.request().size(512, 512).build());
            OutOfMemoryException e = assertThrows(OutOfMemoryException.class, generation::join);
            assertTrue(e.getMessage().contains(" on cuda:0,"), e.getMessage());
            assertTrue(e.getMessage().contains("the limit is 0.3 MiB"), e.getMessage());
        }
    }
}
