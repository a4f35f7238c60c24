// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.ffi.UserCache;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Remembers which files had which SHA-256, between processes: hashing a large model takes seconds.
 * A note that is missing, damaged or cannot be written only means that files are hashed again.
 * Thread-safe, and safe with several processes: the note is replaced as a whole, and of two that
 * write at the same time one loses its entries.
 */
final class VerifiedFiles {
    private static final System.Logger LOG = System.getLogger(VerifiedFiles.class.getName());
    private static final int MAX_ENTRIES = 1000;
    private static final long MAX_BYTES = 16 << 20;

    private final @Nullable Path note;

    /** {@code note} is the file; null: nothing is remembered. */
    VerifiedFiles(@Nullable Path note) {
        this.note = note;
    }

    /** A state of a file: another one means that the file has changed. */
    record State(String path, long bytes, long modifiedNanos) {}

    /** The note of this user: {@code asg4j/verified} in the cache folder. */
    static VerifiedFiles ofUser() {
        return new VerifiedFiles(UserCache.folder().resolve("verified"));
    }

    /** What is known, by state. */
    Map<State, String> read() {
        Map<State, String> known = new LinkedHashMap<>();
        try {
            if (note == null || !Files.isRegularFile(note) || Files.size(note) > MAX_BYTES) {
                return known;
            }
            String text = new String(Files.readAllBytes(note), StandardCharsets.UTF_8);
            for (String line : text.split("\n")) {
                String[] fields = line.split("\t", 4);
                if (fields.length == 4 && fields[0].matches("[0-9a-f]{64}")) {
                    long bytes = Long.parseLong(fields[1]);
                    known.put(new State(fields[3], bytes, Long.parseLong(fields[2])), fields[0]);
                }
            }
        } catch (IOException | NumberFormatException e) {
            LOG.log(Level.DEBUG, "cannot use " + note, e);
        }
        return known;
    }

    /** Adds entries to the note. */
    synchronized void add(Map<State, String> verified) {
        if (note == null || verified.isEmpty()) {
            return;
        }
        Map<State, String> all = read();
        // The newest state of a path is enough.
        for (State state : verified.keySet()) {
            all.keySet().removeIf(old -> old.path().equals(state.path()));
        }
        all.putAll(verified);
        List<String> lines = new ArrayList<>();
        all.forEach(
                (state, sha256) -> {
                    if (state.path().indexOf('\n') < 0) {
                        lines.add(
                                sha256
                                        + "\t"
                                        + state.bytes()
                                        + "\t"
                                        + state.modifiedNanos()
                                        + "\t"
                                        + state.path()
                                        + "\n");
                    }
                });
        int first = Math.max(0, lines.size() - MAX_ENTRIES);
        String text = String.join("", lines.subList(first, lines.size()));
        try {
            Path folder = note.toAbsolutePath().getParent();
            if (folder == null) {
                return;
            }
            Files.createDirectories(folder);
            Path temporary = Files.createTempFile(folder, "verified", ".tmp");
            try {
                Files.write(temporary, text.getBytes(StandardCharsets.UTF_8));
                Files.move(temporary, note, StandardCopyOption.ATOMIC_MOVE);
            } finally {
                Files.deleteIfExists(temporary);
            }
        } catch (IOException e) {
            LOG.log(Level.DEBUG, "cannot write " + note, e);
        }
    }
}
