// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.checkpoint.ChangedWeights;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

/**
 * Files with a list of their sizes and hashes, as manifests have it. Immutable and thread-safe.
 *
 * @param files where they lie
 * @param maker of such files
 * @param entries size and hash of every file, by name
 */
record RecordedFiles(BundleFiles files, Maker maker, Map<String, Manifest.FileEntry> entries) {
    private static final long MAX_READ_BYTES = 256L << 20;
    private static final int CHUNK_BYTES = 1 << 18;

    /**
     * What files are a part of, for messages.
     *
     * @param kind as in "model bundle"
     * @param manifest name of the file with the list
     * @param command that makes them
     */
    record Maker(String kind, String manifest, String command) {
        BadBundleException missing(BundleFiles files, String name) {
            return new BadBundleException(
                    files.place(name)
                            + " is missing from the "
                            + kind
                            + " "
                            + files.place()
                            + ". Copy the whole "
                            + shortKind()
                            + ", or make it again: "
                            + command);
        }

        BadBundleException unreadable(String place, IOException e) {
            return new BadBundleException(
                    place
                            + " cannot be read ("
                            + e
                            + "). Check that it is there and that you may read"
                            + " it, or make the "
                            + shortKind()
                            + " again: "
                            + command,
                    e);
        }

        /** "bundle" of "model bundle". */
        private String shortKind() {
            return kind.substring(kind.lastIndexOf(' ') + 1);
        }

        /** What to do about a file that is not as it has to be. */
        String fix() {
            return "Make the " + shortKind() + " again: " + command;
        }

        /** The bytes of a small file. */
        byte[] readAll(BundleFiles files, String name, long maxBytes) {
            try {
                long size = files.size(name);
                if (size < 0) {
                    throw missing(files, name);
                }
                if (size > maxBytes) {
                    throw new BadBundleException(
                            files.place(name)
                                    + " has "
                                    + size
                                    + " bytes, at most "
                                    + maxBytes
                                    + " are read. "
                                    + fix());
                }
                try (InputStream in = files.open(name)) {
                    return in.readAllBytes();
                }
            } catch (IOException e) {
                throw unreadable(files.place(name), e);
            }
        }
    }

    /**
     * Checks that all are there with their sizes and hashes.
     *
     * @param verified hashes that were found before; receives what is new
     * @param verify hash even so
     * @throws BadBundleException naming the file and what is wrong with it
     */
    void check(VerifiedFiles verified, boolean verify) {
        Map<VerifiedFiles.State, String> known = verify ? Map.of() : verified.read();
        Map<VerifiedFiles.State, String> fresh = new LinkedHashMap<>();
        // Sizes of all files first: they are cheap, and hashing is not.
        entries.forEach(this::checkSize);
        entries.forEach(
                (name, entry) -> {
                    VerifiedFiles.State state = checkHash(name, entry, known);
                    if (state != null) {
                        fresh.put(state, entry.sha256());
                    }
                });
        verified.add(fresh);
    }

    /** SHA-256 over a manifest and the recorded hashes, 64 hexadecimal digits. */
    String sha256(byte[] json) {
        return sha256(json, entries);
    }

    /** The same of files that are not open. */
    static String sha256(byte[] json, Map<String, Manifest.FileEntry> entries) {
        MessageDigest digest = newSha256();
        digest.update(json);
        new TreeMap<>(entries)
                .forEach(
                        (name, entry) ->
                                digest.update(
                                        (name + " " + entry.sha256() + "\n")
                                                .getBytes(StandardCharsets.UTF_8)));
        return HexFormat.of().formatHex(digest.digest());
    }

    /**
     * Copies the files with their manifest.
     *
     * @param json of the manifest
     * @param folder is made
     */
    void copyTo(Path folder, byte[] json) throws IOException {
        Files.createDirectories(folder);
        for (String name : entries.keySet()) {
            Path copy = folder.resolve(name);
            Files.createDirectories(copy.toAbsolutePath().getParent());
            try (InputStream in = files.open(name)) {
                Files.copy(in, copy);
            }
        }
        Files.write(folder.resolve(maker.manifest()), json);
    }

    /** The bytes of a file that is not a graph. */
    byte[] read(String name) {
        Manifest.FileEntry entry = entry(name);
        byte[] bytes = maker.readAll(files, name, MAX_READ_BYTES);
        if (bytes.length != entry.bytes()) {
            throw wrongSize(name, bytes.length, entry);
        }
        return bytes;
    }

