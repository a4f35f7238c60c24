// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.prompt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.Tiny;
import io.github.asg4j.model.ClipTokenizer;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * Chunks with the vocabulary of Stable Diffusion. {@code prompts/chunks.json} has what AUTOMATIC1111's
 * web UI makes of its prompts: tokens and weights, without marks and padding.
 */
class PromptChunkTest {
    private static final int LENGTH = 77;
    private static final TextualInversions NONE = TextualInversions.NONE;
    private static final int BEGIN = 49406;
    private static final int END = 49407;

    private static ClipTokenizer tokenizer(String family) throws IOException {
        String name = "/io/github/asg4j/templates/" + family + "/tokenizer.json";
        try (InputStream in = PromptChunkTest.class.getResourceAsStream(name)) {
            return ClipTokenizer.parse(name, Objects.requireNonNull(in).readAllBytes());
        }
    }

    @Test
    void areThoseOfTheWebUi() throws IOException {
        ClipTokenizer tokenizer = tokenizer("sd1");
        JsonNode all = new ObjectMapper().readTree(Tiny.resource("prompts/chunks.json").toFile());
        assertEquals(25, all.size());
        for (JsonNode expected : all) {
            String prompt = expected.path("prompt").asText();
            List<PromptChunk> chunks =
                    PromptChunk.of(tokenizer, WeightedText.sections(prompt), LENGTH, NONE, 0);
            assertEquals(expected.path("chunks").size(), chunks.size(), prompt);
            for (int i = 0; i < chunks.size(); i++) {
                JsonNode chunk = expected.path("chunks").get(i);
                int[] ids = chunks.get(i).tokens().ids();
                int real = chunks.get(i).tokens().realTokens();
                assertEquals(LENGTH, ids.length);
                assertEquals(BEGIN, ids[0]);
                List<Integer> own = new ArrayList<>();
                List<Float> weights = new ArrayList<>();
                for (int t = 1; t <= real; t++) {
                    own.add(ids[t]);
                    weights.add(chunks.get(i).weights()[t]);
                }
                List<Float> expectedWeights = new ArrayList<>();
                chunk.path("weights").forEach(weight -> expectedWeights.add(weight.floatValue()));
                assertEquals(chunk.path("own").toString(), own.toString().replace(" ", ""));
                assertEquals(expectedWeights, weights, prompt);
                for (int t = real + 1; t < LENGTH; t++) {
                    assertEquals(END, ids[t], prompt);
                    assertEquals(1, chunks.get(i).weights()[t]);
                }
            }
        }
    }

    /** Stable Diffusion 2 fills up with another token than the end mark. */
    @Test
    void paddingIsTheModels() throws IOException {
        List<PromptChunk> chunks =
                PromptChunk.of(
                        tokenizer("sd2"), WeightedText.sections("cat BREAK dog"), LENGTH, NONE, 0);
        for (PromptChunk chunk : chunks) {
            int[] ids = chunk.tokens().ids();
            assertEquals(END, ids[2]);
            assertEquals(0, ids[3]);
            assertEquals(0, ids[LENGTH - 1]);
        }
        assertEquals(2, chunks.size());
    }

    @Test
    void weighsOnlyWhereAWeightIsNotOne() throws IOException {
        ClipTokenizer tokenizer = tokenizer("sd1");
        assertFalse(chunk(tokenizer, "(a:1.0) b").isWeighted());
        assertTrue(chunk(tokenizer, "(a) b").isWeighted());
    }

    private static PromptChunk chunk(ClipTokenizer tokenizer, String prompt) {
        return PromptChunk.of(tokenizer, WeightedText.sections(prompt), LENGTH, NONE, 0).getFirst();
    }
}
