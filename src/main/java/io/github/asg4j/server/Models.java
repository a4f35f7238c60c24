// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineActivity;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.PlanReport;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * The models that requests may name. The first is open from the start, another one is opened when it is
 * first asked for, and all stay open: without networks an engine holds little. Networks are loaded for
 * a picture, and freed, beginning with the model that was used longest ago, where another model needs
 * their memory. Only the thread that draws opens, loads and frees, so what is drawn keeps its networks.
 */
final class Models implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(Models.class.getName());

    /** By name; the first is the one that the server was started with. */
    private final Map<String, Entry> entries = new LinkedHashMap<>();

    private final Model first;
    private final Function<EngineOptions, Engine> opener;

    /** Bytes of host memory for the networks of all models and the picture that is drawn. */
    private final long limit;

    /** Whether networks are in the memory of GPUs, which hold one model at a time. */
    private final boolean onGpus;

    private long uses;

    /** A model that may be asked for. Its fields are written by the thread that draws alone. */
    private static final class Entry {
        final String name;
        final @Nullable EngineOptions options;
        volatile @Nullable Model model;

        /** Bytes that its networks hold; 0: they are not loaded. */
        volatile long held;

        final AtomicLong loads = new AtomicLong();

        /** Number of its last use. */
        long used;

        Entry(String name, @Nullable EngineOptions options) {
            this.name = name;
            this.options = options;
        }
    }

    /**
     * What there is to know of a model without opening it.
     *
     * @param model null: nobody has asked for it yet
     * @param loaded whether its networks are in memory
     * @param loads how often they were loaded
     */
    record State(String name, @Nullable Model model, boolean loaded, long loads) {}

    /**
     * @param engine of the first model; its owner closes it
     * @param further models by name
     * @param opener opens one of these
     * @throws BadRequestException if a further model has the first one's name
     */
    Models(
            Engine engine,
            Map<String, EngineOptions> further,
            Function<EngineOptions, Engine> opener) {
        this.opener = opener;
        first = Model.of(engine);
        EngineInfo facts = engine.describe();
        limit = facts.memoryLimit();
        onGpus = !facts.gpus().isEmpty();
        Entry own = new Entry(first.name(), null);
        own.model = first;
        entries.put(own.name, own);
        markLoaded(own, first.bytes());
        further.forEach(
                (name, options) -> {
                    if (entries.putIfAbsent(name, new Entry(name, options)) != null) {
                        throw new BadRequestException(
                                "two models are named \""
                                        + name
                                        + "\", by which requests tell them apart: rename one");
                    }
                });
    }

    /** The model that the server was started with. */
    Model first() {
        return first;
    }

    /** What the engines of all models that are open are at. */
    List<EngineActivity> activities() {
        return entries.values().stream()
                .map(entry -> entry.model)
                .filter(Objects::nonNull)
                .map(model -> model.engine().activity())
                .toList();
    }

    /** All models as they are now, the first one first. */
    List<State> states() {
        return entries.values().stream().map(Models::state).toList();
    }

    private static State state(Entry entry) {
        return new State(entry.name, entry.model, entry.held > 0, entry.loads.get());
    }

    /**
     * A model as it is now.
     *
     * @throws Refusal if there is none of that name
     */
    State state(String name) {
        return state(entry(name));
    }

    private Entry entry(String name) {
        Entry entry = entries.get(name);
        if (entry == null) {
            throw Refusal.invalid(
                    404,
                    "model_not_found",
                    "model",
                    "there is no model \""
                            + name
                            + "\" here: use \""
                            + String.join("\", \"", entries.keySet())
                            + "\", or name none");
        }
        return entry;
    }

    // What the thread that draws does.

    /**
     * Opens a model that has not been opened yet.
     *
     * @throws Refusal if it cannot be opened, or has no room in memory
     */
    Model opened(String name) {
        Entry entry = entry(name);
        Model known = entry.model;
        EngineOptions options = entry.options;
        if (known != null || options == null) {
            return known == null ? first : known;
        }
        long stored = bytes(options.model());
        if (stored > limit) {
            throw tooLarge(name, stored);
        }
        makeRoom(entry, stored);
        Model model;
        try {
            Engine engine = opener.apply(options);
            try {
                model = Model.of(engine, name);
            } catch (RuntimeException | Error e) {
                engine.close();
                throw e;
            }
        } catch (AsgException e) {
            LOG.log(System.Logger.Level.ERROR, "model " + name + " cannot be opened", e);
            throw Refusal.unusableModel(name, e); // its message names files of the server
        }
        if (model.bytes() > limit) {
            model.engine().close();
            throw tooLarge(name, model.bytes());
        }
        entry.model = model;
        markLoaded(entry, model.bytes());
        return model;
    }

    private Refusal tooLarge(String name, long bytes) {
        return Refusal.invalid(
                400,
                "out_of_memory",
                "model",
                "model \""
                        + name
                        + "\" has "
                        + mebibytes(bytes)
                        + " of weights, and this server may use "
                        + mebibytes(limit)
                        + ": ask for another one, or start the server with a larger --max-memory");
    }

    private static String mebibytes(long bytes) {
        return Math.ceilDiv(bytes, 1L << 20) + " MiB";
    }

    /** Makes room for a picture, whose networks are loaded when it is drawn. */
    void use(Model model, PlanReport plan) {
        Entry entry = entry(model.name());
        makeRoom(entry, plan.memory().total());
        markLoaded(entry, Math.max(entry.held, plan.memory().weights()));
    }

    private void markLoaded(Entry entry, long bytes) {
        if (entry.held == 0) {
            entry.loads.incrementAndGet();
        }
        entry.held = Math.max(1, bytes);
        entry.used = ++uses;
    }

    private void makeRoom(Entry wanted, long needed) {
        List<Entry> others =
                entries.values().stream()
                        .filter(entry -> entry != wanted && entry.held > 0)
                        .sorted(Comparator.comparingLong(entry -> entry.used))
                        .toList();
        long held = others.stream().mapToLong(entry -> entry.held).sum();
        for (Entry other : others) {
            Model model = other.model;
            if (model == null || (!onGpus && held + needed <= limit)) {
                break;
            }
            LOG.log(
                    System.Logger.Level.INFO,
                    "model {0} leaves the memory for {1}",
                    other.name,
                    wanted.name);
            model.engine().unload();
            held -= other.held;
            other.held = 0;
        }
    }

    /** Bytes of the files that a model consists of; 0: they cannot be read, which its engine will tell. */
    private static long bytes(@Nullable Path place) {
        if (place == null) {
            return 0;
        }
        try (Stream<Path> files = Files.walk(place)) {
            long sum = 0;
            for (Path file : (Iterable<Path>) files.filter(Files::isRegularFile)::iterator) {
                sum += Files.size(file);
            }
            return sum;
        } catch (IOException | java.io.UncheckedIOException e) {
            return 0;
        }
    }

    /** Closes the engines that were opened here; after the thread that draws has ended. */
    @Override
    public void close() {
        for (Entry entry : entries.values()) {
            Model model = entry.model;
            if (model != null && entry.options != null) {
                model.engine().close();
            }
        }
    }
}
