// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.ModelParts;
import io.github.asg4j.image.PictureEncoding;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;

/** Networks in place of the bundle's: {@code onnx-export/tests/metric_fixtures.py}. */
class MetricNetworksTest {
    private static final Path NETWORKS =
            Path.of("src/test/resources/io/github/asg4j/evaluate/networks");

    private static Picture flat(int width, int height, float red, float green, float blue) {
        float[] planes = new float[3 * width * height];
        float[] colour = {red, green, blue};
        for (int i = 0; i < planes.length; i++) {
            planes[i] = colour[i / (width * height)];
        }
        return Picture.ofPlanes(width, height, planes);
    }

    @Test
    void featuresCropsAndProbabilities() {
        try (Instruments instruments =
                Instruments.open(
                        null, ModelParts.NONE, NETWORKS.resolve("classifier.onnx"), null, null)) {
            FeatureNetwork network = instruments.features();
            assertNotNull(network);
            assertTrue(network.classifies());
            assertEquals(3, network.width());
            FeatureNetwork.Features features = network.of(flat(20, 12, 0.25f, 0.5f, 1), 4, 7);
            assertArrayEquals(new float[] {0.25f, 0.5f, 1}, features.whole(), 1e-5f);
            assertEquals(4, features.crops().length);
            assertArrayEquals(new float[] {0.25f, 0.5f, 1}, features.crops()[3], 1e-5f);
            double sum = Math.exp(0.25) + Math.exp(0.5) + Math.exp(1);
            assertNotNull(features.probabilities());
            assertEquals(Math.exp(1) / sum, features.probabilities()[2], 1e-5);
            // What is kept beside a picture is what was computed.
            FeatureNetwork.Features kept = network.unpacked(network.packed(features));
            assertArrayEquals(features.whole(), kept.whole());
            assertArrayEquals(features.crops()[2], kept.crops()[2]);
            assertArrayEquals(features.probabilities(), kept.probabilities());
            // Smaller than a crop: none. As large: the picture itself.
            assertEquals(0, network.of(flat(20, 4, 1, 1, 1), 4, 7).crops().length);
            assertEquals(1, network.of(flat(8, 8, 1, 1, 1), 4, 7).crops().length);
            // The bundle's truth is of other features.
            assertNull(instruments.truth(256, 256));
        }
    }

    @Test
    void truthFromAFolder(@TempDir Path folder) throws IOException {
        Path own = Files.createDirectory(folder.resolve("20x12"));
        for (int i = 0; i < 3; i++) {
            Picture picture = flat(20, 12, 0.2f * i, 0.4f, 0.6f);
            PictureEncoding.PNG.write(
                    own.resolve(i + ".png"),
                    20,
                    12,
                    MemorySegment.ofArray(picture.rgb8()),
                    "",
                    () -> false);
        }
        try (Instruments instruments =
                Instruments.open(
                        null, ModelParts.NONE, NETWORKS.resolve("classifier.onnx"), folder, null)) {
            Truth truth = instruments.truth(20, 12);
            assertNotNull(truth);
            assertEquals(3, truth.pictures().length);
            assertEquals(3, truth.crops().length);
            assertEquals(0.4, truth.pictures()[2][0], 1e-2);
            String message =
                    assertThrows(BadRequestException.class, () -> instruments.truth(8, 8))
                            .getMessage();
            assertTrue(message.contains("8x8") && message.contains("0 PNG"), message);
        }
    }

    /** The expected value is computed by NumPy from the tokenizer's own ids. */
    @Test
    void clipScore() {
        try (Instruments instruments =
                Instruments.open(null, ModelParts.NONE, null, null, NETWORKS)) {
            ClipScore score = instruments.clip();
            assertNotNull(score);
            Picture picture = flat(30, 20, 0.2f, 0.4f, 0.6f);
            assertEquals(CLIP_SCORE, score.of(picture, "a red ball on grass"), 1e-3);
            assertEquals(CLIP_SCORE, score.of(picture, "a red ball on grass"), 1e-3);
        }
    }

    private static final double CLIP_SCORE = 50.10249;

    @Test
    void networksOfAnotherKindSayWhatIsExpected() {
        String message =
                assertThrows(
                                BadBundleException.class,
                                () ->
                                        Instruments.open(
                                                null,
                                                ModelParts.NONE,
                                                NETWORKS.resolve("clip_text.onnx"),
                                                null,
                                                null))
                        .getMessage();
        assertTrue(message.contains("input_ids") && message.contains("[B, 3, h, w]"), message);
    }
}
