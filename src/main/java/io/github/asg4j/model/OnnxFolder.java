// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.checkpoint.Family;
import io.github.asg4j.model.checkpoint.FolderJson;
import io.github.asg4j.model.checkpoint.ModelCard;
import io.github.asg4j.model.checkpoint.SchedulerConfig;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.Stream;

/**
 * A folder of graphs that Optimum, Olive or diffusers' own exporter wrote of Stable Diffusion 1.x, 2.x or
 * XL: {@code model_index.json}, and a model.onnx for each network. Its graphs have no attention maps, no
 * run-time dilation and no parts of the autoencoder; what it has becomes a manifest.
 */
final class OnnxFolder {
    private static final String INDEX = "model_index.json";
    private static final String CONFIG = "config.json";
    private static final String GRAPH = "/model.onnx";
    private static final String UNET = "unet";
    private static final String DECODER = "vae_decoder";
    private static final String ENCODER = "vae_encoder";
    private static final String TOKENIZER_END = "/tokenizer.json";
    private static final int TOKENS = 77;

    /** What a model is called whose text is as wide as no family's. */
    private static final String UNKNOWN = "Stable Diffusion";

    /** Of the latents of Stable Diffusion 1.x and 2.x, and of XL, where no configuration says it. */
    private static final double SCALING = 0.18215;

    private static final double SCALING_XL = 0.13025;

    /** Operators that attend without a table of all scores. */
    private static final Set<String> FUSED =
            Set.of("MultiHeadAttention", "Attention", "PackedMultiHeadAttention");

    /** Kinds of networks by what their folders are called. */
    private static final Map<String, Integer> TEXT_ENCODERS =
            Map.of(
                    "StableDiffusionPipeline", 1,
                    "StableDiffusionImg2ImgPipeline", 1,
                    "StableDiffusionXLPipeline", 2,
                    "StableDiffusionXLImg2ImgPipeline", 2);

    private final Path folder;
    private final FolderJson index;
    private final int textEncoders;

    /** What ONNX Runtime is handed beside graphs: tokenizers, as a bundle has them. */
    private final Map<String, byte[]> made = new LinkedHashMap<>();

    private OnnxFolder(Path folder) {
        this.folder = folder;
        index = FolderJson.read(folder.resolve(INDEX));
        String pipeline = index.text("_class_name", "");
        // Older exporters put a prefix before the pipeline's name.
        Integer encoders = TEXT_ENCODERS.get(pipeline.replaceFirst("^(ORT|Onnx)", ""));
        if (encoders == null) {
            throw new BadBundleException(
                    index.file()
                            + " is of a "
                            + pipeline
                            + ", whose ONNX graphs are not supported; those of "
                            + TEXT_ENCODERS.keySet().stream().sorted().toList()
                            + " are. Give the checkpoint that they were exported from");
        }
        textEncoders = encoders;
    }

    /** Whether a folder is one, and holds no checkpoint that could do more. */
    static boolean is(Path folder) {
        return !Files.exists(folder.resolve(Manifest.FILE_NAME))
                && Files.isRegularFile(folder.resolve(INDEX))
                && Files.isRegularFile(folder.resolve(UNET + GRAPH))
                && !hasWeights(folder.resolve(UNET));
    }

    private static boolean hasWeights(Path network) {
        try (Stream<Path> files = Files.list(network)) {
            return files.anyMatch(file -> file.toString().endsWith(".safetensors"));
        } catch (IOException e) {
            return false;
        }
    }

    /**
     * A folder that was looked into.
     *
     * @param title its architecture, for people
     */
    record Opened(String title, Manifest manifest, BundleFiles files) {}

    /**
     * Looks into the graphs and configurations of a folder.
     *
     * @param hashes SHA-256 of its files
     * @throws BadBundleException if a part is missing, or is not one that can be drawn with
     */
    static Opened open(Path folder, Hashes hashes) {
        try {
            return new OnnxFolder(folder).open(hashes);
        } catch (IOException e) {
            throw new BadBundleException(folder + " cannot be read: " + e, e);
        }
    }

    /** SHA-256 of files. */
    interface Hashes {
        String of(Path file) throws IOException;
    }

