// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Gives a graph that Optimum or Olive exported the inputs and outputs that a bundle's graph has: other
 * names, float32 in the place of halves, a timestep for each row in the place of a scalar, the mean of the
 * encoder's distribution in the place of its parameters. A conversion is a node of the
 * graph, so it runs where the network runs, and the engine's kernels have float32 alone.
 */
final class OnnxEnds {
    /** From this version of the operators on, Split says into how many parts. */
    private static final int SPLIT_COUNTS = 18;

    private final OnnxGraph graph;
    private final String file;

    /**
     * @param file for messages
     */
    OnnxEnds(OnnxGraph graph, String file) {
        this.graph = graph;
        this.file = file;
    }

    /** A UNet: {@code sample, timestep, encoder_hidden_states, text_embeds, time_ids} to {@code noise}. */
    void denoiser() {
        OnnxGraph.Value timestep = graphInput(InputRole.TIMESTEP.usualName());
        for (OnnxGraph.Value input : graph.inputs()) {
            if (!input.name().equals(timestep.name())) {
                take(input.name(), OnnxGraph.FLOAT, input, input.extents());
            }
        }
        takeTimestep(timestep);
        OnnxGraph.Value predicted = graph.outputs().getFirst();
        give("noise", predicted, predicted.extents());
    }

    /** The decoder: {@code latents} to {@code image}. */
    void decoder() {
        OnnxGraph.Value latents = graph.inputs().getFirst();
        OnnxGraph.Value image = graph.outputs().getFirst();
        take("latents", OnnxGraph.FLOAT, latents, latents.extents());
        give("image", image, image.extents());
    }

    /** The encoder: {@code image} to {@code latents}, which are the mean of their distribution. */
    void encoder() {
        OnnxGraph.Value image = graph.inputs().getFirst();
        OnnxGraph.Value parameters = graph.outputs().getFirst();
        take("image", OnnxGraph.FLOAT, image, image.extents());
        List<Object> extents = new ArrayList<>(parameters.extents());
        if (!(extents.get(1) instanceof Long channels)) {
            throw new BadBundleException(
                    file + ": the output " + parameters.name() + " does not say its channels");
        }
        extents.set(1, channels / 2);
        String mean = parameters.name() + ".mean";
        graph.nodes()
                .add(
                        OnnxGraph.Node.of(
                                "Split",
                                List.of(parameters.name()),
                                List.of(mean, parameters.name() + ".variance"),
                                graph.opset() >= SPLIT_COUNTS
                                        ? Map.of("axis", 1, "num_outputs", 2)
                                        : Map.of("axis", 1)));
        give("latents", new OnnxGraph.Value(mean, parameters.type(), extents), extents);
    }

    /**
     * A text encoder.
     *
     * @param outputs that it has to give, by name
     */
    void text(List<String> outputs) {
        OnnxGraph.Value ids = graph.inputs().getFirst();
        take("input_ids", OnnxGraph.INT64, ids, ids.extents());
        List<OnnxGraph.Value> given =
                graph.outputs().stream().filter(o -> outputs.contains(o.name())).toList();
        graph.removeOutputs();
        for (OnnxGraph.Value output : given) {
            addOutput(output.name(), output, output.extents());
        }
    }

    private OnnxGraph.Value graphInput(String name) {
        return graph.inputs().stream()
                .filter(input -> input.name().equals(name))
                .findFirst()
                .orElseThrow(
                        () ->
                                new BadBundleException(
                                        file
                                                + " has no input \""
                                                + name
                                                + "\", only "
                                                + graph.inputs().stream()
                                                        .map(OnnxGraph.Value::name)
                                                        .toList()));
    }

    /** Lets the graph take {@code ours} where it takes {@code theirs}. */
    private void take(String ours, int type, OnnxGraph.Value theirs, List<?> extents) {
        graph.removeInput(theirs.name());
        graph.addInput(new OnnxGraph.Value(ours, type, extents));
        if (theirs.type() == type) {
            graph.rename(theirs.name(), ours);
            return;
        }
        String given = theirs.name() + ".given";
        graph.rename(theirs.name(), given);
        graph.nodes().addFirst(cast(ours, given, theirs.type()));
    }

    /** The same timestep in all rows: as a scalar, or one that the graph spreads. */
    private void takeTimestep(OnnxGraph.Value theirs) {
        String name = theirs.name();
        String given = name + ".given";
        String one = name + ".one";
        graph.removeInput(name);
        graph.addInput(name, List.of("batch"));
        graph.rename(name, given);
        List<OnnxGraph.Node> nodes = new ArrayList<>();
        int rank = theirs.extents().isEmpty() ? 0 : 1;
        nodes.add(
                OnnxGraph.Node.of(
                        "ReduceMax", List.of(name), List.of(one), Map.of("keepdims", rank)));
        if (theirs.type() == OnnxGraph.INT64 || theirs.type() == OnnxGraph.INT32) {
            String whole = name + ".whole";
            nodes.add(OnnxGraph.Node.of("Round", List.of(one), whole));
            nodes.add(cast(whole, given, theirs.type()));
        } else {
            nodes.add(cast(one, given, theirs.type()));
        }
        graph.nodes().addAll(0, nodes);
    }

    /** Lets the graph give {@code ours}, float32, and nothing else. */
    private void give(String ours, OnnxGraph.Value theirs, List<?> extents) {
        graph.removeOutputs();
        addOutput(ours, theirs, extents);
    }

    private void addOutput(String ours, OnnxGraph.Value theirs, List<?> extents) {
        if (theirs.type() == OnnxGraph.FLOAT) {
            graph.rename(theirs.name(), ours);
        } else {
            String exact = theirs.name() + ".exact";
            graph.rename(theirs.name(), exact);
            graph.nodes().add(cast(exact, ours, OnnxGraph.FLOAT));
        }
        graph.addOutput(OnnxGraph.Value.floats(ours, extents));
    }

    private static OnnxGraph.Node cast(String from, String to, int type) {
        return OnnxGraph.Node.of("Cast", List.of(from), List.of(to), Map.of("to", type));
    }
}
