// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What {@code control.json} says of a control network (ControlNet, arXiv 2302.05543).
 *
 * @param licence of the weights
 * @param file the graph: what the denoiser takes, and {@code condition [B, 3, h * factor, w * factor]},
 *     RGB in [0, 1], and {@code scale [1]}, to the residuals
 * @param precision that it computes in, "fp32" or "fp16"; its tensors are float32
 * @param latentChannels C of the latents
 * @param vaeFactor pixels per latent cell and axis
 * @param textWidth D of the text that it takes
 * @param pooledWidth P of the pooled text that it takes; 0: none, and no place in the picture
 * @param width channels of its outermost level, which its working memory grows with
 * @param residuals what it gives, from the outermost skip connection inwards, the middle last
 * @param files size and hash of every file, by name
 */
public record ControlManifest(
        String licence,
        String file,
        String precision,
        int latentChannels,
        int vaeFactor,
        int textWidth,
        int pooledWidth,
        int width,
        List<Residual> residuals,
        Map<String, Manifest.FileEntry> files) {
    static final String FILE_NAME = "control.json";

    /** The newest layout that this release reads. */
    private static final int FORMAT_VERSION = 1;

    private static final int MOST_RESIDUALS = 256;

    /**
     * What is added to a skip connection or to the middle of the denoiser.
     *
     * @param output of the graph: {@code [B, channels, h / scale, w / scale]}
     * @param channels of the connection
     * @param scale latent cells per cell and axis
     */
    public record Residual(String output, int channels, int scale) {
        /** Cells along an axis of {@code extent} latent cells. */
        public int size(int extent) {
            return Math.ceilDiv(extent, scale);
        }

        /** Values of a row. */
        public long row(int h, int w) {
            return (long) channels * size(h) * size(w);
        }
    }

    public ControlManifest {
        residuals = List.copyOf(residuals);
        files = Collections.unmodifiableMap(new LinkedHashMap<>(files));
    }

    /**
     * Reads a control.json.
     *
     * @param shownName path of the file, for messages
     * @param fix what to do about a file that is wrong, for messages
     * @throws BadBundleException naming file, field, what was found and what was expected
     */
    static ControlManifest parse(String shownName, String fix, byte[] json) {
        Json root = Json.parse(shownName, fix, json);
        Json version = root.get("format_version");
        int format = version.integer(1, Integer.MAX_VALUE);
        if (format > FORMAT_VERSION) {
            throw new BadBundleException(
                    shownName
                            + ": format_version: found "
                            + format
                            + ", expected at most "
                            + FORMAT_VERSION
                            + ": the control network is newer than this release of asg4j. Use a"
                            + " newer asg4j, or export it with the asg4j-export of this release");
        }
        root.onlyKeys(
                "format_version",
                "licence",
                "made_by",
                "file",
                "precision",
                "latent_channels",
                "vae_factor",
                "text_width",
                "pooled_width",
                "width",
                "residuals",
                "files");
        root.get("made_by").name();
        Map<String, Manifest.FileEntry> files = Manifest.files(root.get("files"));
        List<Residual> residuals = new ArrayList<>();
        for (Json entry : root.get("residuals").items(2, MOST_RESIDUALS)) {
            entry.onlyKeys("output", "channels", "scale");
            residuals.add(
                    new Residual(
                            entry.get("output").name(),
                            entry.get("channels").integer(1, 1 << 16),
                            entry.get("scale").integer(1, 1 << 10)));
        }
        return new ControlManifest(
                root.get("licence").name(),
                Manifest.file(root.get("file"), files),
                root.get("precision").oneOf(Manifest.PRECISIONS),
                root.get("latent_channels").integer(1, 1 << 10),
                root.get("vae_factor").integer(1, 64),
                root.get("text_width").integer(1, 1 << 16),
                root.get("pooled_width").integer(0, 1 << 16),
                root.get("width").integer(1, 1 << 16),
                residuals,
                files);
    }

    /** Inputs of the graph that a denoiser has too. */
    List<InputRole> roles() {
        return pooledWidth == 0
                ? List.of(InputRole.SAMPLE, InputRole.TIMESTEP, InputRole.TEXT)
                : List.of(
                        InputRole.SAMPLE,
                        InputRole.TIMESTEP,
                        InputRole.TEXT,
                        InputRole.POOLED,
                        InputRole.PLACE);
    }

    /** Bytes of all files. */
    public long bytes() {
        return files.values().stream().mapToLong(Manifest.FileEntry::bytes).sum();
    }
}
