// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Lora;
import io.github.asg4j.PictureReport;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.image.Npy;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.SmallFiles;
import io.github.asg4j.model.checkpoint.Recognition;
import io.github.asg4j.model.checkpoint.SafeTensorsFile;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Whole pictures of small single files against what diffusers' pipelines draw with the same weights
 * (onnx-export/tests/family_goldens.py, checkpoint_goldens.py and lora_fixtures.py).
 */
class CheckpointPictureTest {
    private static final Path GOLDENS = Tiny.resource("families").resolve("goldens");
    private static final Path CHECKPOINTS = Path.of("src/test/resources/checkpoint");
    private static final int GUIDANCE_WIDTH = 256;

    @TempDir Path temp;

    private EngineOptions options = EngineOptions.DEFAULT.withDevices("cpu:1");

    private static float[] floats(Path npy) {
        try (Arena arena = Arena.ofConfined()) {
            return Npy.read(npy, Npy.Type.FLOAT32, arena).data().toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    private static JsonNode settings(String golden) {
        try {
            return new ObjectMapper().readTree(GOLDENS.resolve(golden + "/settings.json").toFile());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Draws with a file and compares the last latents with those of a golden picture. */
    private GeneratedImage drawsLike(
            String golden, Path file, Recognition known, GenerationRequest request) {
        GeneratedImage image;
        try (Engine engine =
                TestEngines.open(options.withModel(file), () -> SmallFiles.bundle(file, known))) {
            image = engine.submit(request).join();
        }
        float[] expected = floats(GOLDENS.resolve(golden + "/latents.npy"));
        float[] actual = floats(step(steps() - 1));
        Closeness.assertClose(golden, expected, actual, 1e-3);
        return image;
    }

    private Path step(int step) {
        return temp.resolve("denoise-%03d-latents.npy".formatted(step));
    }

    /** Steps that the last request ran. */
    private int steps() {
        int steps = 0;
        while (Files.exists(step(steps))) {
            steps++;
        }
        return steps;
    }

    private GenerationRequest.Builder request(JsonNode s) {
        return GenerationRequest.builder(s.get("prompt").asText())
                .method("direct")
                .size(s.get("size").asInt(), s.get("size").asInt())
                .dumpDirectory(temp);
    }

    private GenerationRequest.Builder ofFamily(String golden) {
        JsonNode s = settings(golden);
        Path noise = GOLDENS.resolve(golden + "/noise.npy");
        try (Arena arena = Arena.ofConfined()) {
            Npy.Array array = Npy.read(noise, Npy.Type.FLOAT32, arena);
            return request(s)
                    .steps(s.get("steps").asInt())
                    .guidanceScale(s.get("guidance_scale").asDouble())
                    .latents(Content.floats(array.data(), array.shape()));
        }
    }

    /** The autoencoder of the file is a decoder: its pictures stay, and only what encodes is refused. */
    @Test
    void aFileWithADecoderAloneDraws() throws IOException {
        Path file =
                SmallFiles.copy(
                                SmallFiles.SD15,
                                new SafeTensorsFile(),
                                name ->
                                        !name.matches(
                                                "first_stage_model\\.(encoder|quant_conv)\\..*"))
                        .write(temp.resolve("decoder.safetensors"));
        GeneratedImage image = drawsLike("sd15", file, SmallFiles.sd15(), ofFamily("sd15").build());
        EngineOptions ofFile = EngineOptions.DEFAULT.withModel(file).withDevices("cpu:1");
        try (Engine engine =
                TestEngines.open(
                        ofFile, () -> SmallFiles.bundle(SmallFiles.SD15, SmallFiles.sd15()))) {
            GeneratedImage whole = engine.submit(ofFamily("sd15").build()).join();
            assertEquals(Tiny.hash(whole), Tiny.hash(image));
        }
        try (Engine engine =
                TestEngines.open(ofFile, () -> SmallFiles.bundle(file, SmallFiles.sd15()))) {
            Content given = Content.file(GOLDENS.resolve("sd15-inpaint/image.png"));
            GenerationRequest encodes = request(settings("sd15")).image(given).build();
            String refused =
                    assertThrows(BadRequestException.class, () -> engine.plan(encodes))
                            .getMessage();
            assertTrue(refused.contains("has no VAE encoder"), refused);
            assertTrue(refused.contains("a file that holds a decoder alone"), refused);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"packed", "mapped"})
    void aPlainFileDrawsWhatDiffusersDraws(String weights) {
        options = options.withWeights(weights);
        drawsLike("sd15", SmallFiles.SD15, SmallFiles.sd15(), ofFamily("sd15").build());
    }

    /** In the names of kohya: joined projections, and layers whose shift and scale are exchanged. */
    @ParameterizedTest
    @ValueSource(strings = {"packed", "mapped"})
    void aTransformerWithALoraDrawsWhatDiffusersDrawsWithItFused(String weights) {
        options = options.withWeights(weights);
        Lora lora = new Lora(CHECKPOINTS.resolve("lora/sd35/kohya.safetensors"), 1);
        GenerationRequest request = ofFamily("sd35").loras(List.of(lora)).build();
        drawsLike("sd35-lora", SmallFiles.SD35, SmallFiles.sd35(), request);
    }

    /**
     * Steps, guidance scale and solver are the model's own: those of LatentConsistencyModelPipeline; and
     * large pictures are drawn by a relay, which does with so few steps.
     */
    @Test
    void aLatentConsistencyModelDrawsWhatDiffusersDraws() {
        SafeTensorsFile lcm = SmallFiles.copy(SmallFiles.SD15, new SafeTensorsFile());
        Path file =
                SmallFiles.copy(CHECKPOINTS.resolve("lcm-matrix.safetensors"), lcm)
                        .write(temp.resolve("lcm.safetensors"));
        JsonNode s = settings("sd15-lcm");
        GeneratedImage image =
                drawsLike(
                        "sd15-lcm",
                        file,
                        SmallFiles.sd15("epsilon", false, 4, GUIDANCE_WIDTH),
                        request(s).seed(s.get("seed").asLong()).build());
        PictureReport.Sampling sampling = image.report().sampling();
        assertEquals(s.get("steps").asInt(), steps());
        assertEquals(s.get("guidance_scale").asDouble(), sampling.guidanceScale());
        assertEquals("lcm", sampling.scheduler());
        try (Bundle bundle =
                SmallFiles.bundle(file, SmallFiles.sd15("epsilon", false, 4, GUIDANCE_WIDTH))) {
            assertEquals("relay", bundle.manifest().usualMethod().name());
        }
    }

    /** Steps begin where there is no signal, without being asked to. */
    @Test
    void aModelWithoutSignalAtItsLastLevelDrawsWhatDiffusersDraws() {
        JsonNode s = settings("sd15-zero-snr");
        drawsLike(
                "sd15-zero-snr",
                SmallFiles.SD15,
                SmallFiles.sd15("v", true, 4, 0),
                request(s)
                        .seed(s.get("seed").asLong())
                        .steps(s.get("steps").asInt())
                        .guidanceScale(s.get("guidance_scale").asDouble())
                        .build());
    }

    /** Steps, guidance scale and strength are those of StableDiffusionXLImg2ImgPipeline. */
    @Test
    void aRefinerFinishesAPictureAsDiffusersDoes() {
        JsonNode s = settings("sdxl-refiner");
        Content picture = Content.file(GOLDENS.resolve("sdxl-refiner/image.png"));
        GenerationRequest.Builder request = request(s).seed(s.get("seed").asLong());
        GeneratedImage image =
                drawsLike(
                        "sdxl-refiner",
                        SmallFiles.REFINER,
                        SmallFiles.refiner(),
                        request.image(picture).build());
        assertEquals(
                s.get("strength").asDouble(), image.report().sampling().strength().getAsDouble());
        EngineOptions options =
                EngineOptions.DEFAULT.withModel(SmallFiles.REFINER).withDevices("cpu:1");
        try (Engine engine =
                TestEngines.open(
                        options,
                        () -> SmallFiles.bundle(SmallFiles.REFINER, SmallFiles.refiner()))) {
            GenerationRequest alone = request.image(null).build();
            String refused =
                    assertThrows(BadRequestException.class, () -> engine.submit(alone))
                            .getMessage();
            assertTrue(refused.contains("give one with --image"), refused);
        }
    }
}
