// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.WindowOptions;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Which rows the options of eval make, what it prints, and how it ends. */
class EvalCommandTest {
    @TempDir Path folder;
    private final FakeEngines engines = new FakeEngines();
    private Path prompts;

    @BeforeEach
    void prompts() throws IOException {
        prompts = folder.resolve("prompts.txt");
        Files.writeString(prompts, "a red ball on grass\n\na blue cube on sand\n");
    }

    private FakeEngines.Result eval(String... more) {
        List<String> args =
                new java.util.ArrayList<>(
                        List.of("eval", "--out", folder.resolve("out").toString()));
        args.addAll(List.of("--prompts", prompts.toString()));
        if (!List.of(more).contains("--sizes")) {
            args.addAll(List.of("--sizes", "128x128"));
        }
        args.addAll(List.of(more));
        return engines.run(args.toArray(String[]::new));
    }

    private JsonNode json(String... more) throws IOException {
        FakeEngines.Result result =
                eval(Stream.concat(Stream.of("--json"), Stream.of(more)).toArray(String[]::new));
        assertEquals(0, result.code(), result.err());
        return new ObjectMapper().readTree(result.out());
    }

    private List<String> rows(JsonNode summary) {
        List<String> rows = new java.util.ArrayList<>();
        summary.get("records")
                .forEach(
                        r ->
                                rows.add(
                                        r.get("method").asText()
                                                + " "
                                                + r.get("size").asText()
                                                + " "
                                                + r.get("setting").asText()
                                                + " "
                                                + r.get("n").intValue()));
        return rows;
    }

    /** Requests that were drawn; planned ones have another prompt. */
    private List<GenerationRequest> drawn() {
        return engines.requests.stream().filter(r -> !r.prompt().equals("a picture")).toList();
    }

    @Test
    void rowsAreMethodsTimesSizesTimesSettings() throws IOException {
        JsonNode summary =
                json(
                        "--methods",
                        "asg,direct",
                        "--sizes",
                        "128x128,256x128:1",
                        "--seeds",
                        "2",
                        "--setting",
                        "whole: --window-conditioning whole",
                        "--setting",
                        "sync: --method asg --staleness 0 --size 128x128");
        assertEquals(
                List.of(
                        "asg 128x128 default 4",
                        "direct 128x128 default 4",
                        "asg 256x128 default 1",
                        "direct 256x128 default 1",
                        "asg 128x128 whole 4",
                        "asg 256x128 whole 1",
                        "asg 128x128 sync 4"),
                rows(summary).stream().toList());
        assertTrue(
                drawn().stream()
                        .anyMatch(
                                r ->
                                        r.windows().conditioning()
                                                == WindowOptions.Conditioning.WHOLE));
        assertTrue(
                drawn().stream()
                        .anyMatch(r -> r.guide().staleness().equals(java.util.OptionalInt.of(0))));
    }

    @Test
    void optionsOfGenerateHoldForAllAndSettingsGoBeyondThem() throws IOException {
        json(
                "--methods",
                "direct",
                "--steps",
                "20",
                "--paper-defaults",
                "--seed",
                "40",
                "--setting",
                "long: --steps 60 --negative-prompt 'no \"text\" here'");
        List<GenerationRequest> drawn = drawn();
        assertEquals(
                List.of(20, 60, 20, 60), drawn.stream().map(r -> r.steps().getAsInt()).toList());
        assertEquals(List.of(40L, 40L, 41L, 41L), drawn.stream().map(r -> r.seed()).toList());
        assertEquals("no \"text\" here", drawn.get(1).negativePrompt());
        assertTrue(drawn.stream().allMatch(GenerationRequest::paperDefaults));
    }

    @Test
    void noDefaultLeavesTheDefaultSettingOut() throws IOException {
        JsonNode summary =
                json("--no-default", "--methods", "asg", "--setting", "a: --staleness 0");
        assertEquals(List.of("asg 128x128 a 2"), rows(summary));
    }

