// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions;
import io.github.asg4j.PictureReport;
import io.github.asg4j.PlanReport;
import io.github.asg4j.PromptFolders;
import io.github.asg4j.PromptOptions;
import io.github.asg4j.Region;
import io.github.asg4j.Tiny;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.image.Npy;
import io.github.asg4j.image.PngParameters;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Prompts in AUTOMATIC1111's syntax, drawn by the demo model, whose chunks have 30 tokens. */
class PromptSyntaxTest {
    private static final int LENGTH = 32;
    private static final int WIDTH = 128;
    private static final PromptOptions A1111 =
            PromptOptions.DEFAULT.withSyntax(PromptOptions.Syntax.A1111);

    private static Engine engine;

    @TempDir Path folder;

    @BeforeAll
    static void open() {
        engine = Engine.open(EngineOptions.DEFAULT.withDevices("cpu:2"));
    }

    @AfterAll
    static void close() {
        engine.close();
    }

    private static GenerationRequest.Builder request(String prompt) {
        return GenerationRequest.builder(prompt).seed(1).size(256, 256).steps(4).prompts(A1111);
    }

    private static String draw(GenerationRequest.Builder request) {
        return engine.submit(request.build()).join().report().pixelsSha256();
    }

    private MemorySegment hidden(GenerationRequest.Builder request, Arena memory, long... shape)
            throws IOException {
        Path dump = Files.createTempDirectory(folder, "dump");
        draw(request.method("direct").steps(2).dumpDirectory(dump));
        Npy.Array array = Npy.read(dump.resolve("text_hidden.npy"), Npy.Type.FLOAT32, memory);
        assertArrayEquals(shape, array.shape());
        return array.data();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "a red ball on grass",
                "a (red:1.0) ball on grass",
                "a [red|red] [ball:ball:0.5] on grass",
                "[a blue cube:a red ball on grass:0]"
            })
    void whatChangesNothingDrawsThePlainPicture(String prompt) {
        String plain = draw(request("a red ball on grass").prompts(PromptOptions.DEFAULT));
        assertEquals(plain, draw(request(prompt)));
    }

    @Test
    void weightsAndSchedulesChangeThePicture() {
        String plain = draw(request("a red ball on grass"));
        for (String prompt :
                List.of(
                        "a (red:1.4) ball on grass",
                        "a red ball BREAK on grass",
                        "a [red:blue:0.5] ball on grass",
                        "a [red|blue] ball on grass")) {
            assertNotEquals(plain, draw(request(prompt)), prompt);
        }
    }

    /** The words of a chunk are encoded as if they were a prompt by themselves, in both rows. */
    @Test
    void chunksFollowEachOther() throws IOException {
        try (Arena memory = Arena.ofConfined()) {
            MemorySegment two =
                    hidden(
                            request("a red ball BREAK on grass").negativePrompt("blue"),
                            memory,
                            3,
                            2 * LENGTH,
                            WIDTH);
            MemorySegment first =
                    hidden(request("a red ball").negativePrompt("blue"), memory, 3, LENGTH, WIDTH);
            MemorySegment second = hidden(request("on grass"), memory, 3, LENGTH, WIDTH);
            MemorySegment empty =
                    hidden(request("BREAK").negativePrompt("x"), memory, 3, LENGTH, WIDTH);
            long bytes = 4L * LENGTH * WIDTH;
            assertEquals(-1, two.asSlice(0, bytes).mismatch(first.asSlice(0, bytes)));
            assertEquals(-1, two.asSlice(bytes, bytes).mismatch(empty.asSlice(bytes, bytes)));
            assertEquals(-1, two.asSlice(2 * bytes, bytes).mismatch(first.asSlice(bytes, bytes)));
            assertEquals(-1, two.asSlice(3 * bytes, bytes).mismatch(second.asSlice(bytes, bytes)));
        }
    }

    @Test
    void nothingIsCutOfALongPrompt() {
        String longPrompt = "a red ball on grass, ".repeat(30);
        PictureReport plain =
                engine.submit(
                                request(longPrompt)
                                        .prompts(PromptOptions.DEFAULT)
                                        .method("direct")
                                        .build())
                        .join()
                        .report();
        assertTrue(plain.cut().prompt().length() > 100);
        PictureReport chunked =
                engine.submit(request(longPrompt).method("direct").build()).join().report();
        assertEquals("", chunked.cut().prompt());
        BadRequestException tooLong =
                assertThrows(
                        BadRequestException.class,
                        () -> engine.plan(request(longPrompt.repeat(10)).build()));
        assertTrue(tooLong.getMessage().contains("at most 32"), tooLong.getMessage());
    }

    /** A schedule has a segment of rows for each of its texts, the same for all numbers of workers. */
    @Test
    void segmentsFollowTheSteps() throws IOException {
        try (Arena memory = Arena.ofConfined()) {
            MemorySegment all = hidden(request("a [red:blue:0.5] ball"), memory, 6, LENGTH, WIDTH);
            long bytes = 4L * LENGTH * WIDTH;
            MemorySegment red = hidden(request("a red ball"), memory, 3, LENGTH, WIDTH);
            MemorySegment blue = hidden(request("a blue ball"), memory, 3, LENGTH, WIDTH);
            assertEquals(-1, all.asSlice(bytes, bytes).mismatch(red.asSlice(bytes, bytes)));
            assertEquals(-1, all.asSlice(4 * bytes, bytes).mismatch(blue.asSlice(bytes, bytes)));
        }
        String two = draw(request("a [red|blue] ball [on grass:0.5]"));
        try (Engine one = Engine.open(EngineOptions.DEFAULT.withDevices("cpu:1"))) {
            GenerationRequest same = request("a [red|blue] ball [on grass:0.5]").build();
            assertEquals(two, one.submit(same).join().report().pixelsSha256());
        }
    }

    /** Tokens of attention maps are counted over all chunks; a weight of 0 takes one out. */
    @Test
    void maskTokensAreThoseOfAllChunks() {
        BadRequestException e =
                assertThrows(BadRequestException.class, () -> draw(masked("red BREAK ball", 2)));
        assertEquals("mask token 2 is not there: the prompt has tokens 0 to 1", e.getMessage());
        assertNotEquals(draw(masked("red BREAK ball", 0)), draw(masked("red BREAK ball", 1)));
    }

    private static GenerationRequest.Builder masked(String prompt, int token) {
        GuideOptions guide =
                GuideOptions.DEFAULT.withMask(GuideOptions.Mask.KEY).withMaskTokens(List.of(token));
        return request(prompt).options(MethodOptions.AsgOptions.DEFAULT.withGuide(guide));
    }

    @Test
    void clipSkipChangesThePicture() {
        String plain = draw(request("a red ball").prompts(PromptOptions.DEFAULT));
        assertEquals(
                plain, draw(request("a red ball").prompts(PromptOptions.DEFAULT.withClipSkip(1))));
        assertNotEquals(
                plain, draw(request("a red ball").prompts(PromptOptions.DEFAULT.withClipSkip(2))));
        BadRequestException e =
                assertThrows(
                        BadRequestException.class,
                        () ->
                                draw(
                                        request("a red ball")
                                                .prompts(PromptOptions.DEFAULT.withClipSkip(3))));
        assertEquals("--clip-skip 3: the text encoder has 2 layers, choose 1 to 2", e.getMessage());
    }

    /** The file holds the demo's own vector of "red". */
    @Test
    void embeddingsAreWords() throws IOException {
        EngineOptions options =
                EngineOptions.DEFAULT
                        .withDevices("cpu:2")
                        .withFolders(new PromptFolders(null, Tiny.resource("prompts")));
        String expected = draw(request("a red ball on grass"));
        assertNotEquals(expected, draw(request("a zzred ball on grass")));
        try (Engine other = Engine.open(options)) {
            GenerationRequest named = request("a ZZred ball on grass").build();
            PictureReport report = other.submit(named).join().report();
            assertEquals(expected, report.pixelsSha256());
            String sha256 = Content.file(Tiny.resource("prompts/zzred.safetensors")).sha256();
            assertEquals(
                    List.of(new PictureReport.AppliedEmbedding("zzred", sha256)),
                    report.embeddings());
            assertTrue(
                    PngParameters.text(report)
                            .contains("TI hashes: \"zzred: " + sha256.substring(0, 12) + "\""));
            GenerationRequest none = request("a red ball on grass").build();
            assertEquals(List.of(), other.submit(none).join().report().embeddings());
            GenerationRequest plain =
                    request("a zzred ball on grass").prompts(PromptOptions.DEFAULT).build();
            assertNotEquals(expected, other.submit(plain).join().report().pixelsSha256());
        }
    }

    @Test
    void aLoraOfThePromptIsOfTheFolder() {
        BadRequestException e =
                assertThrows(
                        BadRequestException.class,
                        () -> engine.plan(request("cat <lora:style:0.8>").build()));
        assertTrue(e.getMessage().contains("--lora-folder"), e.getMessage());
        e =
                assertThrows(
                        BadRequestException.class,
                        () ->
                                engine.plan(
                                        request("cat").negativePrompt("<lora:style:0.8>").build()));
        assertTrue(e.getMessage().contains("no negative"), e.getMessage());
    }

    @Test
    void wrongSyntaxIsRefusedAtOnce() {
        assertThrows(BadRequestException.class, () -> engine.plan(request("cat AND dog").build()));
        assertThrows(
                BadRequestException.class,
                () -> engine.submit(request("cat").negativePrompt("(a:1.2.3)").build()));
    }

    /** Embeddings are kept once, and copied into each worker's inputs: two rows with guidance. */
    @Test
    void thePlanSaysWhatPromptsTake() throws IOException {
        PlanReport one = plan("a red ball on grass");
        PlanReport three = plan("a red ball BREAK on BREAK grass");
        assertEquals(new PlanReport.Text(1, LENGTH, 3), one.text());
        assertEquals(new PlanReport.Text(3, 3 * LENGTH, 3), three.text());
        assertEquals(one.unetRuns(), three.unetRuns());
        long chunk = 4L * LENGTH * (WIDTH + 1);
        assertEquals((3 + 2 * 2) * 2 * chunk, three.memory().workers() - one.memory().workers());
        assertEquals(new PlanReport.Text(1, LENGTH, 6), plan("a [red|blue] ball").text());
        PlanReport region =
                engine.plan(
                        request("grass")
                                .method("multidiffusion")
                                .options(
                                        MethodOptions.MultiDiffusionOptions.DEFAULT.withWindows(
                                                WindowOptions.DEFAULT.withRegions(
                                                        List.of(
                                                                Region.parse(
                                                                        "0,0,128,256: a ball")))))
                                .build());
        assertEquals(new PlanReport.Text(1, LENGTH, 4), region.text());
        PromptOptions skip = PromptOptions.DEFAULT.withClipSkip(2);
        try (Engine tiny = Engine.open(Tiny.options(1))) {
            PlanReport skips = tiny.plan(Tiny.request().prompts(skip).build());
            PlanReport usual = tiny.plan(Tiny.request().build());
            assertEquals(
                    Files.size(Tiny.bundle().resolve("text_encoder.onnx")),
                    skips.memory().weights() - usual.memory().weights());
        }
    }

    private static PlanReport plan(String prompt) {
        return engine.plan(request(prompt).method("multidiffusion").build());
    }
}
