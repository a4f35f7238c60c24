// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.device.CheckedCuda;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;

/**
 * The whole engine on GPUs without a GPU: emulated devices whose every access is checked for its
 * range and its order. The kernels have the bits of the CPU's and the networks run on the CPU, so the
 * pictures are those of the CPU.
 */
class CudaEngineTest {
    private static final int OUT_OF_MEMORY = 2;
    private static final int INVALID_VALUE = 1;
    private static final int ILLEGAL_ADDRESS = 700;

    @TempDir private Path folder;

    private static EngineOptions options(String devices) {
        return Tiny.options(1).withDevices(devices);
    }

    static Stream<GenerationRequest> requests() {
        GuideOptions guide = GuideOptions.DEFAULT;
        return Stream.of(
                Tiny.request().build(),
                Tiny.request()
                        .options(AsgOptions.DEFAULT.withGuide(guide.withStaleness(0)))
                        .build(),
                Tiny.request()
                        .options(AsgOptions.DEFAULT.withGuide(guide.withInteractionSteps(0)))
                        .build(),
                Tiny.request()
                        .options(AsgOptions.DEFAULT.withGuide(guide.withInteractionSteps(2)))
                        .build(),
                Tiny.request()
                        .options(
                                AsgOptions.DEFAULT.withGuide(
                                        guide.withStaleness(3).withMask(GuideOptions.Mask.OWN)))
                        .viewBatch(3)
                        .build(),
                Tiny.request()
                        .options(
                                AsgOptions.DEFAULT.withGuide(
                                        guide.withMask(GuideOptions.Mask.NONE)))
                        .size(256, 64)
                        .build(),
                Tiny.request().paperDefaults(true).build(),
                Tiny.request()
                        .options(
                                AsgOptions.DEFAULT.withGuide(
                                        guide.withMask(GuideOptions.Mask.KEY).withStaleness(0)))
                        .viewBatch(2)
                        .build(),
                Tiny.request()
                        .options(
                                AsgOptions.DEFAULT.withGuide(
                                        guide.withMask(GuideOptions.Mask.OWN).withStaleness(0)))
                        .scheduler("ddim")
                        .eta(1)
                        .viewBatch(3)
                        .build(),
                Tiny.request().method("direct").build(),
                Tiny.request().method("multidiffusion").build(),
                Tiny.request().method("multidiffusion").size(256, 192).viewBatch(1).build(),
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
            try (Engine engine = TestEngines.open(options(devices), WorkerHook.NONE, gpus)) {
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
        try (Engine engine = TestEngines.open(options("cuda:0,cuda:1"), WorkerHook.NONE, gpus)) {
            engine.submit(request).join();
        } catch (CompletionException | AsgException e) {
            assertTrue(gpus.checked().failed(), e.toString());
        }
        return gpus.checked();
    }

    /** What crosses between two devices in a step: the windows and strips at their border. */
    @ParameterizedTest
    @CsvSource({"128, 6144", "256, 11264", "512, 23552"})
    void bytesExchangedInAStepOfWindows(int side, long expected) {
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
        try (Engine engine = TestEngines.open(options("cuda:0,cuda:1"), WorkerHook.NONE, gpus)) {
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
        try (Engine engine = TestEngines.open(options("cuda:0"), WorkerHook.NONE, gpus)) {
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

    private static GeneratedImage onCpu(EngineOptions options, GenerationRequest request) {
        try (Engine engine = Engine.open(options.withDevices("cpu:1"))) {
            return engine.submit(request).join();
        }
    }

    private static void sameOnGpus(EngineOptions options, GenerationRequest request) {
        EngineOptions gpus = options.withDevices("cuda:0,cuda:1");
        try (Engine engine = TestEngines.open(gpus, WorkerHook.NONE, new EmulatedGpus())) {
            GeneratedImage image = engine.submit(request).join();
            assertEquals(List.of(), image.report().get("lost_devices"));
            assertEquals(Tiny.hash(onCpu(options, request)), Tiny.hash(image), request.toString());
        }
    }

    @Test
    void dilatedSteps() {
        sameOnGpus(Tiny.options(Tiny.resource("tiny-methods"), 1), Tiny.damped());
    }

    @Test
    void tilesOfAnUpscaler() {
        Path bundle = Tiny.withUpscalers(folder, 2);
        sameOnGpus(
                Tiny.options(bundle, 1), Tiny.request().method("superres").size(128, 64).build());
    }

    @Test
    void backgroundWindows() {
        WindowOptions background =
                WindowOptions.DEFAULT
                        .withObjectShare(0.4)
                        .withBackgroundPrompt("grass")
                        .withBackgroundGuidanceScale(1.5);
        sameOnGpus(
                Tiny.options(1),
                Tiny.request().options(AsgOptions.DEFAULT.withWindows(background)).build());
    }

    /** Every tensor of every step. */
    @Test
    void whatIsDumped() throws IOException {
        List<Path> folders = new ArrayList<>();
        for (String devices : List.of("cpu:1", "cuda:0,cuda:1")) {
            Path dump = Files.createDirectory(folder.resolve("dump" + folders.size()));
            folders.add(dump);
            GenerationRequest request = Tiny.request().dumpDirectory(dump).build();
            try (Engine engine =
                    TestEngines.open(options(devices), WorkerHook.NONE, new EmulatedGpus())) {
                engine.submit(request).join();
            }
        }
        List<Path> files;
        try (Stream<Path> all = Files.list(folders.getFirst())) {
            files = all.toList();
        }
        assertTrue(files.size() > 12, files.size() + " files");
        for (Path file : files) {
            Path other = folders.getLast().resolve(file.getFileName());
            assertEquals(-1, Files.mismatch(file, other), file.toString());
        }
    }

    /** Previews, attention and patches come from the devices while they work on. */
    @Test
    void whatAListenerIsTold() {
        List<List<String>> told = new ArrayList<>();
        for (String devices : List.of("cpu:1", "cuda:0,cuda:1")) {
            Recorder recorder = new Recorder();
            try (Engine engine =
                    TestEngines.open(options(devices), WorkerHook.NONE, new EmulatedGpus())) {
                engine.submit(Tiny.request().build(), recorder).join();
            }
            told.add(recorder.told);
        }
        assertTrue(told.getFirst().size() > 8, told.toString());
        assertEquals(told.getFirst(), told.getLast());
    }

    private static final class Recorder implements GenerationListener {
        final List<String> told = new ArrayList<>();

        @Override
        public void onEvent(GenerationEvent event) {}

        @Override
        public boolean wantsPatches() {
            return true;
        }

        @Override
        public boolean wantsAttention() {
            return true;
        }

        @Override
        public void onPatches(PatchReport report) {
            told.add("latents " + report.latents().hashCode() + " " + report.clean().hashCode());
            report.pictures().forEach(picture -> told.add("patch " + Tiny.hash(picture)));
        }

        @Override
        public void onAttention(AttentionReport report) {
            report.blocks()
                    .forEach(
                            map ->
                                    told.add(
                                            "step "
                                                    + report.step()
                                                    + " "
                                                    + map.name()
                                                    + " "
                                                    + map.values().hashCode()));
        }
    }

    @Test
    void previewsAreOfTheStepTheySay() {
        Map<String, String> onCpu = previews("cpu:1");
        Map<String, String> onGpus = previews("cuda:0,cuda:1");
        assertFalse(onGpus.isEmpty());
        onGpus.forEach(
                (step, hash) -> {
                    if (onCpu.containsKey(step)) {
                        assertEquals(onCpu.get(step), hash, step);
                    }
                });
    }

    /** The first device's worker is at its part until the stages are done. */
    @ParameterizedTest
    @ValueSource(strings = {"cuda:0", "cuda:0,cuda:1"})
    void previewsComeWhileTheWorkersDraw(String devices) {
        CountDownLatch come = new CountDownLatch(1);
        WorkerHook hook =
                point -> {
                    if (point.stage().equals("stage1") && point.step() == 4) {
                        await(come);
                    }
                };
        EmulatedGpus gpus = new EmulatedGpus();
        gpus.checked().threadsTellEachOther();
        try (Engine engine = TestEngines.open(options(devices), hook, gpus)) {
            engine.submit(Tiny.request().build(), Tiny.previews(image -> come.countDown())).join();
        }
    }

    /** As on a full heap: the workers would draw to the end for nobody, and none could cancel them. */
    @Test
    void anErrorInAPreviewEndsTheWork() throws Exception {
        AtomicBoolean secondStage = new AtomicBoolean();
        EmulatedGpus gpus = new EmulatedGpus();
        WorkerHook hook =
                point -> {
                    gpus.beforeFront(
                            () -> {
                                throw new OutOfMemoryError("no heap for a picture");
                            });
                    secondStage.compareAndSet(false, point.stage().equals("stage2"));
                    DeterminismTest.sleep(20); // some seconds for a stage that is not ended
                };
        gpus.checked().threadsTellEachOther();
        try (Engine engine = TestEngines.open(options("cuda:0"), hook, gpus)) {
            Generation generation =
                    engine.submit(Tiny.request().steps(500).build(), Tiny.previews(image -> {}));
            ExecutionException e =
                    assertThrows(
                            ExecutionException.class,
                            () -> generation.future().get(60, TimeUnit.SECONDS));
            assertInstanceOf(OutOfMemoryError.class, e.getCause());
            assertFalse(secondStage.get(), "it was drawn on");
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    private static Map<String, String> previews(String devices) {
        Map<String, String> previews = new LinkedHashMap<>();
        GenerationListener listener =
                Tiny.previews(
                        image -> {
                            var report = image.report();
                            previews.put(
                                    report.get("preview_stage") + " " + report.get("preview_step"),
                                    Tiny.hash(image));
                        });
        EmulatedGpus gpus = new EmulatedGpus();
        gpus.checked()
                .threadsTellEachOther(); // the next preview is asked for once this one is read
        try (Engine engine = TestEngines.open(options(devices), WorkerHook.NONE, gpus)) {
            for (int i = 0; i < 5; i++) {
                engine.submit(Tiny.request().steps(12).build(), listener).join();
            }
        }
        return previews;
    }

    /** The first picture is shared out in turn, the next ones by the speed that was measured. */
    @Test
    void aSlowDeviceGetsLess() {
        GenerationRequest request = Tiny.request().size(256, 128).build();
        String expected = Tiny.hash(onCpu(Tiny.options(1), request));
        EmulatedGpus gpus = new EmulatedGpus();
        gpus.checked().slow(0);
        try (Engine engine = TestEngines.open(options("cuda:0,cuda:1"), WorkerHook.NONE, gpus)) {
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

    /** A GPU that is lost anywhere: the picture is drawn again by the other, the next one too. */
    @ParameterizedTest
    @CsvSource({
        "cuLaunchKernel, 0",
        "cuLaunchKernel, 31",
        "cuLaunchKernel, 110",
        "cuMemcpyPeerAsync, 3",
        "cuEventSynchronize, 5",
        "cuStreamWaitEvent, 7"
    })
    void theOtherDrawsThePictureOfALostOne(String function, int after) {
        GenerationRequest request = Tiny.request().build();
        EmulatedGpus gpus = new EmulatedGpus();
        try (Engine engine = TestEngines.open(options("cuda:0,cuda:1"), WorkerHook.NONE, gpus)) {
            EmulatedCuda.fail(function, after, ILLEGAL_ADDRESS);
            String expected = Tiny.hash(onCpu(Tiny.options(1), request));
            for (int i = 0; i < 2; i++) {
                GeneratedImage image = engine.submit(request).join();
                assertEquals(1, ((List<?>) image.report().get("lost_devices")).size());
                assertEquals(expected, Tiny.hash(image));
            }
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    /** Nothing of the device works any more, text encoders and VAE neither. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1})
    void aDeviceThatIsGone(int device) {
        GenerationRequest request = Tiny.request().build();
        String expected = Tiny.hash(onCpu(Tiny.options(1), request));
        long before = Memory.bytesInUse();
        EmulatedGpus gpus = new EmulatedGpus();
        AtomicBoolean gone = new AtomicBoolean();
        WorkerHook hook =
                point -> {
                    if (point.step() == 4 && gone.compareAndSet(false, true)) {
                        gpus.lose(device);
                    }
                };
        try (Engine engine = TestEngines.open(options("cuda:0,cuda:1"), hook, gpus)) {
            for (int i = 0; i < 2; i++) {
                GeneratedImage image = engine.submit(request).join();
                assertEquals(List.of("cuda:" + device), image.report().get("lost_devices"));
                assertEquals(expected, Tiny.hash(image));
            }
        }
        assertEquals(before, Memory.bytesInUse(), "host memory that nobody freed");
    }

    /** What fails on a device that works is the request's affair: the next one has all devices. */
    @ParameterizedTest
    @ValueSource(ints = {40, 90})
    void aFailureOfOneRequestLosesNoDevice(int after) {
        GenerationRequest request = Tiny.request().build();
        String expected = Tiny.hash(onCpu(Tiny.options(1), request));
        try (Engine engine =
                TestEngines.open(options("cuda:0,cuda:1"), WorkerHook.NONE, new EmulatedGpus())) {
            EmulatedCuda.fail("cuLaunchKernel", after, INVALID_VALUE);
            Generation generation = engine.submit(request);
            DeviceException e = assertThrows(DeviceException.class, generation::join);
            assertTrue(e.getMessage().contains("(1)"), e.getMessage());
            assertFalse(e.lost());
            GeneratedImage image = engine.submit(request).join();
            assertEquals(List.of(), image.report().get("lost_devices"));
            assertEquals(expected, Tiny.hash(image));
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    /** Whether the device is lost cannot be tried without memory; the other one may not wait for it. */
    @Test
    void aFailureWithoutMemoryToLookIntoIt() throws Exception {
        AtomicBoolean failed = new AtomicBoolean();
        WorkerHook hook =
                point -> {
                    if (point.worker() == 0 && point.step() == 2 && !failed.getAndSet(true)) {
                        EmulatedCuda.fail("cuStreamCreate", 0, OUT_OF_MEMORY);
                        throw new IllegalStateException("a fault of ours");
                    }
                };
        try (Engine engine = TestEngines.open(options("cuda:0,cuda:1"), hook, new EmulatedGpus())) {
            Generation generation = engine.submit(Tiny.request().build());
            ExecutionException e =
                    assertThrows(
                            ExecutionException.class,
                            () -> generation.future().get(60, TimeUnit.SECONDS));
            String message = e.getCause().getMessage();
            assertTrue(message.contains("a fault of ours"), message);
            GeneratedImage image = engine.submit(Tiny.request().build()).join();
            assertEquals(List.of(), image.report().get("lost_devices"));
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    @Test
    void aLostOnlyDeviceIsSaid() {
        try (Engine engine =
                TestEngines.open(options("cuda:0"), WorkerHook.NONE, new EmulatedGpus())) {
            EmulatedCuda.fail("cuLaunchKernel", 40, ILLEGAL_ADDRESS);
            for (int i = 0; i < 2; i++) {
                Generation generation = engine.submit(Tiny.request().build());
                DeviceException e = assertThrows(DeviceException.class, generation::join);
                assertTrue(e.getMessage().contains("cuda:0 is lost"), e.getMessage());
                assertTrue(e.lost());
                assertTrue(e.getMessage().contains("CUDA_ERROR_ILLEGAL_ADDRESS"), e.getMessage());
            }
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    @Test
    void outOfDeviceMemoryHalvesTheViewBatch() {
        GenerationRequest request = Tiny.request().viewBatch(4).build();
        try (Engine engine =
                TestEngines.open(options("cuda:0,cuda:1"), WorkerHook.NONE, new EmulatedGpus())) {
            EmulatedCuda.fail("cuMemAlloc", 9, OUT_OF_MEMORY);
            GeneratedImage image = engine.submit(request).join();
            assertEquals(2, image.report().get("view_batch"));
            assertEquals(List.of(), image.report().get("lost_devices"));
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    /** Found on the device, told when the call's turn comes. */
    @Test
    void aNetworkThatOverflows() {
        EmulatedGpus gpus = new EmulatedGpus();
        try (Engine engine = TestEngines.open(options("cuda:0,cuda:1"), WorkerHook.NONE, gpus)) {
            gpus.spoilInputOf(11);
            Generation generation = engine.submit(Tiny.request().build());
            AsgException e = assertThrows(BadBundleException.class, generation::join);
            assertTrue(e.getMessage().contains("NaN or an infinity"), e.getMessage());
            assertTrue(e.getMessage().contains("stage1, step "), e.getMessage());
            engine.submit(Tiny.request().build()).join();
        }
    }

    @Test
    void cancelledInTheMiddle() throws Exception {
        CountDownLatch reached = new CountDownLatch(1);
        CountDownLatch cancelled = new CountDownLatch(1);
        WorkerHook hook =
                point -> {
                    if (point.step() == 3) {
                        reached.countDown();
                        await(cancelled);
                    }
                };
        try (Engine engine = TestEngines.open(options("cuda:0,cuda:1"), hook, new EmulatedGpus())) {
            Generation generation = engine.submit(Tiny.request().build());
            assertTrue(reached.await(60, TimeUnit.SECONDS));
            generation.cancel();
            cancelled.countDown();
            assertThrows(CancelledException.class, generation::join);
        }
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    private static void await(CountDownLatch latch) {
        try {
            assertTrue(latch.await(60, TimeUnit.SECONDS));
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "cuda:2, there is no device cuda:2: this machine has 2",
        "'cuda:0,cuda:9', there is no device cuda:9: this machine has 2"
    })
    void aDeviceThatIsNotThere(String devices, String message) {
        DeviceException e =
                assertThrows(
                        DeviceException.class,
                        () ->
                                TestEngines.open(
                                        options(devices), WorkerHook.NONE, new EmulatedGpus()));
        assertTrue(e.getMessage().contains(message), e.getMessage());
        assertEquals(0, EmulatedCuda.left(), "not freed");
    }

    @Test
    void aDriverThatIsTooOld() {
        EmulatedGpus gpus =
                new EmulatedGpus(
                        new EmulatedCuda.Machine(
                                2, 12080, 90, 1L << 30, EmulatedCuda.Order.ASCENDING));
        DeviceException e =
                assertThrows(
                        DeviceException.class,
                        () -> TestEngines.open(options("cuda:0"), WorkerHook.NONE, gpus));
        assertTrue(e.getMessage().contains("serves CUDA 12.8"), e.getMessage());
        assertTrue(e.getMessage().contains("driver 580 or newer"), e.getMessage());
    }

    @Test
    void theKernelsOfEveryDeviceAreTried() {
        try (Engine engine =
                TestEngines.open(options("cuda:0,cuda:1"), WorkerHook.NONE, new EmulatedGpus())) {
            for (String test : List.of("kernels", "cuda:0", "cuda:1")) {
                Object verdict = engine.describe().get(test + "_self_test");
                assertTrue(String.valueOf(verdict).contains("status=OK"), test + ": " + verdict);
            }
        }
    }

    @Test
    void thePlanSaysTheBytesOfEveryDevice() {
        try (Engine engine =
                TestEngines.open(options("cuda:0,cuda:1"), WorkerHook.NONE, new EmulatedGpus())) {
            Map<String, Object> plan = engine.plan(Tiny.request().build());
            Map<?, ?> devices = (Map<?, ?>) plan.get("bytes_by_device");
            Map<?, ?> first = (Map<?, ?>) devices.get("cuda:0");
            Map<?, ?> second = (Map<?, ?>) devices.get("cuda:1");
            assertTrue((long) first.get("weights") > (long) second.get("weights"), plan.toString());
            assertTrue((long) second.get("weights") > 0, plan.toString());
            assertEquals(0L, ((Map<?, ?>) plan.get("bytes")).get("weights"));
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
        Map<?, ?> bytes;
        try (Engine engine =
                TestEngines.open(options("cuda:0"), WorkerHook.NONE, new EmulatedGpus())) {
            Map<String, Object> plan =
                    engine.plan(Tiny.request().size(1024, 1024).viewBatch(16).build());
            bytes = (Map<?, ?>) ((Map<?, ?>) plan.get("bytes_by_device")).get("cuda:0");
        }
        long networks = (long) bytes.get("workspace") + (long) bytes.get("vae");
        long needed = (long) bytes.get("total") - (long) bytes.get("weights") + networks / 2;
        assertTrue(networks > 0, bytes.toString());
        assertEquals(16, chosen("cuda:0", 1024, needed + (1 << 16))); // what the kernels hold
        assertTrue(chosen("cuda:0", 1024, needed - 1) < 16);
        assertEquals(1, chosen("cuda:0", 1024, needed / 8));
    }

    private static int chosen(String devices, int side, long memory) {
        EmulatedCuda.Machine machine =
                new EmulatedCuda.Machine(2, 13010, 90, memory, EmulatedCuda.Order.ASCENDING);
        GenerationRequest request =
                Tiny.request().size(side, side).viewBatch(GenerationRequest.BY_MEMORY).build();
        try (Engine engine =
                TestEngines.open(options(devices), WorkerHook.NONE, new EmulatedGpus(machine))) {
            return (int) engine.plan(request).get("view_batch");
        }
    }

    @Test
    void aPictureWithAViewBatchByMemoryIsThatOfItsNumber() {
        GenerationRequest request = Tiny.request().viewBatch(GenerationRequest.BY_MEMORY).build();
        try (Engine engine =
                TestEngines.open(options("cuda:0"), WorkerHook.NONE, new EmulatedGpus())) {
            GeneratedImage image = engine.submit(request).join();
            int chosen = (int) image.report().get("view_batch");
            assertTrue(chosen > 1, "chosen " + chosen);
            assertEquals(
                    Tiny.hash(engine.submit(Tiny.request().viewBatch(chosen).build()).join()),
                    Tiny.hash(image));
        }
    }

    @Test
    void aDeviceThatIsTooSmallIsSaidBeforeTheWork() {
        EmulatedCuda.Machine small =
                new EmulatedCuda.Machine(1, 13010, 90, 300_000, EmulatedCuda.Order.ASCENDING);
        try (Engine engine =
                TestEngines.open(options("cuda:0"), WorkerHook.NONE, new EmulatedGpus(small))) {
            Generation generation = engine.submit(Tiny.request().size(512, 512).build());
            OutOfMemoryException e = assertThrows(OutOfMemoryException.class, generation::join);
            assertTrue(e.getMessage().contains(" on cuda:0 ("), e.getMessage());
            assertTrue(e.getMessage().contains("the limit is 300000 bytes"), e.getMessage());
        }
    }

    /** "auto" takes all GPUs that can be used, and says why it takes none. */
    @Test
    void auto() {
        try (Engine engine =
                TestEngines.open(options("auto"), WorkerHook.NONE, new EmulatedGpus())) {
            assertEquals(List.of("cuda:0", "cuda:1"), engine.describe().get("devices"));
        }
        try (Engine engine = Engine.open(options("auto"))) {
            String reason = String.valueOf(engine.describe().get("devices_reason"));
            assertTrue(reason.contains("no GPU: this build has no CUDA natives"), reason);
        }
    }
}