    @Test
    void theBundlesPromptsAndTwiceNativeAreTheDefault() throws IOException {
        FakeEngines.Result result =
                engines.run(
                        "eval",
                        "--out",
                        folder.resolve("out").toString(),
                        "--methods",
                        "direct",
                        "--sizes",
                        "128x128:2");
        assertEquals(0, result.code(), result.err());
        assertEquals(
                List.of("a pink cone on water", "a yellow cube at night"),
                drawn().stream().map(GenerationRequest::prompt).toList());
    }

    @Test
    void printsTheTableAndWhereThePageIs() {
        FakeEngines.Result result = eval("--methods", "direct");
        assertEquals(0, result.code(), result.err());
        assertTrue(result.out().startsWith("method"), result.out());
        assertTrue(result.out().contains("index.html"), result.out());
        assertTrue(result.out().endsWith("pareto.svg" + System.lineSeparator()), result.out());
        assertTrue(result.err().contains("eval: 0 of 2"), result.err());
        assertEquals(0, engines.open, "engine closed");
    }

    @Test
    void progressIsABarOnATerminal() {
        FakeEngines.Result result =
                engines.run(
                        true,
                        "eval",
                        "--out",
                        folder.resolve("out").toString(),
                        "--prompts",
                        prompts.toString(),
                        "--methods",
                        "direct",
                        "--sizes",
                        "128x128");
        assertTrue(result.err().contains("] 1/2"), result.err());
        assertTrue(result.err().contains("direct 128x128 default"), result.err());
    }

    @Test
    void measuresWithoutDrawing() throws IOException {
        json("--methods", "direct");
        int drawn = drawn().size();
        JsonNode again = json("--measure-only");
        assertEquals(List.of("direct 128x128 default 2"), rows(again));
        assertEquals(drawn, drawn().size());
    }

    @Test
    void cancelledSaysHowToGoOn() {
        engines.failure = new CancelledException("cancelled in step 3 of 50");
        FakeEngines.Result result = eval("--methods", "direct");
        assertEquals(130, result.code());
        assertTrue(
                result.err().contains("stopped after 0 of 2 pictures")
                        && result.err().contains("the same command goes on"),
                result.err());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "--setting | nonsense | NAME: OPTIONS",
                "--setting | a: --stale 1 | setting 'a': Unknown option",
                "--setting | a: --staleness x | setting 'a'",
                "--setting | a: --prompt x | --prompts",
                "--setting | a: --seed 3 | --seed",
                "--setting | a/b: --staleness 1 | cannot name a setting",
                "--methods | asg,nope | 'nope' is not one of",
                "--sizes | 128x128:0 | 0 pictures",
                "--sizes | 128 | is no size",
                "--seeds | 0 | between 1 and",
                "--method | asg | --methods",
                "--size | 128x128 | --sizes",
                "--prompt | x | --prompts",
                "--features | /nowhere/f.onnx | /nowhere/f.onnx",
                "--truth | /nowhere | /nowhere",
                "--clip | /nowhere | /nowhere",
            })
    void badOptions(String option, String value, String said) {
        FakeEngines.Result result = eval(option, value);
        assertTrue(result.code() == 2 || result.code() == 3, result.code() + " " + result.err());
        assertTrue(result.err().contains(said), result.err());
        assertEquals(List.of(), drawn());
    }

    @Test
    void missingAndEmptyPromptFilesAreRefused() throws IOException {
        Files.writeString(prompts, "\n \n");
        assertTrue(eval().err().contains("holds no prompt"));
        Files.delete(prompts);
        FakeEngines.Result result = eval();
        assertEquals(2, result.code());
        assertTrue(result.err().contains("one prompt a line"), result.err());
    }

    /** Among all methods those that cannot be done are left out; one that was named is an error. */
    @Test
    void methodsTheBundleCannotDrawAreLeftOutUnlessNamed() throws IOException {
        engines.unplannable.put("direct", new BadRequestException("the bundle has no file for it"));
        JsonNode all = json();
        assertEquals(List.of("asg 128x128 default 2"), rows(all));
        FakeEngines.Result named = eval("--methods", "direct");
        assertEquals(2, named.code());
        assertTrue(named.err().contains("the bundle has no file for it"), named.err());
    }
}
