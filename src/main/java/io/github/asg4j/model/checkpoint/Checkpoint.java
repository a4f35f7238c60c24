// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.ModelParts;
import io.github.asg4j.ort.Weight;
import io.github.asg4j.schedule.NoiseLevels;
import io.github.asg4j.schedule.Solver;
import io.github.asg4j.schedule.Spacing;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * A model in a single file of its publisher's, with another autoencoder if one was given, open: what it
 * is, and where each weight of its networks lies. Thread-safe; the weights can be read until it is
 * closed.
 */
public final class Checkpoint implements AutoCloseable {
    private final Path path;
    private Recognition recognition;
    private final Map<Part, StoredNetwork> networks;
    private final List<SafeTensors> files;
    private @Nullable Settings settings;

    /** Memory of weights whose type ONNX does not have. */
    private final Arena converted = Arena.ofShared();

    private Checkpoint(
            Path path,
            Recognition recognition,
            Map<Part, StoredNetwork> networks,
            List<SafeTensors> files) {
        this.path = path;
        this.recognition = recognition;
        this.networks = new EnumMap<>(networks);
        this.files = List.copyOf(files);
    }

    /**
     * What the files beside the weights say, where there are some.
     *
     * @param scaling factor of the latents
     * @param shift of the latents
     */
    public record Settings(
            NoiseLevels levels, Solver solver, Spacing spacing, double scaling, double shift) {}

    /** Whether a place is a folder that {@link #open} opens. */
    public static boolean isFolder(Path place) {
        return DiffusersFolder.is(place);
    }

    /**
     * Opens a single file, or a folder of diffusers.
     *
     * @param parts files of its networks that lie beside it
     * @param sha256 of a file: asked for where a file does not say what its network predicts, and a
     *     published one of the same size does
     * @throws BadBundleException if it is no whole safetensors file, or holds no model of a known
     *     family, or the autoencoder is not one for it
     */
    public static Checkpoint open(Path path, ModelParts parts, Function<Path, String> sha256) {
        return open(path, parts, sha256, PublishedModel.ALL);
    }

    static Checkpoint open(
            Path path,
            ModelParts parts,
            Function<Path, String> sha256,
            List<PublishedModel> published) {
        if (isFolder(path)) {
            return openFolder(path, parts);
        }
        Checkpoint checkpoint =
                recognised(
                        path,
                        parts,
                        file -> Recognition.of(path.toString(), file.shapes(), file.metadata()));
        try {
            if (checkpoint.recognition.prediction() == null) {
                PublishedModel model =
                        PublishedModel.of(
                                published, path.toFile().length(), () -> sha256.apply(path));
                if (model != null) {
                    checkpoint.recognition = checkpoint.recognition.predicting(model.prediction());
                }
            }
            requireDrawable(path, checkpoint.recognition, checkpoint.networks.keySet());
            return checkpoint;
        } catch (RuntimeException e) {
            checkpoint.close();
            throw e;
        }
    }

    private static Checkpoint recognised(
            Path path, ModelParts parts, Function<SafeTensors, Recognition> recognition) {
        List<SafeTensors> files = new ArrayList<>();
        try {
            SafeTensors file = SafeTensors.open(path);
            files.add(file);
            Recognition found = recognition.apply(file);
            Map<Part, StoredNetwork> networks = networks(file, found);
            addParts(path, parts, found.family(), networks, files);
            return new Checkpoint(path, found, networks, files);
        } catch (RuntimeException e) {
            files.forEach(SafeTensors::close);
            throw e;
        }
    }

    /** Opens the files beside a model and adds their networks. */
    private static void addParts(
            Path path,
            ModelParts parts,
            Family family,
            Map<Part, StoredNetwork> networks,
            List<SafeTensors> files) {
        Path vae = parts.vae();
        if (vae != null) {
            SafeTensors file = SafeTensors.open(vae);
            files.add(file);
            networks.put(Part.VAE, StoredNetwork.vae(file, family.latentChannels()));
        }
        for (Path place : parts.textEncoders()) {
            SafeTensors file = SafeTensors.open(place);
            files.add(file);
            Part part = StoredNetwork.textEncoder(file, family);
            StoredNetwork network = new StoredNetwork(Layout.TEXT_FILE, file.tensors());
            if (networks.put(part, network) != null) {
                throw new BadBundleException(
                        place
                                + " is the "
                                + part.folder()
                                + " of "
                                + path
                                + ", which has one already: leave out --text-encoder "
                                + place);
            }
        }
    }

