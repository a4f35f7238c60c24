// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.model.checkpoint.ChangedWeights;
import io.github.asg4j.model.checkpoint.Part;
import io.github.asg4j.model.checkpoint.WeightMemory;
import io.github.asg4j.model.lora.LoraSet;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Place;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Consumer;

/**
 * The networks that LoRA files change, text encoders and denoisers, with the weights of one set of files.
 * Whoever loads, moves and closes them sees to it that nobody else does at the same time.
 */
final class Networks implements AutoCloseable {
    private final Bundle bundle;

    /** Null: the weights are the bundle's own. */
    private @Nullable LoraSet loras;

    /** What the networks of LoRA files read in place; null: they hold all weights themselves. */
    private final @Nullable WeightMemory memory;

    private final List<OrtSession> sessions;
    private final Map<Place, Denoiser> denoisers = new HashMap<>();

    /** With run-time dilation, of the same weights; those that were asked for. */
    private final Map<Place, Denoiser> dilated = new HashMap<>();

    /** With inputs for what control networks give, of the same weights; those that were asked for. */
    private final Map<Place, Denoiser> controlled = new HashMap<>();

    /** Cut at their features, of the same weights; those that were asked for. */
    private final Map<Place, Denoiser> cached = new HashMap<>();

    private volatile TextEncoder textEncoder;

    /** Text encoders whose graphs were changed; those that were asked for. */
    private final Map<TextChange, TextEncoder> changed = new HashMap<>();

    /** Where the text encoders are. */
    private Place front;

    private Networks(
            Bundle bundle,
            @Nullable LoraSet loras,
            @Nullable WeightMemory memory,
            List<OrtSession> sessions,
            Place front,
            List<Place> denoiserPlaces) {
        this.front = front;
        this.bundle = bundle;
        this.loras = loras;
        this.memory = memory;
        this.sessions = new ArrayList<>(sessions);
        int encoders = bundle.manifest().textEncoders().size();
        textEncoder = textEncoder(bundle, sessions.subList(0, encoders));
        int next = encoders;
        for (Place place : denoiserPlaces) {
            denoisers.put(place, denoiser(sessions.get(next++), List.of(), List.of(), null));
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
        WeightMemory memory =
                loras != null && onCpu(front, denoiserPlaces) ? bundle.weightMemory() : null;
        try {
            if (memory != null && loras != null) {
                memory.change(loras);
            }
            return load(bundle, loras, memory, front, denoiserPlaces);
        } catch (RuntimeException | Error e) {
            if (memory != null) {
                memory.close();
            }
            if (loras != null) {
                loras.close();
            }
            throw e;
        }
    }

    private static Networks load(
            Bundle bundle,
            @Nullable LoraSet loras,
            @Nullable WeightMemory memory,
            Place front,
            List<Place> denoiserPlaces) {
        Manifest manifest = bundle.manifest();
        ChangedWeights changes = changes(loras, memory);
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
            return new Networks(bundle, loras, memory, sessions, front, denoiserPlaces);
        } catch (RuntimeException e) {
            sessions.forEach(OrtSession::close);
            throw e;
        }
    }

    /** A GPU has copies of its own. */
    private static boolean onCpu(Place front, List<Place> denoiserPlaces) {
        return front.provider() == null
                && denoiserPlaces.stream().allMatch(place -> place.provider() == null);
    }

    /** Where networks read weights elsewhere than in the bundle. */
    private static ChangedWeights changes(@Nullable LoraSet loras, @Nullable WeightMemory memory) {
        ChangedWeights others = loras == null ? ChangedWeights.NONE : loras;
        return memory == null ? others : new Both(memory, others);
    }

    /** Weights in a memory, and others that were changed before the networks are opened. */
    private record Both(WeightMemory memory, ChangedWeights others) implements ChangedWeights {
        @Override
        public @Nullable MemorySegment of(Part part, String weight) {
            MemorySegment held = memory.of(part, weight);
            return held == null ? others.of(part, weight) : held;
        }

        @Override
        public boolean inPlace(Part part, String weight) {
            return memory.inPlace(part, weight);
        }
    }

    /**
     * Makes the networks those of another set of LoRA files, if all that the files and those before
     * change can be changed in place. Nobody may run a network meanwhile.
     *
     * @param next closed with the networks if they became its; null: none, which other networks do, as
     *     theirs are packed: pictures do not depend on what was drawn before
     * @return whether they did; else they are as before
     */
    boolean change(@Nullable LoraSet next) {
        LoraSet before = loras;
        if (memory == null
                || next == null
                || before == null
                || !inPlace(memory, next)
                || !inPlace(memory, before)) {
            return false;
        }
        memory.change(next);
        loras = next;
        before.close();
        return true;
    }

