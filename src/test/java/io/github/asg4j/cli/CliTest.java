// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.OutputException;
import io.github.asg4j.RequestOptions;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Exit codes, help and the words for misuse: what scripts and newcomers meet first. */
class CliTest {
    /** design.md §7, the options of generate. */
    private static final List<String> GENERATE_OPTIONS =
            List.of(
                    "--prompt",
                    "--negative-prompt",
                    "--size",
                    "--method",
                    "--model",
                    "--steps",
                    "--guidance-scale",
                    "--seed",
                    "--scheduler",
                    "--out",
                    "--json",
                    "--quiet",
                    "--devices",
                    "--view-batch",
                    "--vae-tile",
                    "--threads-per-worker",
                    "--kernels",
                    "--precision",
                    "--max-memory",
                    "--latents",
                    "--dump",
                    "--guide-weight",
                    "--guide-schedule",
                    "--guide-space",
                    "--guide-upsampling",
                    "--mask",
                    "--mask-blocks",
                    "--mask-tokens",
                    "--mask-norm",
                    "--staleness",
                    "--interaction",
                    "--stage1-share",
                    "--window-stride",
                    "--jitter",
                    "--patch-aspect",
                    "--window-weight",
                    "--window-conditioning",
                    "--stage2-guidance-scale",
                    "--object-share",
                    "--background-prompt",
                    "--background-guidance-scale",
                    "--paper-defaults");

    @TempDir Path folder;

    static Stream<Arguments> failures() {
        return Stream.of(
                Arguments.of(new BadRequestException("m"), 2),
                Arguments.of(new BadBundleException("m"), 3),
                Arguments.of(new DeviceException("m"), 4),
                Arguments.of(new OutOfMemoryException("m"), 4),
                Arguments.of(new OutputException("m"), 5),
                Arguments.of(new CancelledException("m"), 130));
    }

    @ParameterizedTest
    @MethodSource("failures")
    void failureOfTheGenerationIsTheExitCode(AsgException failure, int code) {
        FakeEngines engines = new FakeEngines();
        engines.failure = failure;
        FakeEngines.Result result = draw(engines, "--json");
        assertEquals(new FakeEngines.Result(code, "", "asg: m\n"), result);
        assertEquals(0, engines.open, "engine closed");
    }

    @ParameterizedTest
    @MethodSource("failures")
    void failureToOpenIsTheExitCode(AsgException failure, int code) {
        FakeEngines engines = new FakeEngines();
        engines.openFailure = failure;
        assertEquals(new FakeEngines.Result(code, "", "asg: m\n"), draw(engines));
        assertEquals(code, engines.run("plan").code());
    }

    @Test
    void charactersThatJavaCouldNotReadAreRefused() {
        FakeEngines.Result result =
                new FakeEngines().run("generate", "--prompt", "ein gr\uFFFD\uFFFDner Ball");
        assertEquals(2, result.code());
        assertTrue(result.err().contains("U+FFFD"), result.err());
        assertTrue(result.err().contains("LC_ALL=C.UTF-8"), result.err());
    }

    @Test
    void otherExceptionsAreReportedAsBugs() {
        FakeEngines engines = new FakeEngines();
        engines.failure = new IllegalStateException("odd");
        FakeEngines.Result result = draw(engines);
        assertEquals(1, result.code());
        assertTrue(result.err().contains("bug of ours"), result.err());
        assertTrue(result.err().contains("odd"), result.err());
        assertTrue(result.err().contains("report it"), result.err());
        assertFalse(result.err().contains("\tat "), result.err());
        assertTrue(draw(engines, "--verbose").err().contains("\tat "));
        assertTrue(draw(engines, "-v").err().contains("\tat "));
    }

    @Test
    void errorsOfTheJvmAreReportedToo() {
        FakeEngines engines = new FakeEngines();
        engines.whileDrawing =
                () -> {
                    throw new OutOfMemoryError("Java heap space");
                };
        FakeEngines.Result result = draw(engines);
        assertEquals(4, result.code());
        assertTrue(result.err().contains("Java heap"), result.err());
        engines.whileDrawing =
                () -> {
                    throw new UnsatisfiedLinkError("no library");
                };
        assertEquals(1, draw(engines).code());
        assertEquals(0, engines.open, "engine closed");
    }

    private FakeEngines.Result draw(FakeEngines engines, String... more) {
        String[] args = {
            "generate", "--prompt", "a ball", "--out", folder.resolve("a.png").toString(), "--quiet"
        };
        return engines.run(Stream.concat(Stream.of(args), Stream.of(more)).toArray(String[]::new));
    }

