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
import org.jspecify.annotations.Nullable;

/**
 * The networks of a bundle, loaded once and checked against its manifest. Thread-safe; the weights
 * are shared by everybody who binds buffers to them.
 */
public final class LoadedModel implements AutoCloseable {
    private final List<OrtSession> sessions;
    private final TextEncoder textEncoder;
    private final Denoiser denoiser;
    private final VaeDecoder vaeDecoder;

    private LoadedModel(List<OrtSession> sessions, Manifest manifest) {
        this.sessions = sessions;
        int encoders = manifest.textEncoders().size();
        textEncoder = new TextEncoder(sessions.subList(0, encoders), manifest.textEncoders());
        denoiser =
                new Denoiser(
                        sessions.get(encoders),
                        manifest.denoiser(),
                        manifest.latent().channels(),
                        textEncoder.hiddenWidth(),
                        textEncoder.pooledWidth());
        List<OrtSession> vae = sessions.subList(encoders + 1, sessions.size());
        vaeDecoder = new VaeDecoder(vae, manifest);
    }

    /**
     * Loads all networks at the same time, each on a thread of its own: the cold start is that of
     * the largest one.
     *
     * @param threads of each run of a network, at least 1
     * @throws BadBundleException a graph cannot be loaded, or is not what the manifest says
     */
    public static LoadedModel open(Bundle bundle, int threads) {
        Manifest manifest = bundle.manifest();
        List<String> files = new ArrayList<>();
        manifest.textEncoders().forEach(encoder -> files.add(encoder.file()));
        files.add(manifest.denoiser().file());
        files.add(manifest.vae().decoder());
        List<CompletableFuture<OrtSession>> loads =
                files.stream()
                        .map(file -> CompletableFuture.supplyAsync(
                                () -> session(bundle, file, threads), Thread.ofPlatform().daemon().name("asg-load")::start))
                        .toList();
        List<OrtSession> sessions = new ArrayList<>();
        Throwable failure = null;
        for (CompletableFuture<OrtSession> load : loads) {
            try {
                sessions.add(load.join());
            } catch (CompletionException e) {
                failure = failure == null ? e.getCause() : failure;
            }
        }
        try {
            if (failure instanceof AsgException typed) {
                throw typed;
            }
            if (failure != null) {
                throw new IllegalStateException("loading " + bundle.place() + " failed", failure);
            }
            return new LoadedModel(List.copyOf(sessions), manifest);
        } catch (RuntimeException e) {
            sessions.forEach(OrtSession::close);
            throw e;
        }
    }

    private static OrtSession session(Bundle bundle, String file, int threads) {
        try (Memory memory = new Memory("loading " + file)) {
            return switch (bundle.graph(file, memory)) {
                case ModelFile.Stored(String name, var path) -> OrtSession.open(path, threads);
                case ModelFile.Loaded(String name, var bytes) ->
                        OrtSession.open(bytes, bundle.place() + name, threads);
            };
        }
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
        sessions.reversed().forEach(OrtSession::close);
    }
}
