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

/**
 * The networks that turn latents into pixels, in one place: the decoder, and where the bundle has a
 * {@code tiled_decoder} its two parts (onnx-export/asg4j_export/vae_stats.py). Each is loaded when it
 * is first asked for. Thread-safe; the weights are shared by everybody who binds memory.
 */
public final class VaeDecoder implements AutoCloseable {
    private static final long ANY = GraphContract.ANY;

    private final Manifest.Latent latent;
    private final Manifest.Vae entry;
    private final GraphLoader loader;
    private final boolean keeps;
    private final LazySessions sessions;
    private @Nullable TiledPart tail;
    private @Nullable VaeDecoder fallback;

    /**
     * @param loader opens a graph of the bundle; closed with this object
     * @param keeps whether passes over tiles keep values of the whole picture ({@link TiledPart})
     * @throws BadBundleException the entry contradicts itself
     */
    public VaeDecoder(
            Manifest.Latent latent, Manifest.Vae entry, GraphLoader loader, boolean keeps) {
        this.latent = latent;
        this.entry = entry;
        this.keeps = keeps;
        this.loader = loader;
        sessions = new LazySessions(entry.decoder(), loader);
        latent.requireDivisor("vae.tiled_decoder", entry.tiledDecoder());
    }

    /** Takes over a decoder that is loaded already. */
    synchronized void loaded(OrtSession decoder) {
        check(decoder);
        sessions.put(entry.decoder(), decoder);
    }

    /** What the manifest says of it. */
    public Manifest.Vae entry() {
        return entry;
    }

    /**
     * Binds memory to the whole decoder, for latents of one size.
     *
     * @param latents float32 [C, h, w], scaled and shifted for the VAE
     * @param image float32 [3, h * f, w * f], about -1 to 1
     * @throws BadBundleException the graph cannot be loaded, or is not what the manifest says
     */
    public Binding bind(MemorySegment latents, MemorySegment image, int h, int w) {
        OrtSession session = sessions.get(entry.decoder(), this::check);
        long factor = latent.vaeFactor();
        return session.bind(
                Map.of("latents", Tensor.floats(latents, 1, latent.channels(), h, w)),
                Map.of("image", Tensor.floats(image, 1, 3, h * factor, w * factor)));
    }

    /**
     * Binds memory to the front of the tiled decoder, for latents of one size.
     *
     * @param latents float32 [C, h, w], scaled and shifted for the VAE
     * @param features float32 [{@link TiledPart#width}, h * scale, w * scale]
     */
    public Binding bindFront(MemorySegment latents, MemorySegment features, int h, int w) {
        Manifest.TiledNetwork tiled = tiled();
        int width = tail().width();
        OrtSession session = sessions.get(tiled.front(), front -> checkFront(front, width));
        long scale = tiled.scale();
        return session.bind(
                Map.of("latents", Tensor.floats(latents, 1, latent.channels(), h, w)),
                Map.of("features", Tensor.floats(features, 1, width, h * scale, w * scale)));
    }

    /**
     * Frees the front of the tiled decoder and the memory that it worked in, which is more than all that
     * follows it needs; it is loaded again when it is next asked for.
     */
    public void freeFront() {
        sessions.free(tiled().front());
    }

    /** The tail of the tiled decoder: features of a tile to its pixels. */
    public synchronized TiledPart tail() {
        TiledPart known = tail;
        if (known == null) {
            known = new TiledPart(tiled().tail(), true, keeps, sessions);
            tail = known;
        }
        return known;
    }

    /** The decoder in fp32, for pictures that overflow in this one; the entry has to have it. */
    public synchronized VaeDecoder fallback() {
        sessions.requireOpen();
        Manifest.Vae exact = entry.fallback();
        if (exact == null) {
            throw new IllegalStateException(entry.decoder() + " has no fallback");
        }
        VaeDecoder known = fallback;
        if (known == null) {
            known = new VaeDecoder(latent, exact, loader, keeps);
            fallback = known;
        }
        return known;
    }

    private Manifest.TiledNetwork tiled() {
        Manifest.TiledNetwork tiled = entry.tiledDecoder();
        if (tiled == null) {
            throw new IllegalStateException(entry.decoder() + " has no tiled decoder");
        }
        return tiled;
    }

    private void check(OrtSession decoder) {
        GraphContract graph = new GraphContract(decoder);
        graph.onlyInputs(List.of("latents"));
        graph.input("latents", "float32", ANY, latent.channels(), ANY, ANY);
        graph.output("image", "float32", ANY, 3, ANY, ANY);
    }

    private void checkFront(OrtSession front, int width) {
        GraphContract graph = new GraphContract(front);
        graph.onlyInputs(List.of("latents"));
        graph.input("latents", "float32", ANY, latent.channels(), ANY, ANY);
        graph.output("features", "float32", ANY, width, ANY, ANY);
    }

    /**
     * Frees the networks, and with them what ONNX Runtime keeps of the memory that they worked in; they
     * are loaded again when they are next asked for.
     */
    public synchronized void unload() {
        sessions.unload();
        tail = null;
        if (fallback != null) {
            fallback.unload();
        }
    }

    /** Frees the networks; what is bound to them keeps them until it is closed. Idempotent. */
    @Override
    public synchronized void close() {
        sessions.close();
        if (fallback != null) {
            fallback.close();
        }
    }
}