    private static Checkpoint openFolder(Path folder, ModelParts parts) {
        Checkpoint checkpoint =
                openFolderAs(
                        folder,
                        parts,
                        denoiser -> Recognition.ofFolder(folder.toString(), denoiser));
        try {
            Recognition found = checkpoint.recognition;
            requireDrawable(folder, found, checkpoint.networks.keySet());
            Set<Part> own = EnumSet.copyOf(checkpoint.networks.keySet());
            if (parts.vae() != null) {
                own.remove(Part.VAE);
            }
            SchedulerConfig scheduler = DiffusersFolder.requireSupported(folder, found, own);
            checkpoint.recognition = found.predicting(scheduler.prediction());
            checkpoint.settings =
                    new Settings(
                            scheduler.levels(),
                            scheduler.solver(),
                            scheduler.spacing(),
                            DiffusersFolder.scaling(folder),
                            DiffusersFolder.shift(folder, found.family()));
            if (!scheduler.replaced().isEmpty()) {
                System.getLogger(Checkpoint.class.getName())
                        .log(
                                System.Logger.Level.INFO,
                                "{0}: {1} is not a scheduler of this release; its noise levels are"
                                        + " drawn with {2}",
                                folder,
                                scheduler.replaced(),
                                scheduler.solver().id());
            }
            return checkpoint;
        } catch (RuntimeException e) {
            checkpoint.close();
            throw e;
        }
    }

    /**
     * Opens a folder's weights as those of a model that is known already.
     *
     * @param recognition of the denoiser's tensors
     */
    static Checkpoint openFolderAs(
            Path folder, ModelParts parts, Function<Map<String, Tensor>, Recognition> recognition) {
        DiffusersFolder.Opened opened = DiffusersFolder.open(folder, parts.vae() == null);
        List<SafeTensors> files = new ArrayList<>(opened.files());
        try {
            Map<Part, StoredNetwork> networks = new EnumMap<>(opened.networks());
            Recognition found = recognition.apply(opened.denoiser().tensors());
            addParts(folder, parts, found.family(), networks, files);
            return new Checkpoint(folder, found, networks, files);
        } catch (RuntimeException e) {
            files.forEach(SafeTensors::close);
            throw e;
        }
    }

    /** Opens a file, or the weights of a folder, as those of a model that is known already. */
    public static Checkpoint openAs(Path path, Recognition known, ModelParts parts) {
        return isFolder(path)
                ? openFolderAs(path, parts, denoiser -> known)
                : recognised(path, parts, file -> known);
    }

    /**
     * Opens the file of an autoencoder alone, of Stable Diffusion 1.x to XL's build.
     *
     * @throws BadBundleException if it is no whole safetensors file, or holds no such autoencoder
     */
    public static Checkpoint openVae(Path path) {
        SafeTensors file = SafeTensors.open(path);
        try {
            Recognition alone =
                    new Recognition(
                            Family.SD1,
                            EnumSet.of(Part.VAE),
                            "epsilon",
                            false,
                            Family.SD1.latentChannels(),
                            0,
                            0);
            StoredNetwork vae = StoredNetwork.vae(file, Family.SD1.latentChannels());
            return new Checkpoint(path, alone, Map.of(Part.VAE, vae), List.of(file));
        } catch (RuntimeException e) {
            file.close();
            throw e;
        }
    }

    /** All networks of a single file, in its one layout. */
    private static Map<Part, StoredNetwork> networks(SafeTensors file, Recognition found) {
        Map<Part, StoredNetwork> networks = new EnumMap<>(Part.class);
        for (Part part : found.parts()) {
            networks.put(part, new StoredNetwork(found.family().singleFile(), file.tensors()));
        }
        return networks;
    }

    /** What was opened. */
    public Path path() {
        return path;
    }

    /** What the files beside the weights say; null: it is a single file. */
    public @Nullable Settings settings() {
        return settings;
    }

