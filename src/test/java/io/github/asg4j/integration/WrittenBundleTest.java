// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Content;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.Lora;
import io.github.asg4j.Tiny;
import io.github.asg4j.image.PngParameters;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.BundleWriter;
import io.github.asg4j.model.ControlFolder;
import io.github.asg4j.model.SmallCheckpoints;
import io.github.asg4j.run.LocalEngine;
import io.github.asg4j.run.worker.Gpus;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A bundle that was written of a checkpoint draws what the checkpoint draws. */
class WrittenBundleTest {
    private static final Path LORA =
            Path.of("src/test/resources/checkpoint/lora/kohya.safetensors");

    @TempDir Path temp;

    private Path written(String family, List<Lora> loras) throws IOException {
        Path folder = Files.createDirectory(temp.resolve("bundle"));
        ControlFolder none = ControlFolder.of(null, null, false);
        try (Bundle bundle = SmallCheckpoints.open(family);
                BundleWriter writer = new BundleWriter(bundle, loras, none)) {
            var title = new BundleWriter.Title(null, null, "asg4j test");
            writer.write(folder, title, () -> false);
        }
        return folder;
    }

    private static GeneratedImage ofCheckpoint(String family, GenerationRequest request) {
        try (LocalEngine engine = ofCheckpoint(family, Tiny.options(1))) {
            return draw(engine, request);
        }
    }

    private static LocalEngine ofCheckpoint(String family, EngineOptions options) {
        return LocalEngine.open(
                options, () -> SmallCheckpoints.open(family), WorkerHook.NONE, Gpus.ofMachine());
    }

    private static GeneratedImage ofBundle(Path bundle, GenerationRequest request) {
        return ofBundle(bundle, Tiny.options(1), request);
    }

    private static GeneratedImage ofBundle(
            Path bundle, EngineOptions options, GenerationRequest request) {
        try (LocalEngine engine = LocalEngine.open(options.withModel(bundle))) {
            return draw(engine, request);
        }
    }

    private static GeneratedImage draw(LocalEngine engine, GenerationRequest request) {
        return engine.submit(request, event -> {}).join();
    }

    private static GenerationRequest.Builder request(String method, int size) {
        return GenerationRequest.builder("a red ball on grass")
                .method(method)
                .size(size, size)
                .steps(3)
                .seed(5);
    }

    @ParameterizedTest
    @CsvSource({
        "sd15, asg, 192",
        "sd15, scalecrafter, 192",
        "sd15, direct, 128",
        "sd21, asg, 192",
        "sdxl, asg, 192",
        "sd35, asg, 192"
    })
    void drawsTheSamePixels(String family, String method, int size) throws IOException {
        GenerationRequest request = request(method, size).build();
        Path bundle = written(family, List.of());
        assertEquals(
                Tiny.hash(ofCheckpoint(family, request)), Tiny.hash(ofBundle(bundle, request)));
    }

    /** As on machines whose memory does not suffice for copies of the weights. */
    @Test
    void drawsTheSameWithWeightsInTheirFiles() throws IOException {
        String family = "sd15";
        GenerationRequest plain = request("direct", 128).build();
        GenerationRequest half = request("direct", 128).loras(List.of(new Lora(LORA, 0.5))).build();
        GenerationRequest whole = request("direct", 128).loras(List.of(new Lora(LORA, 1))).build();
        List<GenerationRequest> requests = List.of(plain, half, whole, half, plain);
        List<GeneratedImage> packed = new ArrayList<>();
        List<GeneratedImage> mapped = new ArrayList<>();
        try (LocalEngine engine = ofCheckpoint(family, Tiny.options(1).withWeights("packed"))) {
            requests.forEach(request -> packed.add(draw(engine, request)));
        }
        try (LocalEngine engine = ofCheckpoint(family, Tiny.options(1).withWeights("mapped"))) {
            requests.forEach(request -> mapped.add(draw(engine, request)));
        }
        for (int i = 0; i < requests.size(); i++) {
            int levels = Closeness.levels(packed.get(i), mapped.get(i));
            assertTrue(levels <= 1, i + " differs by " + levels);
        }
        assertEquals(Tiny.hash(mapped.get(0)), Tiny.hash(mapped.get(4)));
        assertEquals(Tiny.hash(mapped.get(1)), Tiny.hash(mapped.get(3)));
        assertNotEquals(Tiny.hash(mapped.get(1)), Tiny.hash(mapped.get(2)));
        Path bundle = written(family, List.of());
        GeneratedImage ofBundle = ofBundle(bundle, Tiny.options(1).withWeights("mapped"), plain);
        assertTrue(Closeness.levels(packed.get(0), ofBundle) <= 1);
        assertEquals("mapped", ofBundle.report().plan().weights());
        assertTrue(PngParameters.text(ofBundle.report()).contains(", Weights: mapped, "));
        assertFalse(PngParameters.text(packed.get(0).report()).contains("Weights"));
    }

    @Test
    void drawsTheSamePixelsAnew() throws IOException {
        Path golden = Path.of("src/test/resources/families/goldens/sd15-inpaint");
        GenerationRequest request =
                request("direct", 128)
                        .image(Content.file(golden.resolve("image.png")))
                        .inpaint(
                                InpaintOptions.DEFAULT.withMask(
                                        Content.file(golden.resolve("mask.png"))))
                        .strength(0.7)
                        .build();
        Path bundle = written("sd15-inpaint", List.of());
        assertEquals(
                Tiny.hash(ofCheckpoint("sd15-inpaint", request)),
                Tiny.hash(ofBundle(bundle, request)));
    }

    /** An open engine multiplies with changed weights where they lie: the last bits may differ. */
    @Test
    void drawsWithItsLoraFiles() throws IOException {
        Lora lora = new Lora(LORA, 0.8);
        GenerationRequest request = request("direct", 128).build();
        GeneratedImage expected =
                ofCheckpoint("sd15", request("direct", 128).loras(List.of(lora)).build());
        GeneratedImage drawn = ofBundle(written("sd15", List.of(lora)), request);
        GeneratedImage plain = ofCheckpoint("sd15", request);
        assertTrue(
                Closeness.levels(expected, drawn) <= 1,
                "differ by " + Closeness.levels(expected, drawn));
        assertTrue(Closeness.levels(plain, drawn) > 1, "the LoRA changes nothing");
    }
}
