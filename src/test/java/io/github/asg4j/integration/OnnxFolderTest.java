// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.Engine;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.ModelParts;
import io.github.asg4j.OpenEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.model.Bundle;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/**
 * Folders as Optimum writes them (onnx-export/tests/onnx_resources.py), against the bundles that were
 * exported of the same weights: sd15 in fp32 with weights beside its UNet, sdxl in fp16 to its ends.
 */
class OnnxFolderTest {
    private static final String PROMPT = "A red ball on grass, two blue stars";

    @AutoClose private static final OpenEngines ENGINES = new OpenEngines();

    @TempDir Path temp;

    private static Path folder(String family) {
        return Path.of("src/test/resources/onnx").resolve(family);
    }

    private static Path exported(String family) {
        return Path.of("src/test/resources/families").resolve(family);
    }

    private static GeneratedImage draw(Path model, GenerationRequest request) {
        return ENGINES.on(Tiny.options(model, 1)).submit(request).join();
    }

    private static GenerationRequest.Builder request(String method, int size) {
        return GenerationRequest.builder(PROMPT).method(method).size(size, size).steps(4).seed(3);
    }

    /** The mean of all differences says more where halves round. */
    private static double mean(GeneratedImage one, GeneratedImage other) {
        double sum = 0;
        for (int i = 0; i < one.rgb().remaining(); i++) {
            int a = one.rgb().get(i) & 0xFF;
            sum += Math.abs(a - (other.rgb().get(i) & 0xFF));
        }
        return sum / one.rgb().remaining();
    }

    @ParameterizedTest
    @CsvSource({
        "sd15, direct, 128",
        "sd15, multidiffusion, 192",
        "sd15, demofusion, 256",
        "sd15, relay, 256",
        "sdxl, direct, 128",
        "sdxl, multidiffusion, 192"
    })
    void drawsWhatTheBundleOfTheSameWeightsDraws(String family, String method, int size) {
        GenerationRequest request = request(method, size).build();
        GeneratedImage expected = draw(exported(family), request);
        GeneratedImage drawn = draw(folder(family), request);
        if (family.equals("sd15")) {
            assertTrue(
                    Closeness.levels(expected, drawn) <= 1,
                    () -> "" + Closeness.levels(expected, drawn));
        } else {
            assertTrue(mean(expected, drawn) < 1, () -> "" + mean(expected, drawn));
        }
        GeneratedImage other = draw(folder(family), request(method, size).seed(4).build());
        assertTrue(
                mean(other, drawn) > 2, () -> "another seed draws the same: " + mean(other, drawn));
    }

