// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadRequestException;

import java.util.List;

/**
 * Cuts a UNet at its outermost skip connection (DeepCache, arXiv 2312.00858, branch 0). What its last join
 * reads from below comes from all deeper layers and changes little from step to step: one graph gives it
 * beside the noise, the other takes it and has only the layers behind the join and the first convolution.
 * No weight is touched, so every exported UNet can be cut.
 */
final class FeatureCut {
    /** Name of that value in both graphs: float32 {@code [B, width, h, w]}, h and w those of the latents. */
    static final String FEATURE = "feature";

    private static final String NOISE = "noise";

    private FeatureCut() {}

    /**
     * Adds the output {@link #FEATURE}.
     *
     * @param file for messages
     * @param width channels of the outermost level
     * @throws BadRequestException the skip connection is not found
     */
    static void expose(OnnxGraph graph, String file, int width) {
        OnnxGraph.Node join = outermostJoin(graph, file);
        String below = join.inputs().getFirst();
        graph.nodes()
                .add(
                        graph.nodes().indexOf(join),
                        OnnxGraph.Node.of("Cast", List.of(below), FEATURE, "to", OnnxGraph.FLOAT));
        graph.addOutput(feature(width));
    }

    /**
     * Adds the input {@link #FEATURE} and leaves only what leads from it and other inputs to the noise;
     * inputs that nothing reads any more are gone.
     *
     * @param file for messages
     * @param width channels of the outermost level
     * @throws BadRequestException the skip connection is not found
     */
    static void shallow(OnnxGraph graph, String file, int width) {
        OnnxGraph.Node join = outermostJoin(graph, file);
        String skip = join.inputs().get(1);
        String taken = FEATURE + ".cast";
        int place = graph.nodes().indexOf(join);
        graph.nodes().set(place, join.with(List.of(taken, skip), join.outputs()));
        graph.nodes().add(place, OnnxGraph.Node.of("CastLike", List.of(FEATURE, skip), taken));
        graph.addInput(feature(width));
        graph.reduceTo(List.of(NOISE));
    }

    private static OnnxGraph.Value feature(int width) {
        return OnnxGraph.Value.floats(FEATURE, List.of("batch", width, "height", "width"));
    }

    /** The last join, which has to be that with what the first convolution gives. */
    private static OnnxGraph.Node outermostJoin(OnnxGraph graph, String file) {
        OnnxGraph.Node join =
                graph.leadingTo(List.of(NOISE)).reversed().stream()
                        .filter(ControlInputs::joinsChannels)
                        .findFirst()
                        .orElse(null);
        OnnxGraph.Node first = join == null ? null : graph.giving(join.inputs().get(1));
        if (join == null || first == null || !first.type().equals("Conv")) {
            throw new BadRequestException(
                    file
                            + " has no skip connection from its first convolution to its last"
                            + " block, as UNets of Stable Diffusion have: its features cannot be"
                            + " kept from step to step; leave out --cache-interval");
        }
        return join;
    }
}
