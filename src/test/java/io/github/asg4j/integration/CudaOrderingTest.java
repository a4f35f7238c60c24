// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.AsgException;
import io.github.asg4j.Engine;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.CheckedCuda;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;

/** What emulated GPUs do, when and how often: waits, copies between devices, launches, shares of the work. */
@Tag("optimised")
class CudaOrderingTest {
    /** The least that can be lost without anybody noticing is nothing: each wait has its reason. */
    @Test
    void everyWaitIsNeeded() {
        for (GenerationRequest request :
                List.of(
                        Tiny.request().steps(4).build(),
                        Tiny.request()
                                .steps(4)
                                .options(
                                        AsgOptions.DEFAULT.withGuide(
                                                GuideOptions.DEFAULT.withInteractionSteps(0)))
                                .build(),
                        Tiny.request()
                                .steps(4)
                                .paperDefaults(true)
                                .options(
                                        AsgOptions.DEFAULT.withGuide(
                                                GuideOptions.DEFAULT.withMask(
                                                        GuideOptions.Mask.KEY)))
                                .build(),
                        Tiny.request().method("multidiffusion").steps(3).viewBatch(1).build(),
                        Tiny.request().steps(5).scheduler("dpmpp_2m").viewBatch(1).build(),
                        Tiny.request().method("demofusion").steps(3).build())) {
            int left = 0;
            for (CheckedCuda checked = draw(request, left);
                    checked.dropped();
                    checked = draw(request, ++left)) {
                assertTrue(checked.failed(), "nobody missed wait " + left + " of " + request);
            }
            assertTrue(left > 10, left + " waits in all");
        }
    }

    private static CheckedCuda draw(GenerationRequest request, int withoutAwait) {
        EmulatedGpus gpus = new EmulatedGpus();
        gpus.checked().dropAwait(withoutAwait);
        try (Engine engine = gpus.open("cuda:0,cuda:1")) {
            engine.submit(request).join();
        } catch (CompletionException | AsgException e) {
            assertTrue(gpus.checked().failed(), e.toString());
        }
        return gpus.checked();
    }

    /** What crosses between two devices in a step: the windows and strips at their border. */
    @ParameterizedTest
    @CsvSource({"128, 6144", "256, 11264", "512, 23552"})
    void aStepExchangesOnlyTheWindowsAndStripsAtTheBorder(int side, long expected) {
        assertEquals(expected, (exchanged(side, 7) - exchanged(side, 5)) / 2);
    }

    private static long exchanged(int side, int steps) {
        EmulatedGpus gpus = new EmulatedGpus();
        GenerationRequest request =
                Tiny.request()
                        .method("multidiffusion")
                        .size(side, side)
                        .steps(steps)
                        .viewBatch(1)
                        .build();
        try (Engine engine = gpus.open("cuda:0,cuda:1")) {
            engine.submit(request).join();
        }
        return gpus.checked().peerBytes();
    }

    /**
     * The most kernels that the engine launches between two runs of the network of one stage; the
     * stage switch comes once a picture.
     */
    @ParameterizedTest
    @CsvSource({
        // paper's defaults, mask, staleness, view batch, launches
        "true, KEY, 1, 1, 3",
        "true, KEY, 1, 4, 3",
        "true, KEY, 0, 4, 3",
        "true, OWN, 0, 4, 3",
        "false, NONE, 1, 1, 4",
        "false, NONE, 1, 4, 5", // in the first step, whose guide is of the step itself
        "false, NONE, 0, 4, 5",
        "false, KEY, 1, 1, 4",
        "false, KEY, 1, 4, 6",
        "false, KEY, 0, 4, 6",
        "false, OWN, 1, 4, 6",
    })
    void launchesBetweenTwoRunsOfTheNetwork(
            boolean paperDefaults,
            GuideOptions.Mask mask,
            int staleness,
            int viewBatch,
            int expected) {
        List<String> most =
                mostLaunches(
                        Tiny.request()
                                .paperDefaults(paperDefaults)
                                .options(
                                        AsgOptions.DEFAULT.withGuide(
                                                GuideOptions.DEFAULT
                                                        .withStaleness(staleness)
                                                        .withMask(mask)))
                                .viewBatch(viewBatch)
                                .build());
        assertEquals(expected, most.size(), most.toString());
    }

    /** Windows only: with the step of a strip and its noise. */
    @ParameterizedTest
    @CsvSource({"euler, 0, 1, 3", "ddim, 1, 1, 4", "ddim, 1, 4, 4", "ddim, 1, 9, 4"})
    void launchesBetweenTwoRunsOfWindows(
            String scheduler, double eta, int viewBatch, int expected) {
        List<String> most =
                mostLaunches(
                        Tiny.request()
                                .method("multidiffusion")
                                .scheduler(scheduler)
                                .eta(eta)
                                .viewBatch(viewBatch)
                                .build());
        assertEquals(expected, most.size(), most.toString());
    }

    /** On one device. */
    private static List<String> mostLaunches(GenerationRequest request) {
        EmulatedGpus gpus = new EmulatedGpus();
        try (Engine engine = gpus.open("cuda:0")) {
            engine.submit(request).join();
        }
        List<String> most = List.of();
        List<String> between = new ArrayList<>();
        boolean begun = false;
        for (CheckedCuda.Launch launch : gpus.checked().launches()) {
            if (launch.kernel().equals(CheckedCuda.NETWORK)) {
                boolean switches = between.contains("asg_relocate_f32");
                if (begun && !switches && between.size() > most.size()) {
                    most = List.copyOf(between);
                }
                begun = true;
                between.clear();
            } else {
                between.add(launch.kernel());
            }
        }
        return most;
    }

    /** The first device's worker is at its part until the stages are done. */
    @ParameterizedTest
    @ValueSource(strings = {"cuda:0", "cuda:0,cuda:1"})
    void previewsArriveWhileTheWorkersDraw(String devices) {
        CountDownLatch come = new CountDownLatch(1);
        WorkerHook hook =
                point -> {
                    if (point.stage().equals("stage1") && point.step() == 4) {
                        Tiny.await(come);
                    }
                };
        EmulatedGpus gpus = new EmulatedGpus();
        gpus.checked().threadsTellEachOther();
        try (Engine engine = gpus.open(devices, hook)) {
            engine.submit(Tiny.request().build(), Tiny.previews(image -> come.countDown())).join();
        }
    }

    /** The first picture is shared out in turn, the next ones by the speed that was measured. */
    @Test
    void aSlowDeviceIsGivenLessWork() {
        GenerationRequest request = Tiny.request().size(256, 128).build();
        String expected = Tiny.hash(Tiny.drawOnCpu(Tiny.options(1), request));
        EmulatedGpus gpus = new EmulatedGpus();
        gpus.checked().slow(0);
        try (Engine engine = gpus.open("cuda:0,cuda:1")) {
            assertEquals(expected, Tiny.hash(engine.submit(request).join()));
            int[] first = gpus.callsByDevice();
            assertEquals(expected, Tiny.hash(engine.submit(request).join()));
            int[] both = gpus.callsByDevice();
            double before = (double) first[1] / first[0];
            double after = (double) (both[1] - first[1]) / (both[0] - first[0]);
            assertTrue(before > 0.7 && before < 1.4, "in turn: " + before);
            assertTrue(after > 2 && after < 5, "of a third of the speed: " + after);
        }
    }
}
