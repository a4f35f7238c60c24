// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * The networks that turn latents into pixels, in one place: the decoder, and where the bundle has a
 * {@code tiled_decoder} its two parts (onnx-export/asg4j_export/vae_stats.py). Each is loaded when it
 * is first asked for. Thread-safe; the weights are shared by everybody who binds memory.
 */
public final class VaeDecoder implements AutoCloseable {
    private static final long ANY = GraphContract.ANY;

    private final Manifest.Latent latent;
    private final Manifest.Vae entry;
    private final Function<String, OrtSession> loader;
    private final Map<String, OrtSession> sessions = new HashMap<>();
    private @Nullable Tail tail;
    private @Nullable VaeDecoder fallback;
    private boolean closed;

    /**
     * @param loader opens a graph of the bundle; closed with this object
     * @throws BadBundleException the entry contradicts itself
     */
    public VaeDecoder(
            Manifest.Latent latent, Manifest.Vae entry, Function<String, OrtSession> loader) {
        this.latent = latent;
        this.entry = entry;
        this.loader = loader;
        Manifest.TiledDecoder tiled = entry.tiledDecoder();
        if (tiled != null && latent.vaeFactor() % tiled.scale() != 0) {
            throw new BadBundleException(
                    Manifest.FILE_NAME
                            + ": vae.tiled_decoder.scale: found "
                            + tiled.scale()
                            + ", expected a divisor of vae_factor, "
                            + latent.vaeFactor()
                            + ": export the bundle again");
        }
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
        OrtSession session = session(entry.decoder(), this::check);
        long factor = latent.vaeFactor();
        return session.bind(
                Map.of("latents", Tensor.floats(latents, 1, latent.channels(), h, w)),
                Map.of("image", Tensor.floats(image, 1, 3, h * factor, w * factor)));
    }

    /**
     * Binds memory to the front of the tiled decoder, for latents of one size.
     *
     * @param latents float32 [C, h, w], scaled and shifted for the VAE
     * @param features float32 [{@link Tail#width()}, h * scale, w * scale]
     */
    public Binding bindFront(MemorySegment latents, MemorySegment features, int h, int w) {
        Manifest.TiledDecoder tiled = tiled();
        int width = tail().width();
        OrtSession session = session(tiled.front(), front -> checkFront(front, width));
        long scale = tiled.scale();
        return session.bind(
                Map.of("latents", Tensor.floats(latents, 1, latent.channels(), h, w)),
                Map.of("features", Tensor.floats(features, 1, width, h * scale, w * scale)));
    }

    /** The tail of the tiled decoder. */
    public synchronized Tail tail() {
        Tail known = tail;
        if (known == null) {
            Tail[] made = new Tail[1];
            session(tiled().tail(), session -> made[0] = checkedTail(session));
            known = made[0];
            tail = known;
        }
        return known;
    }

    /** The decoder in fp32, for pictures that overflow in this one; the entry has to have it. */
    public synchronized VaeDecoder fallback() {
        requireOpen();
        Manifest.Vae exact = entry.fallback();
        if (exact == null) {
            throw new IllegalStateException(entry.decoder() + " has no fallback");
        }
        VaeDecoder known = fallback;
        if (known == null) {
            known = new VaeDecoder(latent, exact, loader);
            fallback = known;
        }
        return known;
    }

    private Manifest.TiledDecoder tiled() {
        Manifest.TiledDecoder tiled = entry.tiledDecoder();
        if (tiled == null) {
            throw new IllegalStateException(entry.decoder() + " has no tiled decoder");
        }
        return tiled;
    }

    private synchronized OrtSession session(
            String file, java.util.function.Consumer<OrtSession> check) {
        requireOpen();
        OrtSession known = sessions.get(file);
        if (known == null) {
            known = loader.apply(file);
            try {
                check.accept(known);
            } catch (RuntimeException e) {
                known.close();
                throw e;
            }
            sessions.put(file, known);
        }
        return known;
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException(entry.decoder() + " is closed");
        }
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

    private static Tail checkedTail(OrtSession session) {
        GraphContract graph = new GraphContract(session);
        graph.onlyInputs(List.of("features", "norm_stats", "core_y", "core_x"));
        int width = graph.fixed(graph.input("features", "float32", ANY, ANY, ANY, ANY), 1);
        var statistics = graph.input("norm_stats", "float32", ANY, 2, ANY);
        graph.input("core_y", "float32", ANY);
        graph.input("core_x", "float32", ANY);
        int norms = graph.fixed(statistics, 0);
        int groups = graph.fixed(statistics, 2);
        graph.output("image", "float32", ANY, 3, ANY, ANY);
        graph.output("moments", "float32", norms, 2, groups);
        return new Tail(session, width, norms, groups);
    }

    /** The second part of a tiled decoder: features of a tile to its pixels. */
    public static final class Tail {
        private final OrtSession session;
        private final int width;
        private final int norms;
        private final int groups;

        private Tail(OrtSession session, int width, int norms, int groups) {
            this.session = session;
            this.width = width;
            this.norms = norms;
            this.groups = groups;
        }

        /** Planes of the features. */
        public int width() {
            return width;
        }

        /** Group normalisations in it. */
        public int norms() {
            return norms;
        }

        /** Groups of each norm. */
        public int groups() {
            return groups;
        }

        /**
         * Binds memory for tiles of h x w features.
         *
         * @param features float32 [width, h, w]
         * @param statistics float32 [norms, 2, groups]: mean, variance that the norms use
         * @param coreY float32 [h]: 1 for rows whose moments count, else 0
         * @param coreX float32 [w]
         * @param image float32 [3, h * pixels, w * pixels]
         * @param moments float32 [norms, 2, groups]: mean, variance over the core
         * @param pixels per feature and axis
         */
        public Binding bind(
                MemorySegment features,
                MemorySegment statistics,
                MemorySegment coreY,
                MemorySegment coreX,
                MemorySegment image,
                MemorySegment moments,
                int h,
                int w,
                int pixels) {
            Tensor picture = Tensor.floats(image, 1, 3, (long) h * pixels, (long) w * pixels);
            return session.bind(
                    Map.of(
                            "features",
                            Tensor.floats(features, 1, width, h, w),
                            "norm_stats",
                            Tensor.floats(statistics, norms, 2, groups),
                            "core_y",
                            Tensor.floats(coreY, h),
                            "core_x",
                            Tensor.floats(coreX, w)),
                    Map.of("image", picture, "moments", Tensor.floats(moments, norms, 2, groups)));
        }
    }

    /**
     * Frees the networks, and with them what ONNX Runtime keeps of the memory that they worked in; they
     * are loaded again when they are next asked for.
     */
    public synchronized void unload() {
        sessions.values().forEach(OrtSession::close);
        sessions.clear();
        tail = null;
        if (fallback != null) {
            fallback.unload();
        }
    }

    /** Frees the networks; what is bound to them keeps them until it is closed. Idempotent. */
    @Override
    public synchronized void close() {
        closed = true;
        sessions.values().forEach(OrtSession::close);
        if (fallback != null) {
            fallback.close();
        }
    }
}
