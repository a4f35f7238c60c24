// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadRequestException;

import java.util.ArrayList;
import java.util.List;

/** Lets a CLIP text encoder take vectors in the place of tokens, as textual inversion needs it. */
final class TokenVectors {
    private static final String IDS = "input_ids";
    private static final List<String> PASSED_ON = List.of("Reshape", "Cast", "Identity");

    private TokenVectors() {}

    /**
     * Adds the inputs {@link TextEncoder#KEEP} {@code [B, T, 1]} and {@link TextEncoder#VECTORS} {@code
     * [B, T, width]}: the embedding of a token becomes {@code embedding * keep + vector}.
     *
     * @param file for messages
     * @throws BadRequestException the lookup of tokens is not found
     */
    static void apply(OnnxGraph graph, String file, int width) {
        OnnxGraph.Node lookup = lookup(graph, file);
        String embedded = lookup.outputs().getFirst();
        String factor = embedded + ".factor";
        String kept = embedded + ".kept";
        String vectors = embedded + ".vectors";
        String all = embedded + ".all";
        List<OnnxGraph.Node> nodes = graph.nodes();
        int place = nodes.indexOf(lookup) + 1;
        graph.redirect(embedded, all, lookup);
        nodes.addAll(
                place,
                List.of(
                        OnnxGraph.Node.of("CastLike", List.of(TextEncoder.KEEP, embedded), factor),
                        OnnxGraph.Node.of("Mul", List.of(embedded, factor), kept),
                        OnnxGraph.Node.of(
                                "CastLike", List.of(TextEncoder.VECTORS, embedded), vectors),
                        OnnxGraph.Node.of("Add", List.of(kept, vectors), all)));
        graph.addInput(TextEncoder.KEEP, List.of("batch", "tokens", 1));
        graph.addInput(TextEncoder.VECTORS, List.of("batch", "tokens", width));
    }

    /** The node that looks the ids up in the table of embeddings. */
    private static OnnxGraph.Node lookup(OnnxGraph graph, String file) {
        List<String> ids = new ArrayList<>(List.of(IDS));
        for (OnnxGraph.Node node : graph.nodes()) {
            if (node.inputs().isEmpty()) {
                continue;
            }
            if (PASSED_ON.contains(node.type()) && ids.contains(node.inputs().getFirst())) {
                ids.add(node.outputs().getFirst());
            } else if (node.type().equals("Gather") && ids.contains(node.inputs().get(1))) {
                return node;
            }
        }
        throw new BadRequestException(
                file
                        + ": where this text encoder looks its tokens up is not found, so it takes"
                        + " no embeddings: leave them out of the prompt");
    }
}
