// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Place;
import io.github.asg4j.ort.Placement;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * The networks of a bundle, loaded once and checked against its manifest. Thread-safe; the weights
 * are shared by everybody who binds buffers to them in the same place. Text encoders and VAE are
 * where the first worker's are; where tiles of a picture are decoded, the VAE too.
 */
public final class LoadedModel implements AutoCloseable {
    private final Bundle bundle;
    private final List<Placement> placements;
    private final List<OrtSession> sessions;
    private final Map<Place, Denoiser> denoisers = new HashMap<>();

    /** Where text encoders are, and the VAE for all but tiles. */
    private volatile Place front;

    private volatile TextEncoder textEncoder;

    /** Decoders of the front and of devices that have decoded tiles, lost ones too. */
    private final Map<Place, VaeDecoder> vaeDecoders = new HashMap<>();

    private final Map<PlacedUpscaler, Upscaler> upscalers = new HashMap<>();
    private @Nullable OrtSession encoderSession;
    private boolean closed;

    /** Denoisers of the same weights with run-time dilation, as far as they were asked for. */
    private final Map<Place, Denoiser> dilated = new HashMap<>();

    private record PlacedUpscaler(Manifest.Upscaler entry, Place place) {}

    private LoadedModel(Bundle bundle, List<OrtSession> sessions, List<Placement> placements) {
        this.bundle = bundle;
        this.placements = List.copyOf(placements);
        this.sessions = new ArrayList<>(sessions);
        front = placements.getFirst().front();
        int encoders = bundle.manifest().textEncoders().size();
        textEncoder = textEncoder(bundle, sessions.subList(0, encoders));
        int next = encoders + 1;
        for (Place place : loops(placements)) {
            denoisers.put(place, denoiser(sessions.get(next++), List.of()));
        }
        vaeDecoder(front).loaded(sessions.get(encoders));
    }

    private static TextEncoder textEncoder(Bundle bundle, List<OrtSession> sessions) {
        Manifest manifest = bundle.manifest();
        return new TextEncoder(sessions, manifest.textEncoders(), manifest.conditioning());
    }

    /** Frees the memory of all VAE decoders; they are loaded again when they are next used. */
    public synchronized void unloadVae() {
        vaeDecoders.values().forEach(VaeDecoder::unload);
    }

    private VaeDecoder vaeDecoder(Place place) {
        return vaeDecoders.computeIfAbsent(
                place,
                p ->
                        new VaeDecoder(
                                bundle.manifest().latent(),
                                bundle.manifest().vae(),
                                file -> session(bundle, file, withAllCores(p))));
    }

    /**
     * Loads the text encoders anew where {@code worker} is, the VAE when it is next asked for: the
     * device they were on is lost.
     */
    public synchronized void moveFront(int worker) {
        requireOpen();
        Place place = placements.get(worker).front();
        List<OrtSession> encoders = new ArrayList<>();
        for (Manifest.TextEncoder entry : bundle.manifest().textEncoders()) {
            OrtSession session = session(bundle, entry.file(), place);
            sessions.add(session);
            encoders.add(session);
        }
        if (encoderSession != null) {
            sessions.add(encoderSession);
            encoderSession = null;
        }
        textEncoder = textEncoder(bundle, encoders);
        front = place;
    }

    private static List<Place> loops(List<Placement> placements) {
        return placements.stream().map(Placement::loop).distinct().toList();
    }

    /** Loads all networks for workers on the CPU. */
    public static LoadedModel open(Bundle bundle, int threads) {
        return open(bundle, List.of(Placement.cpu(threads)));
    }

