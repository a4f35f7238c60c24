// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.Content;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.MethodOptions;
import io.github.asg4j.PictureReport;
import io.github.asg4j.PromptOptions;
import io.github.asg4j.Reports;
import io.github.asg4j.image.PictureEncoding;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** Pictures that are drawn again by what their files say. */
class LikeTest {
    @TempDir Path folder;

    private final FakeEngines engines = new FakeEngines();

    private Path file(String name) {
        return folder.resolve(name);
    }

    private Path foreign(String parameters) {
        Path file = file("foreign.png");
        MemorySegment rgb = MemorySegment.ofArray(new byte[12]);
        PictureEncoding.PNG.write(file, 2, 2, rgb, parameters, () -> false);
        return file;
    }

    private FakeEngines.Result generate(String... arguments) {
        String[] all = new String[arguments.length + 3];
        all[0] = "generate";
        System.arraycopy(arguments, 0, all, 1, arguments.length);
        all[all.length - 2] = "--out";
        all[all.length - 1] = file("new.png").toString();
        return engines.run(all);
    }

    private GenerationRequest again(Path file, String... options) {
        String[] all = new String[options.length + 2];
        all[0] = "--like";
        all[1] = file.toString();
        System.arraycopy(options, 0, all, 2, options.length);
        FakeEngines.Result result = generate(all);
        assertEquals(0, result.code(), result.err());
        return engines.requests.getLast();
    }

    @ParameterizedTest
    @ValueSource(strings = {"png", "jpg", "webp"})
    void ourOwnRequestComesBackWithEveryOption(String ending) {
        Path first = file("first." + ending);
        FakeEngines.Result result =
                engines.run(
                        "generate",
                        "--prompt",
                        "a (\u00fc) ball, \"x\"\nNegative prompt: none",
                        "--negative-prompt",
                        "[dark]",
                        "--method",
                        "asg",
                        "--size",
                        "24x16",
                        "--steps",
                        "7",
                        "--seed",
                        "18446744073709551615",
                        "--scheduler",
                        "ddim",
                        "--eta",
                        "0.5",
                        "--mask",
                        "own",
                        "--mask-blocks",
                        "a,b",
                        "--interaction",
                        "3",
                        "--background-prompt",
                        "grass",
                        "--threads-per-worker",
                        "3",
                        "--out",
                        first.toString());
        assertEquals(0, result.code(), result.err());
        GenerationRequest asked = engines.requests.getFirst();
        assertEquals(asked, again(first));
        assertEquals(asked, engines.requests.getLast());
        assertEquals(1, engines.options.getLast().threadsPerWorker().orElseThrow());
        assertEquals("fp32", engines.options.getLast().precision());
    }

    @Test
    void givenOptionsTakePrecedence() {
        Path first = file("first.png");
        engines.run(
                "generate",
                "--prompt",
                "a ball",
                "--seed",
                "7",
                "--mask",
                "own",
                "--out",
                first + "");
        GenerationRequest changed = again(first, "--seed", "8", "--prompt", "a cube");
        assertEquals(8, changed.seed());
        assertEquals("a cube", changed.prompt());
        FakeEngines.Result other =
                generate("--like", first.toString(), "--method", "direct", "--seed", "-1");
        assertEquals(0, other.code(), other.err());
        assertTrue(
                other.err().contains("--mask=own (no option of the method direct)"), other.err());
        GenerationRequest direct = engines.requests.getLast();
        assertEquals("direct", direct.method());
        assertEquals(FakeEngines.SEED, direct.seed());
        FakeEngines.Result several =
                engines.run(
                        "generate",
                        "--like",
                        first.toString(),
                        "--seeds",
                        "1,2",
                        "--out",
                        folder + "/{seed}.png");
        assertEquals(0, several.code(), several.err());
        assertEquals(2, engines.requests.getLast().seed());
    }

