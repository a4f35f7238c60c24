// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.github.asg4j.MethodOptions.ScaleCrafterOptions;
import io.github.asg4j.model.InputRole;
import io.github.asg4j.model.Manifest;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** The analytic bundles of src/test/resources, and engines on them. */
public final class Tiny {
    /** Inputs of the denoisers of these bundles. */
    public static final List<Manifest.Input> DENOISER_INPUTS =
            Stream.of(InputRole.values())
                    .filter(role -> role != InputRole.GUIDANCE && role != InputRole.INPAINT)
                    .map(Manifest.Input::usual)
                    .toList();

    private Tiny() {}

    /** Folder of a resource. */
    public static Path resource(String name) {
        try {
            var url = Tiny.class.getResource("/" + name);
            if (url == null) {
                throw new IllegalStateException("no test resource " + name);
            }
            return Path.of(url.toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** A denoiser that depends on sample, position, time, sizes and text. */
    public static Path bundle() {
        return resource("tiny");
    }

    /** A denoiser whose estimate never changes between steps. */
    public static Path stepless() {
        return resource("tiny-stepless");
    }

    /**
     * The tiny bundle with another denoiser.
     *
     * @param from folder of the resources that holds denoiser.onnx
     * @param change what the manifest says of it
     */
    public static Path withDenoiser(Path folder, String from, Consumer<ObjectNode> change) {
        return changed(
                "tiny",
                folder,
                manifest -> {
                    Path file = folder.resolve("denoiser.onnx");
                    try {
                        Files.delete(file);
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                    byte[] bytes = copy(resource(from).resolve("denoiser.onnx"), folder);
                    manifest.withObject("files")
                            .putObject("denoiser.onnx")
                            .put("bytes", bytes.length)
                            .put("sha256", sha256(bytes));
                    change.accept(manifest.withObject("denoiser"));
                });
    }

    /** The tiny bundle with upscalers of src/test/resources/upscaler, which see 20 pixels around. */
    public static Path withUpscalers(Path folder, int... scales) {
        return changed(
                "tiny",
                folder,
                manifest -> {
                    for (int scale : scales) {
                        String file = "upscaler_x" + scale + ".onnx";
                        byte[] bytes = copy(resource("upscaler").resolve(file), folder);
                        manifest.withArray("upscalers")
                                .addObject()
                                .put("file", file)
                                .put("scale", scale)
                                .put("overlap", 20);
                        manifest.withObject("files")
                                .putObject(file)
                                .put("bytes", bytes.length)
                                .put("sha256", sha256(bytes));
                    }
                });
    }

    /** The tiny bundle with another denoiser. */
    public static Path withDenoiser(Path folder, Path graph) {
        return changed(
                "tiny",
                folder,
                manifest -> {
                    String file = graph.getFileName().toString();
                    byte[] bytes = copy(graph, folder);
                    manifest.withObject("denoiser").put("file", file);
                    manifest.withObject("files")
                            .putObject(file)
                            .put("bytes", bytes.length)
                            .put("sha256", sha256(bytes));
                });
    }

    /**
     * The tiny bundle with a decoder of src/test/resources/vae, which has group normalisation and is
     * there in two parts too.
     *
     * @param suffix of the files that are used first: "", or "_overflow" for some that give infinities
     * @param fallback whether the bundle has those that do not beside them
     */
    public static Path withTiledVae(Path folder, String suffix, boolean fallback) {
        return withVae(folder, suffix, fallback, true);
    }

    /** The tiny bundle with the decoder and the encoder of src/test/resources/vae, each in two parts too. */
    public static Path withTiledEncoder(Path folder) {
        return changed(
                "tiny",
                folder,
                manifest -> {
                    ObjectNode vae = manifest.withObject("vae");
                    vae.put("decoder", "vae_decoder_tiled.onnx");
                    parts(vae, "");
                    vae.put("encoder", "vae_encoder_tiled.onnx");
                    vae.putObject("tiled_encoder")
                            .put("front", "vae_encoder_front_tiled.onnx")
                            .put("tail", "vae_encoder_tail_tiled.onnx")
                            .put("scale", 4)
                            .put("halo", 2)
                            .put("channels", 4);
                    ObjectNode files = manifest.withObject("files");
                    for (String part :
                            List.of(
                                    "decoder",
                                    "front",
                                    "tail",
                                    "encoder",
                                    "encoder_front",
                                    "encoder_tail")) {
                        add(files, folder, part, "");
                    }
                });
    }

    /** The same with a decoder that overflows, one that does not, and no parts: tiles are feathered. */
    public static Path withOverflowingVae(Path folder) {
        return withVae(folder, "_overflow", true, false);
    }

    private static Path withVae(Path folder, String suffix, boolean fallback, boolean inParts) {
        return changed(
                "tiny",
                folder,
                manifest -> {
                    ObjectNode vae = manifest.withObject("vae");
                    vae.put("decoder", "vae_decoder_tiled" + suffix + ".onnx");
                    if (inParts) {
                        parts(vae, suffix);
                    }
                    if (fallback) {
                        ObjectNode exact = vae.putObject("fallback");
                        exact.put("decoder", "vae_decoder_tiled.onnx").put("precision", "fp32");
                        if (inParts) {
                            parts(exact, "");
                        }
                    }
                    ObjectNode files = manifest.withObject("files");
                    for (String file : new String[] {"decoder", "tail"}) {
                        add(files, folder, file, suffix);
                        add(files, folder, file, "");
                    }
                    add(files, folder, "front", "");
                });
    }

    private static void parts(ObjectNode vae, String suffix) {
        vae.putObject("tiled_decoder")
                .put("front", "vae_front_tiled.onnx")
                .put("tail", "vae_tail_tiled" + suffix + ".onnx")
                .put("scale", 4)
                .put("halo", 3);
    }

    private static void add(ObjectNode files, Path folder, String part, String suffix) {
        String file = "vae_" + part + "_tiled" + suffix + ".onnx";
        Path from = resource("vae").resolve("vae_" + part + suffix + ".onnx");
        try {
            byte[] bytes = Files.readAllBytes(from);
            Files.write(folder.resolve(file), bytes);
            files.putObject(file).put("bytes", bytes.length).put("sha256", sha256(bytes));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static byte[] copy(Path file, Path folder) {
        try {
            byte[] bytes = Files.readAllBytes(file);
            Files.write(folder.resolve(file.getFileName()), bytes);
            return bytes;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** A copy in {@code folder} of the bundle {@code name} with another manifest. */
    public static Path changed(String name, Path folder, Consumer<ObjectNode> change) {
        try {
            try (DirectoryStream<Path> files = Files.newDirectoryStream(resource(name))) {
                for (Path file : files) {
                    Files.copy(file, folder.resolve(file.getFileName()));
                }
            }
            Path manifest = folder.resolve("manifest.json");
            ObjectMapper json = new ObjectMapper();
            ObjectNode content = (ObjectNode) json.readTree(manifest.toFile());
            change.accept(content);
            json.writeValue(manifest.toFile(), content);
            return folder;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The tiny bundle that names the method which draws where a request names none. */
    public static Path usual(String method, Path folder) {
        return changed(
                "tiny", folder, manifest -> manifest.withObject("defaults").put("method", method));
    }

    public static EngineOptions options(int workers) {
        return options(bundle(), workers);
    }

    public static EngineOptions options(Path bundle, int workers) {
        return EngineOptions.DEFAULT.withModel(bundle).withDevices("cpu:" + workers);
    }

    /** 2x, eight steps, seed 7. */
    public static GenerationRequest.Builder request() {
        return GenerationRequest.builder("a red ball on grass").seed(7).size(128, 128).steps(8);
    }

    public static String hash(GeneratedImage image) {
        return image.report().pixelsSha256();
    }

    public static String hash(PreviewImage image) {
        byte[] rgb = new byte[image.rgb().remaining()];
        image.rgb().get(rgb);
        return sha256(rgb);
    }

    /** For tiny-methods: dilated steps, some of them damped. */
    public static GenerationRequest damped() {
        return GenerationRequest.builder("a pink cone on water")
                .seed(3)
                .size(256, 128)
                .steps(4)
                .method("scalecrafter")
                .options(
                        ScaleCrafterOptions.DEFAULT.withDilation(
                                DilationOptions.DEFAULT
                                        .withFactors(Map.of("mid_block", 3.0, "up_blocks.0", 2.5))
                                        .withShare(0.75)
                                        .withDampedFactors(Map.of("mid_block", 2.0))
                                        .withDampedShare(0.5)))
                .build();
    }

    /** Asks for a preview of every step. */
    public static GenerationListener previews(Consumer<PreviewImage> each) {
        return new GenerationListener() {
            @Override
            public void onEvent(GenerationEvent event) {}

            @Override
            public int previewEvery() {
                return 1;
            }

            @Override
            public void onPreview(PreviewImage preview) {
                each.accept(preview);
            }
        };
    }

    /** In a hook or a listener, whose failure is the picture's. */
    public static void await(CountDownLatch latch) {
        try {
            if (!latch.await(60, TimeUnit.SECONDS)) {
                throw new IllegalStateException("never released");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** In a hook, to change the timing. */
    public static void sleep(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** What one CPU worker draws. */
    public static GeneratedImage drawOnCpu(EngineOptions options, GenerationRequest request) {
        try (Engine engine = Engine.open(options.withDevices("cpu:1"))) {
            return engine.submit(request).join();
        }
    }
}
