// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.ort.OrtSession;

import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;

/** Graphs of one network of the VAE in one place, each loaded when it is first asked for. Thread-safe. */
final class LazySessions implements AutoCloseable {
    private final String owner;
    private final GraphLoader loader;
    private final Map<String, OrtSession> sessions = new HashMap<>();
    private boolean closed;

    /**
     * @param owner named where a closed one is asked
     * @param loader opens a graph of the bundle; closed with this object
     */
    LazySessions(String owner, GraphLoader loader) {
        this.owner = owner;
        this.loader = loader;
    }

    /** Takes over a graph that is loaded already. */
    synchronized void put(String file, OrtSession session) {
        sessions.put(file, session);
    }

    /**
     * A graph as it is.
     *
     * @param check is called once it is loaded
     */
    OrtSession get(String file, Consumer<OrtSession> check) {
        return get(file, file, null, check);
    }

    /**
     * A graph.
     *
     * @param name of the changed graph
     * @param change of the file's graph before it is loaded; null: none
     * @param check is called once it is loaded
     */
    synchronized OrtSession get(
            String name,
            String file,
            @Nullable Consumer<OnnxGraph> change,
            Consumer<OrtSession> check) {
        requireOpen();
        OrtSession known = sessions.get(name);
        if (known == null) {
            known = loader.open(file, change);
            try {
                check.accept(known);
            } catch (RuntimeException e) {
                known.close();
                throw e;
            }
            sessions.put(name, known);
        }
        return known;
    }

    /** Frees a graph, if it is loaded; it is loaded again when it is next asked for. */
    synchronized void free(String name) {
        OrtSession known = sessions.remove(name);
        if (known != null) {
            known.close();
        }
    }

    synchronized void requireOpen() {
        if (closed) {
            throw new IllegalStateException(owner + " is closed");
        }
    }

    /** Frees the graphs; they are loaded again when they are next asked for. */
    synchronized void unload() {
        sessions.values().forEach(OrtSession::close);
        sessions.clear();
    }

    /** Frees the graphs for good. Idempotent. */
    @Override
    public synchronized void close() {
        closed = true;
        sessions.values().forEach(OrtSession::close);
    }
}
