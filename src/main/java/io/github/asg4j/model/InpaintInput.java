// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import java.util.List;

/**
 * Lets a UNet of the plain build take what a network for inpainting takes. Such a network is the plain one
 * with a first convolution of more channels, which reads the latents, a mask and the latents of the masked
 * picture together.
 */
final class InpaintInput {
    private static final String SAMPLE = InputRole.SAMPLE.usualName();
    private static final String INPAINT = InputRole.INPAINT.usualName();

    private InpaintInput() {}

    /**
     * Adds the input {@link InputRole#INPAINT}, float32, and lets all that reads the latents read it
     * behind them.
     *
     * @param channels of the input
     */
    static void apply(OnnxGraph graph, int channels) {
        String joined = SAMPLE + ".inpaint";
        OnnxGraph.Node join =
                OnnxGraph.Node.of("Concat", List.of(SAMPLE, INPAINT), joined, "axis", 1);
        graph.redirect(SAMPLE, joined, join);
        graph.nodes().addFirst(join);
        graph.addInput(INPAINT, List.of("batch", channels, "height", "width"));
    }
}
