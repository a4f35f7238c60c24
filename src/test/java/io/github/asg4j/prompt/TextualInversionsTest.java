// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.prompt;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.model.ClipTokenizer;
import io.github.asg4j.model.checkpoint.SafeTensorsFile;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/** Embeddings of three numbers, in the layouts of the tools that train them. */
class TextualInversionsTest {
    @TempDir Path folder;

    private void file(String name, SafeTensorsFile file) {
        file.write(folder.resolve(name));
    }

    private TextualInversions inversions(Integer... widths) {
        return TextualInversions.of(folder, List.of(widths));
    }

    private static String refusal(Runnable action) {
        return assertThrows(BadRequestException.class, action::run).getMessage();
    }

    /** AUTOMATIC1111's and InvokeAI's tensor, and diffusers', which is called as its token. */
    @ParameterizedTest
    @ValueSource(strings = {"emb_params", "<my-cat>"})
    void oneTensorIsForOneTextEncoder(String tensor) {
        file(
                "a.safetensors",
                new SafeTensorsFile().floats(tensor, List.of(2L, 3L), 1, 2, 3, 4, 5, 6));
        assertArrayEquals(new float[] {1, 2, 3, 4, 5, 6}, inversions(3).vectors("a", 0));
    }

    @Test
    void aVectorAloneIsOneToken() {
        file("a.safetensors", new SafeTensorsFile().floats("<x>", List.of(3L), 1, 2, 3));
        assertArrayEquals(new float[] {1, 2, 3}, inversions(3).vectors("a", 0));
    }

    @Test
    void twoTensorsAreForSdxl() {
        file(
                "a.safetensors",
                new SafeTensorsFile()
                        .floats("clip_g", List.of(1L, 2L), 8, 9)
                        .floats("clip_l", List.of(1L, 3L), 1, 2, 3));
        assertArrayEquals(new float[] {1, 2, 3}, inversions(3, 2).vectors("a", 0));
        assertArrayEquals(new float[] {8, 9}, inversions(3, 2).vectors("a", 1));
        String message = refusal(() -> inversions(3).vectors("a", 0));
        assertTrue(message.contains("the model has 1 text encoder: one tensor"), message);
    }

    @Test
    void anotherModelsAreRefusedWithBothNumbers() {
        file("a.safetensors", new SafeTensorsFile().floats("emb_params", List.of(1L, 2L), 1, 2));
        String message = refusal(() -> inversions(3).vectors("a", 0));
        assertTrue(
                message.endsWith(
                        "\"emb_params\" is [1, 2], vectors of 2 numbers; the model's text encoder"
                                + " takes vectors of 3: use one that was made for the model"),
                message);
        message = refusal(() -> inversions(3, 2).vectors("a", 0));
        assertTrue(message.contains("[clip_l, clip_g] are expected"), message);
    }

    @Test
    void pickleFilesAreRefusedWithTheWayOut() throws IOException {
        Files.write(folder.resolve("old.pt"), new byte[] {1});
        String message = refusal(() -> inversions(3).vectors("old", 0));
        assertTrue(message.contains("old.pt is a pickle file"), message);
        assertTrue(message.contains("save_file"), message);
        file("old.safetensors", new SafeTensorsFile().floats("<x>", List.of(3L), 1, 2, 3));
        assertEquals(3, inversions(3).vectors("old", 0).length);
    }

    @Test
    void namesAreFoundInFoldersWithin() throws IOException {
        Path inner = Files.createDirectory(folder.resolve("cats"));
        new SafeTensorsFile()
                .floats("<x>", List.of(3L), 1, 2, 3)
                .write(inner.resolve("Cat.safetensors"));
        assertEquals(3, inversions(3).vectors("cat", 0).length);
        file("Cat.safetensors", new SafeTensorsFile().floats("<x>", List.of(3L), 1, 2, 3));
        assertTrue(refusal(() -> inversions(3).vectors("Cat", 0)).contains("rename all but one"));
        String missing = refusal(() -> inversions(3).vectors("dog", 0));
        assertTrue(missing.contains("which holds Cat"), missing);
        assertTrue(
                refusal(() -> TextualInversions.of(folder.resolve("no"), List.of(3)))
                        .contains("--embedding-folder"));
    }

    /** As in the web UI: an embedding that does not fit begins a chunk; its weight is its words'. */
    @Test
    void vectorsTakeThePlaceOfTheirName() throws IOException {
        ClipTokenizer tokenizer;
        String name = "/io/github/asg4j/templates/sd1/tokenizer.json";
        try (InputStream in = TextualInversionsTest.class.getResourceAsStream(name)) {
            tokenizer = ClipTokenizer.parse(name, Objects.requireNonNull(in).readAllBytes());
        }
        float[] ten = new float[30];
        file("bad hands.safetensors", new SafeTensorsFile().floats("<x>", List.of(10L, 3L), ten));
        TextualInversions words = inversions(3);
        List<PromptChunk> chunks =
                PromptChunk.of(
                        tokenizer, WeightedText.sections("cat (Bad Hands:1.5) dog"), 77, words, 0);
        assertEquals(1, chunks.size());
        PromptChunk chunk = chunks.getFirst();
        assertEquals(12, chunk.tokens().realTokens());
        assertEquals(2, chunk.inversions().getFirst().at());
        assertEquals(1, chunk.weights()[1]);
        assertEquals(1.5f, chunk.weights()[2]);
        assertEquals(1.5f, chunk.weights()[11]);
        assertEquals(1, chunk.weights()[12]);

        chunks =
                PromptChunk.of(
                        tokenizer,
                        WeightedText.sections("word ".repeat(70) + "bad hands"),
                        77,
                        words,
                        0);
        assertEquals(2, chunks.size());
        assertEquals(70, chunks.get(0).tokens().realTokens());
        assertEquals(1, chunks.get(1).inversions().getFirst().at());

        // after a comma it moves on with its neighbours
        chunks =
                PromptChunk.of(
                        tokenizer,
                        WeightedText.sections(
                                "word ".repeat(60) + ", tree bad hands" + " house".repeat(6)),
                        77,
                        words,
                        0);
        assertEquals(2, chunks.size());
        assertEquals(61, chunks.get(0).tokens().realTokens());
        assertEquals(List.of(), chunks.get(0).inversions());
        assertEquals(2, chunks.get(1).inversions().getFirst().at());
        int[] ids = chunks.get(1).tokens().ids();
        assertArrayEquals(new int[10], Arrays.copyOfRange(ids, 2, 12));
    }
}
