// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.OrtSession;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * The networks of a bundle, loaded once and checked against its manifest. Thread-safe; the weights
 * are shared by everybody who binds buffers to them.
 */
public final class LoadedModel implements AutoCloseable {
    private final int threads;
    private final List<OrtSession> sessions;
    private final TextEncoder textEncoder;
    private final Denoiser denoiser;
    private final VaeDecoder vaeDecoder;

    private LoadedModel(Bundle bundle, List<OrtSession> sessions, int threads) {
        this.threads = threads;
        this.sessions = sessions;
        Manifest manifest = bundle.manifest();
        int encoders = manifest.textEncoders().size();
        textEncoder =
                new TextEncoder(
                        sessions.subList(0, encoders),
                        manifest.textEncoders(),
                        manifest.conditioning());
        denoiser =
                new Denoiser(
                        sessions.get(encoders),
                        manifest.denoiser(),
                        manifest.latent().channels(),
                        textEncoder.hiddenWidth(),
                        textEncoder.pooledWidth());
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
     * @param threads of each run of the denoiser and the text encoders, at least 1
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

    /** The picture is decoded when all workers are done: with every core. */
    private static int vaeThreads() {
        return Runtime.getRuntime().availableProcessors();
    }

    private static CompletableFuture<OrtSession> load(Bundle bundle, String file, int threads) {
        return CompletableFuture.supplyAsync(
                () -> session(bundle, file, threads),
                Thread.ofPlatform().daemon().name("asg-load")::start);
    }

    private static OrtSession session(Bundle bundle, String file, int threads) {
        // ONNX Runtime copies a graph in memory: the bytes are freed at once.
        try (Memory memory = new Memory("loading " + file)) {
            return switch (bundle.graph(file, memory)) {
                case ModelFile.Stored stored -> OrtSession.open(stored.path(), threads);
                case ModelFile.Loaded loaded ->
                        OrtSession.open(loaded.bytes(), bundle.place() + file, threads);
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

    public VaeDecoder vaeDecoder() {
        return vaeDecoder;
    }

    /** Frees the networks; what is still bound to one keeps it until it is closed. Idempotent. */
    @Override
    public void close() {
        vaeDecoder.close();
        sessions.reversed().forEach(OrtSession::close);
    }
}
