// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadRequestException;

import java.util.ArrayList;
import java.util.List;

/**
 * Lets a UNet take the residuals of control networks. Its up blocks join what comes from below with the
 * skip connections, the innermost first: there the residuals are added, that of the middle to what the
 * first join reads from below. No weight is touched, so every exported UNet can be changed so.
 */
final class ControlInputs {
    private static final String SAMPLE = InputRole.SAMPLE.usualName();

    private ControlInputs() {}

    /** Name of the input that takes a residual. */
    static String name(int residual) {
        return "control_" + residual;
    }

    /**
     * Adds the inputs {@link #name} {@code [B, C_i, h_i, w_i]}, float32.
     *
     * @param file for messages
     * @param residuals as control networks give them
     * @throws BadRequestException the skip connections are not found, or are others than the residuals'
     */
    static void apply(OnnxGraph graph, String file, List<ControlManifest.Residual> residuals) {
        List<OnnxGraph.Node> joins =
                graph.nodes().stream().filter(ControlInputs::joinsChannels).toList();
        int skips = residuals.size() - 1;
        if (joins.size() != skips) {
            throw new BadRequestException(
                    file
                            + " has "
                            + joins.size()
                            + " skip connections, the control network gives "
                            + skips
                            + " residuals and that of the middle: it was made for another"
                            + " denoiser");
        }
        for (int i = 0; i < skips; i++) {
            OnnxGraph.Node join = joins.get(i);
            List<OnnxGraph.Node> added = new ArrayList<>();
            String below = join.inputs().getFirst();
            if (i == 0) {
                below = add(added, below, skips);
            }
            String skip = add(added, join.inputs().get(1), skips - 1 - i);
            int place = graph.nodes().indexOf(join);
            graph.nodes().set(place, join.with(List.of(below, skip), join.outputs()));
            graph.nodes().addAll(place, added);
        }
        for (int i = 0; i < residuals.size(); i++) {
            String extents = name(i) + "_";
            graph.addInput(
                    name(i),
                    List.of("batch", residuals.get(i).channels(), extents + "h", extents + "w"));
        }
    }

    /** Whether a node joins two values by their channels, as a UNet's up blocks do with skip connections. */
    static boolean joinsChannels(OnnxGraph.Node node) {
        return node.type().equals("Concat")
                && node.inputs().size() == 2
                // what a network for inpainting reads
                && !node.inputs().contains(SAMPLE)
                && node.integer("axis", 0) == 1;
    }

    /** The sum of a value and a residual, in the precision of the value. */
    private static String add(List<OnnxGraph.Node> added, String value, int residual) {
        String cast = name(residual) + ".cast";
        String sum = name(residual) + ".sum";
        added.add(OnnxGraph.Node.of("CastLike", List.of(name(residual), value), cast));
        added.add(OnnxGraph.Node.of("Add", List.of(value, cast), sum));
        return sum;
    }
}
