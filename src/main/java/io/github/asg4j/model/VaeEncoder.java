// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;

/** Pixels to latents, for start pictures: the mean of the distribution. Thread-safe. */
public final class VaeEncoder {
    private static final long ANY = GraphContract.ANY;

    private final OrtSession session;
    private final int channels;
    private final int factor;

    VaeEncoder(OrtSession session, Manifest.Latent latent) {
        this.session = session;
        channels = latent.channels();
        factor = latent.vaeFactor();
        GraphContract graph = new GraphContract(session);
        graph.onlyInputs(List.of("image"));
        graph.input("image", "float32", ANY, 3, ANY, ANY);
        graph.output("latents", "float32", ANY, channels, ANY, ANY);
    }

    /**
     * Encodes.
     *
     * @param image float32 [3, h * f, w * f], -1 to 1
     * @param h latent rows
     * @param w latent columns
     * @param out float32 [C, h, w], neither shifted nor scaled
     */
    public void encode(MemorySegment image, int h, int w, MemorySegment out) {
        Tensor pixels = Tensor.floats(image, 1, 3, (long) h * factor, (long) w * factor);
        Tensor latents = Tensor.floats(out, 1, channels, h, w);
        try (Binding binding = session.bind(Map.of("image", pixels), Map.of("latents", latents))) {
            binding.run();
        }
    }
}
