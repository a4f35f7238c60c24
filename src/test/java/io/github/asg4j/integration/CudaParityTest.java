// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.AttentionReport;
import io.github.asg4j.Content;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.LegOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.MethodOptions.RelayOptions;
import io.github.asg4j.PatchReport;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Pictures, dumps, reports and previews of the engine on emulated GPUs are those of the CPU, bit by bit: the
 * kernels have the same bits, and the networks run on the CPU. Every access of a device is checked for its
 * range and its order.
 */
@Tag("optimised")
class CudaParityTest {
    @TempDir private Path folder;

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
                Tiny.request().method("demofusion").build(),
                relay(LegOptions.Preset.FRECAS).viewBatch(2).build(),
                relay(LegOptions.Preset.DIFFUSEHIGH).scheduler("dpmpp_2m").build(),
                Tiny.request().scheduler("dpmpp_2m_karras").viewBatch(3).build(),
                Tiny.request()
                        .options(AsgOptions.DEFAULT.withGuide(guide.withInteractionSteps(2)))
                        .scheduler("dpmpp_2m")
                        .viewBatch(1)
                        .build(),
                Tiny.request().method("multidiffusion").scheduler("dpmpp_2m").viewBatch(1).build(),
                Tiny.request().method("demofusion").scheduler("dpmpp_2m_karras").build(),
                painted("asg").viewBatch(2).build(),
                painted("cutdiffusion").scheduler("dpmpp_2m").viewBatch(1).build(),
                painted("multidiffusion").scheduler("ddim").eta(1).viewBatch(1).build(),
                painted("relay").size(192, 192).viewBatch(2).build());
    }

    private static GenerationRequest.Builder painted(String method) {
        Path pictures = Tiny.resource("goldens");
        return Tiny.request()
                .method(method)
                .image(Content.file(pictures.resolve("start-2x.png")))
                .strength(0.8)
                .inpaint(
                        InpaintOptions.DEFAULT
                                .withMask(Content.file(pictures.resolve("mask-2x.png")))
                                .withBlur(2));
    }

    private static GenerationRequest.Builder relay(LegOptions.Preset preset) {
        LegOptions legs = LegOptions.DEFAULT.withPreset(preset);
        return Tiny.request()
                .options(RelayOptions.DEFAULT.withLegs(legs.withViews(LegOptions.Views.WINDOWS)));
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
            try (Engine engine = gpus.open(devices)) {
                for (int i = 0; i < 2; i++) {
                    GeneratedImage image = engine.submit(request).join();
                    assertEquals(List.of(), image.report().devices().lost(), devices);
                    assertEquals(expected, Tiny.hash(image), devices + " " + request);
                }
                assertTrue(gpus.checked().launches().size() > 50);
            }
            assertEquals(0, EmulatedCuda.left(), "not freed on " + devices);
        }
    }

    private static void sameOnGpus(EngineOptions options, GenerationRequest request) {
        EngineOptions gpus = options.withDevices("cuda:0,cuda:1");
        try (Engine engine = TestEngines.open(gpus, WorkerHook.NONE, new EmulatedGpus())) {
            GeneratedImage image = engine.submit(request).join();
            assertEquals(List.of(), image.report().devices().lost());
            assertEquals(
                    Tiny.hash(Tiny.drawOnCpu(options, request)),
                    Tiny.hash(image),
                    request.toString());
        }
    }

    @Test
    void dilatedStepsAreThoseOfTheCpu() {
        EngineOptions options = Tiny.options(Tiny.resource("tiny-methods"), 1);
        sameOnGpus(options, Tiny.damped());
        sameOnGpus(options, Tiny.damped().toBuilder().scheduler("dpmpp_2m").eta(0).build());
    }

    @Test
    void enlargedPicturesAreThoseOfTheCpu() {
        Path bundle = Tiny.withUpscalers(folder, 2);
        sameOnGpus(
                Tiny.options(bundle, 1), Tiny.request().method("superres").size(128, 64).build());
    }

    @Test
    void backgroundWindowsAreThoseOfTheCpu() {
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
    void dumpedTensorsAreThoseOfTheCpu() throws IOException {
        List<Path> folders = new ArrayList<>();
        for (String devices : List.of("cpu:1", "cuda:0,cuda:1")) {
            Path dump = Files.createDirectory(folder.resolve("dump" + folders.size()));
            folders.add(dump);
            GenerationRequest request = Tiny.request().dumpDirectory(dump).build();
            try (Engine engine = new EmulatedGpus().open(devices)) {
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
    void listenersAreToldTheSameAsOnTheCpu() {
        List<List<String>> told = new ArrayList<>();
        for (String devices : List.of("cpu:1", "cuda:0,cuda:1")) {
            Recorder recorder = new Recorder();
            try (Engine engine = new EmulatedGpus().open(devices)) {
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
    void previewsAreThoseOfTheCpuAtTheSameStep() {
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

    private static Map<String, String> previews(String devices) {
        Map<String, String> previews = new LinkedHashMap<>();
        GenerationListener listener =
                Tiny.previews(
                        image -> {
                            previews.put(image.stage() + " " + image.step(), Tiny.hash(image));
                        });
        EmulatedGpus gpus = new EmulatedGpus();
        gpus.checked()
                .threadsTellEachOther(); // the next preview is asked for once this one is read
        try (Engine engine = gpus.open(devices)) {
            for (int i = 0; i < 5; i++) {
                engine.submit(Tiny.request().steps(12).build(), listener).join();
            }
        }
        return previews;
    }
}
