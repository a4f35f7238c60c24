// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.OrtSession;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * The networks of a bundle, loaded once and checked against its manifest. Thread-safe; the weights
 * are shared by everybody who binds buffers to them.
 */
public final class LoadedModel implements AutoCloseable {
    private final Bundle bundle;
    private final int threads;
    private final List<OrtSession> sessions;
    private final TextEncoder textEncoder;
    private final Denoiser denoiser;
    private final VaeDecoder vaeDecoder;
    private final Map<Manifest.Upscaler, Upscaler> upscalers = new HashMap<>();
    private @Nullable OrtSession encoderSession;
    private boolean closed;

    /** With run-time dilation, of the same weights; null: not asked for yet. */
    private @Nullable Denoiser dilated;

    private LoadedModel(Bundle bundle, List<OrtSession> sessions, int threads) {
        this.bundle = bundle;
        this.threads = threads;
        this.sessions = new ArrayList<>(sessions);
        Manifest manifest = bundle.manifest();
        int encoders = manifest.textEncoders().size();
        textEncoder =
                new TextEncoder(
                        sessions.subList(0, encoders),
                        manifest.textEncoders(),
                        manifest.conditioning());
        denoiser = denoiser(sessions.get(encoders), List.of());
        vaeDecoder =
                new VaeDecoder(
                        sessions.get(encoders + 1),
                        manifest.latent(),
                        manifest.vae(),
                        file -> session(bundle, file, vaeThreads()));
    }

    /**
     * Loads all networks at the same time, each on a thread of its own: the cold start is that of
     * the largest one.
     *
     * @param threads of each run of the denoiser, the text encoders and upscalers, at least 1
     * @throws BadBundleException a graph cannot be loaded, or is not what the manifest says
     */
    public static LoadedModel open(Bundle bundle, int threads) {
        Manifest manifest = bundle.manifest();
        List<CompletableFuture<OrtSession>> loads = new ArrayList<>();
        manifest.textEncoders().forEach(e -> loads.add(load(bundle, e.file(), threads)));
        loads.add(load(bundle, manifest.denoiser().file(), threads));
        loads.add(load(bundle, manifest.vae().decoder(), vaeThreads()));
        List<OrtSession> sessions = new ArrayList<>();
        List<Throwable> failures = new ArrayList<>();
        for (CompletableFuture<OrtSession> load : loads) {
            try {
                sessions.add(load.join());
            } catch (CompletionException e) {
                failures.add(e.getCause());
            }
        }
        try {
            if (!failures.isEmpty()) {
                throw failures.getFirst() instanceof AsgException typed
                        ? typed
                        : new IllegalStateException(
                                "loading " + bundle.place(), failures.getFirst());
            }
            return new LoadedModel(bundle, List.copyOf(sessions), threads);
        } catch (RuntimeException e) {
            sessions.forEach(OrtSession::close);
            throw e;
        }
    }

    private Denoiser denoiser(OrtSession session, List<String> dilationGroups) {
        return new Denoiser(
                session,
                bundle.manifest().denoiser(),
                dilationGroups,
                bundle.manifest().latent().channels(),
                textEncoder.hiddenWidth(),
                textEncoder.pooledWidth());
    }

    /** The picture is decoded when all workers are done: with every core. */
    private static int vaeThreads() {
        return Runtime.getRuntime().availableProcessors();
    }

    private static CompletableFuture<OrtSession> load(Bundle bundle, String file, int threads) {
        return CompletableFuture.supplyAsync(
                () -> session(bundle, file, threads),
                Thread.ofPlatform().daemon().name("asg-load")::start);
    }

    /**
     * Loads one graph of a bundle; the caller closes it.
     *
     * @param threads of each run
     * @throws BadBundleException the graph cannot be loaded
     */
    public static OrtSession session(Bundle bundle, String file, int threads) {
        // ONNX Runtime copies a graph in memory: the bytes are freed at once.
        try (Memory memory = new Memory("loading " + file)) {
            return switch (bundle.graph(file, memory)) {
                case ModelFile.Stored stored ->
                        OrtSession.open(stored.path(), stored.externalBytes(), threads);
                case ModelFile.Loaded loaded ->
                        OrtSession.open(
                                loaded.bytes(),
                                loaded.externalData(),
                                bundle.place() + file,
                                threads);
            };
        }
    }

    /** Threads of each run of the denoiser and the text encoders. */
    public int threadsPerWorker() {
        return threads;
    }

    public TextEncoder textEncoder() {
        return textEncoder;
    }

    public Denoiser denoiser() {
        return denoiser;
    }

    /**
     * The denoiser whose dilation is an input: loaded at the first call and kept.
     *
     * @throws BadBundleException there is none, it cannot be loaded, or it is not what the manifest
     *     says
     */
    public synchronized Denoiser dilatedDenoiser() {
        if (closed) {
            throw new IllegalStateException("the model " + bundle.place() + " is closed");
        }
        if (dilated == null) {
            Manifest.Denoiser entry = bundle.manifest().denoiser();
            String file = entry.dilatedFile();
            if (file == null) {
                throw new BadBundleException(
                        bundle.place() + " has no dilated_file: export it again");
            }
            OrtSession session = session(bundle, file, threads);
            try {
                dilated = denoiser(session, entry.dilationGroups());
            } catch (RuntimeException e) {
                session.close();
                throw e;
            }
            sessions.add(session);
        }
        return dilated;
    }

    public VaeDecoder vaeDecoder() {
        return vaeDecoder;
    }

    /**
     * The VAE's encoder, loaded when a start picture first needs it.
     *
     * @throws BadBundleException if it cannot be loaded, or is not what the manifest says
     * @throws IllegalStateException if the bundle has none; the planner has seen to it
     */
    public synchronized VaeEncoder vaeEncoder() {
        requireOpen();
        String file = bundle.manifest().vae().encoder();
        if (file == null) {
            throw new IllegalStateException(bundle.place() + " has no vae.encoder");
        }
        OrtSession session = encoderSession;
        if (session == null) {
            session = session(bundle, file, vaeThreads());
            encoderSession = session;
        }
        return new VaeEncoder(session, bundle.manifest().latent());
    }

    /**
     * An upscaler of the bundle, loaded when it is first asked for.
     *
     * @throws BadBundleException the graph cannot be loaded, or is not what the manifest says
     */
    public synchronized Upscaler upscaler(Manifest.Upscaler entry) {
        requireOpen();
        Upscaler known = upscalers.get(entry);
        if (known == null) {
            known = new Upscaler(session(bundle, entry.file(), threads), entry);
            upscalers.put(entry, known);
        }
        return known;
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException(bundle.place() + " is closed");
        }
    }

    /** Frees the networks; what is still bound to one keeps it until it is closed. Idempotent. */
    @Override
    public synchronized void close() {
        closed = true;
        upscalers.values().forEach(Upscaler::close);
        vaeDecoder.close();
        if (encoderSession != null) {
            encoderSession.close();
        }
        sessions.reversed().forEach(OrtSession::close);
    }
}
