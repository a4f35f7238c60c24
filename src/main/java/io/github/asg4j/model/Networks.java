// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.model.checkpoint.ChangedWeights;
import io.github.asg4j.model.lora.LoraSet;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Place;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * The networks that LoRA files change, text encoders and denoisers, with the weights of one set of files.
 * Whoever loads, moves and closes them sees to it that nobody else does at the same time.
 */
final class Networks implements AutoCloseable {
    /** Halves are widened, and ONNX Runtime lays some weights out anew. */
    private static final int BYTES_PER_STORED = 2;

    private final Bundle bundle;

    /** Null: the weights are the bundle's own. */
    private final @Nullable LoraSet loras;

    private final List<OrtSession> sessions;
    private final Map<Place, Denoiser> denoisers = new HashMap<>();

    /** With run-time dilation, of the same weights; those that were asked for. */
    private final Map<Place, Denoiser> dilated = new HashMap<>();

    private volatile TextEncoder textEncoder;

    private Networks(
            Bundle bundle,
            @Nullable LoraSet loras,
            List<OrtSession> sessions,
            List<Place> denoiserPlaces) {
        this.bundle = bundle;
        this.loras = loras;
        this.sessions = new ArrayList<>(sessions);
        int encoders = bundle.manifest().textEncoders().size();
        textEncoder = textEncoder(bundle, sessions.subList(0, encoders));
        int next = encoders;
        for (Place place : denoiserPlaces) {
            denoisers.put(place, denoiser(sessions.get(next++), List.of()));
        }
    }

    /**
     * Loads the networks, each on a thread of its own.
     *
     * @param loras closed with the networks, or when they cannot be loaded
     * @param front where the text encoders are to be
     * @param denoiserPlaces where a denoiser is to be
     * @throws BadBundleException a graph cannot be loaded, or is not what the manifest says
     */
    static Networks load(
            Bundle bundle, @Nullable LoraSet loras, Place front, List<Place> denoiserPlaces) {
        Manifest manifest = bundle.manifest();
        ChangedWeights changes = loras == null ? ChangedWeights.NONE : loras;
        List<CompletableFuture<OrtSession>> loads = new ArrayList<>();
        manifest.textEncoders()
                .forEach(e -> loads.add(LoadedModel.load(bundle, e.file(), front, changes)));
        String file = manifest.denoiser().file();
        denoiserPlaces.forEach(place -> loads.add(LoadedModel.load(bundle, file, place, changes)));
        List<OrtSession> sessions = new ArrayList<>();
        List<RuntimeException> failures = new ArrayList<>();
        for (CompletableFuture<OrtSession> load : loads) {
            try {
                sessions.add(joined(bundle, load));
            } catch (RuntimeException e) {
                failures.add(e);
            }
        }
        try {
            if (!failures.isEmpty()) {
                throw failures.getFirst();
            }
            return new Networks(bundle, loras, sessions, denoiserPlaces);
        } catch (RuntimeException e) {
            sessions.forEach(OrtSession::close);
            if (loras != null) {
                loras.close();
            }
            throw e;
        }
    }

    /** What was loaded; waits for it. */
    static OrtSession joined(Bundle bundle, CompletableFuture<OrtSession> load) {
        try {
            return load.join();
        } catch (CompletionException e) {
            throw e.getCause() instanceof AsgException typed
                    ? typed
                    : new IllegalStateException("loading " + bundle.place(), e.getCause());
        }
    }

    private static TextEncoder textEncoder(Bundle bundle, List<OrtSession> sessions) {
        Manifest manifest = bundle.manifest();
        return new TextEncoder(sessions, manifest.textEncoders(), manifest.conditioning());
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

    /** Whether they are those of a set of LoRA files; empty: of none. */
    boolean isOf(List<LoraSet.Key> keys) {
        return keys.equals(loras == null ? List.of() : loras.keys());
    }

    /** SHA-256 of the LoRA files, in their order. */
    List<String> loraHashes() {
        return loras == null ? List.of() : loras.keys().stream().map(LoraSet.Key::sha256).toList();
    }

    /** About what they take of host memory. */
    long bytes() {
        Manifest manifest = bundle.manifest();
        long stored = bytes(manifest, manifest.denoiser().file());
        for (Manifest.TextEncoder encoder : manifest.textEncoders()) {
            stored += bytes(manifest, encoder.file());
        }
        return stored * BYTES_PER_STORED + (loras == null ? 0 : loras.bytes());
    }

    private static long bytes(Manifest manifest, String file) {
        Manifest.FileEntry entry = manifest.files().get(file);
        return entry == null ? 0 : entry.bytes();
    }

    TextEncoder textEncoder() {
        return textEncoder;
    }

    /** Loads the text encoders anew in another place. */
    void moveTextEncoders(Place place) {
        List<OrtSession> encoders = new ArrayList<>();
        for (Manifest.TextEncoder entry : bundle.manifest().textEncoders()) {
            OrtSession session = session(entry.file(), place);
            sessions.add(session);
            encoders.add(session);
        }
        textEncoder = textEncoder(bundle, encoders);
    }

    private OrtSession session(String file, Place place) {
        return LoadedModel.session(
                bundle, file, place, loras == null ? ChangedWeights.NONE : loras);
    }

    Denoiser denoiser(Place place) {
        return Objects.requireNonNull(denoisers.get(place));
    }

    /**
     * The denoiser whose dilation is an input: loaded at the first call and kept.
     *
     * @throws BadBundleException there is none, it cannot be loaded, or it is not what the manifest
     *     says
     */
    Denoiser dilatedDenoiser(Place place) {
        Denoiser known = dilated.get(place);
        if (known == null) {
            Manifest.Denoiser entry = bundle.manifest().denoiser();
            String file = entry.dilatedFile();
            if (file == null) {
                throw new BadBundleException(
                        bundle.place() + " has no dilated_file: export it again");
            }
            OrtSession session = session(file, place);
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

    /** Frees them; what is still bound to one keeps it until it is closed. */
    @Override
    public void close() {
        sessions.reversed().forEach(OrtSession::close);
        if (loras != null) {
            loras.close();
        }
    }
}
