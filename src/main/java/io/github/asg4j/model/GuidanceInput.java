// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.model.checkpoint.Recipe;

import java.util.ArrayList;
import java.util.List;

/**
 * Lets a UNet of the plain build take the guidance scale, as latent consistency models do (arXiv
 * 2310.04378). Such a network is the plain one with a further matrix: the scale's embedding goes through
 * it and is added to that of the timestep.
 */
final class GuidanceInput {
    private static final String GUIDANCE = InputRole.GUIDANCE.usualName();

    private GuidanceInput() {}

    /**
     * Adds the input {@link InputRole#GUIDANCE}, float32.
     *
     * @param recipe that has the matrix
     * @param width of the input
     */
    static void apply(OnnxGraph graph, Recipe recipe, int width) {
        OnnxGraph.Node first =
                graph.nodes().stream()
                        .filter(node -> node.inputs().contains(recipe.timestepMatrix()))
                        .findFirst()
                        .orElseThrow();
        String projected = GUIDANCE + ".projected";
        String sum = GUIDANCE + ".sum";
        List<String> inputs = new ArrayList<>(first.inputs());
        String timestep = inputs.set(0, sum);
        int place = graph.nodes().indexOf(first);
        graph.nodes().set(place, first.with(inputs, first.outputs()));
        graph.nodes()
                .addAll(
                        place,
                        List.of(
                                OnnxGraph.Node.of(
                                        "Gemm",
                                        List.of(GUIDANCE, recipe.guidanceMatrix()),
                                        projected,
                                        "transB",
                                        1),
                                OnnxGraph.Node.of("Add", List.of(timestep, projected), sum)));
        graph.addInput(GUIDANCE, List.of("batch", width));
    }
}
