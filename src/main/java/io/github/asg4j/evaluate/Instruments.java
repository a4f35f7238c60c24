// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.ModelParts;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Place;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;

/**
 * What measures pictures of one bundle: the bundle's own object counter, feature network and truth,
 * or what was given in their place. Whatever is missing measures nothing. One thread at a time.
 */
public final class Instruments implements AutoCloseable {
    private static final int THREADS = 1;

    /** What a {@link Finding} holds: pictures that were counted without it are counted again. */
    private static final String FINDING = "count, shape, colour, share, aspect";

    private final Bundle bundle;
    private final List<AutoCloseable> open = new ArrayList<>();
    private final @Nullable Path truthFolder;
    private final Map<String, Optional<Truth>> truths = new HashMap<>();
    private @Nullable ObjectCounter counter;
    private @Nullable FeatureNetwork features;
    private @Nullable ClipScore clip;
    private boolean ownFeatures;

    private Instruments(Bundle bundle, @Nullable Path truthFolder) {
        this.bundle = bundle;
        this.truthFolder = truthFolder;
    }

    /**
     * Opens them.
     *
     * @param model the engine's; null: the demo bundle
     * @param parts the engine's
     * @param featureFile a feature network in place of the bundle's; null: the bundle's
     * @param truthFolder true pictures, PNG files in it or in its folders WxH; null: the bundle's
     * @param clipFolder networks for the CLIP score; null: no CLIP score
     */
    public static Instruments open(
            @Nullable Path model,
            ModelParts parts,
            @Nullable Path featureFile,
            @Nullable Path truthFolder,
            @Nullable Path clipFolder) {
        if (truthFolder != null && !Files.isDirectory(truthFolder)) {
            throw new BadRequestException(
                    "the folder of true pictures '" + truthFolder + "' does not exist");
        }
        Instruments all = new Instruments(Bundle.open(model, parts, false), truthFolder);
        try {
            all.openNetworks(featureFile, clipFolder);
        } catch (RuntimeException e) {
            all.close();
            throw e;
        }
        return all;
    }

    private void openNetworks(@Nullable Path featureFile, @Nullable Path clipFolder) {
        Manifest.Evaluation own = bundle.manifest().evaluation();
        Manifest.Objects objects = own == null ? null : own.objects();
        if (objects != null) {
            String models = objects.models();
            counter =
                    new ObjectCounter(
                            ObjectModels.parse(bundle.place() + models, bundle.read(models)),
                            session(objects.namer()));
            open.add(counter);
        }
        if (featureFile != null) {
            features =
                    new FeatureNetwork(OrtSession.open(featureFile, THREADS), sha256(featureFile));
        } else if (own != null && own.features() != null) {
            String file = own.features();
            features = new FeatureNetwork(session(file), entry(file).sha256());
            ownFeatures = true;
        }
        if (features != null) {
            open.add(features);
        }
        if (clipFolder != null) {
            clip = ClipScore.open(clipFolder, THREADS);
            open.add(clip);
        }
    }

    private OrtSession session(String file) {
        return LoadedModel.session(bundle, file, Place.cpu(THREADS));
    }

    private static String sha256(Path file) {
        try {
            return HexFormat.of().formatHex(newSha256().digest(Files.readAllBytes(file)));
        } catch (IOException e) {
            throw new BadRequestException("cannot read '" + file + "' (" + e + ")", e);
        }
    }

    /** Objects in a picture of the engine; empty: its prompt promises nothing that can be counted. */
    public OptionalInt count(GeneratedImage image) {
        ObjectCounter own = counter;
        String prompt = image.report().request().prompt();
        return own != null && own.knows(prompt)
                ? OptionalInt.of(own.examine(Picture.of(image), prompt).count())
                : OptionalInt.empty();
    }

    Manifest manifest() {
        return bundle.manifest();
    }

    /** Identifies what draws: the bundle without what only measures. */
    String drawing() {
        Manifest m = manifest();
        Map<String, Manifest.FileEntry> files = new TreeMap<>(m.files());
        Manifest.Evaluation own = m.evaluation();
        if (own != null) {
            files.keySet().removeAll(own.files());
        }
        return sha256(
                List.of(
                        m.latent(),
                        m.textEncoders(),
                        m.denoiser(),
                        m.vae(),
                        m.upscalers(),
                        m.scheduler(),
                        m.conditioning(),
                        m.defaults(),
                        files));
    }

    /** Identifies what counts, and what is said of what it finds; "none" where nothing does. */
    String counting() {
        Manifest.Evaluation own = manifest().evaluation();
        Manifest.Objects objects = own == null ? null : own.objects();
        return objects == null
                ? "none"
                : sha256(
                        List.of(
                                FINDING,
                                entry(objects.models()).sha256(),
                                entry(objects.namer()).sha256()));
    }

    private Manifest.FileEntry entry(String file) {
        return Objects.requireNonNull(manifest().files().get(file));
    }

    /** Returns the first 16 hexadecimal digits of the hash of the parts as text. */
    private static String sha256(List<?> parts) {
        byte[] text = parts.toString().getBytes(StandardCharsets.UTF_8);
        return HexFormat.of().formatHex(newSha256().digest(text)).substring(0, 16);
    }

    private static MessageDigest newSha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every Java platform has SHA-256", e);
        }
    }

    /** The bundle's prompts for evaluations, one a line; null: it has none. */
    public @Nullable String prompts() {
        Manifest.Evaluation own = bundle.manifest().evaluation();
        return own == null || own.prompts() == null
                ? null
                : new String(bundle.read(own.prompts()), StandardCharsets.UTF_8);
    }

    @Nullable ObjectCounter counter() {
        return counter;
    }

    @Nullable FeatureNetwork features() {
        return features;
    }

    @Nullable ClipScore clip() {
        return clip;
    }

    /** True pictures of a size; null: there are none, or no features to compare them by. */
    @Nullable Truth truth(int width, int height) {
        FeatureNetwork network = features;
        if (network == null) {
            return null;
        }
        return truths.computeIfAbsent(
                        width + "x" + height,
                        size ->
                                truthFolder != null
                                        ? Optional.of(
                                                Truth.ofFolder(truthFolder, width, height, network))
                                        : ownFeatures
                                                ? Optional.ofNullable(
                                                        Truth.ofBundle(
                                                                bundle,
                                                                width,
                                                                height,
                                                                network.width()))
                                                : Optional.empty())
                .orElse(null);
    }

    @Override
    public void close() {
        for (AutoCloseable each : open.reversed()) {
            try {
                each.close();
            } catch (Exception e) {
                throw new IllegalStateException("closing " + each, e);
            }
        }
        open.clear();
    }
}
