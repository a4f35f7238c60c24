// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.Lora;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.checkpoint.ChangedWeights;
import io.github.asg4j.model.lora.LoraSet;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Place;
import io.github.asg4j.ort.Placement;
import io.github.asg4j.ort.Provider;

import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * The networks of a bundle, loaded once and checked against its manifest. Thread-safe; the weights
 * are shared by everybody who binds buffers to them in the same place. Text encoders and VAE are
 * where the first worker's are; where tiles of a picture are decoded, the VAE too.
 */
public final class LoadedModel implements AutoCloseable {
    private final Bundle bundle;
    private final List<Placement> placements;

    /** Text encoders and denoisers, of the LoRA files that {@link #use} was last given. */
    private volatile Networks networks;

    /** Where text encoders are, and the VAE for all but tiles. */
    private volatile Placement first;

    /** Decoders of the front and of devices that have decoded tiles, lost ones too. */
    private final Map<Place, VaeDecoder> vaeDecoders = new HashMap<>();

    /** Encoders alike. */
    private final Map<Place, VaeEncoder> vaeEncoders = new HashMap<>();

    private final Map<PlacedUpscaler, Upscaler> upscalers = new HashMap<>();
    private final Map<PlacedControl, ControlNetwork> controls = new HashMap<>();
    private boolean unloaded;
    private boolean closed;

    private record PlacedControl(String sha256, Place place) {}

    private record PlacedUpscaler(Manifest.Upscaler entry, Place place) {}

    private LoadedModel(
            Bundle bundle, Networks networks, OrtSession vae, List<Placement> placements) {
        this.bundle = bundle;
        this.networks = networks;
        this.placements = List.copyOf(placements);
        first = placements.getFirst();
        vaeDecoder(first).loaded(vae);
    }

    /** Frees the memory of the VAE's networks; they are loaded again when they are next used. */
    public synchronized void unloadVae() {
        vaeDecoders.values().forEach(VaeDecoder::unload);
        vaeEncoders.values().forEach(VaeEncoder::unload);
    }

    private VaeDecoder vaeDecoder(Placement placement) {
        Manifest.Vae vae = bundle.manifest().vae();
        return vaeDecoders.computeIfAbsent(
                placement.front(),
                p ->
                        new VaeDecoder(
                                bundle.manifest().latent(),
                                vae,
                                vaeGraphs(
                                        placement,
                                        vae.decoder(),
                                        vae.tiledDecoder(),
                                        Manifest.TiledNetwork::tail),
                                !p.onGpu()));
    }

    /**
     * Opens graphs of a bundle, which has to stay open as long as they.
     *
     * @param place of all of them
     */
    public static GraphLoader graphs(Bundle bundle, Place place) {
        return (file, change) -> session(bundle, file, place, ChangedWeights.NONE, change);
    }

    /**
     * Opens the decoder's networks, or the encoder's: where the placement has the VAE, but for the decoder for
     * pictures that overflow.
     *
     * @param parts of it; null: there are none
     * @param tiled the part that runs in tiles
     */
    private GraphLoader vaeGraphs(
            Placement placement,
            @Nullable String whole,
            Manifest.@Nullable TiledNetwork parts,
            Function<Manifest.TiledNetwork, String> tiled) {
        GraphLoader alone = graphs(bundle, withAllCores(placement.vae()));
        GraphLoader tiles = graphs(bundle, forTiles(placement.vae()));
        GraphLoader others = graphs(bundle, withAllCores(placement.front()));
        Map<String, GraphLoader> loaders = new HashMap<>();
        loaders.put(Objects.requireNonNull(whole), alone);
        if (parts != null) {
            loaders.put(parts.front(), alone);
            loaders.put(parts.tail(), alone);
            loaders.put(tiled.apply(parts), tiles);
        }
        return (file, change) -> loaders.getOrDefault(file, others).open(file, change);
    }

    /** A compiled network has a stream for each worker; else its threads are those of one that runs alone. */
    private Place forTiles(Place place) {
        Provider provider = place.provider();
        return provider == null || !provider.compiles()
                ? withAllCores(place)
                : new Place(
                        place.threads(),
                        provider.keepingNone(placements.size(), place.threads()),
                        place.mapsWeights());
    }

    /**
     * Loads the text encoders anew where {@code worker} is, the VAE when it is next asked for: the
     * device they were on is lost.
     */
    public synchronized void moveFront(int worker) {
        requireOpen();
        Placement placement = placements.get(worker);
        if (!unloaded) {
            networks.moveTextEncoders(placement.front());
        }
        first = placement;
    }

    private static List<Place> loops(List<Placement> placements) {
        return placements.stream().map(Placement::loop).distinct().toList();
    }

    /** Loads all networks for workers on the CPU. */
    public static LoadedModel open(Bundle bundle, int threads) {
        return open(bundle, List.of(Placement.cpu(threads)), List.of());
    }