    /**
     * Compares the tokenizer of a folder with the template's.
     *
     * @param encoder number of the text encoder
     * @throws BadBundleException if it is another one
     */
    public void requireTokenizer(int encoder, byte[] template) {
        if (settings != null) {
            String name = textEncoders().get(encoder).folder().replace("text_encoder", "tokenizer");
            FolderTokenizer.require(path.resolve(name), template);
        }
    }

    /** Whether a network's weights are there: those of {@link Family#optional} ones may not be. */
    public boolean has(Part part) {
        return networks.containsKey(part);
    }

    /** Text encoders of its architecture in the order of the template's. */
    public List<Part> textEncoders() {
        return recognition.family().textEncoders();
    }

    /** All files that weights are read from. */
    public List<Path> files() {
        return files.stream().map(SafeTensors::file).toList();
    }

    /** Whether there is a weight of this name in diffusers. */
    public boolean has(Part part, String weight) {
        StoredNetwork network = networks.get(part);
        return network != null
                && places(network, part, weight).stream()
                        .anyMatch(place -> network.tensors().containsKey(place.tensor()));
    }

    /** What the file holds. */
    public Recognition recognition() {
        return recognition;
    }

    /** Name of the file without its ending: what the model is called. */
    public String name() {
        Path name = path.toAbsolutePath().normalize().getFileName();
        return String.valueOf(name).replaceFirst("\\.safetensors$", "");
    }

    /** In which most of its weights are stored, as in "fp16". */
    public String precision() {
        return ElementType.most(
                files.stream().flatMap(f -> f.tensors().values().stream()).toList());
    }

    /** The licence of its weights, where its header or its folder's README.md says one; else empty. */
    public String licence() {
        return isFolder(path)
                ? ModelCard.licence(path)
                : files.getFirst().metadata().getOrDefault("modelspec.license", "");
    }

    /** What the denoiser predicts: "epsilon", "v" or "flow". */
    public String prediction() {
        return Objects.requireNonNull(recognition.prediction());
    }

    /** Latent cells of its native height and width where they are not the template's; else 0. */
    public int nativeCells() {
        if (settings != null) {
            return DiffusersFolder.nativeCells(path, recognition.family().denoiser());
        }
        // SD 2.1-base was trained at 512 pixels, SD 2.1, which predicts v, at 768.
        return recognition.family() == Family.SD2 && prediction().equals("epsilon") ? 64 : 0;
    }

    /** Refuses, before any work, what no template can be filled with. */
    private static void requireDrawable(Path path, Recognition found, Set<Part> given) {
        String title = found.family().title();
        if (found.prediction() == null && !isFolder(path)) {
            throw new BadBundleException(
                    path
                            + " is "
                            + title
                            + " and does not say what its network predicts: noise, as"
                            + " v2-1_512-ema-pruned does, or v, as v2-1_768-ema-pruned. Its header"
                            + " has no modelspec.prediction_type, and it is no published file that"
                            + " is known by its SHA-256; add it, or export the model as a bundle");
        }
        int latents = found.family().latentChannels();
        boolean inpaints =
                found.family().denoiser() == Part.UNET && found.inputChannels() == 2 * latents + 1;
        if (found.inputChannels() != latents && !inpaints) {
            throw new BadBundleException(
                    path
                            + " is "
                            + title
                            + " with "
                            + found.inputChannels()
                            + " input channels, for editing or depth maps, which is not supported:"
                            + " use the plain model");
        }
        if (found.zeroTerminalSnr() && "epsilon".equals(found.prediction())) {
            throw new BadBundleException(
                    path
                            + " says that its noise levels end without signal (its tensor ztsnr),"
                            + " but not that its network predicts v, as those of such models do:"
                            + " there, noise says nothing of the picture. Add the tensor v_pred,"
                            + " or \"modelspec.prediction_type\": \"v\" to its header");
        }
        Set<Part> needed = EnumSet.copyOf(found.family().textEncoders());
        needed.add(Part.VAE);
        needed.removeAll(found.family().optional());
        needed.removeAll(given);
        if (!needed.isEmpty()) {
            throw new BadBundleException(
                    path
                            + " is "
                            + title
                            + " without its "
                            + needed.stream().map(Part::folder).sorted().toList()
                            + (needed.equals(EnumSet.of(Part.VAE))
                                    ? ": give one with --vae FILE.safetensors"
                                    : ": give each with --text-encoder FILE.safetensors, or use a"
                                            + " file that holds the whole model"));
        }
    }

