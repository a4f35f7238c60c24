// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.schedule.Sampler;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The text reads as other tools expect and says nothing that differs between equal pictures. */
class PngParametersTest {
    private static Map<String, Object> report() {
        Map<String, Object> report = new LinkedHashMap<>();
        report.put("width", 256);
        report.put("height", 192);
        report.put("seed", 7L);
        report.put("method", "asg");
        report.put("steps", 50);
        report.put("scheduler", "euler");
        report.put("guidance_scale", 5.0);
        report.put("model", "demo");
        report.put("bundle_sha256", "0123456789abcdef");
        report.put("devices", List.of("cpu#0"));
        report.put("kernels", "avx2");
        report.put("times_ms", Map.of("total", 5));
        return report;
    }

    @Test
    void textBeginsWithPromptAndNegativePrompt() {
        GenerationRequest request =
                GenerationRequest.builder("a red ball").negativePrompt("blur").build();
        assertEquals(
                "a red ball\nNegative prompt: blur\nSteps: 50, Sampler: Euler, CFG scale: 5,"
                        + " Seed: 7, Size: 256x192, Model hash: 0123456789, Model: demo,"
                        + " Method: asg",
                PngParameters.text(request, report()));
    }

    @Test
    void whatDiffersFromRunToRunIsLeftOut() {
        String text = PngParameters.text(GenerationRequest.builder("a ball").build(), report());
        assertFalse(text.contains("Negative prompt"), text);
        for (String part : List.of("cpu", "avx2", "total")) {
            assertFalse(text.contains(part), text);
        }
    }

    @Test
    void lorasAreNamedWithTheirWeightsAndHashes() {
        Map<String, Object> report = report();
        report.put(
                "loras",
                List.of(
                        Map.of(
                                "file",
                                "/l/style.v2.safetensors",
                                "weight",
                                0.75,
                                "sha256",
                                "ab".repeat(32)),
                        Map.of(
                                "file",
                                "b.safetensors",
                                "weight",
                                -1.0,
                                "sha256",
                                "cd".repeat(32))));
        String text = PngParameters.text(GenerationRequest.builder("a ball").build(), report);
        assertTrue(
                text.contains(
                        "Loras: \"style.v2: 0.75, b: -1.0\","
                                + " Lora hashes: \"style.v2: ababababab, b: cdcdcdcdcd\","),
                text);
    }

    @Test
    void decidedSettingsAreSaid() {
        Map<String, Object> report = report();
        report.put("eta", 0.5);
        report.put("mask_norm", "mean-threshold");
        report.put("mask_blocks", List.of("up_blocks.0", "up_blocks.1"));
        report.put("stage1_steps", 25);
        String text = PngParameters.text(GenerationRequest.builder("a ball").build(), report);
        assertTrue(
                text.endsWith(
                        "Method: asg, Mask norm: mean-threshold,"
                                + " Mask blocks: up_blocks.0 up_blocks.1, Stage1 steps: 25,"
                                + " Eta: 0.5"),
                text);
    }

    /** The pattern of AUTOMATIC1111's parse_generation_parameters, applied as it does. */
    private static final Pattern PAIR =
            Pattern.compile("\\s*(\\w[\\w \\-/]+):\\s*(\"(?:\\\\.|[^\\\\\"])+\"|[^,]*)(?:,|$)");

    private static Map<String, String> parsed(String text) {
        String line = text.substring(text.lastIndexOf('\n') + 1);
        Map<String, String> pairs = new LinkedHashMap<>();
        Matcher pair = PAIR.matcher(line);
        int end = 0;
        while (pair.find()) {
            assertEquals(end, pair.start(), "the pairs fill the line: " + line);
            end = pair.end();
            pairs.put(pair.group(1), pair.group(2));
        }
        assertEquals(line.length(), end, line);
        return pairs;
    }

    @Test
    void thePairsAreThoseOfTheWebUi() {
        Map<String, Object> report = report();
        report.put("scheduler", "flow_euler");
        report.put("patches", List.of(4, 2));
        report.put("window_stride", List.of(8, 6));
        report.put("jitter", 2);
        report.put("mask_tokens", List.of(1, 2));
        report.put("dilation", "mid_block=2,up_blocks.0=2.5");
        report.put("upscalers", List.of("x4.onnx", "x2.onnx"));
        Map<String, String> pairs =
                parsed(PngParameters.text(GenerationRequest.builder("a, b: c").build(), report));
        assertEquals("Euler", pairs.get("Sampler"));
        assertEquals("256x192", pairs.get("Size"));
        assertEquals("4x2", pairs.get("Patches"));
        assertEquals("8x6", pairs.get("Window stride"));
        assertEquals("2", pairs.get("Jitter"));
        assertEquals("1 2", pairs.get("Mask tokens"));
        assertEquals("mid_block=2 up_blocks.0=2.5", pairs.get("Dilation"));
        assertEquals("x4.onnx x2.onnx", pairs.get("Upscalers"));
        assertEquals(14, pairs.size(), pairs::toString);
        pairs.forEach((name, value) -> assertFalse(value.contains("\""), name + ": " + value));
    }

    @ParameterizedTest
    @CsvSource({
        "dpmpp_2m, karras, DPM++ 2M Karras",
        "dpmpp_2m, exponential, DPM++ 2M Exponential",
        "dpmpp_2m, trailing, DPM++ 2M",
        "euler, karras, Euler Karras",
        "ddim, leading, DDIM"
    })
    void theSamplerHasTheNameThatTheWebUiGivesIt(String scheduler, String spacing, String name) {
        Map<String, Object> report = report();
        report.put("scheduler", scheduler);
        report.put("spacing", spacing);
        Map<String, String> pairs =
                parsed(PngParameters.text(GenerationRequest.builder("a ball").build(), report));
        assertEquals(name, pairs.get("Sampler"));
        assertEquals(scheduler, Sampler.named(name).solver().id());
    }

    /** What the user wrote may have a comma: then the value is a JSON string, and only that one. */
    @Test
    void textOfTheUserIsAJsonString() throws IOException {
        String prompt = "grass, \"tall\": C:\\lawn\n\tgreen";
        Map<String, Object> report = report();
        report.put("background_prompt", prompt);
        Map<String, String> pairs =
                parsed(PngParameters.text(GenerationRequest.builder("a ball").build(), report));
        assertEquals(
                prompt, new ObjectMapper().readValue(pairs.get("Background prompt"), String.class));
        assertEquals(9, pairs.size(), pairs::toString);
    }
}