    /**
     * Loads all networks at the same time, each on a thread of its own: the cold start is that of
     * the largest one.
     *
     * @param placements by worker
     * @param loras LoRA files that the first requests will ask for
     * @throws BadBundleException a graph cannot be loaded, or is not what the manifest says
     * @throws io.github.asg4j.BadRequestException a LoRA file is not for this model
     */
    public static LoadedModel open(Bundle bundle, List<Placement> placements, List<Lora> loras) {
        LoraSet changes = loras.isEmpty() ? null : bundle.loras(loras);
        Placement first = placements.getFirst();
        CompletableFuture<OrtSession> vae =
                load(
                        bundle,
                        bundle.manifest().vae().decoder(),
                        withAllCores(first.vae()),
                        ChangedWeights.NONE);
        Networks networks = null;
        try {
            networks = Networks.load(bundle, changes, first.front(), loops(placements));
            return new LoadedModel(bundle, networks, Networks.joined(bundle, vae), placements);
        } catch (RuntimeException e) {
            closeLoaded(bundle, vae, e);
            if (networks != null) {
                networks.close();
            }
            throw e;
        }
    }

    private static void closeLoaded(
            Bundle bundle, CompletableFuture<OrtSession> load, RuntimeException failure) {
        try {
            Networks.joined(bundle, load).close();
        } catch (RuntimeException e) {
            if (!e.equals(failure)) { // which it cannot suppress itself
                failure.addSuppressed(e);
            }
        }
    }

    /**
     * Makes text encoders and denoisers those of the model with LoRA files, for the requests that are
     * drawn from now on: at once if they are those of the last request, in place if its files and these
     * change matrices alone and the networks are on the CPU; else they are loaded anew. Nobody may run a network.
     *
     * @param loras as the request names them; empty: the model as it is
     * @throws io.github.asg4j.BadRequestException a LoRA file is not for this model
     */
    public synchronized void use(List<Lora> loras) {
        requireOpen();
        if (unloaded) {
            LoraSet changes = loras.isEmpty() ? null : bundle.loras(loras);
            networks = Networks.load(bundle, changes, first.front(), loops(placements));
            unloaded = false;
            return;
        }
        if (networks.isOf(loras.isEmpty() ? List.of() : Bundle.loraKeys(loras))) {
            return;
        }
        LoraSet next = loras.isEmpty() ? null : bundle.loras(loras);
        try {
            if (networks.change(next)) {
                return;
            }
        } catch (RuntimeException | Error e) {
            if (next != null) {
                next.close();
            }
            networks.close();
            networks = Networks.load(bundle, null, first.front(), loops(placements));
            throw e;
        }
        // Memory first: two sets of networks may be more than there is.
        networks.close();
        try {
            networks = Networks.load(bundle, next, first.front(), loops(placements));
        } catch (RuntimeException e) {
            networks = Networks.load(bundle, null, first.front(), loops(placements));
            throw e;
        }
    }

    /** SHA-256 of the LoRA files that {@link #use} was last given, in the request's order. */
    public List<String> loraHashes() {
        return networks.loraHashes();
    }

    /**
     * The picture is decoded when all workers are done: with every core, whatever their number, so
     * that the bytes do not depend on it.
     */
    private static Place withAllCores(Place place) {
        int cores = Runtime.getRuntime().availableProcessors();
        Provider provider = place.provider();
        return new Place(
                cores,
                provider == null ? null : provider.keepingNone(1, cores),
                place.mapsWeights());
    }

    static CompletableFuture<OrtSession> load(
            Bundle bundle, String file, Place place, ChangedWeights changes) {
        return CompletableFuture.supplyAsync(
                () -> session(bundle, file, place, changes),
                Thread.ofPlatform().daemon().name("asg-load")::start);
    }

    /**
     * Loads one graph of a bundle; the caller closes it.
     *
     * @throws BadBundleException the graph cannot be loaded
     */
    public static OrtSession session(Bundle bundle, String file, Place place) {
        return session(bundle, file, place, ChangedWeights.NONE);
    }

    /**
     * The same.
     *
     * @param changes weights that take the place of a checkpoint's own, valid until it is closed
     */
    static OrtSession session(Bundle bundle, String file, Place place, ChangedWeights changes) {
        return session(bundle, file, place, changes, null);
    }

    /**
     * The same.
     *
     * @param change of the graph; null: as the bundle has it
     */
    static OrtSession session(
            Bundle bundle,
            String file,
            Place place,
            ChangedWeights changes,
            @Nullable Consumer<OnnxGraph> change) {
        return session(
                memory -> {
                    ModelFile graph = bundle.graph(file, memory, changes);
                    return change == null ? graph : graph.changed(change, memory);
                },
                bundle.place(),
                place);
    }

    /**
     * The same.
     *
     * @param shown where the graph lies, for messages
     */
    private static OrtSession session(Function<Memory, ModelFile> file, String shown, Place place) {
        // ONNX Runtime copies a graph in memory: the bytes are freed at once.
        try (Memory memory = new Memory("loading a network of " + shown)) {
            ModelFile graph = file.apply(memory);
            return switch (graph) {
                case ModelFile.Stored stored ->
                        OrtSession.open(stored.path(), stored.external(), place);
                case ModelFile.Loaded loaded ->
                        OrtSession.open(
                                loaded.bytes(), loaded.externalData(), shown + graph.name(), place);
                case ModelFile.Assembled assembled ->
                        OrtSession.open(
                                assembled.bytes(),
                                assembled.weights(),
                                shown + ": " + graph.name(),
                                place);
            };
        }
    }

