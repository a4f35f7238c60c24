// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** A written manifest says what the one that was read said. */
class ManifestWriterTest {
    static List<Path> manifests() throws IOException {
        try (Stream<Path> tests = Files.walk(Path.of("src/test/resources"));
                Stream<Path> shipped = Files.walk(Path.of("src/main/resources"))) {
            return Stream.concat(tests, shipped)
                    .filter(file -> file.endsWith(Manifest.FILE_NAME))
                    .toList();
        }
    }

    @ParameterizedTest
    @MethodSource("manifests")
    void manifestsAreReadAsTheyWereWritten(Path file) throws IOException {
        Manifest manifest = Manifest.parse(file.toString(), Files.readAllBytes(file));
        assertEquals(manifest, Manifest.parse("again", ManifestWriter.write(manifest)));
    }

    @Test
    void theSourceIsReadAsItWasWritten() throws IOException {
        Path file = SmallCheckpoints.exported("sd15").resolve(Manifest.FILE_NAME);
        Manifest manifest = Manifest.parse(file.toString(), Files.readAllBytes(file));
        Provenance source =
                new Provenance(
                        Map.of("unet/a.safetensors", "0".repeat(64)),
                        "Stable Diffusion 1.5",
                        List.of(
                                new Provenance.MergedLora(
                                        "style.safetensors", "f".repeat(64), 0.8)));
        Manifest copied = manifest.copied("a \"name\"", "MIT", "a test", source, manifest.files());
        byte[] written = ManifestWriter.write(copied);
        assertEquals(copied, Manifest.parse("again", written));
        String text = new String(written, StandardCharsets.UTF_8);
        assertTrue(text.contains("\"weight\" : 0.8"), text);
    }
}
