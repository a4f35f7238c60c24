// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.function.UnaryOperator;

/** The analytic bundles of src/test/resources, and engines on them. */
public final class Tiny {
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

    /** The tiny bundle with another prediction type in its manifest. */
    static Path withPrediction(Path folder, String prediction) {
        return changed(
                folder,
                json ->
                        json.replace(
                                "\"prediction\": \"epsilon\"",
                                "\"prediction\": \"" + prediction + "\""));
    }

    /** The tiny bundle with upscalers of src/test/resources/upscaler, which see 20 pixels around. */
    public static Path withUpscalers(Path folder, int... scales) {
        try {
            StringBuilder entries = new StringBuilder();
            StringBuilder files = new StringBuilder();
            for (int scale : scales) {
                String file = "upscaler_x" + scale + ".onnx";
                byte[] bytes = Files.readAllBytes(resource("upscaler").resolve(file));
                Files.write(folder.resolve(file), bytes);
                String sha256 =
                        HexFormat.of()
                                .formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
                entries.append(entries.isEmpty() ? "" : ", ")
                        .append(
                                "{\"file\": \"%s\", \"scale\": %d, \"overlap\": 20}"
                                        .formatted(file, scale));
                files.append(
                        "\"%s\": {\"bytes\": %d, \"sha256\": \"%s\"}, "
                                .formatted(file, bytes.length, sha256));
            }
            return changed(
                    folder,
                    json ->
                            json.replace(
                                            "\"scheduler\":",
                                            "\"upscalers\": [" + entries + "], \"scheduler\":")
                                    .replace("\"files\": {", "\"files\": {" + files));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** A copy of the tiny bundle with another manifest. */
    private static Path changed(Path folder, UnaryOperator<String> change) {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(bundle())) {
            for (Path file : files) {
                Files.copy(file, folder.resolve(file.getFileName()));
            }
            Path manifest = folder.resolve("manifest.json");
            Files.writeString(manifest, change.apply(Files.readString(manifest)));
            return folder;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static EngineOptions options(int workers) {
        return options(bundle(), workers);
    }

    static EngineOptions options(Path bundle, int workers) {
        return EngineOptions.DEFAULT.withModel(bundle).withDevices("cpu:" + workers);
    }

    /** 2x, eight steps, seed 7. */
    static GenerationRequest.Builder request() {
        return GenerationRequest.builder("a red ball on grass").seed(7).size(128, 128).steps(8);
    }

    static String hash(GeneratedImage image) {
        return (String) image.report().get("pixels_sha256");
    }
}