    @Test
    void filesThatItWasDrawnFromHaveToBeGivenAgain() {
        Path first = file("first.png");
        engines.methods = Set.of("relay");
        String[] drawn = {
            "generate",
            "--prompt",
            "a ball",
            "--method",
            "relay",
            "--image",
            "/home/me/ball.jpg",
            "--strength",
            "0.5",
            "--lora",
            "/home/me/style.safetensors:0.5",
            "--out",
            first.toString()
        };
        assertEquals(0, engines.run(drawn).code());
        FakeEngines.Result without = generate("--like", first.toString());
        assertEquals(2, without.code());
        assertTrue(
                without.err()
                        .contains(
                                "was drawn from files that it does not hold: give them again with"
                                        + " --lora (style.safetensors:0.5), --image (ball.jpg)"),
                without.err());
        GenerationRequest again =
                again(first, "--image", "x/ball.jpg", "--lora", "style.safetensors:0.5");
        assertEquals(Content.file(Path.of("x/ball.jpg")), again.image());
        assertEquals(0.5, again.strength().orElseThrow());
        FakeEngines.Result shown = engines.run("show", first.toString());
        assertFalse(shown.out().contains("/home/me"), shown.out());
    }

    @Test
    void picturesOfControlsHaveToBeGivenAgain() {
        Path first = file("first.png");
        String[] drawn = {
            "generate",
            "--prompt",
            "a ball",
            "--control",
            "edges:/home/me/house.png:weight=0.8",
            "--out",
            first.toString()
        };
        assertEquals(0, engines.run(drawn).code());
        FakeEngines.Result without = generate("--like", first.toString());
        assertEquals(2, without.code());
        assertTrue(without.err().contains("--control (house.png)"), without.err());
        String given = "edges:x/house.png:weight=0.8";
        assertEquals(0.8, again(first, "--control", given).controls().getFirst().weight());
    }

    @Test
    void theWebUisSettingsAreFollowedAndWhatCannotBeIsSaid() {
        Path duck =
                foreign(
                        "photo of a (duck:1.2)\n"
                            + "Negative prompt: monochrome\n"
                            + "Steps: 15, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 5,"
                            + " Seed: 235284042, Size: 512x400, Model hash: c0d1994c73, Model:"
                            + " realistic, Clip skip: 2, Denoising strength: 0.7, Hires upscale: 2,"
                            + " Tiling: True");
        FakeEngines.Result result = generate("--like", duck.toString());
        assertEquals(0, result.code(), result.err());
        GenerationRequest request = engines.request();
        assertEquals("photo of a (duck:1.2)", request.prompt());
        assertEquals(PromptOptions.Syntax.A1111, request.prompts().syntax());
        assertEquals("monochrome", request.negativePrompt());
        assertEquals(15, request.steps().orElseThrow());
        assertEquals("dpmpp_2m", request.scheduler());
        assertEquals("karras", request.spacing());
        assertEquals(235_284_042, request.seed());
        assertEquals(List.of(512, 400), List.of(request.width(), request.height()));
        assertEquals(2, request.prompts().clipSkip().orElseThrow());
        assertEquals(MethodOptions.DEFAULTS.get("asg"), request.options());
        for (String said :
                List.of(
                        "Model: realistic (drawn with what --model says)",
                        "Denoising strength: 0.7 (of a second pass",
                        "Hires upscale: 2 (no option",
                        "Tiling: True (no option",
                        "the noise of AUTOMATIC1111")) {
            assertTrue(result.err().contains(said), said + " in " + result.err());
        }
        assertFalse(result.err().contains("Steps"), result.err());
    }

    @Test
    void aPictureThatSaysNoMethodIsDrawnByTheModels() {
        engines.methods = MethodOptions.DEFAULTS.keySet();
        engines.description = Reports.drawing(engines.description, "relay");
        Path duck = foreign("a duck\nSteps: 15, Seed: 1, Size: 512x400");
        assertEquals(MethodOptions.DEFAULTS.get("relay"), again(duck).options());
        Path own = file("own.png");
        engines.run("generate", "--prompt", "a ball", "--out", own + "");
        engines.description = Reports.drawing(engines.description, "direct");
        assertEquals("relay", again(own).method(), "what it was drawn with");
    }

