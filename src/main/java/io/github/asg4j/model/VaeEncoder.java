// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The networks that turn pixels into latents, the mean of their distribution, in one place: the encoder,
 * and where the bundle has a {@code tiled_encoder} its two parts (onnx-export/asg4j_export/vae_stats.py).
 * Each is loaded when it is first asked for. Thread-safe; the weights are shared by everybody who binds
 * memory.
 */
public final class VaeEncoder implements AutoCloseable {
    private static final long ANY = GraphContract.ANY;

    private final Manifest.Latent latent;
    private final Manifest.Vae entry;
    private final boolean keeps;
    private final LazySessions sessions;
    private @Nullable TiledPart front;

    /**
     * @param entry has an encoder
     * @param loader opens a graph of the bundle; closed with this object
     * @param keeps whether passes over tiles keep values of the whole picture ({@link TiledPart})
     * @throws BadBundleException the entry contradicts itself
     */
    public VaeEncoder(
            Manifest.Latent latent, Manifest.Vae entry, GraphLoader loader, boolean keeps) {
        this.latent = latent;
        this.entry = entry;
        this.keeps = keeps;
        sessions = new LazySessions(whole(), loader);
        latent.requireDivisor("vae.tiled_encoder", entry.tiledEncoder());
    }

    private String whole() {
        return Objects.requireNonNull(entry.encoder(), "the bundle has no encoder");
    }

    /**
     * Binds memory to the whole encoder, for pictures of one size.
     *
     * @param image float32 [3, h * f, w * f], -1 to 1
     * @param latents float32 [C, h, w], neither shifted nor scaled
     * @throws BadBundleException the graph cannot be loaded, or is not what the manifest says
     */
    public Binding bind(MemorySegment image, MemorySegment latents, int h, int w) {
        OrtSession session =
                sessions.get(
                        whole(),
                        encoder -> {
                            GraphContract graph = new GraphContract(encoder);
                            graph.onlyInputs(List.of("image"));
                            graph.input("image", "float32", ANY, 3, ANY, ANY);
                            graph.output("latents", "float32", ANY, latent.channels(), ANY, ANY);
                        });
        long factor = latent.vaeFactor();
        return session.bind(
                Map.of("image", Tensor.floats(image, 1, 3, h * factor, w * factor)),
                Map.of("latents", Tensor.floats(latents, 1, latent.channels(), h, w)));
    }

    /** The front of the tiled encoder: pixels of a tile to its features. */
    public synchronized TiledPart front() {
        TiledPart known = front;
        if (known == null) {
            known = new TiledPart(tiled().front(), false, keeps, sessions);
            front = known;
        }
        return known;
    }

    /**
     * Binds memory to the tail of the tiled encoder, for pictures of one size.
     *
     * @param features float32 [width of the front, h * scale, w * scale]
     * @param latents float32 [C, h, w], neither shifted nor scaled
     */
    public Binding bindTail(MemorySegment features, MemorySegment latents, int h, int w) {
        int width = front().width();
        OrtSession session =
                sessions.get(
                        tiled().tail(),
                        tail -> {
                            GraphContract graph = new GraphContract(tail);
                            graph.onlyInputs(List.of("features"));
                            graph.input("features", "float32", ANY, width, ANY, ANY);
                            graph.output("latents", "float32", ANY, latent.channels(), ANY, ANY);
                        });
        long scale = tiled().scale();
        return session.bind(
                Map.of("features", Tensor.floats(features, 1, width, h * scale, w * scale)),
                Map.of("latents", Tensor.floats(latents, 1, latent.channels(), h, w)));
    }

    private Manifest.TiledNetwork tiled() {
        Manifest.TiledNetwork tiled = entry.tiledEncoder();
        if (tiled == null) {
            throw new IllegalStateException(whole() + " has no tiled encoder");
        }
        return tiled;
    }

    /** Frees the networks and the memory that they worked in; they are loaded again when needed. */
    public synchronized void unload() {
        sessions.unload();
        front = null;
    }

    /** Frees the networks; what is bound to them keeps them until it is closed. Idempotent. */
    @Override
    public void close() {
        sessions.close();
    }
}
