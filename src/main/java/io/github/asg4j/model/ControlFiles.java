// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.checkpoint.ChangedWeights;

import java.io.IOException;
import java.nio.file.Path;

/**
 * A control network in a folder, whose files are those that its control.json records. Immutable and
 * thread-safe.
 */
public final class ControlFiles {
    private static final String COMMAND = "asg4j-export controlnet CONTROLNET --out ";
    private static final long MAX_MANIFEST_BYTES = 1L << 20;

    private final String name;
    private final RecordedFiles files;
    private final ControlManifest manifest;
    private final byte[] json;
    private final String sha256;

    private ControlFiles(
            String name,
            RecordedFiles files,
            ControlManifest manifest,
            byte[] json,
            String sha256) {
        this.name = name;
        this.files = files;
        this.manifest = manifest;
        this.json = json;
        this.sha256 = sha256;
    }

    /**
     * Opens the network in a folder, whose name is its own.
     *
     * @param verify check every SHA-256 even if that was done before
     * @throws io.github.asg4j.BadBundleException naming the file and what is wrong with it
     */
    static ControlFiles open(Path folder, VerifiedFiles verified, boolean verify) {
        String name = String.valueOf(folder.getFileName());
        RecordedFiles.Maker maker =
                new RecordedFiles.Maker(
                        "control network", ControlManifest.FILE_NAME, COMMAND + folder);
        BundleFiles.Folder files;
        try {
            files = new BundleFiles.Folder(folder.toRealPath());
        } catch (IOException e) {
            throw maker.unreadable(folder.toString(), e);
        }
        byte[] json = maker.readAll(files, ControlManifest.FILE_NAME, MAX_MANIFEST_BYTES);
        ControlManifest manifest =
                ControlManifest.parse(files.place(ControlManifest.FILE_NAME), maker.fix(), json);
        RecordedFiles recorded = new RecordedFiles(files, maker, manifest.files());
        recorded.check(verified, verify);
        return new ControlFiles(name, recorded, manifest, json, recorded.sha256(json));
    }

    /** As requests call it. */
    public String name() {
        return name;
    }

    public ControlManifest manifest() {
        return manifest;
    }

    /** SHA-256 over control.json and the recorded hashes of all files, 64 hexadecimal digits. */
    public String sha256() {
        return sha256;
    }

    /** Bytes of its files. */
    long bytes() {
        return manifest.bytes() + json.length;
    }

    /** Copies its files into a folder, which is made. */
    void copyTo(Path folder) throws IOException {
        files.copyTo(folder, json);
    }

    /** Where the network lies, for messages. */
    String place() {
        return files.files().place();
    }

    /** Its graph, for ONNX Runtime to open. */
    ModelFile graph(Memory memory) {
        return files.graph(manifest.file(), memory, ChangedWeights.NONE);
    }

    /**
     * Refuses a network that was made for another family than a model.
     *
     * @param model of the denoiser
     * @param textWidth D of the model's text
     * @param pooledWidth P of the model's pooled text, 0 without
     * @throws BadRequestException with both sides
     */
    void requireFor(Manifest model, int textWidth, int pooledWidth) {
        require("takes latents of", manifest.latentChannels(), model.latent().channels(), model);
        require("takes text of", manifest.textWidth(), textWidth, model);
        if (manifest.pooledWidth() > 0) {
            require("takes pooled text of", manifest.pooledWidth(), pooledWidth, model);
        }
        if (manifest.vaeFactor() != model.latent().vaeFactor()) {
            throw new BadRequestException(
                    "the control network "
                            + name
                            + " takes "
                            + manifest.vaeFactor()
                            + " pixels a latent cell, the model \""
                            + model.name()
                            + "\" has "
                            + model.latent().vaeFactor()
                            + ": it was made for another family; give one that was made for this");
        }
    }

    private void require(String what, int found, int expected, Manifest model) {
        if (found != expected) {
            throw new BadRequestException(
                    "the control network "
                            + name
                            + " "
                            + what
                            + " "
                            + found
                            + " channels, the model \""
                            + model.name()
                            + "\" has "
                            + (expected == 0 ? "none" : expected)
                            + ": it was made for another family; give one that was made for this");
        }
    }
}