    /** Threads of each run of the denoiser and the text encoders. */
    public int threadsPerWorker() {
        return placements.getFirst().loop().threads();
    }

    /** The text encoders as the bundle has them. */
    public TextEncoder textEncoder() {
        return networks.textEncoder();
    }

    /**
     * The text encoders, changed where that is asked for: then loaded at the first call and kept.
     *
     * @param clipSkip layer from the end that gives the states, 1 is the last; empty: as the bundle
     *     has it
     * @param vectors whether those of CLIP take vectors in the place of tokens
     * @throws io.github.asg4j.BadRequestException they cannot be changed so
     */
    public synchronized TextEncoder textEncoder(OptionalInt clipSkip, boolean vectors) {
        requireOpen();
        return clipSkip.isEmpty() && !vectors
                ? networks.textEncoder()
                : networks.textEncoder(new Networks.TextChange(clipSkip, vectors));
    }

    /** The first worker's. */
    public Denoiser denoiser() {
        return denoiser(0);
    }

    public Denoiser denoiser(int worker) {
        return networks.denoiser(placements.get(worker).loop());
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
        return networks.dilatedDenoiser(placements.get(worker).loop());
    }

    /**
     * A worker's denoiser with inputs for what control networks give: loaded at the first call and kept.
     *
     * @throws io.github.asg4j.BadRequestException the residuals are not those of this denoiser
     */
    public synchronized Denoiser controlledDenoiser(
            int worker, List<ControlManifest.Residual> residuals) {
        requireOpen();
        return networks.controlledDenoiser(placements.get(worker).loop(), residuals);
    }

    /**
     * A worker's denoiser that gives its features and goes on from them: loaded at the first call and kept.
     *
     * @throws io.github.asg4j.BadRequestException it is no UNet that can be cut
     */
    public synchronized Denoiser cachedDenoiser(int worker) {
        requireOpen();
        return networks.cachedDenoiser(placements.get(worker).loop());
    }

    /**
     * A control network for a worker, loaded when it is first asked for.
     *
     * @throws BadBundleException the graph cannot be loaded, or is not what control.json says
     */
    public synchronized ControlNetwork controlNetwork(ControlFiles files, int worker) {
        requireOpen();
        PlacedControl placed = new PlacedControl(files.sha256(), placements.get(worker).loop());
        ControlNetwork known = controls.get(placed);
        if (known == null) {
            known =
                    new ControlNetwork(
                            session(files::graph, files.place(), placed.place()), files.manifest());
            controls.put(placed, known);
        }
        return known;
    }

    /** Where the text encoders are. */
    public synchronized VaeDecoder vaeDecoder() {
        requireOpen();
        return vaeDecoder(first);
    }

    /**
     * A worker's: that of all workers on the CPU; each GPU loads the networks that it is asked for.
     * Their tensors lie in host memory.
     */
    public synchronized VaeDecoder vaeDecoder(int worker) {
        requireOpen();
        return vaeDecoder(placements.get(worker));
    }

    /**
     * The VAE's encoder where the text encoders are; its graphs are loaded when they are first asked for.
     *
     * @throws NullPointerException if the bundle has none; the planner has seen to it
     */
    public synchronized VaeEncoder vaeEncoder() {
        requireOpen();
        return vaeEncoder(first);
    }

    /** A worker's, as {@link #vaeDecoder(int)}. */
    public synchronized VaeEncoder vaeEncoder(int worker) {
        requireOpen();
        return vaeEncoder(placements.get(worker));
    }

    private VaeEncoder vaeEncoder(Placement placement) {
        Manifest.Vae vae = bundle.manifest().vae();
        return vaeEncoders.computeIfAbsent(
                placement.front(),
                p ->
                        new VaeEncoder(
                                bundle.manifest().latent(),
                                vae,
                                vaeGraphs(
                                        placement,
                                        vae.encoder(),
                                        vae.tiledEncoder(),
                                        Manifest.TiledNetwork::front),
                                !p.onGpu()));
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
     * Frees all networks until {@link #use} loads them again; shapes of the text encoders stay known.
     * Nobody may run a network. Idempotent.
     */
    public synchronized void unload() {
        requireOpen();
        unloadVae();
        closeNetworks();
    }

    private void closeNetworks() {
        upscalers.values().forEach(Upscaler::close);
        upscalers.clear();
        controls.values().forEach(ControlNetwork::close);
        controls.clear();
        if (!unloaded) {
            networks.close();
            unloaded = true;
        }
    }

    /**
     * Frees the networks and closes their bundle; what is still bound to one keeps it until it is
     * closed. Idempotent.
     */
    @Override
    public synchronized void close() {
        closed = true;
        vaeDecoders.values().forEach(VaeDecoder::close);
        vaeEncoders.values().forEach(VaeEncoder::close);
        closeNetworks();
        bundle.close();
    }
}
