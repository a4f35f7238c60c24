// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Settings of our own files, and texts of the forms that other tools write. */
class ShowCommandTest {
    @TempDir Path folder;

    private final FakeEngines engines = new FakeEngines();

    @ParameterizedTest
    @ValueSource(strings = {"png", "jpg", "webp"})
    void ourOwnFilesSayHowTheyWereDrawn(String ending) throws IOException {
        Path file = folder.resolve("a." + ending);
        String[] generate = {
            "generate", "--prompt", "a \u00fc (red) ball", "--seed", "7", "--out", file.toString()
        };
        assertEquals(0, engines.run(false, generate).code());
        FakeEngines.Result result = engines.run(false, "show", file.toString(), "--json");
        assertEquals(0, result.code(), result.err());
        JsonNode json = new ObjectMapper().readTree(result.out());
        assertEquals("asg4j", json.path("Tool").asText());
        assertEquals("a \u00fc \\(red\\) ball", json.path("Prompt").asText());
        assertEquals("7", json.path("Seed").asText());
        assertEquals("asg", json.path("Method").asText());
    }

    @Test
    void filesWithoutSettingsAreRefused() throws IOException {
        Path file = Files.write(folder.resolve("a.png"), new byte[0]);
        FakeEngines.Result result = engines.run(false, "show", file.toString());
        assertEquals(2, result.code());
        assertTrue(result.err().contains("says nothing of its settings"), result.err());
        assertEquals(2, engines.run(false, "show", folder + "/none.png").code());
    }

    private static void assertFound(String tool, Map<String, String> texts, String settings) {
        FoundSettings found = FoundSettings.of(texts);
        assertEquals(tool, found.tool());
        assertEquals(settings, found.settings().toString());
    }

    @Test
    void theWebUisAreRead() {
        assertFound(
                "AUTOMATIC1111",
                Map.of(
                        "parameters",
                        "photo of a duck\n"
                                + "Negative prompt: monochrome\n"
                                + "Steps: 15, Sampler: UniPC, CFG scale: 5, Seed: 235284042, Size:"
                                + " 512x400, Note: \"a, \\\"b\\\"\""),
                "{Prompt=photo of a duck, Negative prompt=monochrome, Steps=15, Sampler=UniPC,"
                        + " CFG scale=5, Seed=235284042, Size=512x400, Note=a, \"b\"}");
        assertFound(
                "Fooocus",
                Map.of(
                        "parameters",
                        "{\"prompt\":\"cat\",\"negative_prompt\":\"\",\"steps\":30,\"seed\":\"5\","
                                + "\"guidance_scale\":4,\"resolution\":\"(1024, 576)\","
                                + "\"sampler\":\"dpmpp_2m_sde_gpu\",\"clip_skip\":2,"
                                + "\"full_prompt\":[\"film cat\",\"cat, sharp\"],\"loras\":[],"
                                + "\"refiner_model\":\"None\",\"sharpness\":2}"),
                "{Prompt=cat, Negative prompt=, Steps=30, Sampler=dpmpp_2m_sde_gpu, CFG scale=4,"
                    + " Seed=5, Size=1024x576, Clip skip=2, Full prompt=film cat BREAK cat, sharp,"
                    + " sharpness=2}");
    }

    @Test
    void graphsAreFollowedFromTheirSampler() {
        assertFound(
                "ComfyUI",
                Map.of(
                        "prompt",
                        """
                        {"3": {"class_type": "KSampler", "inputs": {"seed": 9, "steps": 20, "cfg": 8.0,
                          "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
                          "model": ["10", 0], "positive": ["11", 0], "negative": ["7", 0],
                          "latent_image": ["5", 0]}},
                         "4": {"class_type": "CheckpointLoader", "inputs": {"ckpt_name": "m.ckpt"}},
                         "5": {"class_type": "EmptyLatentImage",
                               "inputs": {"width": 704, "height": 1280}},
                         "6": {"class_type": "CLIPTextEncode",
                               "inputs": {"text": "a ball\\n", "clip": ["4", 1]}},
                         "7": {"class_type": "CLIPTextEncode",
                               "inputs": {"text": "blue", "clip": ["4", 1]}},
                         "10": {"class_type": "LoraLoader", "inputs": {"model": ["4", 0]}},
                         "11": {"class_type": "ConditioningCombine",
                                "inputs": {"conditioning_1": ["6", 0]}}}\
                        """),
                "{Prompt=a ball, Negative prompt=blue, Steps=20, Sampler=euler, Schedule"
                        + " type=normal, CFG scale=8.0, Seed=9, Denoising strength=1.0,"
                        + " Size=704x1280, Model=m.ckpt, Nodes=LoraLoader, ConditioningCombine}");
        assertFound("", Map.of("prompt", "{\"1\": {\"inputs\": {}}}"), "{}");
        assertFound("", Map.of("prompt", "no json {"), "{}");
    }

    @Test
    void invokeAndNovelAreRead() {
        assertFound(
                "InvokeAI",
                Map.of(
                        "invokeai_metadata",
                        "{\"positive_prompt\":\"a\",\"negative_prompt\":\"b\",\"width\":64,"
                                + "\"height\":32,\"seed\":3,\"cfg_scale\":8.0,\"steps\":35,"
                                + "\"scheduler\":\"euler\",\"model\":{\"model_name\":\"m\"}}"),
                "{Prompt=a, Negative prompt=b, Steps=35, Sampler=euler, CFG scale=8.0, Seed=3,"
                        + " Size=64x32, Model=m}");
        assertFound(
                "InvokeAI",
                Map.of(
                        "Dream",
                        "\"a cat, night [dog, eyes]\" -s 50 -S 29 -W 512 -H 768 -C 5 -A k_lms -U 4"
                                + " 0.95"),
                "{Prompt=a cat, night, Negative prompt=dog, eyes, Steps=50, Seed=29, Size=512x768,"
                        + " CFG scale=5, Sampler=k_lms, -U=4 0.95}");
        assertFound(
                "NovelAI",
                Map.of(
                        "Software",
                        "NovelAI",
                        "Description",
                        "cat, space",
                        "Comment",
                        "{\"steps\": 50, \"sampler\": \"k_euler\", \"seed\": 2, \"scale\": 10.0,"
                                + " \"uc\": \"low\"}"),
                "{Prompt=cat, space, Negative prompt=low, Steps=50, Sampler=k_euler,"
                        + " CFG scale=10.0, Seed=2}");
    }
}
