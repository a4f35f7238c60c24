// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ffi.NativeHeap;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.onnxruntime.Session;
import org.bytedeco.onnxruntime.SessionOptions;
import org.bytedeco.onnxruntime.global.onnxruntime;
import org.jspecify.annotations.Nullable;

import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Sessions of one graph, each compiled for fixed extents of its open axes: which one serves follows from
 * the shapes that are bound and from nothing else, since other shapes give other last bits. Those of
 * earlier shapes are kept while they take little memory. Thread-safe.
 */
final class CompiledShapes implements AutoCloseable {
    /** Least that a compiled network is counted as: its working memory, and what the compiler keeps. */
    private static final long LEAST_BYTES = 256L << 20;

    /** Bytes that a compiled network takes for each that is stored; of fp16, half of that for fp32. */
    private static final long BYTES_PER_STORED = 4;

    /** Bytes on disk for each that is stored, at most: of fp16, weights in fp32. */
    private static final long KEPT_PER_STORED = 2;

    private static final System.Logger LOG = System.getLogger(CompiledShapes.class.getName());

    private final String name;

    /** Of the source, once it was needed. */
    private byte[] sourceHash = {};

    /** Of the graph, which has to be there whenever a shape is compiled. */
    private final Memory memory;

    private final GraphSource source;
    private final Place place;
    private final Provider provider;
    private final CompiledCache cache;

    /** Names of each input's axes, empty where one is fixed or has none. */
    private final Map<String, List<String>> axes;

    /** By the extents of the axes, the one that was asked for longest ago first. */
    private final Map<SortedMap<String, Long>, Compiled> compiled =
            new LinkedHashMap<>(16, 0.75f, true);

    /** A session and how many bindings it has. */
    private static final class Compiled {
        private final Session session;
        private int bindings;

        private Compiled(Session session) {
            this.session = session;
        }
    }

    /**
     * @param source of the graph, of which this makes copies
     */
    CompiledShapes(
            String name,
            GraphSource source,
            Place place,
            Provider provider,
            Map<String, List<String>> axes) {
        this.name = name;
        this.memory = new Memory(name);
        this.source = source.copy(memory);
        this.place = place;
        this.provider = provider;
        this.cache = provider.cache();
        this.axes = axes;
    }

    /** Compiles what is missing for inputs of these shapes, and closes what is then too much. */
    synchronized void compile(List<Map<String, long[]>> inputs) {
        List<SortedMap<String, Long>> wanted = inputs.stream().map(this::extents).toList();
        makeRoom(wanted);
        wanted.forEach(this::compiled);
    }

    /** The session for inputs of these shapes; {@link #release} gives it back. */
    synchronized Session acquire(Map<String, long[]> inputs) {
        SortedMap<String, Long> extents = extents(inputs);
        makeRoom(List.of(extents));
        Compiled found = compiled(extents);
        found.bindings++;
        return found.session;
    }

    synchronized void release(Session session) {
        compiled.values().stream()
                .filter(c -> c.session.equals(session))
                .forEach(c -> c.bindings--);
    }

    private Compiled compiled(SortedMap<String, Long> extents) {
        Compiled found = compiled.get(extents);
        if (found == null) {
            found = new Compiled(session(extents));
            compiled.put(extents, found);
        }
        return found;
    }

    /** Closes idle sessions, those of {@code wanted} never, until all take no more than is kept. */
    private void makeRoom(List<SortedMap<String, Long>> wanted) {
        long each = Math.max(LEAST_BYTES, BYTES_PER_STORED * source.bytes());
        long missing = wanted.stream().distinct().filter(w -> !compiled.containsKey(w)).count();
        long excess = compiled.size() + missing - Math.max(1, provider.keptBytes() / each);
        var candidates = compiled.entrySet().iterator();
        while (excess > 0 && missing > 0 && candidates.hasNext()) {
            var candidate = candidates.next();
            if (candidate.getValue().bindings == 0 && !wanted.contains(candidate.getKey())) {
                candidate.getValue().session.close();
                candidates.remove();
                excess--;
            }
        }
    }

    /** Extents of the named axes in inputs of these shapes. */
    private SortedMap<String, Long> extents(Map<String, long[]> inputs) {
        SortedMap<String, Long> extents = new TreeMap<>();
        axes.forEach(
                (input, names) -> {
                    long[] shape = inputs.get(input);
                    for (int axis = 0; shape != null && axis < names.size(); axis++) {
                        String axisName = names.get(axis);
                        Long before =
                                axisName.isEmpty() ? null : extents.put(axisName, shape[axis]);
                        if (before != null && before != shape[axis]) {
                            throw new BadBundleException(
                                    name
                                            + ": the axis \""
                                            + axisName
                                            + "\" is "
                                            + before
                                            + " in one input and "
                                            + shape[axis]
                                            + " in \""
                                            + input
                                            + "\": export the model again");
                        }
                    }
                });
        return extents;
    }

    /** From disk, if it was compiled before; else compiled, kept there and opened from there. */
    private Session session(SortedMap<String, Long> extents) {
        boolean keeps = cache.keeps(KEPT_PER_STORED * source.bytes());
        if (!keeps) {
            return compile(extents, null);
        }
        String key = key(extents);
        Path found = cache.find(key);
        Path kept =
                found != null ? found : cache.keep(key, model -> compile(extents, model).close());
        if (kept != null) {
            try {
                return open(kept);
            } catch (RuntimeException e) {
                LOG.log(Level.WARNING, "{0} cannot be opened ({1}); compiling again", kept, e);
                cache.remove(key);
            }
        }
        return compile(extents, null);
    }

    private String key(SortedMap<String, Long> extents) {
        if (sourceHash.length == 0) {
            sourceHash = source.sha256();
        }
        MessageDigest digest = GraphDigest.digest();
        digest.update(sourceHash);
        digest.update((extents + "\n" + provider.compiler()).getBytes(StandardCharsets.UTF_8));
        return HexFormat.of().formatHex(digest.digest(), 0, 16);
    }

    /** Opens what was compiled before: the compiler's file stays mapped. */
    private Session open(Path kept) {
        try (SessionOptions options = OrtSession.options(place)) {
            provider.configure(options);
            try (BytePointer file = new BytePointer(kept.toString())) {
                return new Session(OrtRuntime.env(), file, options);
            }
        }
    }

    /**
     * Compiles the network.
     *
     * @param model receives what is compiled; null: it is not kept
     */
    private Session compile(SortedMap<String, Long> extents, @Nullable Path model) {
        try (SessionOptions options = OrtSession.options(place)) {
            if (model != null) {
                options.AddConfigEntry("ep.context_enable", "1");
                options.AddConfigEntry("ep.context_embed_mode", "0");
                options.AddConfigEntry("ep.context_file_path", model.toString());
            }
            extents.forEach(
                    (axis, extent) ->
                            OrtRuntime.check(
                                    onnxruntime.GetApi()
                                            .AddFreeDimensionOverrideByName(
                                                    options.asOrtSessionOptions(), axis, extent)));
            provider.configure(options);
            return source.open(options);
        } catch (AsgException e) {
            throw e;
        } catch (RuntimeException e) {
            throw provider.compileFailure(name + " for " + extents, e);
        } finally {
            NativeHeap.trim();
        }
    }

    /** Closes all sessions; nothing may be bound to them. */
    @Override
    public synchronized void close() {
        new ArrayList<>(compiled.values()).forEach(c -> c.session.close());
        compiled.clear();
        memory.close();
    }
}