    /**
     * Loads all networks at the same time, each on a thread of its own: the cold start is that of
     * the largest one.
     *
     * @param placements by worker
     * @throws BadBundleException a graph cannot be loaded, or is not what the manifest says
     */
    public static LoadedModel open(Bundle bundle, List<Placement> placements) {
        Manifest manifest = bundle.manifest();
        Place front = placements.getFirst().front();
        List<CompletableFuture<OrtSession>> loads = new ArrayList<>();
        manifest.textEncoders().forEach(e -> loads.add(load(bundle, e.file(), front)));
        loads.add(load(bundle, manifest.vae().decoder(), withAllCores(front)));
        loops(placements)
                .forEach(place -> loads.add(load(bundle, manifest.denoiser().file(), place)));
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
            return new LoadedModel(bundle, List.copyOf(sessions), placements);
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

    /**
     * The picture is decoded when all workers are done: with every core, whatever their number, so
     * that the bytes do not depend on it.
     */
    private static Place withAllCores(Place place) {
        return new Place(Runtime.getRuntime().availableProcessors(), place.provider());
    }

    private static CompletableFuture<OrtSession> load(Bundle bundle, String file, Place place) {
        return CompletableFuture.supplyAsync(
                () -> session(bundle, file, place),
                Thread.ofPlatform().daemon().name("asg-load")::start);
    }

    /**
     * Loads one graph of a bundle; the caller closes it.
     *
     * @throws BadBundleException the graph cannot be loaded
     */
    public static OrtSession session(Bundle bundle, String file, Place place) {
        // ONNX Runtime copies a graph in memory: the bytes are freed at once.
        try (Memory memory = new Memory("loading " + file)) {
            return switch (bundle.graph(file, memory)) {
                case ModelFile.Stored stored ->
                        OrtSession.open(stored.path(), stored.externalBytes(), place);
                case ModelFile.Loaded loaded ->
                        OrtSession.open(
                                loaded.bytes(),
                                loaded.externalData(),
                                bundle.place() + file,
                                place);
                case ModelFile.Assembled assembled ->
                        OrtSession.open(
                                assembled.bytes(),
                                assembled.weights(),
                                bundle.place() + ": " + file,
                                place);
            };
        }
    }

    /** Threads of each run of the denoiser and the text encoders. */
    public int threadsPerWorker() {
        return placements.getFirst().loop().threads();
    }

    public TextEncoder textEncoder() {
        return textEncoder;
    }

    /** The first worker's. */
    public Denoiser denoiser() {
        return denoiser(0);
    }

    public Denoiser denoiser(int worker) {
        return Objects.requireNonNull(denoisers.get(placements.get(worker).loop()));
    }

    /** The first worker's. */
    public Denoiser dilatedDenoiser() {
        return dilatedDenoiser(0);
    }

    /**
     * The denoiser whose dilation is an input: loaded at the first call and kept.
     *
     * @throws BadBundleException there is none, it cannot be loaded, or it is not what the manifest
     *     says
     */
    public synchronized Denoiser dilatedDenoiser(int worker) {
        requireOpen();
        Place place = placements.get(worker).loop();
        Denoiser known = dilated.get(place);
        if (known == null) {
            Manifest.Denoiser entry = bundle.manifest().denoiser();
            String file = entry.dilatedFile();
            if (file == null) {
                throw new BadBundleException(
                        bundle.place() + " has no dilated_file: export it again");
            }
            OrtSession session = session(bundle, file, place);
            try {
                known = denoiser(session, entry.dilationGroups());
            } catch (RuntimeException e) {
                session.close();
                throw e;
            }
            sessions.add(session);
            dilated.put(place, known);
        }
        return known;
    }

    /** Where the text encoders are. */
    public synchronized VaeDecoder vaeDecoder() {
        requireOpen();
        return vaeDecoder(front);
    }

    /**
     * A worker's: that of all workers on the CPU; each GPU loads the networks that it is asked for.
     * Their tensors lie in host memory.
     */
    public synchronized VaeDecoder vaeDecoder(int worker) {
        requireOpen();
        return vaeDecoder(placements.get(worker).front());
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
            session = session(bundle, file, withAllCores(front));
            encoderSession = session;
        }
        return new VaeEncoder(session, bundle.manifest().latent());
    }

    /**
     * An upscaler of the bundle for a worker, loaded when it is first asked for. Its tensors lie in
     * host memory.
     *
     * @throws BadBundleException the graph cannot be loaded, or is not what the manifest says
     */
    public synchronized Upscaler upscaler(Manifest.Upscaler entry, int worker) {
        requireOpen();
        PlacedUpscaler placed = new PlacedUpscaler(entry, placements.get(worker).front());
        Upscaler known = upscalers.get(placed);
        if (known == null) {
            known = new Upscaler(session(bundle, entry.file(), placed.place()), entry);
            upscalers.put(placed, known);
        }
        return known;
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the model " + bundle.place() + " is closed");
        }
    }

    /**
     * Frees the networks and closes their bundle; what is still bound to one keeps it until it is
     * closed. Idempotent.
     */
    @Override
    public synchronized void close() {
        closed = true;
        upscalers.values().forEach(Upscaler::close);
        vaeDecoders.values().forEach(VaeDecoder::close);
        if (encoderSession != null) {
            encoderSession.close();
        }
        sessions.reversed().forEach(OrtSession::close);
        bundle.close();
    }
}