    /** A weight where it lies: rows of a tensor, and what is to be done to them. */
    public record Located(Tensor tensor, long firstElement, long elements, Source.Change change) {
        /** Outputs of the layer: the extent of the weight's first axis, as diffusers has it. */
        public long rows() {
            List<Long> shape = tensor.shape();
            if (shape.isEmpty()) {
                return 1;
            }
            return change == Source.Change.TRANSPOSE
                    ? elements / shape.getFirst()
                    : shape.getFirst() * elements / tensor.count();
        }

        /**
         * Fills {@code into} with elements in the order that diffusers has them in.
         *
         * @param first of the weight
         */
        public void read(long first, float[] into) {
            if (change == Source.Change.NONE) {
                Elements.read(tensor, firstElement + first, into);
                return;
            }
            long rows = rows();
            long columns = elements / rows;
            for (int i = 0; i < into.length; i++) {
                long at = first + i;
                long from =
                        change == Source.Change.TRANSPOSE
                                ? at % columns * rows + at / columns
                                : (at + elements / 2) % elements;
                into[i] = Elements.at(tensor, firstElement + from);
            }
        }
    }

    /**
     * The place of a weight.
     *
     * @param weight its name in diffusers
     * @throws BadBundleException if the file does not have it
     */
    public Located find(Part part, String weight) {
        StoredNetwork network = Objects.requireNonNull(networks.get(part));
        List<Source> places = places(network, part, weight);
        for (Source place : places) {
            if (place.change() == Source.Change.IDENTITY) {
                continue;
            }
            Tensor tensor = network.tensors().get(place.tensor());
            if (tensor == null) {
                continue;
            }
            if (!tensor.type().isFloat()) {
                throw new BadBundleException(
                        path()
                                + ": \""
                                + tensor.name()
                                + "\" is of type "
                                + tensor.type()
                                + ", not of floating-point numbers");
            }
            if (tensor.count() % place.parts() != 0) {
                throw new BadBundleException(
                        path()
                                + ": \""
                                + tensor.name()
                                + "\" of shape "
                                + tensor.shape()
                                + " cannot be cut into "
                                + place.parts()
                                + " equal parts");
            }
            long elements = tensor.count() / place.parts();
            return new Located(tensor, place.part() * elements, elements, place.change());
        }
        throw new BadBundleException(
                path()
                        + " has no weights of "
                        + part.folder()
                        + "."
                        + weight
                        + "; looked for "
                        + places.stream().map(Source::tensor).collect(Collectors.joining(", ")));
    }

    /** Whether a weight is the identity matrix because the file has none. */
    boolean isIdentity(Part part, String weight) {
        StoredNetwork network = Objects.requireNonNull(networks.get(part));
        List<Source> places = places(network, part, weight);
        return places.getLast().change() == Source.Change.IDENTITY
                && places.stream().noneMatch(p -> network.tensors().containsKey(p.tensor()));
    }

    /** Whether a weight is stored as it is: its elements are neither made nor put in another order. */
    public boolean isStored(WeightName name) {
        return !isIdentity(name.part(), name.weight())
                && find(name.part(), name.weight()).change() == Source.Change.NONE;
    }

    /** The places where a network may have a weight. */
    private List<Source> places(StoredNetwork network, Part part, String weight) {
        return WeightNames.of(network.layout(), part, weight, recognition.jointBlocks());
    }

    /** Elements in another type, in memory that lives as long as the checkpoint is open. */
    MemorySegment converted(MemorySegment from, ElementType type, Weight.Type to) {
        long count = from.byteSize() / type.bytes();
        MemorySegment out = converted.allocate(Math.multiplyExact(count, (long) to.bytes()), 64);
        for (long i = 0; i < count; i++) {
            float value = Elements.at(from, type, i);
            if (to == Weight.Type.FLOAT32) {
                out.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
            } else {
                out.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(value));
            }
        }
        return out;
    }

    @Override
    public void close() {
        files.forEach(SafeTensors::close);
        converted.close();
    }
}
