// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.DilationOptions;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.Lora;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.PictureReport;
import io.github.asg4j.ReportJson;
import io.github.asg4j.Reports;
import io.github.asg4j.Size;
import io.github.asg4j.StageReport;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.schedule.Sampler;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The text reads as other tools expect and says nothing that differs between equal pictures. */
class PngParametersTest {
    private static PictureReport report(GenerationRequest request, StageReport... stages) {
        PictureReport report = Reports.picture(request, new Size(256, 192));
        return Reports.with(report, Reports.with(report.plan(), List.of(stages)));
    }

    private static GenerationRequest request(String prompt) {
        return GenerationRequest.builder(prompt).seed(7).build();
    }

    private static StageReport windows(Size stride, Size jitter, @Nullable String background) {
        return Reports.stage(
                "stage2",
                new StageReport.Windows(
                        new Size(32, 24),
                        new Size(3, 2),
                        5,
                        new StageReport.Overlap(
                                stride,
                                jitter,
                                WindowOptions.Weight.FEATHER,
                                WindowOptions.Conditioning.CROP),
                        new StageReport.Background(0.02, 1.5, background),
                        null));
    }

    @Test
    void textBeginsWithPromptAndNegativePrompt() {
        GenerationRequest request =
                GenerationRequest.builder("a red ball").negativePrompt("blur").seed(7).build();
        assertEquals(
                "a red ball\n"
                    + "Negative prompt: blur\n"
                    + "Steps: 50, Sampler: Euler, CFG scale: 5, Seed: 7, Size: 256x192, Model hash:"
                    + " 0123456789, Model: fake, Method: asg, Patches: 2x2, View batch: 1, VAE:"
                    + " whole, Threads per worker: 1, Version: 1.0, Request:"
                    + " \"{\\\"prompt\\\":\\\"a red ball\\\",\\\"negative_prompt\\\":\\\"blur\\\","
                    + "\\\"method\\\":\\\"asg\\\",\\\"seed\\\":7}\"",
                PngParameters.text(report(request)));
    }

    @Test
    void whatDiffersFromRunToRunIsLeftOut() {
        String text = PngParameters.text(report(request("a ball")));
        assertFalse(text.contains("Negative prompt"), text);
        for (String part : List.of("cpu", "java", "1234.5")) {
            assertFalse(text.contains(part), text);
        }
    }

    @Test
    void lorasAreNamedWithTheirWeightsAndHashes() {
        GenerationRequest request =
                GenerationRequest.builder("a ball")
                        .loras(
                                List.of(
                                        new Lora(Path.of("/l/style.v2.safetensors"), 0.75),
                                        new Lora(Path.of("b.safetensors"), -1)))
                        .build();
        String text = PngParameters.text(report(request));
        assertTrue(
                text.contains(
                        "Loras: \"style.v2: 0.75, b: -1.0\","
                                + " Lora hashes: \"style.v2: ababababab, b: ababababab\","),
                text);
    }

    /** As AUTOMATIC1111's web UI writes them: twelve digits, names without what separates them. */
    @Test
    void textualInversionsAreNamedWithTheirHashes() {
        PictureReport report =
                Reports.withEmbeddings(
                        report(request("a ball, easynegative")),
                        List.of(
                                new PictureReport.AppliedEmbedding("a:b,c", "0123456789abcdef"),
                                new PictureReport.AppliedEmbedding(
                                        "easynegative", "fedcba9876543210")));
        String text = PngParameters.text(report);
        assertTrue(
                text.contains("TI hashes: \"abc: 0123456789ab, easynegative: fedcba987654\","),
                text);
        assertEquals(
                "abc: 0123456789ab, easynegative: fedcba987654",
                PngParameters.settings(text).get("TI hashes"));
        assertEquals(
                List.of(
                        Map.of("name", "a:b,c", "sha256", "0123456789abcdef"),
                        Map.of("name", "easynegative", "sha256", "fedcba9876543210")),
                ReportJson.map(report).get("embeddings"));
    }

