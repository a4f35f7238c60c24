// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import io.github.asg4j.BadBundleException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * A checkpoint folder of diffusers: model_index.json, and a folder for each network with its
 * configuration and its weights, whole, in shards, or of a variant such as fp16. Nothing of it that
 * changes a picture is ignored: it is honoured, or refused with what is supported.
 */
final class DiffusersFolder {
    /** File that makes a folder one. */
    static final String INDEX = "model_index.json";

    private static final String CONFIG = "config.json";
    private static final String END = ".safetensors";

    /** Pipelines whose networks there are templates of. */
    private static final Map<String, List<Part>> PIPELINES =
            Map.of(
                    "StableDiffusionPipeline", List.of(Part.TEXT_ENCODER),
                    "StableDiffusionImg2ImgPipeline", List.of(Part.TEXT_ENCODER),
                    "StableDiffusionXLPipeline", List.of(Part.TEXT_ENCODER, Part.TEXT_ENCODER_2),
                    "StableDiffusionXLImg2ImgPipeline",
                            List.of(Part.TEXT_ENCODER, Part.TEXT_ENCODER_2));

    private final Path folder;
    private final List<SafeTensors> files = new ArrayList<>();
    private final Map<Part, StoredNetwork> networks = new EnumMap<>(Part.class);

    private DiffusersFolder(Path folder) {
        this.folder = folder;
    }

    /** Its networks, whose files the caller closes. */
    record Opened(Map<Part, StoredNetwork> networks, List<SafeTensors> files) {}

    /** Whether a folder is one. */
    static boolean is(Path folder) {
        return Files.isRegularFile(folder.resolve(INDEX));
    }

    /**
     * Opens the weights.
     *
     * @param withVae whether its autoencoder is opened too
     * @throws BadBundleException if the pipeline is of another kind, or weights are missing
     */
    static Opened open(Path folder, boolean withVae) {
        FolderJson index = FolderJson.read(folder.resolve(INDEX));
        String pipeline = index.text("_class_name", "");
        List<Part> text = PIPELINES.get(pipeline);
        if (text == null) {
            throw new BadBundleException(
                    index.file()
                            + " is of a "
                            + pipeline
                            + ", for which this release has no template; it has those of "
                            + PIPELINES.keySet().stream().sorted().toList()
                            + (pipeline.startsWith("StableDiffusion3")
                                    ? ". SD3 medium can be exported as a bundle: asg4j-export"
                                            + " model FOLDER --out BUNDLE"
                                    : ""));
        }
        if (text.size() > 1
                && !Boolean.TRUE.equals(index.get("force_zeros_for_empty_prompt", true))) {
            throw index.refused("force_zeros_for_empty_prompt", "true");
        }
        DiffusersFolder opened = new DiffusersFolder(folder);
        try {
            Set<Part> parts = new LinkedHashSet<>(text);
            parts.add(Part.UNET);
            if (withVae) {
                parts.add(Part.VAE);
            }
            parts.forEach(opened::open);
            return new Opened(opened.networks, opened.files);
        } catch (RuntimeException e) {
            opened.files.forEach(SafeTensors::close);
            throw e;
        }
    }

    private void open(Part part) {
        Path place = folder.resolve(part.folder());
        String base = part.isText() ? "model" : "diffusion_pytorch_model";
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (Path file : weightFiles(place, base)) {
            SafeTensors opened = SafeTensors.open(file);
            files.add(opened);
            opened.tensors()
                    .forEach(
                            (name, tensor) -> {
                                if (tensors.put(name, tensor) != null) {
                                    throw new BadBundleException(
                                            file + " and another file beside it both have " + name);
                                }
                            });
        }
        networks.put(part, new StoredNetwork(Layout.DIFFUSERS, tensors));
    }

    /** The files of a network's weights: as they are before variants of them. */
    private static List<Path> weightFiles(Path place, String base) {
        for (String variant : List.of("", ".fp16", ".bf16")) {
            Path whole = place.resolve(base + variant + END);
            if (Files.isRegularFile(whole)) {
                return List.of(whole);
            }
            for (String name :
                    List.of(
                            base + END + ".index" + variant + ".json",
                            base + variant + END + ".index.json")) {
                if (Files.isRegularFile(place.resolve(name))) {
                    return shards(FolderJson.read(place.resolve(name)));
                }
            }
        }
        List<String> there = List.of();
        if (Files.isDirectory(place)) {
            try (Stream<Path> entries = Files.list(place)) {
                there = entries.map(entry -> entry.getFileName().toString()).sorted().toList();
            } catch (IOException e) {
                throw new BadBundleException(place + " cannot be read: " + e, e);
            }
        }
        boolean pickle = there.stream().anyMatch(name -> name.matches(".*\\.(bin|ckpt|pt)"));
        throw new BadBundleException(
                place
                        + " has no "
                        + base
                        + END
                        + (pickle
                                ? ", only pickles, which can run code when they are loaded and are"
                                        + " not read: download the .safetensors files, or load the"
                                        + " folder with diffusers and save it again"
                                : " (nor one of a variant .fp16 or .bf16, nor an index of shards);"
                                        + " it has "
                                        + there
                                        + ": download the folder again"));
    }

    private static List<Path> shards(FolderJson index) {
        if (!(index.get("weight_map", null) instanceof Map<?, ?> map) || map.isEmpty()) {
            throw index.refused("weight_map", "an object of tensors and files");
        }
        Set<Path> shards = new LinkedHashSet<>();
        for (Object name : map.values()) {
            if (!(name instanceof String file) || !file.matches("[A-Za-z0-9_.-]+")) {
                throw index.refused("weight_map", "names of files beside it");
            }
            shards.add(index.file().resolveSibling(file));
        }
        return List.copyOf(shards);
    }

    /**
     * Compares configurations and tokenizers with those of the template, and reads the scheduler's.
     *
     * @throws BadBundleException if one asks for what the template does not do
     */
    static SchedulerConfig requireSupported(Path folder, Recognition model, Set<Part> parts) {
        for (Part part : parts) {
            Path config = folder.resolve(part.folder()).resolve(CONFIG);
            NetworkConfig.require(FolderJson.read(config), model.family(), part);
        }
        return SchedulerConfig.of(
                FolderJson.read(folder.resolve("scheduler").resolve("scheduler_config.json")));
    }

    /** The factor of its latents. */
    static double scaling(Path folder) {
        FolderJson config = FolderJson.read(folder.resolve(Part.VAE.folder()).resolve(CONFIG));
        if (config.get("shift_factor", null) instanceof Double shift && shift != 0) {
            throw config.refused("shift_factor", "null or 0");
        }
        return config.number("scaling_factor", 0.18215);
    }

    /** Latent cells of the height and width that its UNet was trained for; 0: it does not say. */
    static int nativeCells(Path folder) {
        FolderJson config = FolderJson.read(folder.resolve(Part.UNET.folder()).resolve(CONFIG));
        return config.get("sample_size", null) instanceof Double cells ? cells.intValue() : 0;
    }
}