    @Test
    void valuesThatAreNotOursAreSaid() {
        Path file =
                foreign(
                        "a duck\nSteps: 4000, Sampler: DPM adaptive, CFG scale: 500, Seed: 1, Size:"
                                + " 512x400, Schedule type: KL Optimal");
        FakeEngines.Result result = generate("--like", file.toString());
        assertEquals(0, result.code(), result.err());
        assertTrue(engines.request().steps().isEmpty());
        for (String said :
                List.of(
                        "Steps: 4000 (",
                        "Sampler: DPM adaptive (there is none",
                        "CFG scale: 500 (",
                        "Schedule type: KL Optimal (there is none")) {
            assertTrue(result.err().contains(said), said + " in " + result.err());
        }
    }

    @Test
    void pictureOfAnotherAutoencoderIsSaid() {
        Path first = file("first.png");
        engines.run("generate", "--prompt", "a ball", "--out", first.toString());
        EngineInfo.VaeFile vae = new EngineInfo.VaeFile(Path.of("v"), "cd".repeat(32));
        engines.change = report -> Reports.with(report, vae);
        FakeEngines.Result result = generate("--like", first.toString());
        assertTrue(result.err().contains("VAE hash is cdcdcdcdcd, it was none"), result.err());
    }

    private static final List<PictureReport.AppliedEmbedding> EASY =
            List.of(new PictureReport.AppliedEmbedding("easy", "cd".repeat(32)));

    /** The web UI says the first twelve digits, older ones of it fewer. */
    @Test
    void textualInversionsOfOtherToolsAreCompared() {
        String settings = "a ball, easy, (neg:1.2)\nSteps: 5, Seed: 1, TI hashes: ";
        Path same = foreign(settings + "\"easy: cdcdcdcdcd\"");
        engines.change = report -> Reports.withEmbeddings(report, EASY);
        FakeEngines.Result result = generate("--like", same.toString());
        assertEquals(0, result.code(), result.err());
        assertFalse(result.err().contains("easy"), result.err());

        Path other = foreign(settings + "\"easy: ababababab12, neg: 0123456789ab\"");
        result = generate("--like", other.toString());
        assertTrue(
                result.err()
                        .contains(
                                "the SHA-256 of the textual inversion easy is cdcdcdcdcdcd, it was"
                                        + " ababababab12"),
                result.err());
        assertTrue(
                result.err()
                        .contains(
                                "neg is a word here, and was a textual inversion there (SHA-256"
                                        + " 0123456789ab): put its file into --embedding-folder"),
                result.err());
    }

    @Test
    void anotherTextualInversionThanOurOwnIsSaid() {
        Path first = file("first.png");
        engines.change = report -> Reports.withEmbeddings(report, EASY);
        engines.run("generate", "--prompt", "easy", "--out", first.toString());
        FakeEngines.Result result = generate("--like", first.toString());
        assertFalse(result.err().contains("TI hashes"), result.err());
        engines.change = report -> report;
        result = generate("--like", first.toString());
        assertTrue(
                result.err().contains("TI hashes is none, it was easy: cdcdcdcdcdcd"),
                result.err());
    }

    @Test
    void samePictureAgainWithTheRealEngine() throws IOException {
        Path first = file("first.png");
        String[] asked = {
            "generate",
            "--prompt",
            "a pink (cone)",
            "--negative-prompt",
            "dark",
            "--steps",
            "2",
            "--seed",
            "11",
            "--mask",
            "key",
            "--view-batch",
            "2",
            "--devices",
            "cpu:2",
            "--out",
            first.toString(),
            "--json"
        };
        String drawn = drawn(asked);
        String[] like = {
            "generate", "--like", first.toString(), "--out", file("again.png").toString(), "--json"
        };
        assertEquals(drawn, drawn(like));
        String[] other = {
            "generate",
            "--like",
            first.toString(),
            "--seed",
            "12",
            "--out",
            file("other.png").toString(),
            "--json"
        };
        assertNotEquals(drawn, drawn(other));
    }

    private static String drawn(String... arguments) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Cli cli =
                new Cli(
                        EngineFactory.real(),
                        new PrintStream(out, true, StandardCharsets.UTF_8),
                        new PrintStream(err, true, StandardCharsets.UTF_8),
                        false,
                        () -> 0);
        assertEquals(0, cli.run(arguments), () -> err.toString(StandardCharsets.UTF_8));
        JsonNode json = new ObjectMapper().readTree(out.toByteArray());
        return json.get("pixels_sha256").asText();
    }
}