    private Opened open(Hashes hashes) throws IOException {
        Looked unet = look(UNET);
        Looked decoder = look(DECODER);
        Looked encoder = Files.exists(folder.resolve(ENCODER + GRAPH)) ? look(ENCODER) : null;
        if (encoder != null && encoder.drawsNoise) {
            encoder = null; // older exporters wrote one whose latents differ from run to run
        }
        List<Looked> texts = new ArrayList<>();
        for (int i = 0; i < textEncoders; i++) {
            texts.add(look(textName(i)));
        }
        SchedulerConfig scheduler =
                SchedulerConfig.of(
                        FolderJson.read(folder.resolve("scheduler/scheduler_config.json")));
        Map<String, Adaptation> graphs = new LinkedHashMap<>();
        graphs.put(UNET + GRAPH, OnnxEnds::denoiser);
        graphs.put(DECODER + GRAPH, OnnxEnds::decoder);
        graphs.put(ENCODER + GRAPH, OnnxEnds::encoder);
        List<Manifest.TextEncoder> encoders = new ArrayList<>();
        for (int i = 0; i < texts.size(); i++) {
            Manifest.TextEncoder entry = textEncoder(i, texts.get(i));
            encoders.add(entry);
            String pooled = entry.pooled();
            List<String> outputs =
                    pooled == null ? List.of(entry.hidden()) : List.of(entry.hidden(), pooled);
            graphs.put(entry.file(), ends -> ends.text(outputs));
        }
        BundleFiles.Onnx files = new BundleFiles.Onnx(folder, made, graphs);
        List<Looked> all = new ArrayList<>(texts);
        all.addAll(List.of(unet, decoder));
        if (encoder != null) {
            all.add(encoder);
        }
        boolean large = textEncoders > 1;
        Manifest manifest =
                new Manifest(
                        Manifest.FORMAT_VERSION,
                        String.valueOf(folder.toAbsolutePath().normalize().getFileName()),
                        licence(),
                        "another exporter",
                        latent(unet, decoder, large),
                        encoders,
                        denoiser(unet, scheduler.prediction(), large),
                        vae(decoder, encoder),
                        List.of(),
                        new Manifest.Scheduler(
                                scheduler.levels(), scheduler.solver(), scheduler.spacing()),
                        new Manifest.Conditioning(
                                large,
                                large,
                                large
                                        && Boolean.TRUE.equals(
                                                index.get("force_zeros_for_empty_prompt", true)),
                                0,
                                0),
                        new Manifest.Defaults(
                                50,
                                large ? 5 : 7.5,
                                GenerationRequest.USUAL_STRENGTH,
                                GenerationRequest.USUAL_METHOD),
                        null,
                        null,
                        null,
                        entries(all, hashes));
        return new Opened(title(unet), manifest, files);
    }

    /** Told from the width of the text that the denoiser takes. */
    private static String title(Looked unet) {
        for (OnnxGraph.Value input : unet.inputs) {
            if (input.name().equals(InputRole.TEXT.usualName())) {
                return input.extents().getLast() instanceof Long width
                        ? Family.ofTextWidth(width).map(Family::title).orElse(UNKNOWN)
                        : UNKNOWN;
            }
        }
        return UNKNOWN;
    }

    private String licence() {
        String said = ModelCard.licence(folder);
        return said.isEmpty() ? "not stated by " + folder.getFileName() : said;
    }

    private static String textName(int encoder) {
        return encoder == 0 ? "text_encoder" : "text_encoder_" + (encoder + 1);
    }

    /**
     * What a graph says of itself.
     *
     * @param config of its folder; null: it has none, as those of diffusers' own exporter
     * @param external files beside it that its weights lie in
     * @param fused whether it attends by one operator
     * @param drawsNoise whether what it gives differs from run to run
     */
    private record Looked(
            String name,
            List<OnnxGraph.Value> inputs,
            List<OnnxGraph.Value> outputs,
            @Nullable FolderJson config,
            List<String> external,
            boolean fused,
            boolean drawsNoise) {
        int option(String key, int usual) {
            return config != null && config.get(key, null) instanceof Double number
                    ? number.intValue()
                    : usual;
        }

        /** An entry of a list of whole numbers in the configuration. */
        int option(String key, int at, int usual) {
            return config != null
                            && config.get(key, null) instanceof List<?> list
                            && list.size() > at
                            && list.get(at) instanceof Double number
                    ? number.intValue()
                    : usual;
        }

        int levels(int usual) {
            return config != null && config.get("block_out_channels", null) instanceof List<?> list
                    ? list.size()
                    : usual;
        }

        boolean halves() {
            return inputs.stream().anyMatch(input -> input.type() == OnnxGraph.HALF);
        }

        boolean gives(String output) {
            return outputs.stream().anyMatch(o -> o.name().equals(output));
        }
    }

    private Looked look(String name) throws IOException {
        Path file = folder.resolve(name + GRAPH);
        if (!Files.isRegularFile(file)) {
            throw new BadBundleException(
                    folder
                            + " has no "
                            + name
                            + GRAPH
                            + ": download the folder again, or export it anew with Optimum");
        }
        try (Memory memory = new Memory("reading " + file)) {
            var bytes = memory.map(file);
            List<String> external = List.copyOf(ExternalData.locations(file.toString(), bytes));
            for (String location : external) {
                if (!location.matches("[A-Za-z0-9_.-]+") || location.startsWith("..")) {
                    throw new BadBundleException(
                            file + ": its weights lie in \"" + location + "\", not beside it");
                }
            }
            OnnxGraph graph = new OnnxGraph(bytes);
            Path config = folder.resolve(name).resolve(CONFIG);
            return new Looked(
                    name,
                    graph.inputs(),
                    graph.outputs(),
                    Files.isRegularFile(config) ? FolderJson.read(config) : null,
                    external,
                    graph.nodes().stream().anyMatch(node -> FUSED.contains(node.type())),
                    graph.nodes().stream().anyMatch(n -> n.type().startsWith("RandomNormal")));
        }
    }

