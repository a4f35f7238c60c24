// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.Lora;
import io.github.asg4j.Reports;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Which pictures the options of batch ask for, what it prints, and how it ends. */
class BatchCommandTest {
    @TempDir Path folder;
    private final FakeEngines engines = new FakeEngines();
    private Path rows;

    @BeforeEach
    void rows() throws IOException {
        rows = Files.writeString(folder.resolve("rows.txt"), "a red ball\na blue cube\n");
    }

    private FakeEngines.Result batch(String... more) {
        return batch(false, more);
    }

    private FakeEngines.Result batch(boolean terminal, String... more) {
        List<String> args = new ArrayList<>(List.of("batch", "--in", rows.toString()));
        args.addAll(List.of("--out", folder.resolve("out").toString()));
        args.addAll(List.of(more));
        return engines.run(terminal, args.toArray(String[]::new));
    }

    @Test
    void drawsEachRowAndSaysWhatThereIs() {
        FakeEngines.Result result = batch("--steps", "7", "--seed", "3");
        assertEquals(0, result.code(), result.err());
        assertTrue(
                result.out().startsWith(folder.resolve("out") + ": 2 pictures; 2 drawn now in "),
                result.out());
        assertTrue(result.err().contains("batch: 0 of 2"), result.err());
        assertEquals(List.of(3L, 3L), engines.requests.stream().map(r -> r.seed()).toList());
        assertEquals(7, engines.requests.getFirst().steps().getAsInt());
        assertEquals(0, engines.open, "engine closed");
        FakeEngines.Result again = batch("--steps", "7", "--seed", "3");
        assertEquals(folder.resolve("out") + ": 2 pictures; 0 drawn now", again.out().strip());
        assertEquals(2, engines.requests.size());
    }

    @Test
    void drawsSettingsByMethodsBySeeds() {
        FakeEngines.Result result =
                batch(
                        "--methods",
                        "asg,direct",
                        "--seeds",
                        "2",
                        "--staleness",
                        "0",
                        "--setting",
                        "plain:",
                        "--setting",
                        "few: --steps 3 --negative-prompt 'no text'");
        assertEquals(0, result.code(), result.err());
        assertEquals(16, engines.requests.size());
        assertEquals(
                List.of("asg", "asg", "direct", "direct"),
                engines.requests.subList(4, 8).stream().map(r -> r.method()).toList());
        assertEquals("no text", engines.requests.get(4).negativePrompt());
        assertTrue(result.out().contains(": 16 pictures"), result.out());
    }

    @Test
    void printsJsonLines() throws IOException {
        FakeEngines.Result result = batch("--json");
        String[] lines = result.out().split("\n");
        JsonNode last = new ObjectMapper().readTree(lines[lines.length - 1]);
        assertEquals(2, last.get("done").intValue());
        assertEquals(2, last.get("drawn").intValue());
        assertTrue(last.get("finished").booleanValue());
        assertTrue(last.get("pictures_per_second").doubleValue() > 0);
        JsonNode first = new ObjectMapper().readTree(lines[0]);
        assertFalse(first.has("finished") || first.has("seconds_left"), lines[0]);
    }

    @Test
    void progressIsABarOnATerminal() {
        String err = batch(true).err();
        assertTrue(err.contains("[###############---------------] 1/2, "), err);
        assertTrue(err.endsWith("\r"), err);
    }

    @Test
    void picturesThatCannotBeDrawnHaveAnExitCodeOfTheirOwn() {
        engines.failure = new BadRequestException("too large");
        FakeEngines.Result result = batch();
        assertEquals(ExitCode.PICTURES, result.code(), result.err());
        assertTrue(result.out().contains("2 pictures, 2 errors (see records.jsonl)"), result.out());
        assertEquals(ExitCode.PICTURES, batch().code(), "and when nothing is left to do");
    }

    @Test
    void failFastEndsWithTheFailure() {
        engines.failure = new BadRequestException("too large");
        FakeEngines.Result result = batch("--fail-fast");
        assertEquals(ExitCode.ARGUMENTS, result.code());
        assertTrue(result.err().contains("failed after 0 of 2 pictures, which are kept"));
        assertTrue(result.err().contains("asg: row 1: too large"), result.err());
    }

    @Test
    void aLostDeviceStopsAndSaysHowToGoOn() {
        engines.failure = new DeviceException("cuda:0 is lost");
        FakeEngines.Result result = batch();
        assertEquals(ExitCode.DEVICE, result.code());
        assertTrue(result.err().contains("the same command goes on from there"), result.err());
    }

    @Test
    void cancelledSaysHowToGoOn() {
        engines.failure = new CancelledException("cancelled in step 3 of 50");
        FakeEngines.Result result = batch();
        assertEquals(130, result.code());
        assertTrue(result.err().contains("stopped after 0 of 2 pictures"), result.err());
    }

    @Test
    void shardsHaveFoldersOfTheirOwn() {
        assertEquals(0, batch("--shard", "1/2").code());
        assertEquals("a blue cube", engines.request().prompt());
        assertTrue(Files.exists(folder.resolve("out/shard-0001-of-0002/records.jsonl")));
    }

    @Test
    void theModelIsOpenedWithTheLorasOfAllRows() {
        batch("--lora", rows + ":0.5");
        assertEquals(List.of(new Lora(rows, 0.5)), engines.options.getFirst().loras());
        assertEquals(List.of(new Lora(rows, 0.5)), engines.requests.getFirst().loras());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "--in | none.txt | does not exist",
                "--in | pom.xml | ends in none of",
                "--shard | 2/2 | counted from 0",
                "--seeds | 0 | between 1 and",
                "--methods | asg,nope | 'nope' is not one of",
                "--format | zip | 'zip' is not one of files, tar, parquet",
                "--encoding | gif | 'gif' is not one of png, jpeg, webp",
                "--quality | 5 | --encoding png gets a PNG",
                "--lossless | | --encoding png gets a PNG",
                "--pictures-per-file | 5 | goes with --format tar or parquet",
                "--setting | nonsense | NAME: OPTIONS",
                "--setting | a: --stale 1 | setting 'a': Unknown option",
                "--setting | a: --staleness x | setting 'a'",
                "--setting | a: --seed 3 | setting 'a': --seed",
                "--setting | a: --prompt x | setting 'a': --prompt",
                "--steps | 0 | steps",
                "--dump | x | Unknown option",
                "--lora-folder | src | leave out --lora-folder",
            })
    void badOptionsAreRefusedBeforeTheModelIsOpened(String option, String value, String said) {
        FakeEngines.Result result =
                option.equals("--in")
                        ? engines.run("batch", "--out", folder + "/out", "--in", value)
                        : value == null ? batch(option) : batch(option, value);
        assertEquals(2, result.code(), result.err());
        assertTrue(result.err().contains(said), result.err());
        assertEquals(List.of(), engines.options);
        assertFalse(Files.exists(folder.resolve("out")));
    }

    @Test
    void anOptionThatTheModelsMethodDoesNotHaveIsRefusedBeforeTheFolderIsMade() {
        FakeEngines.Result result = batch("--dilate", "mid_block=2");
        assertEquals(2, result.code(), result.err());
        assertTrue(
                result.err()
                        .contains("--dilate is an option of scalecrafter, not of asg, by which"),
                result.err());
        assertFalse(Files.exists(folder.resolve("out")));
        engines.description = Reports.drawing(engines.description, "relay");
        assertEquals(0, batch("--preset", "frecas").code());
        assertEquals("relay", engines.requests.getFirst().method());
    }
}