    @ParameterizedTest
    @ValueSource(strings = {"sd15", "sdxl"})
    void whatItSaysOfTheModelIsWhatTheBundleSays(String family) throws IOException {
        try (Bundle onnx = Bundle.open(folder(family), ModelParts.NONE, false);
                Bundle bundle = Bundle.open(exported(family), ModelParts.NONE, false)) {
            var found = onnx.manifest();
            var expected = bundle.manifest();
            assertEquals(expected.latent(), found.latent());
            assertEquals(expected.scheduler(), found.scheduler());
            assertEquals(expected.conditioning(), found.conditioning());
            assertEquals(expected.defaults(), found.defaults());
            assertEquals(expected.denoiser().width(), found.denoiser().width());
            assertEquals(family.equals("sd15") ? "fp32" : "fp16", found.denoiser().precision());
            long unet = Files.size(folder(family).resolve("unet/model.onnx"));
            Path data = folder(family).resolve("unet/model.onnx_data");
            assertEquals(
                    unet + (Files.exists(data) ? Files.size(data) : 0),
                    onnx.graphBytes(found.denoiser().file()));
            for (int i = 0; i < expected.textEncoders().size(); i++) {
                assertArrayEquals(
                        bundle.tokenizer(i).encode("It's 12 red balls!", 77).ids(),
                        onnx.tokenizer(i).encode("It's 12 red balls!", 77).ids());
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"sd15, 1", "sdxl, 3"})
    void picturesAreEncodedToTheMeanOfTheirLatents(String family, double most) {
        GenerationRequest request =
                request("direct", 128)
                        .image(Content.file(exported("goldens/sd15-inpaint/image.png")))
                        .strength(0.5)
                        .build();
        GeneratedImage expected = draw(exported(family), request);
        double found = mean(expected, draw(folder(family), request));
        assertTrue(found <= most, () -> "" + found);
    }

    @Test
    void asgDrawsWithoutMaps() {
        AsgOptions options =
                new AsgOptions(
                        GuideOptions.DEFAULT.withMask(GuideOptions.Mask.NONE),
                        WindowOptions.DEFAULT.withObjectShare(0.0));
        GenerationRequest request = request("asg", 192).options(options).build();
        GeneratedImage expected = draw(exported("sd15"), request);
        assertTrue(Closeness.levels(expected, draw(folder("sd15"), request)) <= 1);
    }

    @ParameterizedTest
    @CsvSource({
        "asg, has no attention maps: use --mask none and --object-share 0",
        "scalecrafter, has no denoiser_dilated.onnx",
        "superres, has no upscalers in its manifest"
    })
    void saysWhatAMethodMisses(String method, String what) {
        Engine engine = ENGINES.on(Tiny.options(folder("sd15"), 1));
        String message =
                assertThrows(
                                BadRequestException.class,
                                () -> engine.plan(request(method, 256).build()))
                        .getMessage();
        assertTrue(message.contains(what), message);
    }

    private Path copy(String family) throws IOException {
        Path source = folder(family);
        Path target = temp.resolve(family);
        try (Stream<Path> files = Files.walk(source)) {
            for (Path file : files.toList()) {
                Path to = target.resolve(source.relativize(file).toString());
                if (Files.isDirectory(file)) {
                    Files.createDirectories(to);
                } else {
                    Files.copy(file, to);
                }
            }
        }
        return target;
    }

    private static String refusal(Path model) {
        return assertThrows(
                        BadBundleException.class,
                        () -> Bundle.open(model, ModelParts.NONE, false).close())
                .getMessage();
    }

    @Test
    void saysWhyAFolderCannotBeDrawnWith() throws IOException {
        Path model = copy("sd15");
        Path decoder = model.resolve("vae_decoder/model.onnx");
        Path aside = Files.move(decoder, model.resolve("aside"));
        String missing = refusal(model);
        assertTrue(missing.contains("has no vae_decoder/model.onnx"), missing);
        Files.move(aside, decoder);
        Path unet = model.resolve("unet/model.onnx");
        Files.copy(unet, model.resolve("whole"));
        Files.copy(
                folder("sdxl").resolve("unet/model.onnx"),
                unet,
                java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        String inputs = refusal(model);
        assertTrue(inputs.contains("text_embeds, time_ids], but [sample, timestep,"), inputs);
        Path index = model.resolve("model_index.json");
        Files.writeString(index, "{\"_class_name\": \"ORTFluxPipeline\"}");
        String pipeline = refusal(model);
        assertTrue(pipeline.contains("is of a ORTFluxPipeline, whose ONNX graphs"), pipeline);
    }

    /** Download caches are made of links, to files of other names in other folders. */
    @Test
    void linksAreFollowed() throws IOException {
        Path model = copy("sd15");
        Path blobs = Files.createDirectory(temp.resolve("blobs"));
        int number = 0;
        for (String name : new String[] {"unet/model.onnx", "unet/model.onnx_data"}) {
            Path blob = blobs.resolve("blob" + number++);
            Files.move(model.resolve(name), blob);
            Files.createSymbolicLink(model.resolve(name), blob);
        }
        GenerationRequest request = request("direct", 128).build();
        try (Engine engine = Engine.open(Tiny.options(model, 1))) {
            assertEquals(
                    Tiny.hash(draw(folder("sd15"), request)),
                    Tiny.hash(engine.submit(request).join()));
        }
    }
}