    private static boolean inPlace(WeightMemory memory, LoraSet loras) {
        return loras.names().stream().allMatch(memory::holds);
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

    private Denoiser denoiser(
            OrtSession session,
            List<String> dilationGroups,
            List<ControlManifest.Residual> residuals,
            @Nullable OrtSession shallow) {
        return new Denoiser(
                session,
                bundle.manifest().denoiser(),
                dilationGroups,
                residuals,
                shallow,
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

    TextEncoder textEncoder() {
        return textEncoder;
    }

    /**
     * How text encoders differ from those of the bundle.
     *
     * @param clipSkip layer from the end that gives the states, 1 is the last; empty: the bundle's
     * @param vectors whether those of CLIP take vectors in the place of tokens
     */
    record TextChange(OptionalInt clipSkip, boolean vectors) {
        void apply(OnnxGraph graph, Manifest.TextEncoder entry, int width) {
            clipSkip.ifPresent(layer -> ClipSkip.apply(graph, entry.file(), entry.hidden(), layer));
            if (vectors) {
                TokenVectors.apply(graph, entry.file(), width);
            }
        }
    }

    /**
     * Changed text encoders.
     *
     * @throws io.github.asg4j.BadRequestException they cannot be changed so
     */
    TextEncoder textEncoder(TextChange change) {
        TextEncoder known = changed.get(change);
        if (known == null) {
            List<OrtSession> encoders = new ArrayList<>();
            for (int i = 0; i < bundle.manifest().textEncoders().size(); i++) {
                Manifest.TextEncoder entry = bundle.manifest().textEncoders().get(i);
                int width = textEncoder.width(i);
                boolean clip = bundle.tokenizer(i) instanceof ClipTokenizer;
                OrtSession session =
                        LoadedModel.session(
                                bundle,
                                entry.file(),
                                front,
                                changes(loras, memory),
                                clip ? graph -> change.apply(graph, entry, width) : null);
                sessions.add(session);
                encoders.add(session);
            }
            known = textEncoder(bundle, encoders);
            changed.put(change, known);
        }
        return known;
    }

    /** Loads the text encoders anew in another place. */
    void moveTextEncoders(Place place) {
        front = place;
        changed.clear();
        List<OrtSession> encoders = new ArrayList<>();
        for (Manifest.TextEncoder entry : bundle.manifest().textEncoders()) {
            OrtSession session = session(entry.file(), place);
            sessions.add(session);
            encoders.add(session);
        }
        textEncoder = textEncoder(bundle, encoders);
    }

    private OrtSession session(String file, Place place) {
        return LoadedModel.session(bundle, file, place, changes(loras, memory));
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
                known = denoiser(session, entry.dilationGroups(), List.of(), null);
            } catch (RuntimeException e) {
                session.close();
                throw e;
            }
            sessions.add(session);
            dilated.put(place, known);
        }
        return known;
    }

    /**
     * The denoiser with inputs for the residuals of control networks: loaded at the first call and kept.
     *
     * @throws io.github.asg4j.BadRequestException the residuals are not those of this denoiser
     */
    Denoiser controlledDenoiser(Place place, List<ControlManifest.Residual> residuals) {
        Denoiser known = controlled.get(place);
        if (known == null || !known.residuals().equals(residuals)) {
            String file = bundle.manifest().denoiser().file();
            OrtSession session =
                    changed(place, graph -> ControlInputs.apply(graph, file, residuals));
            try {
                known = denoiser(session, List.of(), residuals, null);
            } catch (RuntimeException e) {
                session.close();
                throw e;
            }
            sessions.add(session);
            controlled.put(place, known);
        }
        return known;
    }

    /**
     * The denoiser that gives its features, with the shallow one that takes them: loaded at the first call
     * and kept. Those of requests without a cache stay as they are, whose bytes another output might change.
     *
     * @throws io.github.asg4j.BadRequestException it is no UNet that can be cut
     */
    Denoiser cachedDenoiser(Place place) {
        Denoiser known = cached.get(place);
        if (known == null) {
            Manifest.Denoiser entry = bundle.manifest().denoiser();
            OrtSession whole =
                    changed(place, graph -> FeatureCut.expose(graph, entry.file(), entry.width()));
            sessions.add(whole);
            OrtSession shallow =
                    changed(place, graph -> FeatureCut.shallow(graph, entry.file(), entry.width()));
            sessions.add(shallow);
            known = denoiser(whole, List.of(), List.of(), shallow);
            cached.put(place, known);
        }
        return known;
    }

    /** The plain denoiser's graph, changed, with the weights that all have. */
    private OrtSession changed(Place place, Consumer<OnnxGraph> change) {
        String file = bundle.manifest().denoiser().file();
        return LoadedModel.session(bundle, file, place, changes(loras, memory), change);
    }

    /** Frees them; what is still bound to one keeps it until it is closed. */
    @Override
    public void close() {
        sessions.reversed().forEach(OrtSession::close);
        if (memory != null) {
            memory.close();
        }
        if (loras != null) {
            loras.close();
        }
    }
}