    private static Manifest.Latent latent(Looked unet, Looked decoder, boolean large) {
        double usual = large ? SCALING_XL : SCALING;
        int levels = unet.levels(large ? 3 : 4);
        int cells = unet.option("sample_size", large ? 128 : 64);
        return new Manifest.Latent(
                4,
                cells,
                cells,
                1 << (decoder.levels(4) - 1),
                decoder.config == null ? usual : decoder.config.number("scaling_factor", usual),
                0,
                1 << (levels - 1),
                Manifest.Latent.UNLIMITED);
    }

    private Manifest.Denoiser denoiser(Looked unet, String prediction, boolean large) {
        List<InputRole> roles =
                large
                        ? List.of(
                                InputRole.SAMPLE,
                                InputRole.TIMESTEP,
                                InputRole.TEXT,
                                InputRole.POOLED,
                                InputRole.PLACE)
                        : List.of(InputRole.SAMPLE, InputRole.TIMESTEP, InputRole.TEXT);
        Set<String> expected = Set.copyOf(roles.stream().map(InputRole::usualName).toList());
        List<String> found = unet.inputs.stream().map(OnnxGraph.Value::name).toList();
        if (!expected.equals(Set.copyOf(found))) {
            throw new BadBundleException(
                    folder.resolve(UNET + GRAPH)
                            + " takes "
                            + found
                            + ", but "
                            + roles.stream().map(InputRole::usualName).toList()
                            + " are supported: give the checkpoint that it was exported from");
        }
        return new Manifest.Denoiser(
                UNET + GRAPH,
                null,
                List.of(),
                prediction,
                unet.halves() ? "fp16" : "fp32",
                roles.stream().map(Manifest.Input::usual).toList(),
                List.of(),
                unet.fused,
                unet.option("block_out_channels", 0, Manifest.Denoiser.USUAL_WIDTH),
                unet.option("attention_head_dim", 0, Manifest.Denoiser.USUAL_HEADS));
    }

    private static Manifest.Vae vae(Looked decoder, @Nullable Looked encoder) {
        return new Manifest.Vae(
                DECODER + GRAPH,
                encoder == null ? null : ENCODER + GRAPH,
                decoder.halves() ? "fp16" : "fp32",
                null,
                null,
                null,
                decoder.option("block_out_channels", 1, Manifest.Vae.USUAL_WIDTH),
                !decoder.fused);
    }

    /** Of two text encoders the states of the layer before the last, of one those of the last. */
    private Manifest.TextEncoder textEncoder(int number, Looked text) throws IOException {
        String hidden = "last_hidden_state";
        if (textEncoders > 1) {
            OptionalInt last =
                    text.outputs.stream()
                            .filter(o -> o.name().matches("hidden_states\\.\\d{1,4}"))
                            .mapToInt(o -> Integer.parseInt(o.name().substring(14)))
                            .max();
            hidden = "hidden_states." + (last.orElse(0) - 1);
        }
        String pooled = number == 1 ? "text_embeds" : null;
        for (String output : pooled == null ? List.of(hidden) : List.of(hidden, pooled)) {
            if (!text.gives(output)) {
                throw new BadBundleException(
                        folder.resolve(text.name + GRAPH)
                                + " does not give "
                                + output
                                + ", only "
                                + text.outputs.stream().map(OnnxGraph.Value::name).toList()
                                + ": export the model anew with Optimum");
            }
        }
        String tokenizer = number == 0 ? "tokenizer" : "tokenizer_" + (number + 1);
        made.put(tokenizer + TOKENIZER_END, ClipTokenizerFiles.join(folder.resolve(tokenizer)));
        return new Manifest.TextEncoder(
                text.name + GRAPH,
                tokenizer + TOKENIZER_END,
                text.option("max_position_embeddings", TOKENS),
                hidden,
                pooled,
                Manifest.Join.CHANNELS);
    }

    private Map<String, Manifest.FileEntry> entries(List<Looked> graphs, Hashes hashes)
            throws IOException {
        Map<String, Manifest.FileEntry> entries = new LinkedHashMap<>();
        for (Looked graph : graphs) {
            List<String> names = new ArrayList<>(List.of(graph.name + GRAPH));
            graph.external.forEach(file -> names.add(graph.name + "/" + file));
            for (String name : names) {
                Path file = folder.resolve(name);
                entries.put(name, new Manifest.FileEntry(Files.size(file), hashes.of(file)));
            }
        }
        for (Map.Entry<String, byte[]> file : made.entrySet()) {
            entries.put(
                    file.getKey(),
                    new Manifest.FileEntry(
                            file.getValue().length, RecordedFiles.hash(file.getValue())));
        }
        return entries;
    }

    /** How a graph becomes one of a bundle. */
    interface Adaptation {
        void apply(OnnxEnds ends);
    }
}
