// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.asg4j.Lora;
import io.github.asg4j.ModelParts;
import io.github.asg4j.model.SmallFiles;
import io.github.asg4j.model.checkpoint.Checkpoint;
import io.github.asg4j.model.checkpoint.Elements;
import io.github.asg4j.model.checkpoint.Part;
import io.github.asg4j.model.checkpoint.Recipe;
import io.github.asg4j.model.checkpoint.Recognition;
import io.github.asg4j.model.checkpoint.SafeTensors;
import io.github.asg4j.model.checkpoint.Tensor;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Stream;

/** A small checkpoint, and the layers that LoRA files may change of it. */
final class SmallModel implements AutoCloseable {
    private static final Path TEMPLATES = Path.of("src/test/resources/checkpoint/templates");

    final Checkpoint checkpoint;
    private final LoraTargets targets;

    private SmallModel(Path file, Recognition known, String template) {
        checkpoint = SmallFiles.checkpoint(file, known, ModelParts.NONE);
        Map<Part, Set<String>> weights = new EnumMap<>(Part.class);
        List<String> graphs =
                Stream.concat(
                                Stream.of("denoiser"),
                                known.family().textEncoders().stream().map(Part::folder))
                        .toList();
        for (String graph : graphs) {
            Path recipe = TEMPLATES.resolve(template).resolve(graph + ".weights.json");
            try {
                Recipe read = Recipe.parse(graph, Files.readAllBytes(recipe));
                Set<String> names = weights.computeIfAbsent(read.part(), part -> new HashSet<>());
                read.values().forEach(value -> names.addAll(value.weights()));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        targets = LoraTargets.of(known, weights, checkpoint::has);
    }

    static SmallModel sd15() {
        return new SmallModel(SmallFiles.SD15, SmallFiles.sd15(), "sd15");
    }

    static SmallModel sd35() {
        return new SmallModel(SmallFiles.SD35, SmallFiles.sd35(), "sd35");
    }

    static SmallModel refiner() {
        return new SmallModel(SmallFiles.REFINER, SmallFiles.refiner(), "sdxl-refiner");
    }

    LoraSet open(Lora... loras) {
        return LoraSet.open(List.of(loras), targets, checkpoint, files -> List.of());
    }

    /**
     * Merges LoRA files and compares what becomes of weights.
     *
     * @param expected of tensors LABEL/PART/WEIGHT
     * @param loras of a label
     * @return by label the largest difference, relative to the largest element of the weight
     */
    Map<String, Double> differences(Path expected, Function<String, Lora[]> loras) {
        Map<String, Double> worst = new TreeMap<>();
        try (SafeTensors file = SafeTensors.open(expected)) {
            for (Tensor tensor : file.tensors().values()) {
                String[] name = tensor.name().split("/", 3);
                Part part =
                        Arrays.stream(Part.values())
                                .filter(p -> p.folder().equals(name[1]))
                                .findFirst()
                                .orElseThrow();
                try (LoraSet set = open(loras.apply(name[0]))) {
                    float[] actual = floats(set.of(part, name[2] + ".weight"));
                    worst.merge(name[0], difference(Elements.of(tensor), actual), Math::max);
                }
            }
        }
        return worst;
    }

    static float[] floats(MemorySegment weight) {
        return weight == null ? new float[0] : weight.toArray(ValueLayout.JAVA_FLOAT);
    }

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

    @Override
    public void close() {
        checkpoint.close();
    }
}
