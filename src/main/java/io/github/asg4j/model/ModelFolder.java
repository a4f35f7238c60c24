// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.ModelParts;
import io.github.asg4j.model.checkpoint.Checkpoint;
import io.github.asg4j.model.checkpoint.Family;
import io.github.asg4j.model.checkpoint.ModelCard;
import io.github.asg4j.model.checkpoint.PublishedModel;
import io.github.asg4j.model.checkpoint.Recognition;
import io.github.asg4j.model.checkpoint.SafeTensors;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * The models in a folder: bundles, folders of diffusers and of ONNX graphs, control networks, and files
 * that hold weights. What they are is told from manifests and headers; of the weights nothing is read.
 */
public final class ModelFolder {
    /** Folders within folders that are looked into. */
    private static final int MAX_DEPTH = 4;

    /** Endings of files that hold weights, those that are never read among them. */
    private static final Set<String> ENDINGS =
            Set.of("safetensors", "ckpt", "pt", "pth", "bin", "gguf");

    private final List<Entry> entries = new ArrayList<>();
    private final VerifiedFiles verified;
    private final Map<VerifiedFiles.State, String> known;
    private final boolean hash;

    private ModelFolder(VerifiedFiles verified, boolean hash) {
        this.verified = verified;
        known = verified.read();
        this.hash = hash;
    }

    /**
     * One of them. What is not known is empty.
     *
     * @param kind a bundle's name, the architecture, as in "Stable Diffusion XL", or what a control network
     *     goes with; empty: nothing to draw with
     * @param form "bundle", "diffusers folder", "ONNX folder", "control network" or "file"
     * @param bytes of its files
     * @param precision in which most of its weights are stored, as in "fp16"
     * @param prediction what its network predicts: "epsilon", "v" or "flow"
     * @param licence of its weights, if it says one
     * @param published the published file that it is, byte for byte
     * @param refusal why it cannot be given with --model; empty: it can
     */
    public record Entry(
            Path path,
            String kind,
            String form,
            long bytes,
            String precision,
            String prediction,
            String licence,
            String published,
            String refusal) {}

    /**
     * Lists a folder.
     *
     * @param hash compute SHA-256 of files that are as large as a published one; else only what is
     *     remembered is used
     * @return by path
     * @throws IOException if the folder cannot be read
     */
    public static List<Entry> list(Path folder, boolean hash) throws IOException {
        return list(folder, VerifiedFiles.ofUser(), hash);
    }

    static List<Entry> list(Path folder, VerifiedFiles verified, boolean hash) throws IOException {
        ModelFolder found = new ModelFolder(verified, hash);
        Files.walkFileTree(folder, Set.of(), MAX_DEPTH, found.new Visitor());
        found.entries.sort(Comparator.comparing(Entry::path));
        return List.copyOf(found.entries);
    }

    private final class Visitor extends SimpleFileVisitor<Path> {
        @Override
        public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
            if (Files.exists(folder.resolve(Manifest.FILE_NAME))) {
                entries.add(bundle(folder));
                ControlFolder.in(ControlFolder.of(folder)).stream()
                        .map(ModelFolder::control)
                        .forEach(entries::add);
                return FileVisitResult.SKIP_SUBTREE;
            }
            if (Files.exists(folder.resolve(ControlManifest.FILE_NAME))) {
                entries.add(control(folder));
                return FileVisitResult.SKIP_SUBTREE;
            }
            if (OnnxFolder.is(folder)) {
                entries.add(onnx(folder));
                return FileVisitResult.SKIP_SUBTREE;
            }
            if (Checkpoint.isFolder(folder)) {
                entries.add(checkpoint(folder, "diffusers folder", size(folder)));
                return FileVisitResult.SKIP_SUBTREE;
            }
            return FileVisitResult.CONTINUE;
        }

        @Override
        public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            String name = String.valueOf(file.getFileName());
            String ending = name.substring(name.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
            if (Files.isRegularFile(file) && ENDINGS.contains(ending)) {
                entries.add(checkpoint(file, "file", size(file)));
            }
            return FileVisitResult.CONTINUE;
        }