    @Test
    void bareCommandPrintsTheHelp() {
        FakeEngines.Result result = new FakeEngines().run();
        assertEquals(0, result.code());
        assertTrue(result.out().startsWith("High-resolution pictures"), result.out());
        assertTrue(result.out().contains("generate"), result.out());
        assertEquals(result, new FakeEngines().run("--help"));
    }

    @Test
    void versionNamesTheJavaToo() {
        FakeEngines.Result result = new FakeEngines().run("--version");
        assertEquals(0, result.code());
        assertTrue(result.out().matches("asg4j \\S+ \\(Java .*\\)\\R"), result.out());
    }

    @Test
    void aPromptWithoutACommandSuggestsGenerate() {
        FakeEngines.Result result = new FakeEngines().run("a red ball on grass");
        assertEquals(2, result.code());
        assertTrue(
                result.err().contains("asg generate --prompt \"a red ball on grass\""),
                result.err());
    }

    @Test
    void misspeltCommandsAndOptionsAreCorrected() {
        FakeEngines.Result command = new FakeEngines().run("generat");
        assertEquals(2, command.code());
        assertTrue(command.err().contains("Did you mean generate?"), command.err());
        FakeEngines.Result option = new FakeEngines().run("generate", "--promt=a ball");
        assertEquals(2, option.code());
        assertTrue(option.err().contains("Did you mean --prompt?"), option.err());
        assertTrue(option.err().contains("Try 'asg generate --help'"), option.err());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "generate",
                "generate --prompt",
                "plan --steps=5 --size=32x16 --steps=6",
                "plan --guide-weight=0.5 --mask=own --guide-weight=0.5",
                "plan --devices=cpu:1 --devices=cpu:2",
                "plan --steps=5 --nothing",
                "plan more"
            })
    void misuseIsBadArguments(String line) {
        FakeEngines.Result result = new FakeEngines().run(line.split(" "));
        assertEquals(2, result.code(), result.err());
        assertEquals("", result.out());
        assertFalse(result.err().contains("bug of ours"), result.err());
    }

    @Test
    void helpOfGenerateNamesEveryOption() {
        FakeEngines.Result result = new FakeEngines().run("generate", "--help");
        assertEquals(0, result.code());
        for (String option : GENERATE_OPTIONS) {
            assertTrue(
                    result.out().matches("(?s).*\\s" + option + "[=\\s].*"),
                    option + " not in help");
        }
        assertFalse(result.out().contains("DEFAULT-VALUE"), result.out());
        assertFalse(result.out().contains("{default}"), result.out());
        assertFalse(result.out().contains("COMPLETION"), result.out());
        assertFalse(result.out().contains("(default: null)"), result.out());
        assertTrue(result.out().lines().allMatch(line -> line.length() <= 100), result.out());
        String words = result.out().replaceAll("\\s+", " ");
        for (String fact :
                List.of(
                        "one of asg, direct",
                        "(default: 2x native)",
                        "(0..10; default: asg: 1.0; cutdiffusion: 0.0)",
                        "the first N (at least 0; default: every)",
                        "latents (default: asg: latent; cutdiffusion: noise)",
                        "--mask-norm=minmax|max|mean-threshold",
                        "Stage 1, patches agree",
                        "asg generate --prompt \"a red ball on grass\"")) {
            assertTrue(words.contains(fact), fact + " not in: " + words);
        }
    }

    @Test
    void planTakesTheOptionsOfGenerate() {
        String help = new FakeEngines().run("plan", "--help").out();
        for (String option : GENERATE_OPTIONS) {
            assertTrue(help.contains(option), option);
        }
    }

    /** A plan with one option, by a method that has it. */
    private static FakeEngines.Result plan(String option, String value) {
        String method =
                RequestOptions.ALL.stream()
                        .filter(o -> option.equals("--" + o.name()))
                        .findFirst()
                        .map(o -> o.methods().contains("asg") ? "asg" : o.methods().getFirst())
                        .orElse("asg");
        FakeEngines engines = new FakeEngines();
        engines.methods.add(method);
        return engines.run("plan", "--method", method, option, value);
    }

    /** The alternatives shown in the help are those that are understood. */
    @Test
    void shownAlternativesAreAccepted() {
        String help = new FakeEngines().run("plan", "--help").out();
        int tried = 0;
        for (String line : help.lines().toList()) {
            String[] words = line.strip().split("[=\\s]+");
            if (!words[0].startsWith("--") || words.length < 2 || words[1].indexOf('|') < 0) {
                continue;
            }
            for (String value : words[1].split("\\|")) {
                if (value.equals(value.toLowerCase(java.util.Locale.ROOT))) {
                    assertEquals(0, plan(words[0], value).code(), line);
                    tried++;
                }
            }
        }
        assertTrue(tried > 20, tried + " tried");
    }
}
