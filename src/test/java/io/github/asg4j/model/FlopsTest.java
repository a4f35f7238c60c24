// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.FieldSource;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;

/**
 * Operations of networks: those of the shipped templates against the architectures' own arithmetic, written
 * down layer by layer elsewhere, and those of filled templates against what the exporter counts in graphs.
 */
class FlopsTest {
    static final List<String> CHECKPOINTS = SmallCheckpoints.ALL;

    private static final String SAID =
            """
            "flops": {"denoiser": [1, 2, 0.5], "decoder": [0, 9, 1], "encoder": [0, 8, 1]}, "files":\
            """;

    private static Manifest template(String name) throws IOException {
        String place = "/io/github/asg4j/templates/" + name + "/" + Manifest.FILE_NAME;
        try (InputStream in = FlopsTest.class.getResourceAsStream(place)) {
            return Manifest.parse(name, Objects.requireNonNull(in).readAllBytes());
        }
    }

    private static Flops flops(String name) throws IOException {
        return Objects.requireNonNull(template(name).flops(), name);
    }

    /** A row, in 10^12, to as many digits as are given. */
    @ParameterizedTest
    @CsvSource({
        "sd1, 64, 0.80, 0.005",
        "sd1, 96, 2.15, 0.005",
        "sd1, 128, 4.67, 0.005",
        "sd1, 256, 42.21, 0.005",
        "sdxl, 64, 1.59, 0.005",
        "sdxl, 96, 3.64, 0.005",
        "sdxl, 128, 6.76, 0.005",
        "sdxl, 192, 17.26, 0.005",
        "sdxl, 256, 35.91, 0.005",
        "sdxl, 384, 114.55, 0.005",
        "sdxl, 512, 287.78, 0.005"
    })
    void rowsAreThoseOfTheArchitecture(String name, int cells, double tera, double half)
            throws IOException {
        assertEquals(tera, flops(name).denoiser().of((double) cells * cells) / 1e12, half);
    }

    /** A published count of 50 guided steps at 1280 x 1920 pixels: 907 * 10^12 multiplications. */
    @Test
    void wholePicturesAreThoseOfOthers() throws IOException {
        assertEquals(907.2, 50 * flops("sdxl").denoiser().of(160 * 240) / 1e12, 0.1);
    }

    @Test
    void sizesBeyondNativeGrowFasterThanTheirCells() throws IOException {
        Flops.Count row = flops("sdxl").denoiser();
        double one = row.of(128 * 128);
        assertEquals(5.31, row.of(256 * 256) / one, 0.005);
        assertEquals(42.6, row.of(512 * 512) / one, 0.05);
    }

    @Test
    void autoencodersAreThoseOfTheArchitecture() throws IOException {
        Flops.Count decoder = flops("sdxl").decoder();
        assertEquals(10.5, decoder.of(128 * 128) / 1e12, 0.05);
        assertEquals(48.5, decoder.of(256 * 256) / 1e12, 0.05);
        assertEquals(299, decoder.of(512 * 512) / 1e12, 0.5);
    }

    @Test
    void outermostLayersAreASmallShare() throws IOException {
        Flops sdxl = flops("sdxl");
        double shallow = Objects.requireNonNull(sdxl.shallow()).of(128 * 128);
        assertEquals(0.015, shallow / sdxl.denoiser().of(128 * 128), 0.0005);
        assertNull(flops("sd3").shallow(), "a transformer has no skip connections");
    }

    @ParameterizedTest
    @CsvSource({"sd1", "sd2", "sdxl", "sdxl-refiner", "sd3", "sd35-medium", "sd35-large"})
    void everyTemplateSaysThem(String name) throws IOException {
        Flops flops = flops(name);
        Manifest.Vae vae = template(name).vae();
        assertEquals(vae.tiledDecoder() == null, flops.tiledDecoder() == null);
        assertEquals(vae.tiledEncoder() == null, flops.tiledEncoder() == null);
        assertNotNull(flops.encoder());
    }

    /** Also those with further inputs: 5 channels for inpainting, which the template's graph has not. */
    @ParameterizedTest
    @FieldSource("CHECKPOINTS")
    void filledTemplatesHaveThoseOfTheExportedGraphs(String name) {
        try (Bundle filled = SmallCheckpoints.open(name);
                Bundle exported =
                        Bundle.openFolder(
                                SmallCheckpoints.exported(name), new VerifiedFiles(null), true)) {
            Flops own = Objects.requireNonNull(filled.manifest().flops());
            Flops counted = Objects.requireNonNull(exported.manifest().flops());
            assertEquals(counted.denoiser(), own.denoiser());
            assertEquals(counted.shallow(), own.shallow());
            assertEquals(counted.decoder(), own.decoder());
        }
    }

    @Test
    void anEmbeddedGuidanceScaleIsProjected() {
        Flops.Count none = new Flops.Count(0, 0, 0);
        Flops filled = new Flops(none, none, none, null, null, null).filled(320, 0, 256);
        assertEquals(new Flops.Count(2 * 256 * 320, 0, 0), filled.denoiser());
        assertEquals(filled.denoiser(), filled.shallow());
    }

    @Test
    void theyAreReadAndWritten() throws IOException {
        String plain = new FakeBundle().manifest();
        assertNull(parse(plain).flops());
        Manifest said = parse(plain.replace("\"files\":", SAID));
        assertEquals(
                new Flops(
                        new Flops.Count(1, 2, 0.5),
                        null,
                        new Flops.Count(0, 9, 1),
                        new Flops.Count(0, 8, 1),
                        null,
                        null),
                said.flops());
        assertEquals(said, Manifest.parse("written", ManifestWriter.write(said)));
        assertEquals(1 + 2 * 10 + 0.5 * 100, said.flops().denoiser().of(10));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "[1, 2, 0.5]| [1, 2]| flops.denoiser: has 2 entries, expected 3",
                "[1, 2, 0.5]| [1, -2, 0]| flops.denoiser[1]: found -2, expected a number from 0",
                "[1, 2, 0.5]| [1, 2, 1e30]| flops.denoiser[2]",
                "\"denoiser\": [1, 2, 0.5],| ''| flops.denoiser: is missing",
                ", \"encoder\": [0, 8, 1]| ''| flops.encoder: is missing",
                "\"encoder\": [0| \"tiled_encoder\": {}, \"encoder\": [0| vae has no tiled_encoder",
                "\"decoder\": [0| \"text\": [0], \"decoder\": [0| text"
            })
    void whatIsWrongIsNamed(String part, String other, String message) throws IOException {
        String json = new FakeBundle().manifest().replace("\"files\":", SAID.replace(part, other));
        String said = assertThrows(BadBundleException.class, () -> parse(json)).getMessage();
        assertTrue(said.contains(message), said);
    }

    private static Manifest parse(String json) {
        return Manifest.parse("manifest.json", json.getBytes(StandardCharsets.UTF_8));
    }
}