        /** What cannot be read is not listed: its folder's other models are. */
        @Override
        public FileVisitResult visitFileFailed(Path file, IOException e) {
            return FileVisitResult.CONTINUE;
        }
    }

    private static Entry bundle(Path folder) {
        try {
            byte[] json = Files.readAllBytes(folder.resolve(Manifest.FILE_NAME));
            Manifest manifest = Manifest.parse(folder + "/" + Manifest.FILE_NAME, json);
            return new Entry(
                    folder,
                    manifest.name(),
                    "bundle",
                    manifest.bytes(),
                    manifest.denoiser().precision(),
                    manifest.denoiser().prediction(),
                    manifest.licence(),
                    published(manifest.source()),
                    "");
        } catch (IOException | BadBundleException e) {
            return refused(folder, "bundle", size(folder), "", String.valueOf(e.getMessage()));
        }
    }

    private static String published(@Nullable Provenance source) {
        return source == null ? "" : Objects.requireNonNullElse(source.published(), "");
    }

    private static Entry onnx(Path folder) {
        String form = "ONNX folder";
        try {
            OnnxFolder.Opened opened = OnnxFolder.open(folder, file -> "");
            Manifest manifest = opened.manifest();
            return new Entry(
                    folder,
                    opened.title(),
                    form,
                    manifest.bytes(),
                    manifest.denoiser().precision(),
                    manifest.denoiser().prediction(),
                    ModelCard.licence(folder),
                    "",
                    "");
        } catch (BadBundleException e) {
            return refused(folder, form, size(folder), "", String.valueOf(e.getMessage()));
        }
    }

    private static Entry control(Path folder) {
        String form = "control network";
        Path file = folder.resolve(ControlManifest.FILE_NAME);
        try {
            ControlManifest manifest =
                    ControlManifest.parse(
                            file.toString(), "export it again", Files.readAllBytes(file));
            return new Entry(
                    folder,
                    "control network for text of "
                            + manifest.textWidth()
                            + " channels"
                            + of(manifest),
                    form,
                    manifest.bytes(),
                    manifest.precision(),
                    "",
                    manifest.licence(),
                    "",
                    "goes with a model: --control "
                            + folder.getFileName()
                            + ":PICTURE --control-folder "
                            + folder.toAbsolutePath().normalize().getParent());
        } catch (IOException | BadBundleException e) {
            return refused(folder, form, size(folder), "", String.valueOf(e.getMessage()));
        }
    }

    /** The family that has such text, for people. */
    private static String of(ControlManifest manifest) {
        return Family.ofTextWidth(manifest.textWidth())
                .map(family -> " (" + family.title() + ")")
                .orElse("");
    }

    private Entry checkpoint(Path place, String form, long bytes) {
        try (Checkpoint open = Checkpoint.open(place, ModelParts.NONE, this::remembered)) {
            Recognition found = open.recognition();
            PublishedModel published =
                    form.equals("file") ? PublishedModel.of(bytes, () -> remembered(place)) : null;
            return new Entry(
                    place,
                    found.title(),
                    form,
                    bytes,
                    open.precision(),
                    open.prediction(),
                    published == null ? open.licence() : published.licence(),
                    published == null ? "" : published.title(),
                    "");
        } catch (BadBundleException e) {
            return refused(place, form, bytes, precision(place), String.valueOf(e.getMessage()));
        }
    }

    /** SHA-256 of a file as far as it may be computed; empty: it is not known. */
    private String remembered(Path file) {
        try {
            String noted = known.get(BundleFiles.stateOf(file.toRealPath(), ""));
            return noted != null || !hash
                    ? Objects.requireNonNullElse(noted, "")
                    : Bundle.fileHash(file, verified, false);
        } catch (IOException | BadBundleException e) {
            return "";
        }
    }

    private static String precision(Path place) {
        if (!Files.isRegularFile(place)) {
            return "";
        }
        try (SafeTensors file = SafeTensors.open(place)) {
            return file.precision();
        } catch (BadBundleException e) {
            return "";
        }
    }

    private static Entry refused(
            Path place, String form, long bytes, String precision, String message) {
        String reason =
                message.startsWith(place + " ")
                        ? message.substring(place.toString().length() + 1)
                        : message;
        return new Entry(place, "", form, bytes, precision, "", "", "", reason);
    }

    private static long size(@Nullable Path place) {
        if (place == null) {
            return 0;
        }
        long[] sum = new long[1];
        try {
            Files.walkFileTree(
                    place,
                    new SimpleFileVisitor<>() {
                        @Override
                        public FileVisitResult visitFile(Path file, BasicFileAttributes found)
                                throws IOException {
                            sum[0] += Files.size(file); // of what a link leads to
                            return FileVisitResult.CONTINUE;
                        }

                        @Override
                        public FileVisitResult visitFileFailed(Path file, IOException e) {
                            return FileVisitResult.CONTINUE;
                        }
                    });
        } catch (IOException e) {
            return sum[0];
        }
        return sum[0];
    }
}