    @Test
    void anotherAutoencoderIsNamedWithItsHash() {
        EngineInfo.VaeFile vae =
                new EngineInfo.VaeFile(Path.of("/v/soft.safetensors"), "cd".repeat(32));
        String text = PngParameters.text(Reports.with(report(request("a ball")), vae));
        assertTrue(text.contains("VAE file: soft.safetensors, VAE hash: cdcdcdcdcd, Method"), text);
        assertEquals(
                Map.of("file", "/v/soft.safetensors", "sha256", "cd".repeat(32)),
                ReportJson.map(Reports.with(report(request("a ball")), vae)).get("vae"));
    }

    @Test
    void decidedSettingsAreSaid() {
        GenerationRequest request =
                request("a ball").toBuilder()
                        .options(
                                AsgOptions.DEFAULT.withGuide(
                                        GuideOptions.DEFAULT.withMaskBlocks(
                                                List.of("up_blocks.0", "up_blocks.1"))))
                        .build();
        StageReport stage =
                Reports.stage(
                        "stage1",
                        new StageReport.Patches(
                                new StageReport.Guidance(
                                        0.5,
                                        GuideOptions.Schedule.COSINE,
                                        GuideOptions.Space.LATENT,
                                        GuideOptions.Upsampling.BICUBIC,
                                        GuideOptions.Mask.KEY,
                                        GuideOptions.MaskNorm.MEAN_THRESHOLD,
                                        1),
                                4));
        PictureReport report =
                Reports.with(report(request, stage), Reports.sampling("ddim", "leading", 0.5, 5));
        String text = PngParameters.text(report);
        assertTrue(
                text.contains(
                        "Method: asg, Guide space: latent, Guide upsampling: bicubic,"
                                + " Guide weight: 0.5, Guide schedule: cosine, Mask: key,"
                                + " Mask norm: mean-threshold, Mask blocks: up_blocks.0"
                                + " up_blocks.1, Staleness: 1, Interaction: 4,"
                                + " Stage1 steps: 25, Patches: 2x2, View batch: 1, VAE: whole,"
                                + " Threads per worker: 1, Eta: 0.5, Version: 1.0, Request: "),
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
        Map<String, Double> factors = new LinkedHashMap<>();
        factors.put("mid_block", 2.0);
        factors.put("up_blocks.0", 2.5);
        StageReport dilated =
                Reports.stage(
                        "dilated",
                        new StageReport.Dilated(
                                factors,
                                Map.of(),
                                DilationOptions.Course.CONSTANT,
                                0,
                                List.of(),
                                List.of()));
        GenerationRequest request =
                request("a, b: c").toBuilder()
                        .options(
                                AsgOptions.DEFAULT.withGuide(
                                        GuideOptions.DEFAULT.withMaskTokens(List.of(1, 2))))
                        .build();
        PictureReport report =
                Reports.with(
                        report(request, windows(new Size(8, 6), new Size(2, 2), null), dilated),
                        Reports.sampling("flow_euler", "leading", 0, 5));
        Map<String, String> pairs = parsed(PngParameters.text(report));
        assertEquals("Euler", pairs.get("Sampler"));
        assertEquals("256x192", pairs.get("Size"));
        assertEquals("2x2", pairs.get("Patches"));
        assertEquals("8x6", pairs.get("Window stride"));
        assertEquals("2", pairs.get("Jitter"));
        assertEquals("1 2", pairs.get("Mask tokens"));
        assertEquals("mid_block=2 up_blocks.0=2.5", pairs.get("Dilation"));
        assertEquals(25, pairs.size(), pairs::toString);
        assertTrue(pairs.remove("Request").startsWith("\"{"), pairs::toString);
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
        PictureReport report =
                Reports.with(report(request("a ball")), Reports.sampling(scheduler, spacing, 0, 5));
        Map<String, String> pairs = parsed(PngParameters.text(report));
        assertEquals(name, pairs.get("Sampler"));
        assertEquals(scheduler, Sampler.named(name).solver().id());
    }

    /** What the user wrote may have a comma: then the value is a JSON string, and only that one. */
    @Test
    void textOfTheUserIsAJsonString() throws IOException {
        String prompt = "grass, \"tall\": C:\\lawn\n\tgreen";
        PictureReport report =
                report(request("a ball"), windows(new Size(4, 4), new Size(1, 1), prompt));
        Map<String, String> pairs = parsed(PngParameters.text(report));
        assertEquals(
                prompt, new ObjectMapper().readValue(pairs.get("Background prompt"), String.class));
        assertEquals(22, pairs.size(), pairs::toString);
    }
}
