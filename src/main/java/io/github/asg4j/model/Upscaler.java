// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;

/**
 * A network that enlarges a picture, or a tile of one, by a fixed factor: an RRDBNet as that of
 * BSRGAN (arXiv 2103.14006). Thread-safe; the weights are shared by everybody who binds memory.
 */
public final class Upscaler implements AutoCloseable {
    private static final long ANY = GraphContract.ANY;

    private final OrtSession session;
    private final Manifest.Upscaler entry;

    /**
     * @param session closed with this object
     */
    Upscaler(OrtSession session, Manifest.Upscaler entry) {
        this.session = session;
        this.entry = entry;
        try {
            GraphContract graph = new GraphContract(session);
            graph.onlyInputs(List.of("image"));
            graph.input("image", "float32", ANY, 3, ANY, ANY);
            graph.output("upscaled", "float32", ANY, 3, ANY, ANY);
        } catch (RuntimeException e) {
            session.close();
            throw e;
        }
    }

    /**
     * Binds memory for pictures of one size.
     *
     * @param image float32 [3, h, w], RGB in [0, 1]
     * @param upscaled float32 [3, h * scale, w * scale], about [0, 1], not clamped
     */
    public Binding bind(MemorySegment image, MemorySegment upscaled, int h, int w) {
        long scale = entry.scale();
        return session.bind(
                Map.of("image", Tensor.floats(image, 1, 3, h, w)),
                Map.of("upscaled", Tensor.floats(upscaled, 1, 3, h * scale, w * scale)));
    }

    /** What the manifest says of it. */
    public Manifest.Upscaler entry() {
        return entry;
    }

    /** Frees the network; what is bound to it keeps it until it is closed. Idempotent. */
    @Override
    public void close() {
        session.close();
    }
}
