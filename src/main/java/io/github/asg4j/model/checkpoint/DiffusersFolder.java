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
import java.util.Objects;
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

    private static final List<Part> ONE = List.of(Part.TEXT_ENCODER);
    private static final List<Part> TWO = List.of(Part.TEXT_ENCODER, Part.TEXT_ENCODER_2);
    private static final List<Part> THREE =
            List.of(Part.TEXT_ENCODER, Part.TEXT_ENCODER_2, Part.TEXT_ENCODER_3);

    /** Text encoders of the pipelines whose networks there are templates of. */
    private static final Map<String, List<Part>> PIPELINES =
            Map.of(
                    "LatentConsistencyModelPipeline", ONE,
                    "LatentConsistencyModelImg2ImgPipeline", ONE,
                    "StableDiffusionPipeline", ONE,
                    "StableDiffusionImg2ImgPipeline", ONE,
                    "StableDiffusionInpaintPipeline", ONE,
                    "StableDiffusionXLPipeline", TWO,
                    "StableDiffusionXLImg2ImgPipeline", TWO,
                    "StableDiffusionXLInpaintPipeline", TWO,
                    "StableDiffusion3Pipeline", THREE,
                    "StableDiffusion3Img2ImgPipeline", THREE);

    private final Path folder;
    private final List<SafeTensors> files = new ArrayList<>();
    private final Map<Part, StoredNetwork> networks = new EnumMap<>(Part.class);

    private DiffusersFolder(Path folder) {
        this.folder = folder;
    }

    /** Its networks, whose files the caller closes. */
    record Opened(Map<Part, StoredNetwork> networks, List<SafeTensors> files) {
        StoredNetwork denoiser() {
            StoredNetwork unet = networks.get(Part.UNET);
            return unet == null ? Objects.requireNonNull(networks.get(Part.TRANSFORMER)) : unet;
        }
    }

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
                            + PIPELINES.keySet().stream().sorted().toList());
        }
        boolean transformer = text.size() == THREE.size();
        boolean refines = text.size() == TWO.size() && isLeftOut(index, Part.TEXT_ENCODER);
        if (text.size() == TWO.size()) {
            requireSaid(index, "force_zeros_for_empty_prompt", !refines);
            requireSaid(index, "requires_aesthetics_score", refines);
        }
        DiffusersFolder opened = new DiffusersFolder(folder);
        try {
            Set<Part> parts = new LinkedHashSet<>(text);
            if (refines) {
                parts.remove(Part.TEXT_ENCODER);
            }
            if (transformer && isLeftOut(index, Part.TEXT_ENCODER_3)) {
                parts.remove(Part.TEXT_ENCODER_3);
            }
            parts.add(transformer ? Part.TRANSFORMER : Part.UNET);
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

    /** Refuses what the pipelines of SDXL's base and refiner do not do; the base's are the defaults. */
    private static void requireSaid(FolderJson index, String option, boolean wanted) {
        boolean usual = option.startsWith("force_zeros");
        if (!Boolean.valueOf(wanted).equals(index.get(option, usual))) {
            throw index.refused(option, String.valueOf(wanted));
        }
    }

    /** Whether a pipeline was saved without a network: its entry is null, or a pair of them. */
    private static boolean isLeftOut(FolderJson index, Part part) {
        Object entry = index.get(part.folder(), null);
        return entry == null || (entry instanceof List<?> pair && pair.contains(null));
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
        return vae(folder).number("scaling_factor", 0.18215);
    }

    /** What is added to its latents behind the factor. */
    static double shift(Path folder, Family family) {
        FolderJson config = vae(folder);
        boolean none = config.get("shift_factor", null) == null;
        double shift = none ? 0 : config.number("shift_factor", 0);
        if (shift != 0 && family.denoiser() != Part.TRANSFORMER) {
            throw config.refused("shift_factor", "null or 0");
        }
        return shift;
    }

    private static FolderJson vae(Path folder) {
        return FolderJson.read(folder.resolve(Part.VAE.folder()).resolve(CONFIG));
    }

    /** Latent cells of the height and width that its denoiser was trained for; 0: it does not say. */
    static int nativeCells(Path folder, Part denoiser) {
        FolderJson config = FolderJson.read(folder.resolve(denoiser.folder()).resolve(CONFIG));
        return config.get("sample_size", null) instanceof Double cells ? cells.intValue() : 0;
    }
}
