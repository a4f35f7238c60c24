// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Content;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.Lora;
import io.github.asg4j.Tiny;
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
        try (LocalEngine engine =
                LocalEngine.open(
                        Tiny.options(1),
                        () -> SmallCheckpoints.open(family),
                        WorkerHook.NONE,
                        Gpus.ofMachine())) {
            return draw(engine, request);
        }
    }

    private static GeneratedImage ofBundle(Path bundle, GenerationRequest request) {
        EngineOptions options = Tiny.options(1).withModel(bundle);
        try (LocalEngine engine = LocalEngine.open(options)) {
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