    /**
     * A graph, for ONNX Runtime to open.
     *
     * @param memory receives the bytes, those of external data too, where the files lie in a jar
     * @param changes weights that take the place of a checkpoint's own
     * @throws BadBundleException if the file is not a whole ONNX model, or if its external data is
     *     not recorded or lies elsewhere
     */
    ModelFile graph(String name, Memory memory, ChangedWeights changes) {
        Manifest.FileEntry entry = entry(name);
        try {
            return files.graph(
                    name, entry.bytes(), memory, changes, location -> external(name, location));
        } catch (IOException e) {
            throw maker.unreadable(files.place(name), e);
        }
    }

    /** Bytes of a graph and of the weights that it reads, in whatever files they lie. */
    long graphBytes(String name) {
        Manifest.FileEntry entry = entry(name);
        try {
            return entry.bytes()
                    + files.besideGraph(name, entry.bytes(), location -> external(name, location));
        } catch (IOException e) {
            throw maker.unreadable(files.place(name), e);
        }
    }

    /** The file that {@code location} of {@code graph}'s external data means. */
    private BundleFiles.External external(String graph, String location) {
        String fault = Manifest.pathFault(location);
        if (fault == null && location.indexOf('*') >= 0) {
            // ONNX Runtime reads "*/_ORT_MEM_ADDR_/*" as: the data is at this address.
            fault = "holds a *";
        }
        String name = graph.substring(0, graph.lastIndexOf('/') + 1) + location;
        Manifest.FileEntry entry = entries.get(name);
        if (fault != null || entry == null) {
            throw new BadBundleException(
                    files.place(graph)
                            + ": external data \""
                            + location
                            + "\": the path "
                            + (fault != null
                                    ? fault
                                    : "is not listed in files of " + maker.manifest())
                            + ". "
                            + maker.fix());
        }
        return new BundleFiles.External(name, entry.bytes());
    }

    private Manifest.FileEntry entry(String name) {
        Manifest.FileEntry entry = entries.get(name);
        if (entry == null) {
            throw new IllegalArgumentException(name + " is not a file of " + files.place());
        }
        return entry;
    }

    private void checkSize(String name, Manifest.FileEntry entry) {
        try {
            long size = files.size(name);
            if (size < 0) {
                throw maker.missing(files, name);
            }
            if (size != entry.bytes()) {
                throw wrongSize(name, size, entry);
            }
        } catch (IOException e) {
            throw maker.unreadable(files.place(name), e);
        }
    }

    /** Returns the state to remember; null: nothing new. */
    private VerifiedFiles.@Nullable State checkHash(
            String name, Manifest.FileEntry entry, Map<VerifiedFiles.State, String> known) {
        try {
            // Before hashing: a file that changes meanwhile is not remembered in its new state.
            VerifiedFiles.State state = files.state(name);
            if (state != null && entry.sha256().equals(known.get(state))) {
                return null;
            }
            String found = sha256(files.open(name));
            if (!found.equals(entry.sha256())) {
                throw new BadBundleException(
                        files.place(name)
                                + ": its SHA-256 is "
                                + found
                                + ", "
                                + maker.manifest()
                                + " records "
                                + entry.sha256()
                                + ": the file is damaged or was changed. Copy it again, or make"
                                + " the "
                                + maker.shortKind()
                                + " again: "
                                + maker.command());
            }
            return state;
        } catch (IOException e) {
            throw maker.unreadable(files.place(name), e);
        }
    }

    private BadBundleException wrongSize(String name, long size, Manifest.FileEntry entry) {
        return new BadBundleException(
                files.place(name)
                        + " has "
                        + size
                        + " bytes, "
                        + maker.manifest()
                        + " records "
                        + entry.bytes()
                        + ": the file is incomplete or was changed. Copy it again,"
                        + " or make the "
                        + maker.shortKind()
                        + " again: "
                        + maker.command());
    }

    /** Of a content, which is closed: 64 hexadecimal digits. */
    static String sha256(InputStream content) throws IOException {
        MessageDigest digest = newSha256();
        byte[] chunk = new byte[CHUNK_BYTES];
        try (InputStream in = content) {
            for (int read; (read = in.read(chunk)) >= 0; ) {
                digest.update(chunk, 0, read);
            }
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    /** The same of bytes in memory. */
    static String hash(byte[] bytes) {
        return HexFormat.of().formatHex(newSha256().digest(bytes));
    }

    static MessageDigest newSha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every Java platform has SHA-256", e);
        }
    }
}
