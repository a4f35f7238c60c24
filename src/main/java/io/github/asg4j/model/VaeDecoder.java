// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Map;

/** Draft. */
public final class VaeDecoder {
    private final OrtSession session;
    private final Manifest manifest;

    VaeDecoder(OrtSession session, Manifest manifest) {
        this.session = session;
        this.manifest = manifest;
    }

    public void decode(MemorySegment latents, int h, int w, MemorySegment out, Kernels kernels) {
        int f = manifest.latent().vaeFactor();
        try (var binding =
                session.bind(
                        Map.of("latents", Tensor.floats(latents, 1, manifest.latent().channels(), h, w)),
                        Map.of("image", Tensor.floats(out, 1, 3, (long) h * f, (long) w * f)))) {
            binding.run();
        }
    }
}
