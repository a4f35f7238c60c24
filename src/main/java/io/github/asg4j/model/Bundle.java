// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.Lora;
import io.github.asg4j.ModelParts;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.checkpoint.ChangedWeights;
import io.github.asg4j.model.checkpoint.Checkpoint;
import io.github.asg4j.model.checkpoint.WeightMemory;
import io.github.asg4j.model.lora.LoraSet;
import io.github.asg4j.model.lora.LoraTargets;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A model bundle, in a folder or in the resources of a jar, whose manifest is valid and whose files
 * are those that the manifest records; or a publisher's single file, whose networks are put together
 * from a template in the jar and the weights where they lie. Immutable and thread-safe. Only a single
 * file is held open, until {@link #close()}.
 */
public final class Bundle implements AutoCloseable {
    /** Where the demo bundle lies in its jar, which is another one than the engine's. */
    public static final String DEMO = "io/github/asg4j/demo/";

    /** What the distilled demo has instead of the demo's files. */
    static final String DEMO_TURBO = DEMO + "turbo/";

    /** Where the templates of checkpoints lie in the jar. */
    private static final String TEMPLATES = "io/github/asg4j/templates/";

    /** Factors of the latents of Stable Diffusion 1.x and 2.x, and of XL. */
    private static final Set<Double> SHARED_SCALINGS = new TreeSet<>(Set.of(0.18215, 0.13025));

    private static final RecordedFiles.Maker MAKER =
            new RecordedFiles.Maker(
                    "model bundle",
                    Manifest.FILE_NAME,
                    "asg4j-export model CHECKPOINT --out BUNDLE");

    private static final long MAX_MANIFEST_BYTES = 16L << 20;

    private final BundleFiles files;
    private final Manifest manifest;
    private final String sha256;
    private final EngineInfo.@Nullable VaeFile vae;

    /** What was counted, by graph. */
    private final Map<String, Long> graphBytes = new ConcurrentHashMap<>();

    private Bundle(
            BundleFiles files, Manifest manifest, String sha256, EngineInfo.@Nullable VaeFile vae) {
        this.files = files;
        this.manifest = manifest;
        this.sha256 = sha256;
        this.vae = vae;
    }

    /** Graphs whose weights LoRA files change. */
    private static List<String> changeable(Manifest manifest) {
        List<String> graphs = new ArrayList<>();
        manifest.textEncoders().forEach(encoder -> graphs.add(encoder.file()));
        graphs.add(manifest.denoiser().file());
        return graphs;
    }

    /**
     * Opens the bundle in the folder {@code place}, the checkpoint in the .safetensors file or the
     * diffusers folder {@code place}, or the graphs that Optimum or Olive wrote there; null: the demo
     * bundle, "demo-turbo": the distilled one. Checks that every file of a bundle is there with its
     * recorded size, and its SHA-256 unless that was done before and size and time of the file are
     * still the same.
     *
     * @param parts files of its networks that lie beside it
     * @param verify check every SHA-256 even so
     * @throws BadBundleException naming the file and what is wrong with it
     */
    public static Bundle open(@Nullable Path place, ModelParts parts, boolean verify) {
        VerifiedFiles verified = VerifiedFiles.ofUser();
        Path vae = parts.vae();
        if (place != null && isCheckpoint(place)) {
            Checkpoint checkpoint =
                    Checkpoint.open(place, parts, file -> fileHash(file, verified, verify));
            return filled(checkpoint, templates(checkpoint), vae, verified, verify);
        }
        if (!parts.textEncoders().isEmpty()) {
            throw new BadBundleException(
                    (place == null ? "the demo" : place.toString())
                            + " is a bundle, which has its own text encoders: leave out"
                            + " --text-encoder "
                            + parts.textEncoders().getFirst());
        }
        Bundle bundle =
                place == null || isDemoTurbo(place)
                        ? openDemo(Bundle.class.getClassLoader(), place != null, verified, verify)
                        : OnnxFolder.is(place)
                                ? openOnnx(place, verified, verify)
                                : openFolder(place, verified, verify);
        return vae == null
                ? bundle
                : bundle.withVae(
                        Checkpoint.openVae(vae), List.of(TEMPLATES + "sd1/"), verified, verify);
    }

    /** Folders of the resources that a checkpoint's template consists of. */
    private static List<String> templates(Checkpoint checkpoint) {
        return checkpoint.recognition().family().templates().stream()
                .map(name -> TEMPLATES + name + "/")
                .toList();
    }

    /** A file, or a folder of diffusers that is no bundle and holds weights. */
    private static boolean isCheckpoint(Path place) {
        return Files.isRegularFile(place)
                || (Checkpoint.isFolder(place)
                        && !OnnxFolder.is(place)
                        && !Files.exists(place.resolve(Manifest.FILE_NAME)));
    }

    /**
     * A bundle of a template and the weights of a checkpoint, which it takes over.
     *
     * @param template folders of the template's resources, each with a slash at the end
     * @param vae the checkpoint's autoencoder if it has a file of its own; else null
     */
    static Bundle filled(
            Checkpoint checkpoint,
            List<String> template,
            @Nullable Path vae,
            VerifiedFiles verified,
            boolean verify) {
        try {
            ClassLoader loader = Bundle.class.getClassLoader();
            Bundle empty = openResources(loader, template, verified, verify);
            var files = new BundleFiles.Filled((BundleFiles.Resources) empty.files, checkpoint);
            MessageDigest digest = RecordedFiles.newSha256();
            digest.update(empty.sha256.getBytes(StandardCharsets.UTF_8));
            for (Path file : checkpoint.files()) {
                String hash = hash(file, verified, verify);
                digest.update(hash.getBytes(StandardCharsets.UTF_8));
            }
            for (int i = 0; i < empty.manifest.textEncoders().size(); i++) {
                String tokenizer = empty.manifest.textEncoders().get(i).tokenizer();
                if (checkpoint.has(checkpoint.textEncoders().get(i))) {
                    checkpoint.requireTokenizer(i, empty.read(tokenizer));
                }
            }
            Manifest manifest = empty.manifest.filled(checkpoint, files::weightBytes);
            return new Bundle(
                    files,
                    manifest,
                    HexFormat.of().formatHex(digest.digest()),
                    vae == null ? null : vaeFile(vae, verified));
        } catch (IOException e) {
            checkpoint.close();
            throw MAKER.unreadable(checkpoint.path().toString(), e);
        } catch (RuntimeException | Error e) {
            checkpoint.close();
            throw e;
        }
    }

    /**
     * The same bundle with another autoencoder, which it takes over.
     *
     * @param template folders of the resources of the template that has its graphs
     */
    Bundle withVae(
            Checkpoint checkpoint, List<String> template, VerifiedFiles verified, boolean verify) {
        Path vae = checkpoint.path();
        try {
            requireSharedLatents(vae);
            ClassLoader loader = Bundle.class.getClassLoader();
            Bundle empty = openResources(loader, template, verified, verify);
            var filled = new BundleFiles.Filled((BundleFiles.Resources) empty.files, checkpoint);
            Manifest other = manifest.withVae(empty.manifest, checkpoint, filled::weightBytes);
            MessageDigest digest = RecordedFiles.newSha256();
            digest.update(sha256.getBytes(StandardCharsets.UTF_8));
            digest.update(empty.sha256.getBytes(StandardCharsets.UTF_8));
            digest.update(hash(vae, verified, verify).getBytes(StandardCharsets.UTF_8));
            return new Bundle(
                    new BundleFiles.WithVae(files, filled, other.vae().files()),
                    other,
                    HexFormat.of().formatHex(digest.digest()),
                    vaeFile(vae, verified));
        } catch (IOException e) {
            checkpoint.close();
            throw MAKER.unreadable(vae.toString(), e);
        } catch (RuntimeException | Error e) {
            checkpoint.close();
            throw e;
        }
    }

    /** Refuses models whose latents no published autoencoder was made for. */
    private void requireSharedLatents(Path vae) {
        Manifest.Latent latent = manifest.latent();
        if (latent.channels() != 4 || !SHARED_SCALINGS.contains(latent.scaling())) {
            throw new BadBundleException(
                    place()
                            + " has latents of "
                            + latent.channels()
                            + " channels that are scaled by "
                            + latent.scaling()
                            + "; --vae takes autoencoders of Stable Diffusion 1.x to XL, whose"
                            + " latents have 4 and are scaled by one of "
                            + SHARED_SCALINGS
                            + ": leave out --vae "
                            + vae);
        }
    }

    private static EngineInfo.VaeFile vaeFile(Path vae, VerifiedFiles verified) throws IOException {
        return new EngineInfo.VaeFile(vae, hash(vae, verified, false));
    }

    /** SHA-256 of a file, computed once for each state of it. */
    static String fileHash(Path file, VerifiedFiles verified, boolean verify) {
        try {
            return hash(file, verified, verify);
        } catch (IOException e) {
            throw MAKER.unreadable(file.toString(), e);
        }
    }

    private static String hash(Path file, VerifiedFiles verified, boolean verify)
            throws IOException {
        VerifiedFiles.State state = BundleFiles.stateOf(file.toRealPath(), "");
        String known = verify ? null : verified.read().get(state);
        if (known != null) {
            return known;
        }
        String hash = RecordedFiles.sha256(Files.newInputStream(file));
        verified.add(Map.of(state, hash));
        return hash;
    }

    /** Whether the name is meant, and no file or folder. */
    private static boolean isDemoTurbo(Path place) {
        return place.equals(EngineOptions.DEMO_TURBO) && !Files.exists(place);
    }

    static Bundle openDemo(
            ClassLoader loader, boolean turbo, VerifiedFiles verified, boolean verify) {
        if (loader.getResource(DEMO + Manifest.FILE_NAME) == null) {
            throw new BadBundleException(
                    (turbo ? EngineOptions.DEMO_TURBO + " is asked for" : "no model was named")
                            + ", and the demo model is not on the class path or module path. Give"
                            + " the folder of a model (EngineOptions.withModel), or add the demo:"
                            + " artifact io.github.asg4j:asg4j, classifier demo; with modules,"
                            + " require io.github.asg4j.demo as well");
        }
        List<String> folders = turbo ? List.of(DEMO_TURBO, DEMO) : List.of(DEMO);
        return openResources(loader, folders, verified, verify);
    }

    static Bundle openFolder(Path folder, VerifiedFiles verified, boolean verify) {
        if (!Files.isDirectory(folder)) {
            throw new BadBundleException(
                    "the model bundle "
                            + folder
                            + " is not a folder. Give the folder that holds "
                            + Manifest.FILE_NAME
                            + ", or make one: "
                            + MAKER.command());
        }
        try {
            return open(new BundleFiles.Folder(folder.toRealPath()), verified, verify);
        } catch (IOException e) {
            throw MAKER.unreadable(folder.toString(), e);
        }
    }

    /** A folder of graphs that other exporters wrote. */
    static Bundle openOnnx(Path folder, VerifiedFiles verified, boolean verify) {
        OnnxFolder.Opened opened = OnnxFolder.open(folder, file -> hash(file, verified, verify));
        Manifest manifest = opened.manifest();
        // Without its name, which is the folder's.
        String sha256 =
                RecordedFiles.sha256(
                        ManifestWriter.write(manifest.named("onnx")), manifest.files());
        return new Bundle(opened.files(), manifest, sha256, null);
    }

    static Bundle openResources(
            ClassLoader loader, List<String> prefixes, VerifiedFiles verified, boolean verify) {
        return open(new BundleFiles.Resources(loader, prefixes), verified, verify);
    }

    private static Bundle open(BundleFiles files, VerifiedFiles verified, boolean verify) {
        byte[] json = MAKER.readAll(files, Manifest.FILE_NAME, MAX_MANIFEST_BYTES);
        Manifest manifest = Manifest.parse(files.place(Manifest.FILE_NAME), json);
        RecordedFiles recorded = new RecordedFiles(files, MAKER, manifest.files());
        recorded.check(verified, verify);
        return new Bundle(files, manifest, recorded.sha256(json), null);
    }

    private RecordedFiles recorded() {
        return new RecordedFiles(files, MAKER, manifest.files());
    }

    public Manifest manifest() {
        return manifest;
    }

    /** Ends the mapping of .safetensors files; nothing of a bundle is open. After its networks are closed. */
    @Override
    public void close() {
        Checkpoint checkpoint = files.checkpoint();
        if (checkpoint != null) {
            checkpoint.close();
        }
    }

    /**
     * Type that most weights are stored in, as in "fp16". A bundle that was copied from a checkpoint does not
     * say: "fp16", since halves take the most beside what is stored.
     */
    public String weightPrecision() {
        Checkpoint checkpoint = filledFrom();
        if (checkpoint != null) {
            return checkpoint.precision();
        }
        return manifest.source() == null ? manifest.denoiser().precision() : "fp16";
    }

    /** The checkpoint that gives all weights; null: the bundle's files hold them. */
    @Nullable Checkpoint filledFrom() {
        return files instanceof BundleFiles.Filled filled ? filled.checkpoint() : null;
    }

    /** Where the bundle lies, for messages. */
    public String place() {
        return files.place();
    }

    /** SHA-256 over the manifest and the recorded hashes of all files, 64 hexadecimal digits. */
    public String bundleSha256() {
        return sha256;
    }

    /** The autoencoder's file, where it was given beside the model; else null. */
    public EngineInfo.@Nullable VaeFile vae() {
        return vae;
    }

    /**
     * Memory for the matrices of a checkpoint, where networks on the CPU read them; the caller closes it.
     */
    WeightMemory weightMemory() {
        if (!(files instanceof BundleFiles.Filled filled)) {
            throw new IllegalStateException(place() + " is a bundle: it holds its weights itself");
        }
        List<String> graphs = new ArrayList<>(changeable(manifest));
        String dilated = manifest.denoiser().dilatedFile();
        if (dilated != null) {
            graphs.add(dilated);
        }
        try {
            return new WeightMemory(filled.checkpoint(), filled.matrices(graphs));
        } catch (IOException e) {
            throw MAKER.unreadable(place(), e);
        }
    }

    /** The bytes of a file of the manifest that is not a graph. */
    public byte[] read(String name) {
        return recorded().read(name);
    }

    /** The tokenizer of text encoder {@code index}. */
    public Tokenizer tokenizer(int index) {
        String name = manifest.textEncoders().get(index).tokenizer();
        return Tokenizer.parse(files.place(name), read(name));
    }

    /**
     * Bytes of a graph of the manifest and of the weights that it reads, which may lie in files of other
     * graphs. Reads the graph at its first call.
     *
     * @throws BadBundleException if the file is not a whole ONNX model, or its weights are not there
     */
    public long graphBytes(String name) {
        return graphBytes.computeIfAbsent(name, recorded()::graphBytes);
    }

    /**
     * Bytes of the networks that pictures are drawn with, and of their weights as they are stored. The
     * parts of an autoencoder for tiles, and a denoiser with dilation, have weights of these.
     *
     * @throws BadBundleException if a file is not a whole ONNX model, or its weights are not there
     */
    public long networkBytes() {
        Set<String> graphs = new LinkedHashSet<>(changeable(manifest));
        graphs.add(manifest.vae().decoder());
        if (manifest.vae().encoder() != null) {
            graphs.add(manifest.vae().encoder());
        }
        manifest.upscalers().forEach(upscaler -> graphs.add(upscaler.file()));
        return graphs.stream().mapToLong(this::graphBytes).sum();
    }

    /**
     * A graph of the manifest, for ONNX Runtime to open.
     *
     * @param memory receives the bytes, those of external data too, if the bundle lies in a jar; a
     *     graph in a folder needs none
     * @throws BadBundleException if the file is not a whole ONNX model, or if its external data is
     *     not listed in the manifest or lies outside of the bundle
     */
    public ModelFile graph(String name, Memory memory) {
        return graph(name, memory, ChangedWeights.NONE);
    }

    /**
     * The same.
     *
     * @param changes weights that take the place of a checkpoint's own
     */
    public ModelFile graph(String name, Memory memory, ChangedWeights changes) {
        return recorded().graph(name, memory, changes);
    }

    /**
     * Opens LoRA files for the model; reads of them what they change, not yet by how much.
     *
     * @throws BadRequestException if one cannot be read or was made for another model, or the model is
     *     a bundle: its weights are laid out anew and lie in graphs
     */
    public LoraSet loras(List<Lora> loras) {
        if (!(files instanceof BundleFiles.Filled filled)) {
            throw new BadRequestException(
                    "LoRA files need the model as its publisher's file, as in --model"
                            + " MODEL.safetensors; "
                            + place()
                            + " is a bundle. Give that file, or write a bundle with them: asg"
                            + " bundle MODEL.safetensors --lora FILE:WEIGHT --out BUNDLE");
        }
        return LoraSet.open(loras, loraTargets(filled), filled.checkpoint(), Bundle::loraKeys);
    }

    /**
     * What tells LoRA files with their weights from others.
     *
     * @throws BadRequestException if one cannot be read
     */
    static List<LoraSet.Key> loraKeys(List<Lora> loras) {
        VerifiedFiles verified = VerifiedFiles.ofUser();
        return loras.stream()
                .map(lora -> new LoraSet.Key(loraHash(lora.file(), verified), lora.weight()))
                .toList();
    }

    private static String loraHash(Path file, VerifiedFiles verified) {
        try {
            return hash(file, verified, false);
        } catch (IOException e) {
            throw new BadRequestException(
                    "LoRA "
                            + file
                            + " cannot be read ("
                            + e
                            + "): give --lora FILE.safetensors or FILE.safetensors:WEIGHT",
                    e);
        }
    }

    private LoraTargets loraTargets(BundleFiles.Filled filled) {
        try {
            Checkpoint checkpoint = filled.checkpoint();
            return LoraTargets.of(
                    checkpoint.recognition(),
                    filled.weights(changeable(manifest)),
                    checkpoint::has);
        } catch (IOException e) {
            throw MAKER.unreadable(place(), e);
        }
    }
}
