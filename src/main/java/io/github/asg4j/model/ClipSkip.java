// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadRequestException;

import java.util.ArrayList;
import java.util.List;

/**
 * Makes a CLIP text encoder give the states of an earlier layer. Such a layer has two layer norms, and
 * a last one stands behind all layers: what a layer's first one reads is what the layer before gave.
 */
final class ClipSkip {
    private static final String NORM = "LayerNormalization";
    private static final List<String> PASSED_ON = List.of("Cast", "Identity");

    private final OnnxGraph graph;
    private final List<OnnxGraph.Node> norms;
    private final int layers;

    private ClipSkip(OnnxGraph graph, String file) {
        this.graph = graph;
        norms = graph.nodes().stream().filter(node -> node.type().equals(NORM)).toList();
        layers = norms.size() / 2;
        if (layers < 1 || norms.size() % 2 == 0) {
            throw new BadRequestException(
                    file
                            + ": the layers of this text encoder cannot be told apart, it has "
                            + norms.size()
                            + " layer norms: leave out --clip-skip");
        }
    }

    /**
     * Changes the output {@code hidden} to the states of layer {@code skip} from the end, behind the
     * final layer norm.
     *
     * @param file for messages
     * @param skip 1: the last layer
     * @throws BadRequestException there is no such layer, or the encoder gives states without the norm
     */
    static void apply(OnnxGraph graph, String file, String hidden, int skip) {
        new ClipSkip(graph, file).apply(file, hidden, skip);
    }

    private void apply(String file, String hidden, int skip) {
        if (skip > layers) {
            throw new BadRequestException(
                    "--clip-skip "
                            + skip
                            + ": the text encoder has "
                            + layers
                            + " layers, choose 1 to "
                            + layers);
        }
        OnnxGraph.Node last = norms.getLast();
        List<String> passing = new ArrayList<>(List.of(hidden));
        OnnxGraph.Node giver = graph.giving(hidden);
        while (giver != null && PASSED_ON.contains(giver.type())) {
            passing.addFirst(giver.inputs().getFirst());
            giver = graph.giving(passing.getFirst());
        }
        if (giver == null || !giver.equals(last)) {
            int given = layerOf(passing);
            if (given == skip) {
                return;
            }
            throw new BadRequestException(
                    "--clip-skip "
                            + skip
                            + ": the model was trained on "
                            + (given == 0 ? "other states" : "layer " + given + " from the end")
                            + " of "
                            + file
                            + ", without the final layer norm: leave it out"
                            + (given == 0 ? "" : ", or give " + given));
        }
        if (skip > 1) {
            choose(last, passing, norms.get(2 * (layers - skip + 1)).inputs().getFirst());
        }
    }

    /** The layer from the end that gives one of the values; 0: none does. */
    private int layerOf(List<String> values) {
        for (int skip = 1; skip <= layers; skip++) {
            if (values.contains(norms.get(2 * (layers - skip + 1)).inputs().getFirst())) {
                return skip;
            }
        }
        return 0;
    }

    /**
     * Adds a second final norm that reads {@code states}; what else reads the first, as the pooled
     * embedding does, goes on reading it.
     *
     * @param passing values from the norm to the output
     */
    private void choose(OnnxGraph.Node last, List<String> passing, String states) {
        List<OnnxGraph.Node> nodes = graph.nodes();
        String normed = last.outputs().getFirst();
        int place = nodes.indexOf(last) + 1;
        List<String> inputs = new ArrayList<>(last.inputs());
        inputs.set(0, states);
        if (passing.size() == 1) {
            String renamed = normed + ".last";
            nodes.add(place, last.copy(inputs, List.of(normed)));
            nodes.set(place - 1, last.with(last.inputs(), List.of(renamed)));
            graph.redirect(normed, renamed, nodes.get(place));
            return;
        }
        String chosen = normed + ".chosen";
        nodes.add(place, last.copy(inputs, List.of(chosen)));
        String second = passing.get(1);
        nodes.replaceAll(
                node ->
                        node.outputs().contains(second)
                                ? node.with(List.of(chosen), node.outputs())
                                : node);
    }
}
