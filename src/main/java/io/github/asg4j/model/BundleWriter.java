// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Lora;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.checkpoint.ChangedWeights;
import io.github.asg4j.model.checkpoint.Checkpoint;
import io.github.asg4j.model.checkpoint.PublishedModel;
import io.github.asg4j.model.checkpoint.Recipe;
import io.github.asg4j.model.lora.LoraSet;
import io.github.asg4j.ort.Weight;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BooleanSupplier;

/**
 * Writes what a checkpoint's networks are put together from as a bundle. Weights are copied as the
 * checkpoint stores them, in its own types; those that LoRA files change are written in float32, as they
 * are computed. The bundle so draws what the checkpoint draws. Not thread-safe.
 */
public final class BundleWriter implements AutoCloseable {
    private final Bundle bundle;
    private final Checkpoint checkpoint;
    private final @Nullable LoraSet loras;
    private final List<Lora> loraFiles;
    private final ControlFolder controls;
    private final VerifiedFiles verified = VerifiedFiles.ofUser();

    /** Of graphs. */
    private final Memory memory = new Memory("writing a bundle");

    private final Map<String, MemorySegment> graphs = new LinkedHashMap<>();
    private final Map<String, byte[]> others = new LinkedHashMap<>();
    private final BundleWeights weights = new BundleWeights();

    /**
     * Puts the networks together in memory and finds a place for every weight; writes nothing.
     *
     * @param bundle of a checkpoint; stays the caller's, and open until this is closed
     * @param loras to merge
     * @param controls control networks to copy
     * @throws BadRequestException if {@code bundle} is one in files already, or a LoRA file is not for it
     * @throws io.github.asg4j.BadBundleException if the checkpoint lacks a weight, or has it in another
     *     shape
     */
    public BundleWriter(Bundle bundle, List<Lora> loras, ControlFolder controls) {
        this.bundle = bundle;
        this.controls = controls;
        loraFiles = List.copyOf(loras);
        checkpoint =
                Objects.requireNonNullElseGet(
                        bundle.filledFrom(),
                        () -> {
                            throw new BadRequestException(
                                    bundle.place()
                                            + " is a bundle already: copy the folder. bundle takes"
                                            + " a publisher's .safetensors file or a diffusers"
                                            + " folder");
                        });
        this.loras = loras.isEmpty() ? null : bundle.loras(loras);
        try {
            for (String name : bundle.manifest().files().keySet()) {
                if (name.endsWith(".onnx")) {
                    graphs.put(name, graph(name));
                } else if (!name.endsWith(Recipe.FILE_END)) {
                    others.put(name, bundle.read(name));
                }
            }
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /** A graph that names the places of its weights. */
    private MemorySegment graph(String name) {
        ModelFile filled = bundle.graph(name, memory, loras == null ? ChangedWeights.NONE : loras);
        if (!(filled instanceof ModelFile.Assembled assembled)) {
            throw new IllegalStateException(name + " of " + bundle.place() + " holds its weights");
        }
        Map<String, OnnxGraph.Place> places = new HashMap<>();
        for (Weight weight : assembled.weights()) {
            places.put(weight.name(), weights.add(name, weight.data()));
        }
        return ((ModelFile.Assembled) assembled.changed(graph -> graph.place(places), memory))
                .bytes();
    }

    /** Bytes that the files will have, but for the manifest. */
    public long bytes() {
        return weights.bytes()
                + graphs.values().stream().mapToLong(MemorySegment::byteSize).sum()
                + others.values().stream().mapToLong(bytes -> bytes.length).sum()
                + controls.bytes();
    }

    /**
     * What was written.
     *
     * @param manifest of the bundle
     * @param bytes of all files
     * @param sha256 of the bundle, 64 hexadecimal digits
     */
    public record Written(Manifest manifest, long bytes, String sha256) {}

    /**
     * What the manifest says of the model.
     *
     * @param name what the model is called; null: as its file or folder
     * @param licence of the weights; null: as the published file or its header says
     * @param madeBy program and version that writes the bundle
     */
    public record Title(@Nullable String name, @Nullable String licence, String madeBy) {}

    /**
     * Writes the bundle.
     *
     * @param folder is empty
     * @throws io.github.asg4j.CancelledException if {@code cancelled} says so
     */
    public Written write(Path folder, Title title, BooleanSupplier cancelled) throws IOException {
        Map<String, Manifest.FileEntry> files = new LinkedHashMap<>();
        for (Map.Entry<String, MemorySegment> graph : graphs.entrySet()) {
            byte[] bytes = graph.getValue().toArray(ValueLayout.JAVA_BYTE);
            files.put(graph.getKey(), write(folder, graph.getKey(), bytes));
        }
        for (Map.Entry<String, byte[]> other : others.entrySet()) {
            files.put(other.getKey(), write(folder, other.getKey(), other.getValue()));
        }
        files.putAll(weights.write(folder, cancelled));
        controls.copyTo(folder);
        String name = Objects.requireNonNullElse(title.name, bundle.manifest().name());
        PublishedModel published = published();
        Provenance source =
                new Provenance(
                        sources(), published == null ? null : published.title(), mergedLoras());
        Manifest manifest =
                bundle.manifest()
                        .copied(
                                name,
                                title.licence == null ? licence(published) : title.licence,
                                title.madeBy,
                                source,
                                files);
        byte[] json = ManifestWriter.write(manifest);
        write(folder, Manifest.FILE_NAME, json);
        return new Written(
                manifest,
                manifest.bytes() + json.length + controls.bytes(),
                RecordedFiles.sha256(json, files));
    }

    private static Manifest.FileEntry write(Path folder, String name, byte[] bytes)
            throws IOException {
        Files.write(folder.resolve(name), bytes, StandardOpenOption.CREATE_NEW);
        return new Manifest.FileEntry(bytes.length, RecordedFiles.hash(bytes));
    }

    private @Nullable PublishedModel published() {
        Path place = checkpoint.path();
        return Files.isRegularFile(place)
                ? PublishedModel.of(place.toFile().length(), () -> hash(place))
                : null;
    }

    private String licence(@Nullable PublishedModel published) {
        if (published != null) {
            return published.licence();
        }
        return checkpoint.licence().isEmpty()
                ? "not stated by " + checkpoint.path().getFileName()
                : checkpoint.licence();
    }

    private String hash(Path file) {
        return Bundle.fileHash(file, verified, false);
    }

    /** Hashes of the files with weights: of a folder by their path in it. */
    private Map<String, String> sources() {
        Map<String, String> hashes = new LinkedHashMap<>();
        for (Path file : checkpoint.files()) {
            boolean inside = file.startsWith(checkpoint.path()) && !file.equals(checkpoint.path());
            Path name = inside ? checkpoint.path().relativize(file) : file.getFileName();
            hashes.put(String.valueOf(name).replace('\\', '/'), hash(file));
        }
        return hashes;
    }

    private List<Provenance.MergedLora> mergedLoras() {
        List<Provenance.MergedLora> merged = new ArrayList<>();
        for (int i = 0; i < loraFiles.size(); i++) {
            merged.add(
                    new Provenance.MergedLora(
                            String.valueOf(loraFiles.get(i).file().getFileName()),
                            Objects.requireNonNull(loras).keys().get(i).sha256(),
                            loraFiles.get(i).weight()));
        }
        return merged;
    }

    /** Frees what was put together; the bundle stays open. */
    @Override
    public void close() {
        memory.close();
        if (loras != null) {
            loras.close();
        }
    }
}
