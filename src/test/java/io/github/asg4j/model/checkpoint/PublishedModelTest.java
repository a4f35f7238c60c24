// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.ModelParts;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

class PublishedModelTest {
    @Test
    void theTableIsWhole() {
        Set<String> hashes = new HashSet<>();
        for (PublishedModel model : PublishedModel.ALL) {
            assertTrue(model.sha256().matches("[0-9a-f]{64}"), model.toString());
            assertTrue(hashes.add(model.sha256()), model.toString());
            assertTrue(Set.of("epsilon", "v").contains(model.prediction()), model.toString());
            assertTrue(model.bytes() > 1L << 30, model.toString());
            assertTrue(model.licence().startsWith("CreativeML Open RAIL"), model.toString());
        }
        // Two publications of one size, of which one predicts v.
        assertEquals(
                Set.of("epsilon", "v"),
                Set.of(prediction("df955bdf6b68"), prediction("dcd690123cfc")));
    }

    private static String prediction(String start) {
        return PublishedModel.ALL.stream()
                .filter(model -> model.sha256().startsWith(start))
                .findFirst()
                .orElseThrow()
                .prediction();
    }

    /** A file of no published size is not read. */
    @Test
    void onlyFilesOfTheSameSizeAreHashed() {
        assertNull(
                PublishedModel.of(
                        7,
                        () -> {
                            throw new AssertionError("hashed");
                        }));
        PublishedModel first = PublishedModel.ALL.getFirst();
        assertNull(PublishedModel.of(first.bytes(), () -> "0".repeat(64)));
        assertEquals(first, PublishedModel.of(first.bytes(), first::sha256));
    }

    /** A file that does not say what its network predicts is asked for its hash. */
    @Test
    void aPublishedFileSaysWhatItPredicts(@TempDir Path folder) throws IOException {
        String unet = "model.diffusion_model.";
        Path file =
                new SafeTensorsFile()
                        .floats(
                                unet + "input_blocks.0.0.weight",
                                List.of(1L, 4L, 1L, 1L),
                                new float[4])
                        .floats(
                                unet + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
                                List.of(1L, 1024L),
                                new float[1024])
                        .write(folder.resolve("sd2.safetensors"));
        List<PublishedModel> known =
                List.of(new PublishedModel("abc", Files.size(file), "a title", "v", "a licence"));
        assertTrue(
                refusal(file, "other", known).contains("does not say what its network predicts"));
        // What is still missing is said instead.
        assertTrue(refusal(file, "abc", known).contains("without its [text_encoder, vae]"));
    }

    private static String refusal(Path file, String hash, List<PublishedModel> known) {
        return String.valueOf(
                assertThrows(
                                BadBundleException.class,
                                () -> Checkpoint.open(file, ModelParts.NONE, f -> hash, known))
                        .getMessage());
    }
}
