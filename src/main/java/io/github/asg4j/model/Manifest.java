// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.MethodOptions;
import io.github.asg4j.UsualMethod;
import io.github.asg4j.model.checkpoint.Checkpoint;
import io.github.asg4j.model.checkpoint.Part;
import io.github.asg4j.model.checkpoint.Recognition;
import io.github.asg4j.schedule.NoiseLevels;
import io.github.asg4j.schedule.Sampler;
import io.github.asg4j.schedule.Solver;
import io.github.asg4j.schedule.Spacing;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * The manifest.json of a model bundle. Immutable, and valid as a whole: {@link #parse} checks every
 * key, type and range, and that every file it names is recorded in {@code files}.
 *
 * @param formatVersion layout of the bundle, {@link #FORMAT_VERSION}
 * @param name what the model is called
 * @param licence SPDX name or text of the licence of the weights
 * @param madeBy program and version that wrote the bundle
 * @param latent geometry of the latents
 * @param textEncoders in the order in which their hidden states are joined
 * @param denoiser the UNet
 * @param vae the autoencoder
 * @param upscalers networks that enlarge a picture, each by another scale; may be empty
 * @param scheduler the noise schedule the model was trained with
 * @param conditioning what the denoiser wants beside the text
 * @param defaults settings where a request gives none
 * @param evaluation what pictures of this model are measured by; null: nothing
 * @param flops operations of its networks; null: the bundle does not say them
 * @param source what the weights were copied from; null: the bundle does not say it
 * @param files size and hash of every file, by path relative to the manifest
 */
public record Manifest(
        int formatVersion,
        String name,
        String licence,
        String madeBy,
        Latent latent,
        List<TextEncoder> textEncoders,
        Denoiser denoiser,
        Vae vae,
        List<Upscaler> upscalers,
        Scheduler scheduler,
        Conditioning conditioning,
        Defaults defaults,
        @Nullable Evaluation evaluation,
        @Nullable Flops flops,
        @Nullable Provenance source,
        Map<String, FileEntry> files) {

    public static final String FILE_NAME = "manifest.json";

    /** The newest layout that this release reads. */
    public static final int FORMAT_VERSION = 1;

    public static final List<String> PREDICTIONS = List.of("epsilon", "v", "flow");
    public static final List<String> PRECISIONS = List.of("fp32", "fp16");

    private static final List<String> JOINS = List.of("channels", "tokens");
    private static final String FUSED = "fused";
    private static final String PLAIN = "plain";
    private static final List<String> ATTENTIONS = List.of(PLAIN, FUSED);
    private static final List<String> VAE_ATTENTIONS = List.of("none", PLAIN, FUSED);
    private static final String FLOW = "flow";

    /** A method that does with few steps. */
    private static final String RELAY = "relay";

    static final String ZERO_SNR = "rescale_betas_zero_snr";

    private static final String INSIDE =
            "a path inside the bundle, relative and with / between folders";

    public Manifest {
        textEncoders = List.copyOf(textEncoders);
        upscalers = List.copyOf(upscalers);
        files = Collections.unmodifiableMap(new LinkedHashMap<>(files));
    }

    /** Size of a graph's weights in bytes. */
    interface WeightBytes {
        long of(String graph) throws IOException;
    }

    /**
     * The manifest of a template as that of a model whose weights lie elsewhere: graphs count with
     * their weights. Rows of zeros take the place of a text encoder that the model leaves out.
     *
     * @param weights bytes of each graph's
     */
    Manifest filled(Checkpoint checkpoint, WeightBytes weights) throws IOException {
        Map<String, FileEntry> counted = new LinkedHashMap<>(files);
        List<TextEncoder> encoders = new ArrayList<>();
        int zeroTokens = conditioning.zeroTokens();
        for (int i = 0; i < textEncoders.size(); i++) {
            TextEncoder encoder = textEncoders.get(i);
            if (checkpoint.has(checkpoint.textEncoders().get(i))) {
                encoders.add(encoder);
            } else {
                counted.remove(encoder.file());
                counted.remove(encoder.tokenizer());
                zeroTokens += encoder.length();
            }
        }
        Vae given = vae.filled(checkpoint, checkpoint.recognition().inpaintChannels() > 0);
        counted.keySet().removeIf(f -> vae.files().contains(f) && !given.files().contains(f));
        for (Map.Entry<String, FileEntry> file : counted.entrySet()) {
            if (file.getKey().endsWith(".onnx")) {
                FileEntry entry = file.getValue();
                file.setValue(
                        new FileEntry(entry.bytes() + weights.of(file.getKey()), entry.sha256()));
            }
        }
        int cells = checkpoint.nativeCells();
        Latent sized = cells == 0 ? latent : latent.ofNativeSize(cells);
        Checkpoint.Settings said = checkpoint.settings();
        return new Manifest(
                formatVersion,
                checkpoint.name(),
                licence,
                madeBy,
                said == null ? sized : sized.scaledBy(said.scaling(), said.shift()),
                encoders,
                denoiser.filled(checkpoint.recognition(), checkpoint.prediction()),
                given,
                upscalers,
                said == null
                        ? scheduler.filled(checkpoint.recognition(), checkpoint.prediction())
                        : new Scheduler(said.levels(), said.solver(), said.spacing()),
                conditioning.withZeroTokens(zeroTokens),
                checkpoint.recognition().guidanceWidth() > 0 ? Defaults.DISTILLED : defaults,
                evaluation,
                filledFlops(checkpoint.recognition(), given),
                source,
                counted);
    }

    private @Nullable Flops filledFlops(Recognition model, Vae given) {
        if (flops == null) {
            return null;
        }
        Flops own = flops.filled(denoiser.width(), model.inpaintChannels(), model.guidanceWidth());
        return given.encoder() == null ? own.withoutEncoder() : own;
    }

    /**
     * The same with the autoencoder of a template, whose graphs count with their weights, in the place of
     * its own.
     *
     * @param checkpoint that has the autoencoder's weights
     */
    Manifest withVae(Manifest template, Checkpoint checkpoint, WeightBytes weights)
            throws IOException {
        Vae given = template.vae.filled(checkpoint, denoiser.takes(InputRole.INPAINT));
        Flops its = template.filledFlops(checkpoint.recognition(), given);
        Map<String, FileEntry> counted = new LinkedHashMap<>(files);
        vae.files().forEach(counted::remove);
        for (String graph : given.files()) {
            FileEntry entry = template.entry(graph);
            counted.put(graph, new FileEntry(entry.bytes() + weights.of(graph), entry.sha256()));
        }
        return new Manifest(
                formatVersion,
                name,
                licence,
                madeBy,
                latent,
                textEncoders,
                denoiser,
                given,
                upscalers,
                scheduler,
                conditioning,
                defaults,
                evaluation,
                flops == null || its == null ? null : flops.withVae(its),
                source,
                counted);
    }

    /**
     * The same as that of a bundle that was written anew.
     *
     * @param maker program and version that writes it
     * @param written its files, which are those of this manifest and such as hold weights
     */
    Manifest copied(
            String title,
            String rights,
            String maker,
            @Nullable Provenance from,
            Map<String, FileEntry> written) {
        return new Manifest(
                formatVersion,
                title,
                rights,
                maker,
                latent,
                textEncoders,
                denoiser,
                vae,
                upscalers,
                scheduler,
                conditioning,
                defaults,
                evaluation,
                flops,
                from,
                written);
    }

    /** The same of another name. */
    Manifest named(String title) {
        return copied(title, licence, madeBy, source, files);
    }

    /** The method that draws where a request names none. */
    public UsualMethod usualMethod() {
        return new UsualMethod(defaults.method(), name);
    }

    /** Bytes of all files that it names. */
    public long bytes() {
        return files.values().stream().mapToLong(FileEntry::bytes).sum();
    }

    private FileEntry entry(String file) {
        FileEntry entry = files.get(file);
        if (entry == null) {
            throw new IllegalArgumentException(file + " is not a file of " + name);
        }
        return entry;
    }

    /**
     * @param channels C of a latent {@code [C, h, w]}
     * @param nativeHeight latent cells of a picture of the size the model was trained for
     * @param nativeWidth latent cells of a picture of the size the model was trained for
     * @param vaeFactor pixels per latent cell and axis
     * @param scaling VAE input = latents / scaling + shift
     * @param shift see {@code scaling}
     * @param unetMultiple latent height and width of every denoiser call are multiples of it
     * @param maxSize latent height and width that a denoiser call can have at most, {@link
     *     #UNLIMITED} where nothing bounds it (SD3's table of positions does)
     */
    public record Latent(
            int channels,
            int nativeHeight,
            int nativeWidth,
            int vaeFactor,
            double scaling,
            double shift,
            int unetMultiple,
            int maxSize) {
        public static final int UNLIMITED = Integer.MAX_VALUE;

        Latent scaledBy(double factor, double offset) {
            return new Latent(
                    channels,
                    nativeHeight,
                    nativeWidth,
                    vaeFactor,
                    factor,
                    offset,
                    unetMultiple,
                    maxSize);
        }

        Latent ofNativeSize(int cells) {
            return new Latent(
                    channels, cells, cells, vaeFactor, scaling, shift, unetMultiple, maxSize);
        }

        /** Refuses a network in parts whose features do not lie in whole cells. */
        void requireDivisor(String field, @Nullable TiledNetwork tiled) {
            if (tiled != null && vaeFactor % tiled.scale() != 0) {
                throw new BadBundleException(
                        FILE_NAME
                                + ": "
                                + field
                                + ".scale: found "
                                + tiled.scale()
                                + ", expected a divisor of vae_factor, "
                                + vaeFactor
                                + ": export the bundle again");
            }
        }
    }

    /** How an encoder's hidden states are joined to those of the encoders before it. */
    public enum Join {
        /** Beside them, along the channels (SDXL's two encoders). */
        CHANNELS,
        /** After them, along the tokens (SD3's T5). */
        TOKENS
    }

    /**
     * @param file the graph
     * @param tokenizer its tokenizer.json
     * @param length tokens per prompt, begin and end mark included
     * @param hidden graph output {@code [B, length, D]} that conditions the denoiser
     * @param pooled graph output {@code [B, P]}; null: this encoder gives none
     * @param join where its hidden states go
     */
    public record TextEncoder(
            String file,
            String tokenizer,
            int length,
            String hidden,
            @Nullable String pooled,
            Join join) {}

    /**
     * @param file the graph
     * @param dilatedFile the graph with run-time dilation on the same weights; null: none
     * @param dilationGroups groups of convolutions, one per entry of that graph's input {@code
     *     dilation [G]}; empty if and only if there is none
     * @param prediction "epsilon", "v" or "flow"
     * @param precision type of the weights, "fp32" or "fp16"
     * @param inputs inputs of the graph, at most one of each role
     * @param masks its attention maps
     * @param fusedAttention attention is one operator, which keeps no scores of all pairs of tokens
     * @param width channels of its outermost level: what its working memory grows with
     * @param heads of its finest attention: without {@code fusedAttention} as many tables of scores
     */
    public record Denoiser(
            String file,
            @Nullable String dilatedFile,
            List<String> dilationGroups,
            String prediction,
            String precision,
            List<Input> inputs,
            List<Mask> masks,
            boolean fusedAttention,
            int width,
            int heads) {
        /** Width of the UNets of SD 1.5 to SDXL, assumed for a bundle that does not say it. */
        public static final int USUAL_WIDTH = 320;

        public static final int USUAL_HEADS = 8;

        public Denoiser {
            dilationGroups = List.copyOf(dilationGroups);
            inputs = List.copyOf(inputs);
            masks = List.copyOf(masks);
        }

        /** A template's as that of a model. */
        private Denoiser filled(Recognition model, String predicted) {
            List<Input> all = new ArrayList<>(inputs);
            if (model.inpaintChannels() > 0) {
                all.add(Input.usual(InputRole.INPAINT));
            }
            if (model.guidanceWidth() > 0) {
                all.add(Input.guidance(model.guidanceWidth()));
            }
            return new Denoiser(
                    file,
                    dilatedFile,
                    dilationGroups,
                    predicted,
                    precision,
                    all,
                    masks,
                    fusedAttention,
                    width,
                    heads);
        }

        /** The input of a role; null: the graph has none. */
        public @Nullable Input input(InputRole role) {
            return inputs.stream().filter(input -> input.role() == role).findFirst().orElse(null);
        }

        /** Whether it was trained to finish pictures, not to begin them (SDXL's refiner). */
        public boolean refines() {
            Input place = input(InputRole.PLACE);
            return place != null && place.scores() != null;
        }

        /** Whether the graph has an input of a role. */
        public boolean takes(InputRole role) {
            return input(role) != null;
        }

        /** Whether it is a transformer, as those are that predict a flow (SD3); else a UNet. */
        public boolean transformer() {
            return prediction.equals(FLOW);
        }
    }

    /**
     * An input of the denoiser's graph.
     *
     * @param name in the graph
     * @param width values per row, of a role that does not say it itself ({@link
     *     InputRole#GUIDANCE}); else 0
     * @param scores that {@link InputRole#PLACE} ends with; null: it has none, as all other roles
     */
    public record Input(String name, InputRole role, int width, @Nullable AestheticScores scores) {
        /** The input of a role as diffusers calls it. */
        public static Input usual(InputRole role) {
            return new Input(role.usualName(), role, 0, null);
        }

        private static Input guidance(int width) {
            return new Input(InputRole.GUIDANCE.usualName(), InputRole.GUIDANCE, width, null);
        }
    }

    /**
     * What a network that finishes pictures (SDXL's refiner) is told of how good they are to look.
     *
     * @param prompt of the picture that is wanted
     * @param negative of the one that guidance leads away from
     */
    public record AestheticScores(double prompt, double negative) {}

    /**
     * @param output graph output {@code [B, h/scale, w/scale]}
     * @param block name of the up block it comes from
     * @param scale latent cells per cell of the map and axis
     * @param usual whether it is used where a request names no blocks
     */
    public record Mask(String output, String block, int scale, boolean usual) {}

    /**
     * @param decoder the graph from latents to pixels
     * @param encoder the graph from pixels to latents; null: none
     * @param precision type of the weights, "fp32" or "fp16"
     * @param tiledDecoder the decoder in two parts, for pictures too large to decode whole; null:
     *     none
     * @param tiledEncoder the encoder in two parts, for pictures too large to encode whole; null: none
     * @param fallback the decoder in fp32, for pictures that overflow in this one; null: none
     * @param width channels that enter the last block of the decoder, at the picture's resolution:
     *     what its working memory grows with
     * @param keepsScores whether its middle attends over all latent cells and keeps the scores of
     *     all pairs of them
     */
    public record Vae(
            String decoder,
            @Nullable String encoder,
            String precision,
            @Nullable TiledNetwork tiledDecoder,
            @Nullable TiledNetwork tiledEncoder,
            @Nullable Vae fallback,
            int width,
            boolean keepsScores) {
        /** Width of the autoencoders of SD 1.5 to SD3, assumed for a bundle that does not say it. */
        public static final int USUAL_WIDTH = 256;

        /**
         * A template's as that of a checkpoint, whose file may hold the decoder alone.
         *
         * @param encodes whether the model cannot do without the encoder
         * @throws BadBundleException if it has none then
         */
        private Vae filled(Checkpoint checkpoint, boolean encodes) {
            if (checkpoint.has(Part.VAE, "encoder.conv_in.weight")) {
                return this;
            }
            if (encodes) {
                throw new BadBundleException(
                        checkpoint.path()
                                + ": the autoencoder is a decoder alone (it has no"
                                + " encoder.conv_in.weight), but the model was made for inpainting,"
                                + " which encodes the picture: give one that has both with --vae");
            }
            return new Vae(
                    decoder,
                    null,
                    precision,
                    tiledDecoder,
                    null,
                    fallback == null ? null : fallback.filled(checkpoint, false),
                    width,
                    keepsScores);
        }

        /** Its graphs. */
        Set<String> files() {
            Set<String> graphs = new LinkedHashSet<>(Set.of(decoder));
            if (encoder != null) {
                graphs.add(encoder);
            }
            for (TiledNetwork tiled : Arrays.asList(tiledDecoder, tiledEncoder)) {
                if (tiled != null) {
                    graphs.addAll(List.of(tiled.front(), tiled.tail()));
                }
            }
            if (fallback != null) {
                graphs.addAll(fallback.files());
            }
            return graphs;
        }
    }

    /**
     * A network of the VAE in two parts, cut at half of the picture's resolution: the part between the
     * cut and the pixels runs in tiles, that between latents and cut runs whole.
     *
     * @param front the graph that comes first: the decoder's runs whole, the encoder's in tiles
     * @param tail the graph that takes the front's features
     * @param scale features per latent cell and axis
     * @param halo features around a tile that its convolutions reach
     * @param channels of the widest tensor at the features' resolution of what runs whole; where a bundle
     *     does not say it, twice the {@link Vae#width}
     */
    public record TiledNetwork(String front, String tail, int scale, int halo, int channels) {}

    /**
     * The noise levels the model was trained on, and how it is sampled where a request leaves it open.
     */
    public record Scheduler(NoiseLevels levels, Solver solver, Spacing spacing) {
        /** A template's as that of a model in a single file. */
        private Scheduler filled(Recognition model, String prediction) {
            if (!(levels instanceof NoiseLevels.Betas betas)) {
                return this;
            }
            boolean zeroSnr = model.zeroTerminalSnr();
            NoiseLevels trained = betas.trained(prediction, zeroSnr);
            if (model.guidanceWidth() > 0) {
                return new Scheduler(trained, Solver.LCM, Spacing.DISTILLED);
            }
            // The level without signal is drawn from where steps begin at the last one (Lin et al.,
            // arXiv 2305.08891, section 3.3).
            return new Scheduler(trained, solver, zeroSnr ? Spacing.TRAILING : spacing);
        }
    }

    /**
     * @param file the graph: {@code image [B, 3, h, w]} to {@code upscaled [B, 3, h * scale, w *
     *     scale]}, RGB in [0, 1]
     * @param scale output pixels per input pixel and axis
     * @param overlap input pixels beside a tile that are computed and thrown away
     * @param tileError levels of 255 by which a tile differs from the whole picture at most, as it was
     *     measured or follows from what the network sees; NaN: unknown
     * @param width channels of its features, which its working memory grows with; 0: unknown
     */
    public record Upscaler(String file, int scale, int overlap, double tileError, int width) {}

    /**
     * @param timeIds the denoiser takes sizes and crop position as SDXL's does
     * @param pooled the denoiser takes the pooled text embedding
     * @param emptyNegativeIsZero without a negative prompt its embeddings are zeros
     * @param hiddenWidth channels of the text the denoiser takes; narrower hidden states are filled
     *     up with zeros; 0: as wide as the encoders together
     * @param zeroTokens rows of zeros after the encoders' tokens, in the place of an encoder that the
     *     bundle leaves out
     */
    public record Conditioning(
            boolean timeIds,
            boolean pooled,
            boolean emptyNegativeIsZero,
            int hiddenWidth,
            int zeroTokens) {

        private Conditioning withZeroTokens(int tokens) {
            return new Conditioning(timeIds, pooled, emptyNegativeIsZero, hiddenWidth, tokens);
        }
    }

    /**
     * @param steps denoising steps
     * @param guidanceScale classifier-free guidance scale
     * @param strength share of the schedule that is drawn from a start picture
     * @param method that draws
     */
    public record Defaults(int steps, double guidanceScale, double strength, String method) {
        /** Of networks that take the guidance scale, which were distilled for few steps (LCM). */
        private static final Defaults DISTILLED =
                new Defaults(8, 8.5, GenerationRequest.USUAL_STRENGTH, RELAY);
    }

    /**
     * @param features a network from pictures {@code [B, 3, h, w]} to features {@code [B, d]}; null:
     *     none
     * @param prompts one a line; null: none
     * @param objects counts what captions promise; null: captions promise nothing that can be counted
     * @param truth features and sharpness of true pictures; null: none
     */
    public record Evaluation(
            @Nullable String prompts,
            @Nullable String features,
            @Nullable Objects objects,
            @Nullable Truth truth) {

        /** All that it names: files that measure, and draw nothing. */
        public Set<String> files() {
            Set<String> files = new HashSet<>();
            if (prompts != null) {
                files.add(prompts);
            }
            if (features != null) {
                files.add(features);
            }
            if (objects != null) {
                files.addAll(List.of(objects.models(), objects.namer()));
            }
            if (truth != null) {
                files.add(truth.statistics());
                truth.sizes().forEach(s -> files.addAll(List.of(s.pictures(), s.crops())));
            }
            return files;
        }
    }

    /**
     * @param models vocabulary and colours, JSON
     * @param namer a network from patches to scores of shapes and colours
     */
    public record Objects(String models, String namer) {}

    /**
     * @param statistics captions and sharpness, JSON
     * @param sizes by picture size
     */
    public record Truth(String statistics, List<TruthSize> sizes) {
        public Truth {
            sizes = List.copyOf(sizes);
        }
    }

    /**
     * @param width pixels
     * @param height pixels
     * @param pictures features of whole pictures made as small as the network takes, {@code [n, d]}
     * @param crops features of crops as large as the network takes, {@code [n, d]}
     */
    public record TruthSize(int width, int height, String pictures, String crops) {}

    /**
     * @param bytes size
     * @param sha256 64 lower-case hexadecimal digits
     */
    public record FileEntry(long bytes, String sha256) {}

    /**
     * Reads a manifest.
     *
     * @param shownName path of the file, for messages
     * @param json its bytes
     * @throws BadBundleException naming file, field, what was found and what was expected
     */
    public static Manifest parse(String shownName, byte[] json) {
        Json root = Json.parse(shownName, json);
        // First of all: a newer layout may have keys that this release does not know.
        Json version = root.get("format_version");
        int formatVersion = version.integer(1, Integer.MAX_VALUE);
        if (formatVersion > FORMAT_VERSION) {
            throw new BadBundleException(
                    shownName
                            + ": format_version: found "
                            + formatVersion
                            + ", expected at most "
                            + FORMAT_VERSION
                            + ": the bundle is newer than this release of asg4j."
                            + " Use a newer asg4j, or export the bundle with the asg4j-export of"
                            + " this release");
        }
        root.onlyKeys(
                "format_version",
                "name",
                "licence",
                "made_by",
                "latent",
                "text_encoders",
                "denoiser",
                "vae",
                "upscalers",
                "scheduler",
                "conditioning",
                "defaults",
                "evaluation",
                "flops",
                "source",
                "files");
        Map<String, FileEntry> files = files(root.get("files"));
        Denoiser denoiser = denoiser(root.get("denoiser"), files);
        List<TextEncoder> textEncoders = new ArrayList<>();
        for (Json encoder : root.get("text_encoders").items(1, 3)) {
            textEncoders.add(textEncoder(encoder, files));
        }
        Scheduler scheduler = scheduler(root.get("scheduler"), denoiser);
        Vae vae = vae(root.get("vae"), files);
        if (denoiser.takes(InputRole.INPAINT) && vae.encoder() == null) {
            throw root.get("vae").expected("an encoder: the denoiser takes a masked picture");
        }
        List<Upscaler> upscalers = upscalers(root.optional("upscalers"), files);
        return new Manifest(
                formatVersion,
                root.get("name").name(),
                root.get("licence").name(),
                root.get("made_by").name(),
                latent(root.get("latent")),
                textEncoders,
                denoiser,
                vae,
                upscalers,
                scheduler,
                conditioning(root.get("conditioning"), denoiser, textEncoders),
                defaults(root.get("defaults"), scheduler, denoiser, vae, upscalers),
                evaluation(root.optional("evaluation"), files),
                Flops.parse(root.optional("flops"), vae),
                Provenance.parse(root.optional("source")),
                files);
    }

    private static Latent latent(Json json) {
        json.onlyKeys(
                "channels",
                "native_size",
                "vae_factor",
                "scaling",
                "shift",
                "unet_multiple",
                "max_size");
        int multiple = json.get("unet_multiple").integer(1, 1024);
        List<Json> size = json.get("native_size").items(2, 2);
        for (Json extent : size) {
            if (extent.integer(1, 4096) % multiple != 0) {
                throw extent.expected("a multiple of unet_multiple, " + multiple);
            }
        }
        return new Latent(
                json.get("channels").integer(1, 256),
                size.get(0).integer(1, 4096),
                size.get(1).integer(1, 4096),
                json.get("vae_factor").integer(1, 64),
                json.get("scaling").number(1e-6, 1e6),
                json.get("shift").number(-1e6, 1e6),
                multiple,
                optional(json, "max_size", 1, Latent.UNLIMITED, Latent.UNLIMITED));
    }

    private static TextEncoder textEncoder(Json json, Map<String, FileEntry> files) {
        json.onlyKeys("file", "tokenizer", "length", "hidden", "pooled", "join");
        Json pooled = json.optional("pooled");
        Json join = json.optional("join");
        return new TextEncoder(
                file(json.get("file"), files),
                file(json.get("tokenizer"), files),
                json.get("length").integer(3, 4096),
                json.get("hidden").name(),
                pooled == null ? null : pooled.name(),
                join == null
                        ? Join.CHANNELS
                        : Join.valueOf(join.oneOf(JOINS).toUpperCase(Locale.ROOT)));
    }

    private static Denoiser denoiser(Json json, Map<String, FileEntry> files) {
        json.onlyKeys(
                "file",
                "dilated_file",
                "dilation_groups",
                "prediction",
                "precision",
                "inputs",
                "masks",
                "attention",
                "width",
                "heads");
        List<Input> inputs = inputs(json.get("inputs"));
        List<Mask> masks = new ArrayList<>();
        Set<String> outputs = new HashSet<>();
        Set<String> blocks = new HashSet<>();
        for (Json mask : json.get("masks").items(0, 64)) {
            mask.onlyKeys("output", "block", "scale", "default");
            Json usual = mask.optional("default");
            Mask entry =
                    new Mask(
                            mask.get("output").name(),
                            mask.get("block").name(),
                            mask.get("scale").integer(1, 1024),
                            usual == null || usual.bool());
            if (!outputs.add(entry.output())) {
                throw mask.get("output").expected("a name that no other mask has");
            }
            if (!blocks.add(entry.block())) {
                throw mask.get("block").expected("a name that no other mask has");
            }
            masks.add(entry);
        }
        if (!masks.isEmpty() && masks.stream().noneMatch(Mask::usual)) {
            throw json.get("masks").expected("at least one with default true");
        }
        boolean weighted = inputs.stream().anyMatch(i -> i.role() == InputRole.TOKEN_WEIGHTS);
        if (weighted == masks.isEmpty()) {
            throw json.get("masks")
                    .expected("attention maps if and only if token_weights is an input");
        }
        Json dilated = json.optional("dilated_file");
        Json attention = json.optional("attention");
        Json width = json.optional("width");
        Json heads = json.optional("heads");
        return new Denoiser(
                file(json.get("file"), files),
                dilated == null ? null : file(dilated, files),
                dilationGroups(json, dilated != null),
                json.get("prediction").oneOf(PREDICTIONS),
                json.get("precision").oneOf(PRECISIONS),
                inputs,
                masks,
                attention != null && attention.oneOf(ATTENTIONS).equals(FUSED),
                width == null ? Denoiser.USUAL_WIDTH : width.integer(1, 1 << 16),
                heads == null ? Denoiser.USUAL_HEADS : heads.integer(1, 1 << 10));
    }

    /** Names, whose roles are the usual ones, or objects that say the role. */
    private static List<Input> inputs(Json json) {
        List<Input> inputs = new ArrayList<>();
        int most = InputRole.values().length;
        for (Json item : json.items(1, most)) {
            Input input = item.isObject() ? input(item) : usual(item);
            if (inputs.stream().anyMatch(other -> other.role() == input.role())) {
                throw item.expected("every input once");
            }
            inputs.add(input);
        }
        for (InputRole role : InputRole.values()) {
            if (role.required() && inputs.stream().noneMatch(i -> i.role() == role)) {
                throw json.expected("among the inputs also \"" + role.usualName() + '"');
            }
        }
        return inputs;
    }

    private static Input usual(Json json) {
        // A width cannot be said by a name alone.
        List<String> names = new ArrayList<>(InputRole.usualNames());
        names.remove(InputRole.GUIDANCE.usualName());
        return Input.usual(InputRole.values()[InputRole.usualNames().indexOf(json.oneOf(names))]);
    }

    private static Input input(Json json) {
        json.onlyKeys("name", "role", "width", "aesthetic_scores");
        InputRole role =
                InputRole.values()[
                        InputRole.ids().indexOf(json.get("role").oneOf(InputRole.ids()))];
        Json width = json.optional("width");
        if ((width != null) != (role == InputRole.GUIDANCE)) {
            throw json.expected("a width if and only if the role is guidance");
        }
        Json scores = json.optional("aesthetic_scores");
        if (scores != null && role != InputRole.PLACE) {
            throw scores.refused("belongs to an input whose role is place");
        }
        return new Input(
                json.get("name").name(),
                role,
                width == null ? 0 : width.integer(2, 1 << 16),
                scores == null ? null : aestheticScores(scores.items(2, 2)));
    }

    private static AestheticScores aestheticScores(List<Json> scores) {
        return new AestheticScores(scores.get(0).number(0, 10), scores.get(1).number(0, 10));
    }

    private static List<String> dilationGroups(Json denoiser, boolean dilated) {
        Json json = denoiser.optional("dilation_groups");
        if (json == null) {
            if (dilated) {
                throw denoiser.get("dilated_file")
                        .expected("beside it dilation_groups, the entries of its input dilation");
            }
            return List.of();
        }
        if (!dilated) {
            throw json.expected("dilation_groups only beside a dilated_file");
        }
        List<String> groups = new ArrayList<>();
        for (Json group : json.items(1, 256)) {
            if (groups.contains(group.name())) {
                throw group.expected("a name that no other group has");
            }
            groups.add(group.name());
        }
        return groups;
    }

    private static Vae vae(Json json, Map<String, FileEntry> files) {
        json.onlyKeys(
                "decoder",
                "encoder",
                "precision",
                "tiled_decoder",
                "tiled_encoder",
                "fallback",
                "width",
                "attention");
        Json width = json.optional("width");
        Json attention = json.optional("attention");
        int channels = width == null ? Vae.USUAL_WIDTH : width.integer(1, 1 << 16);
        boolean scores = attention == null || attention.oneOf(VAE_ATTENTIONS).equals(PLAIN);
        Json fallback = json.optional("fallback");
        Vae exact = fallback == null ? null : vaeFallback(fallback, files, channels, scores);
        return vae(json, files, exact, channels, scores);
    }

    private static Vae vaeFallback(
            Json json, Map<String, FileEntry> files, int width, boolean keepsScores) {
        json.onlyKeys("decoder", "precision", "tiled_decoder");
        json.get("precision").oneOf(List.of("fp32"));
        return vae(json, files, null, width, keepsScores);
    }

    private static Vae vae(
            Json json,
            Map<String, FileEntry> files,
            @Nullable Vae fallback,
            int width,
            boolean keepsScores) {
        Json encoder = json.optional("encoder");
        Json tiledEncoder = json.optional("tiled_encoder");
        if (tiledEncoder != null && encoder == null) {
            throw tiledEncoder.refused("its parts need vae.encoder, the whole, beside them");
        }
        return new Vae(
                file(json.get("decoder"), files),
                encoder == null ? null : file(encoder, files),
                json.get("precision").oneOf(PRECISIONS),
                tiled(json.optional("tiled_decoder"), files, width),
                tiled(tiledEncoder, files, width),
                fallback,
                width,
                keepsScores);
    }

    private static @Nullable TiledNetwork tiled(
            @Nullable Json json, Map<String, FileEntry> files, int width) {
        if (json == null) {
            return null;
        }
        json.onlyKeys("front", "tail", "scale", "halo", "channels");
        return new TiledNetwork(
                file(json.get("front"), files),
                file(json.get("tail"), files),
                json.get("scale").integer(1, 64),
                json.get("halo").integer(0, 1024),
                optional(json, "channels", 1, 1 << 16, 2 * width));
    }

    private static List<Upscaler> upscalers(@Nullable Json json, Map<String, FileEntry> files) {
        List<Upscaler> upscalers = new ArrayList<>();
        Set<Integer> scales = new HashSet<>();
        for (Json entry : json == null ? List.<Json>of() : json.items(0, 16)) {
            entry.onlyKeys("file", "scale", "overlap", "tile_error", "width");
            Json error = entry.optional("tile_error");
            int scale = entry.get("scale").integer(2, 16);
            if (!scales.add(scale)) {
                throw entry.get("scale").expected("a scale that no other upscaler has");
            }
            upscalers.add(
                    new Upscaler(
                            file(entry.get("file"), files),
                            scale,
                            entry.get("overlap").integer(0, 1024),
                            error == null ? Double.NaN : error.number(0, 255),
                            optional(entry, "width", 1, 1 << 16, 0)));
        }
        return upscalers;
    }

    private static Scheduler scheduler(Json json, Denoiser denoiser) {
        // Before the keys: schedulers of other families have other keys.
        Json named = json.get("type");
        boolean flow = denoiser.prediction().equals(FLOW);
        Solver solver = Sampler.named(named.oneOf(Solver.ids())).solver();
        if (!solver.suits(flow)) {
            throw named.expected(
                    "one of "
                            + String.join(", ", Solver.ids(flow))
                            + ", as denoiser.prediction is "
                            + denoiser.prediction());
        }
        if (flow) {
            json.onlyKeys("type", "train_steps", "shift");
            return new Scheduler(
                    new NoiseLevels.Flow(
                            json.get("train_steps").integer(2, 100_000),
                            json.get("shift").number(1e-3, 1e3)),
                    solver,
                    Spacing.LINSPACE);
        }
        json.onlyKeys(
                "type",
                "beta_schedule",
                "beta_start",
                "beta_end",
                "train_steps",
                "spacing",
                "steps_offset",
                ZERO_SNR);
        Json zero = json.optional(ZERO_SNR);
        boolean zeroSnr = zero != null && zero.bool();
        if (zero != null && zeroSnr && !denoiser.prediction().equals("v")) {
            throw zero.expected(
                    "false, as denoiser.prediction is "
                            + denoiser.prediction()
                            + ": without signal only v says something of the picture");
        }
        Json place = json.get("spacing");
        Spacing spacing = Sampler.spacingNamed(place.oneOf(Spacing.ids()));
        if (!solver.spacings().contains(spacing)) {
            throw place.expected("one that " + solver + " can follow, of " + solver.spacings());
        }
        double betaStart = json.get("beta_start").number(1e-9, 0.999);
        int trainSteps = json.get("train_steps").integer(2, 100_000);
        return new Scheduler(
                new NoiseLevels.Betas(
                        denoiser.prediction(),
                        json.get("beta_schedule").oneOf(NoiseLevels.Betas.BETA_SCHEDULES),
                        betaStart,
                        json.get("beta_end").number(betaStart, 0.999),
                        trainSteps,
                        json.get("steps_offset").integer(0, trainSteps - 1),
                        zeroSnr),
                solver,
                spacing);
    }

    private static Conditioning conditioning(
            Json json, Denoiser denoiser, List<TextEncoder> textEncoders) {
        json.onlyKeys(
                "time_ids", "pooled", "empty_negative_is_zero", "hidden_width", "zero_tokens");
        Json timeIds = json.get("time_ids");
        Json pooled = json.get("pooled");
        if (timeIds.bool() != denoiser.takes(InputRole.PLACE)) {
            throw timeIds.expected("true if and only if denoiser.inputs has time_ids");
        }
        if (pooled.bool() != denoiser.takes(InputRole.POOLED)) {
            throw pooled.expected("true if and only if denoiser.inputs has text_embeds");
        }
        if (pooled.bool() && textEncoders.stream().allMatch(e -> e.pooled() == null)) {
            throw pooled.expected("false, or a pooled output in one of text_encoders");
        }
        return new Conditioning(
                timeIds.bool(),
                pooled.bool(),
                json.get("empty_negative_is_zero").bool(),
                optional(json, "hidden_width", 1, 1 << 20, 0),
                optional(json, "zero_tokens", 0, 4096, 0));
    }

    private static int optional(Json json, String key, int min, int max, int otherwise) {
        Json value = json.optional(key);
        return value == null ? otherwise : value.integer(min, max);
    }

    private static Defaults defaults(
            Json json, Scheduler scheduler, Denoiser denoiser, Vae vae, List<Upscaler> upscalers) {
        json.onlyKeys("steps", "guidance_scale", "strength", "method");
        Json strength = json.optional("strength");
        Json method = json.optional("method");
        return new Defaults(
                json.get("steps").integer(1, Math.min(1000, scheduler.levels().trainSteps())),
                json.get("guidance_scale").number(0, 100),
                strength == null ? GenerationRequest.USUAL_STRENGTH : strength.number(0.01, 1),
                method == null
                        ? GenerationRequest.USUAL_METHOD
                        : method(method, denoiser, vae, upscalers));
    }

    /** A method that the bundle has all parts for. */
    private static String method(Json json, Denoiser denoiser, Vae vae, List<Upscaler> upscalers) {
        String name = json.oneOf(List.copyOf(MethodOptions.DEFAULTS.keySet()));
        String missing =
                switch (name) {
                    case RELAY -> vae.encoder() == null ? "vae.encoder" : null;
                    case "scalecrafter" ->
                            denoiser.dilatedFile() == null ? "denoiser.dilated_file" : null;
                    case "superres" -> upscalers.isEmpty() ? "upscalers" : null;
                    default -> null;
                };
        if (missing != null) {
            throw json.expected(
                    "a method that this bundle can draw by: " + name + " needs " + missing);
        }
        return name;
    }

    private static @Nullable Evaluation evaluation(
            @Nullable Json json, Map<String, FileEntry> files) {
        if (json == null) {
            return null;
        }
        json.onlyKeys("prompts", "features", "objects", "truth");
        Json prompts = json.optional("prompts");
        Json features = json.optional("features");
        Json objects = json.optional("objects");
        Json truth = json.optional("truth");
        if (truth != null && features == null) {
            throw truth.refused("is of no use without features");
        }
        return new Evaluation(
                prompts == null ? null : file(prompts, files),
                features == null ? null : file(features, files),
                objects == null ? null : objects(objects, files),
                truth == null ? null : truth(truth, files));
    }

    private static Objects objects(Json json, Map<String, FileEntry> files) {
        json.onlyKeys("models", "namer");
        return new Objects(file(json.get("models"), files), file(json.get("namer"), files));
    }

    private static Truth truth(Json json, Map<String, FileEntry> files) {
        json.onlyKeys("statistics", "sizes");
        List<TruthSize> sizes = new ArrayList<>();
        for (Json entry : json.get("sizes").items(1, 64)) {
            entry.onlyKeys("size", "pictures", "crops");
            List<Json> size = entry.get("size").items(2, 2);
            sizes.add(
                    new TruthSize(
                            size.get(0).integer(1, 1 << 16),
                            size.get(1).integer(1, 1 << 16),
                            file(entry.get("pictures"), files),
                            file(entry.get("crops"), files)));
        }
        return new Truth(file(json.get("statistics"), files), sizes);
    }

    static Map<String, FileEntry> files(Json json) {
        Map<String, FileEntry> files = new LinkedHashMap<>();
        for (String name : json.keys()) {
            Json entry = json.get(name);
            String fault = pathFault(name);
            if (fault != null) {
                throw entry.refused("the path " + fault + ", expected " + INSIDE);
            }
            entry.onlyKeys("bytes", "sha256");
            files.put(
                    name,
                    new FileEntry(
                            entry.get("bytes").integer(0, Long.MAX_VALUE),
                            sha256(entry.get("sha256"))));
        }
        return files;
    }

    /** A hash, checked to look like one. */
    static String sha256(Json json) {
        if (!json.text().matches("[0-9a-f]{64}")) {
            throw json.expected("64 lower-case hexadecimal digits");
        }
        return json.text();
    }

    /** A file name, checked to be one of {@code files}. */
    static String file(Json json, Map<String, FileEntry> files) {
        String name = json.name();
        String fault = pathFault(name);
        if (fault != null) {
            throw json.expected(INSIDE + " (it " + fault + ")");
        }
        if (!files.containsKey(name)) {
            throw json.expected("a file that is listed in files, with its size and SHA-256");
        }
        return name;
    }

    /** Why a path may leave the folder it is relative to; null: it cannot, links aside. */
    static @Nullable String pathFault(String path) {
        if (path.isEmpty()) {
            return "is empty";
        }
        if (path.indexOf('\0') >= 0) {
            return "holds a NUL character";
        }
        if (path.indexOf('\\') >= 0) {
            return "holds a backslash";
        }
        if (path.startsWith("/") || path.matches("[A-Za-z]:.*")) {
            return "is absolute";
        }
        for (String element : path.split("/", -1)) {
            if (element.equals("..")) {
                return "leaves the folder through ..";
            }
            if (element.isEmpty() || element.equals(".")) {
                return "has an empty or . element";
            }
        }
        return null;
    }
}
