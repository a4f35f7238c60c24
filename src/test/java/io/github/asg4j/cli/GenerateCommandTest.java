// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PictureReport;
import io.github.asg4j.PromptOptions.Syntax;
import io.github.asg4j.ReportJson;
import io.github.asg4j.Reports;
import io.github.asg4j.Size;
import io.github.asg4j.Variation;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

import javax.imageio.ImageIO;

/** What generate prints where, and which files it leaves. */
class GenerateCommandTest {
    @TempDir Path folder;

    private final FakeEngines engines = new FakeEngines();

    private FakeEngines.Result draw(boolean terminal, String... more) {
        boolean elsewhere = List.of(more).contains("--out");
        String[] args = {
            "generate",
            "--prompt",
            "a red ball",
            "--seed",
            "7",
            elsewhere ? "--quiet" : "--out=" + file()
        };
        return engines.run(
                terminal, Stream.concat(Stream.of(args), Stream.of(more)).toArray(String[]::new));
    }

    private Path file() {
        return folder.resolve("a.png");
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.toList();
        }
    }

    @Test
    void writesThePicture() throws IOException {
        FakeEngines.Result result = draw(false, "--size", "24x16");
        assertEquals(0, result.code(), result.err());
        assertEquals(24, ImageIO.read(file().toFile()).getWidth());
        assertTrue(
                result.out().matches(".*a\\.png: 24x16, asg, seed 7, \\d+\\.\\d s\\R"),
                result.out());
        assertEquals(List.of(file()), files());
        assertEquals(0, engines.open, "engine closed");
    }

    @Test
    void progressIsALinePerStageWithoutATerminal() {
        assertEquals("stage1: 3 of 3, 3.0 s\nvae: 1 of 1, 4.0 s\n", draw(false).err());
    }

    @Test
    void progressIsABarThatIsErasedOnATerminal() {
        String err = draw(true).err();
        assertFalse(err.contains("\n"), err);
        assertTrue(err.contains("stage1  [##########--------------------] 1/3  1.0 s"), err);
        assertTrue(err.endsWith("\r"), err);
        String last = err.substring(0, err.length() - 1);
        assertTrue(last.substring(last.lastIndexOf('\r')).isBlank(), err);
    }

    @Test
    void quietPrintsTheFileOnly() {
        for (boolean terminal : new boolean[] {false, true}) {
            assertEquals(
                    new FakeEngines.Result(0, file() + System.lineSeparator(), ""),
                    draw(terminal, "--quiet"));
        }
    }

    @Test
    void jsonIsOneObjectAndNothingElse() throws IOException {
        engines.change = r -> Reports.with(r, new PictureReport.Cut("röt", ""));
        FakeEngines.Result result = draw(false, "--json");
        JsonNode json = new ObjectMapper().readTree(result.out());
        List<String> names = new ArrayList<>();
        json.fieldNames().forEachRemaining(names::add);
        List<String> expected = new ArrayList<>(List.of("file"));
        PictureReport report = Reports.picture(engines.request(), new Size(16, 8));
        expected.addAll(ReportJson.map(report).keySet());
        assertEquals(expected, names);
        assertEquals(file().toString(), json.get("file").asText());
        assertEquals(7, json.get("seed").asLong());
        assertEquals("röt", json.get("prompt_cut").asText());
        assertEquals(12.5, json.get("times_ms").get("unet").asDouble());
        for (String time : List.of("load", "total", "png")) {
            assertNotNull(json.get("times_ms").get(time), time);
            assertTrue(json.get("times_ms").get(time).asDouble() >= 0, time);
        }
        assertTrue(result.out().chars().allMatch(c -> c < 128), "ASCII");
        assertEquals(1, result.out().lines().count());
        assertTrue(result.err().startsWith("stage1"), "progress goes to standard error");
    }

    @Test
    void traceIsOfChromesFormat() throws IOException {
        Path trace = folder.resolve("trace.json");
        FakeEngines.Result result = draw(false, "--trace", trace.toString());
        assertEquals(0, result.code(), result.err());
        assertTrue(
                result.err()
                        .endsWith(
                                "gpu: 1 network runs of 0.08 ms (median), 26.7 % of its time;"
                                        + " kernels and exchange 40.00 %, idle 33.33 %\n"),
                result.err());
        List<String> spans = new ArrayList<>();
        JsonNode events = new ObjectMapper().readTree(trace.toFile()).get("traceEvents");
        for (JsonNode event : events) {
            if (event.get("ph").asText().equals("X")) {
                spans.add(
                        event.get("tid").asInt()
                                + " "
                                + event.get("name").asText()
                                + " "
                                + event.get("ts").asDouble()
                                + " "
                                + event.get("dur").asDouble());
            }
        }
        assertEquals(
                List.of(
                        "0 stage1 1000000.0 2000000.0",
                        "0 vae 3000000.0 1000000.0",
                        "1 stage1 1 0.0 100.0",
                        "1 network 10.0 80.0",
                        "1 stage1 1 200.0 100.0"),
                spans);
    }

    @Test
    void traceAndPictureAreTwoFiles() throws IOException {
        FakeEngines.Result result = draw(false, "--trace", folder + "/./a.png");
        assertEquals(2, result.code());
        assertTrue(result.err().contains("--trace and --out name the same file"), result.err());
        assertEquals(List.of(), files());
    }

    @Test
    void cutPromptIsSaid() {
        engines.change = r -> Reports.with(r, new PictureReport.Cut("on a long, long lawn", ""));
        FakeEngines.Result result = draw(false, "--quiet", "--json");
        assertEquals(
                "asg: warning: the prompt is longer than a text encoder of the model takes; it has"
                        + " not read this: \"on a long, long lawn\"\n",
                result.err());
    }

    @Test
    void lostDeviceIsSaid() {
        engines.change =
                r ->
                        Reports.with(
                                r,
                                new PictureReport.Devices(
                                        List.of("cpu#0"), List.of("cpu#1"), 1, "java"));
        assertTrue(draw(false).err().contains("warning: lost in the middle"), "said");
    }

    @Test
    void outputIsCheckedBeforeTheEngineOpens() {
        FakeEngines.Result result = draw(false, "--out", folder.resolve("none/a.png").toString());
        assertEquals(5, result.code());
        assertTrue(result.err().contains("does not exist"), result.err());
        assertEquals(List.of(), engines.options);
    }

    @Test
    void folderThatGoesAwayIsAnOutputFailure() throws IOException {
        engines.whileDrawing =
                () -> {
                    try {
                        Files.delete(folder);
                        Files.writeString(folder, "in the way");
                    } catch (IOException e) {
                        throw new AssertionError(e);
                    }
                };
        FakeEngines.Result result = draw(false);
        assertEquals(5, result.code(), result.err());
        assertTrue(result.err().contains("cannot write"), result.err());
        Files.delete(folder);
        Files.createDirectory(folder);
    }

    @Test
    void randomSeedIsPrintedAndNamesTheFile() throws IOException {
        String name = "un-cafe-rouge-4000000000.png";
        Path expected = Path.of(name);
        assertFalse(Files.exists(expected), "left over: " + expected.toAbsolutePath());
        try {
            FakeEngines.Result result =
                    engines.run("generate", "--prompt", "Un café… rouge!", "--quiet");
            assertEquals(name + System.lineSeparator(), result.out());
            assertEquals(FakeEngines.SEED, engines.request().seed());
            assertTrue(Files.exists(expected));
        } finally {
            Files.deleteIfExists(expected);
        }
    }

    @Test
    void promptWithoutLatinLettersNamesAFileToo() throws IOException {
        boolean unicode = "UTF-8".equals(System.getProperty("sun.jnu.encoding"));
        Path expected = Path.of((unicode ? "红球" : "picture") + "-12345.png");
        try {
            engines.run("generate", "--prompt", "红球", "--seed", "12345", "--quiet");
            assertTrue(Files.exists(expected));
        } finally {
            Files.deleteIfExists(expected);
        }
    }

    /** The first bytes tell what was written. */
    private int firstByte(String name) throws IOException {
        return Files.readAllBytes(folder.resolve(name))[0] & 255;
    }

    @Test
    void writesWhatTheNameSays() throws IOException {
        assertEquals(0, draw(false, "--out", folder.resolve("a.jpg").toString()).code());
        assertEquals(0xFF, firstByte("a.jpg"));
        assertEquals(24, ImageIO.read(jpegOf24().toFile()).getWidth());
        assertEquals(0, draw(false, "--out", folder.resolve("a.webp").toString()).code());
        assertEquals('R', firstByte("a.webp"));
        FakeEngines.Result gif = draw(false, "--out", folder.resolve("a.gif").toString());
        assertEquals(2, gif.code());
        assertTrue(gif.err().contains("name it .png, .jpg or .webp"), gif.err());
    }

    @Test
    void losslessIsOfWebp() throws IOException {
        draw(false, "--out", folder + "/a.webp");
        draw(false, "--out", folder + "/b.webp", "--lossless");
        byte[] lossless = Files.readAllBytes(folder.resolve("b.webp"));
        assertEquals("VP8L", new String(lossless, 30, 4, StandardCharsets.US_ASCII));
        byte[] usual = Files.readAllBytes(folder.resolve("a.webp"));
        assertEquals("VP8 ", new String(usual, 30, 4, StandardCharsets.US_ASCII));
        for (String[] wrong :
                new String[][] {
                    {"png", "gets a PNG, which keeps every pixel anyway"},
                    {"jpg", "gets a JPEG, which never keeps every pixel"},
                }) {
            FakeEngines.Result result =
                    draw(false, "--out", folder + "/c." + wrong[0], "--lossless");
            assertEquals(2, result.code());
            assertTrue(result.err().contains(wrong[1]), result.err());
        }
        assertTrue(
                draw(false, "--out", folder + "/c.webp", "--lossless", "--quality", "9")
                        .err()
                        .contains("exclude each other"));
    }

    @Test
    void aPictureThatWebpCannotHoldIsRefusedBeforeItIsDrawn() {
        int before = engines.requests.size();
        FakeEngines.Result result = draw(false, "--out", folder + "/a.webp", "--size", "16384x16");
        assertEquals(5, result.code(), result.err());
        assertTrue(
                result.err()
                        .contains(
                                "16384x16 pixels cannot be written as webp, which has at most"
                                        + " 16383"),
                result.err());
        assertEquals(before, engines.requests.size());
    }

    private Path jpegOf24() {
        Path file = folder.resolve("b.jpeg");
        assertEquals(0, draw(false, "--size", "24x16", "--out", file.toString()).code());
        return file;
    }

    @Test
    void aFolderGetsNumberedDefaultNames() throws IOException {
        draw(false, "--out", folder.toString());
        draw(false, "--out", folder + "/");
        assertEquals(0x89, firstByte("a-red-ball-7.png"));
        assertEquals(0x89, firstByte("a-red-ball-7-2.png"));
    }

    @Test
    void severalSeedsAreSeveralFiles() throws IOException {
        FakeEngines.Result result =
                engines.run(
                        false,
                        "generate",
                        "--prompt",
                        "a red ball",
                        "--seeds",
                        "1,4..5",
                        "--quiet",
                        "--out",
                        folder + "/{prompt}-{seed}.jpg");
        assertEquals(0, result.code(), result.err());
        assertEquals(
                List.of(
                        folder.resolve("a-red-ball-1.jpg"),
                        folder.resolve("a-red-ball-4.jpg"),
                        folder.resolve("a-red-ball-5.jpg")),
                files().stream().sorted().toList());
        assertEquals(0xFF, firstByte("a-red-ball-4.jpg"));

        result = draw(false, "--out", folder.toString(), "--count", "2", "--json");
        assertEquals(0, result.code(), result.err());
        List<Long> seeds = new ArrayList<>();
        for (String line : result.out().lines().toList()) {
            seeds.add(new ObjectMapper().readTree(line).path("seed").asLong());
        }
        assertEquals(List.of(7L, 8L), seeds);
    }

    @Test
    void severalPicturesNeedSeveralNames() throws IOException {
        FakeEngines.Result result = draw(false, "--count", "3");
        assertEquals(2, result.code());
        assertTrue(result.err().contains("names one file for 3 pictures"), result.err());
        assertTrue(draw(false, "--seeds", "1,2").err().contains("leave out --seed and --count"));
        assertEquals(2, draw(false, "--count", "0").code());
        result = draw(false, "--out", folder.toString(), "--count", "2", "--trace", folder + "/t");
        assertTrue(result.err().contains("--trace and --dump are of one picture"), result.err());
        assertEquals(List.of(), files());
    }

    @Test
    void qualityIsOfJpegAndWebp() throws IOException {
        draw(false, "--out", folder + "/10.jpg", "--quality", "10");
        draw(false, "--out", folder + "/usual.jpg");
        draw(false, "--out", folder + "/95.jpg", "--quality", "95");
        byte[] usual = Files.readAllBytes(folder.resolve("usual.jpg"));
        assertTrue(Files.size(folder.resolve("10.jpg")) < usual.length);
        assertArrayEquals(usual, Files.readAllBytes(folder.resolve("95.jpg")));
        draw(false, "--out", folder + "/10.webp", "--quality", "10");
        draw(false, "--out", folder + "/95.webp");
        assertTrue(Files.size(folder.resolve("10.webp")) < Files.size(folder.resolve("95.webp")));
        assertTrue(draw(false, "--quality", "90").err().contains("--quality is of JPEG and WebP"));
        assertEquals(2, draw(false, "--out", folder + "/a.jpg", "--quality", "101").code());
    }

    @Test
    void standardOutputTakesThePictureOrTheJson() {
        assertTrue(draw(false, "--out", "-").out().contains("PNG"));
        assertEquals(2, draw(false, "--out", "-", "--json").code());
    }

    @Test
    void syntaxOfOtherProgramsIsSaid() {
        assertEquals(
                List.of("(red:1.3)"),
                PromptSyntax.in("a (red:1.3) ball (on grass), 3:1 (at noon)", Syntax.PLAIN));
        assertEquals(
                List.of("<lora:x:0.8>", "((x))", "[a:b:0.5]", "BREAK", "embedding:bad"),
                PromptSyntax.in("<lora:x:0.8> ((x)) [a:b:0.5] BREAK embedding:bad", Syntax.PLAIN));
        assertEquals(List.of(), PromptSyntax.in("NO BREAK AND (QUIET)", Syntax.PLAIN));
        assertEquals(
                List.of("embedding:bad", "{a|b}"),
                PromptSyntax.in("((x)) BREAK {a|b} embedding:bad", Syntax.A1111));
        assertEquals(
                List.of(
                        "the prompt has syntax of other programs that is taken as plain text:"
                                + " ((x)); --prompt-syntax a1111 applies AUTOMATIC1111's"),
                PromptSyntax.warnings("prompt", "an ((x))", Syntax.PLAIN));
        assertEquals(
                List.of(
                        "the prompt has syntax of other programs that is taken as plain text:"
                                + " {a|b}"),
                PromptSyntax.warnings("prompt", "{a|b}", Syntax.PLAIN));
    }

    @Test
    void variationsAreCountedOnAndTheSeedStays() throws IOException {
        String[] vary = {"--variation-seed", "5", "--variation-strength", "0.25", "--count", "2"};
        List<String> all = new ArrayList<>(List.of("--out", folder.toString(), "--json"));
        all.addAll(List.of(vary));
        FakeEngines.Result result = draw(false, all.toArray(String[]::new));
        assertEquals(0, result.code(), result.err());
        assertEquals(
                List.of(new Variation(5L, 0.25), new Variation(6L, 0.25)),
                engines.requests.stream().map(GenerationRequest::variation).toList());
        assertEquals(7, engines.requests.getLast().seed());
        JsonNode json = new ObjectMapper().readTree(result.out().lines().findFirst().orElseThrow());
        assertEquals(5, json.path("variation_seed").asInt());
        assertTrue(json.path("file").asText().endsWith("-7-5.png"), json::toString);
        all.set(1, folder + "/{seed}.png");
        assertTrue(
                draw(false, all.toArray(String[]::new)).err().contains("{variation} where only"));
        draw(false, "--variation-seed", "-1", "--variation-strength", "0.5", "--out", folder + "/");
        assertEquals(new Variation(FakeEngines.SEED, 0.5), engines.requests.getLast().variation());
    }
}
