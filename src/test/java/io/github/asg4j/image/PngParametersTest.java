// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.GenerationRequest;

import org.junit.jupiter.api.Test;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

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
    void prompts() {
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
                                + " Mask blocks: \"[up_blocks.0, up_blocks.1]\", Stage1 steps: 25,"
                                + " Eta: 0.5"),
                text);
    }
}
