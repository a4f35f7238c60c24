// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

import io.github.asg4j.model.checkpoint.Family;
import io.github.asg4j.model.checkpoint.Part;
import io.github.asg4j.model.checkpoint.Recipe;
import io.github.asg4j.model.checkpoint.Recognition;
import io.github.asg4j.model.checkpoint.WeightNames;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What the templates in the jar read. */
final class ShippedTemplate {
    private ShippedTemplate() {}

    /** Names in diffusers of the weights of denoiser and text encoders, by part. */
    static Map<Part, Set<String>> weights(Family family) {
        Map<Part, Set<String>> weights = new EnumMap<>(Part.class);
        List<String> graphs = new ArrayList<>(List.of("denoiser"));
        family.textEncoders().forEach(part -> graphs.add(part.folder()));
        for (String graph : graphs) {
            String resource = template(family, graph);
            try (var in = Recipe.class.getResourceAsStream(resource)) {
                Recipe recipe = Recipe.parse(resource, in.readAllBytes());
                Set<String> names = weights.computeIfAbsent(recipe.part(), part -> new HashSet<>());
                recipe.values().forEach(value -> names.addAll(value.weights()));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return weights;
    }

    private static String template(Family family, String graph) {
        return family.templates().stream()
                .map(name -> "/io/github/asg4j/templates/" + name + "/" + graph + ".weights.json")
                .filter(resource -> Recipe.class.getResource(resource) != null)
                .findFirst()
                .orElseThrow();
    }

    /** Layers of a family's models. */
    static LoraTargets targets(Family family, Set<String> stored) {
        Set<Part> parts = new HashSet<>(family.textEncoders());
        parts.add(family.denoiser());
        int blocks = jointBlocks(family);
        return LoraTargets.of(
                new Recognition(family, parts, "epsilon", false, 4, 0, blocks),
                weights(family),
                (part, weight) ->
                        WeightNames.of(family.singleFile(), part, weight, blocks).stream()
                                .anyMatch(place -> stored.contains(place.tensor())));
    }

    private static int jointBlocks(Family family) {
        return switch (family) {
            case SD3_MEDIUM, SD35_MEDIUM -> 24;
            case SD35_LARGE -> 38;
            default -> 0;
        };
    }
}
