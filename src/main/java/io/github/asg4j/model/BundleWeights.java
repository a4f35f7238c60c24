// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.CancelledException;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.DigestOutputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;

/**
 * The files in which the weights of a bundle's graphs are to lie: one beside each graph, with the weights
 * that no graph before it has. Graphs of one network, as the denoiser with and without dilation, share
 * their weights so.
 */
final class BundleWeights {
    /** Weights begin on a page, so that ONNX Runtime can map them. */
    private static final long PAGE = 4096;

    private static final int CHUNK_BYTES = 1 << 20;

    private final Map<String, List<Stored>> files = new LinkedHashMap<>();
    private final Map<Long, List<Stored>> bySize = new HashMap<>();

    private record Stored(MemorySegment data, OnnxGraph.Place place) {
        boolean holds(MemorySegment other) {
            return data.address() == other.address() || data.mismatch(other) < 0;
        }
    }

    /**
     * Finds a place for a weight's elements.
     *
     * @param graph name of the graph that reads them
     * @param data may be read until everything is written
     */
    OnnxGraph.Place add(String graph, MemorySegment data) {
        List<Stored> alike = bySize.computeIfAbsent(data.byteSize(), size -> new ArrayList<>());
        for (Stored stored : alike) {
            if (stored.holds(data)) {
                return stored.place;
            }
        }
        String file = graph + ".data";
        List<Stored> before = files.computeIfAbsent(file, name -> new ArrayList<>());
        long end = end(before);
        OnnxGraph.Place place =
                new OnnxGraph.Place(file, end + Math.floorMod(-end, PAGE), data.byteSize());
        Stored stored = new Stored(data, place);
        before.add(stored);
        alike.add(stored);
        return place;
    }

    private static long end(List<Stored> stored) {
        return stored.isEmpty()
                ? 0
                : stored.getLast().place.offset() + stored.getLast().place.bytes();
    }

    /** Bytes of all files. */
    long bytes() {
        return files.values().stream().mapToLong(BundleWeights::end).sum();
    }

    /**
     * Writes the files.
     *
     * @return what a manifest says of each
     * @throws CancelledException if {@code cancelled} says so
     */
    Map<String, Manifest.FileEntry> write(Path folder, BooleanSupplier cancelled)
            throws IOException {
        Map<String, Manifest.FileEntry> entries = new LinkedHashMap<>();
        for (Map.Entry<String, List<Stored>> file : files.entrySet()) {
            Path path = folder.resolve(file.getKey());
            try (OutputStream opened = Files.newOutputStream(path, StandardOpenOption.CREATE_NEW);
                    DigestOutputStream out =
                            new DigestOutputStream(opened, RecordedFiles.newSha256())) {
                long at = 0;
                for (Stored stored : file.getValue()) {
                    out.write(new byte[(int) (stored.place.offset() - at)]);
                    copy(stored.data, out, cancelled);
                    at = stored.place.offset() + stored.place.bytes();
                }
                entries.put(
                        file.getKey(),
                        new Manifest.FileEntry(
                                at, HexFormat.of().formatHex(out.getMessageDigest().digest())));
            }
        }
        return entries;
    }

    private static void copy(MemorySegment data, OutputStream out, BooleanSupplier cancelled)
            throws IOException {
        byte[] chunk = new byte[(int) Math.min(CHUNK_BYTES, data.byteSize())];
        for (long at = 0; at < data.byteSize(); at += chunk.length) {
            if (cancelled.getAsBoolean()) {
                throw new CancelledException("the bundle was not written: it was cancelled");
            }
            int length = (int) Math.min(chunk.length, data.byteSize() - at);
            MemorySegment.copy(data, ValueLayout.JAVA_BYTE, at, chunk, 0, length);
            out.write(chunk, 0, length);
        }
    }
}
