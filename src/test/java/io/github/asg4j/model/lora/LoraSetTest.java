// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Lora;
import io.github.asg4j.model.checkpoint.Checkpoint;
import io.github.asg4j.model.checkpoint.Elements;
import io.github.asg4j.model.checkpoint.Family;
import io.github.asg4j.model.checkpoint.Part;
import io.github.asg4j.model.checkpoint.Recipe;
import io.github.asg4j.model.checkpoint.Recognition;
import io.github.asg4j.model.checkpoint.SafeTensors;
import io.github.asg4j.model.checkpoint.Tensor;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * LoRA files of every form (onnx-export/tests/lora_fixtures.py), merged into a small checkpoint, against
 * what diffusers' fuse_lora and LyCORIS make of them.
 */
class LoraSetTest {
    private static final Path CHECKPOINT = Path.of("src/test/resources/checkpoint");
    private static final Path FILES = CHECKPOINT.resolve("lora");
    private static final String TO_Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";

    @TempDir Path temp;

    private final Checkpoint checkpoint =
            Checkpoint.open(
                    CHECKPOINT.resolve("sd15.safetensors"),
                    new Recognition(
                            Family.SD1,
                            EnumSet.of(Part.UNET, Part.TEXT_ENCODER, Part.VAE),
                            "epsilon",
                            false,
                            4,
                            false,
                            0));

    @AfterEach
    void close() {
        checkpoint.close();
    }

    private LoraTargets targets() {
        Map<Part, Set<String>> weights = new EnumMap<>(Part.class);
        for (String graph : List.of("denoiser", "text_encoder")) {
            Path file = CHECKPOINT.resolve("templates/sd15/" + graph + ".weights.json");
            try {
                Recipe recipe = Recipe.parse(graph, Files.readAllBytes(file));
                Set<String> names = weights.computeIfAbsent(recipe.part(), part -> new HashSet<>());
                recipe.values().forEach(value -> names.addAll(value.weights()));
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        }
        return LoraTargets.of(checkpoint.recognition(), weights, checkpoint.tensors());
    }

    private LoraSet open(Lora... loras) {
        return LoraSet.open(List.of(loras), targets(), checkpoint);
    }

    private static Lora lora(String name, double weight) {
        return new Lora(FILES.resolve(name + ".safetensors"), weight);
    }

    /** "NAME@WEIGHT", or "both": two files at once. */
    private static Lora[] loras(String label) {
        if (label.equals("both")) {
            return new Lora[] {lora("kohya", 0.75), lora("peft", -0.5)};
        }
        int at = label.indexOf('@');
        return new Lora[] {
            lora(label.substring(0, at), Double.parseDouble(label.substring(at + 1)))
        };
    }

    @Test
    void weightsAreThoseOfDiffusersAndLycoris() {
        Map<String, Double> worst = new TreeMap<>();
        try (SafeTensors expected = SafeTensors.open(FILES.resolve("expected.safetensors"))) {
            for (Tensor tensor : expected.tensors().values()) {
                String[] name = tensor.name().split("/", 3);
                Part part = name[1].equals("unet") ? Part.UNET : Part.TEXT_ENCODER;
                try (LoraSet set = open(loras(name[0]))) {
                    float[] actual = floats(set.of(part, name[2] + ".weight"));
                    worst.merge(name[0], difference(Elements.of(tensor), actual), Math::max);
                }
            }
        }
        assertEquals(35, worst.size(), worst.toString());
        worst.forEach((name, found) -> assertTrue(found <= 1e-5, name + " differs by " + found));
    }

    private static float[] floats(MemorySegment weight) {
        return weight == null ? new float[0] : weight.toArray(ValueLayout.JAVA_FLOAT);
    }

    /** Largest difference relative to the largest element. */
    private static double difference(float[] expected, float[] actual) {
        assertEquals(expected.length, actual.length);
        double largest = 0;
        double worst = 0;
        for (int i = 0; i < expected.length; i++) {
            largest = Math.max(largest, Math.abs(expected[i]));
            worst = Math.max(worst, Math.abs((double) expected[i] - actual[i]));
        }
        return worst / largest;
    }
}
