// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

import io.github.asg4j.ModelParts;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The counter and what is measured beside it find in pictures what Python found, and what is in
 * them. The pictures: {@code asg4j-demo counter-cases}.
 */
class ObjectCounterTest {
    private static final Path FOLDER = Path.of("src/test/resources/io/github/asg4j/evaluate/cases");

    private static Instruments instruments;

    @BeforeAll
    static void open() {
        instruments = Instruments.open(null, ModelParts.NONE, null, null, null);
    }

    @AfterAll
    static void close() {
        instruments.close();
    }

    static List<JsonNode> cases() throws IOException {
        List<JsonNode> cases = new ArrayList<>();
        JsonMapper.builder()
                .build()
                .readTree(FOLDER.resolve("cases.json").toFile())
                .forEach(cases::add);
        return cases;
    }

    @ParameterizedTest
    @MethodSource("cases")
    void asPython(JsonNode expected) {
        Picture picture = Picture.read(FOLDER.resolve(expected.get("file").asText()));
        String caption = expected.get("caption").asText();
        ObjectCounter counter = instruments.counter();
        assertNotNull(counter);
        Finding found = counter.examine(picture, caption);
        assertEquals(expected.get("objects").intValue(), found.count(), "truth");
        assertEquals(expected.get("count").intValue(), found.count());
        assertEquals(expected.get("shape").asText(), found.shape());
        assertEquals(expected.get("colour").asText(), found.colour());
        assertEquals(expected.get("right").booleanValue(), found.right());
        // Rounding may move a pixel whose margin is next to the limit.
        assertEquals(expected.get("share").doubleValue(), found.share(), 1e-3);
        assertEquals(expected.get("aspect").isNull(), Double.isNaN(found.aspect()));
        if (!Double.isNaN(found.aspect())) {
            assertEquals(expected.get("aspect").doubleValue(), found.aspect(), 0.03);
        }
        double pixels = expected.get("mask_pixels").doubleValue();
        assertEquals(pixels, counter.mask(picture, caption).count(), 2 + 0.003 * pixels);
    }

    @ParameterizedTest
    @MethodSource("cases")
    void sharpnessAndFeaturesAsPython(JsonNode expected) {
        Picture picture = Picture.read(FOLDER.resolve(expected.get("file").asText()));
        double sharpness = expected.get("sharpness").doubleValue();
        assertEquals(sharpness, Sharpness.of(picture), 1e-4 * sharpness);
        List<Double> powers = DetailBands.of(picture);
        assertEquals(powers.size(), expected.get("band_powers").size());
        for (int i = 0; i < powers.size(); i++) {
            double power = expected.get("band_powers").get(i).doubleValue();
            assertEquals(power, powers.get(i), 1e-4 * power, "octave " + i);
        }
        FeatureNetwork network = instruments.features();
        assertNotNull(network);
        float[] features = network.of(picture, 1, 0).whole();
        assertEquals(expected.get("features").size(), features.length);
        for (int i = 0; i < features.length; i++) {
            assertEquals(expected.get("features").get(i).doubleValue(), features[i], 2e-3);
        }
    }

    @Test
    void otherCaptionsAreNotCounted() throws IOException {
        ObjectCounter counter = instruments.counter();
        assertNotNull(counter);
        assertTrue(counter.knows("an orange cube at night"));
        assertFalse(counter.knows("grass"));
        assertFalse(counter.knows("a castle"));
        Picture picture = Picture.read(FOLDER.resolve(cases().getFirst().get("file").asText()));
        assertThrows(IllegalArgumentException.class, () -> counter.examine(picture, "a castle"));
    }

    @Test
    void brokenModelsSayWhatToDo() {
        for (String json : List.of("", "[]", "{\"shapes\": [\"ball\"]}")) {
            String message =
                    assertThrows(
                                    io.github.asg4j.BadBundleException.class,
                                    () ->
                                            ObjectModels.parse(
                                                    "B/objects.json",
                                                    json.getBytes(StandardCharsets.UTF_8)))
                            .getMessage();
            assertTrue(message.contains("B/objects.json") && message.contains("again"), message);
        }
    }
}
