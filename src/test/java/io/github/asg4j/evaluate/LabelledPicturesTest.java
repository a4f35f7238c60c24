// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

import io.github.asg4j.ModelParts;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The counter agrees with what a person saw in pictures of all methods, who did not know its
 * answers. How they were labelled stands in {@code labels.json}.
 */
class LabelledPicturesTest {
    private static final Path FOLDER =
            Path.of("src/test/resources/io/github/asg4j/evaluate/labelled");

    /** From here on counts are one class: with many objects, some faint, people differ too. */
    private static final int MANY = 5;

    @Test
    void agreesWithPeople() throws IOException {
        JsonNode labels =
                JsonMapper.builder().build().readTree(FOLDER.resolve("labels.json").toFile());
        int pictures = 0;
        List<String> different = new ArrayList<>();
        Set<String> methods = new HashSet<>();
        try (Instruments instruments = Instruments.open(null, ModelParts.NONE, null, null, null)) {
            ObjectCounter counter = instruments.counter();
            assertNotNull(counter);
            for (JsonNode label : labels.get("pictures")) {
                String file = label.get("file").asText();
                Finding found =
                        counter.examine(
                                Picture.read(FOLDER.resolve(file)), label.get("caption").asText());
                int seen = label.get("count").intValue();
                if (Math.min(MANY, seen) != Math.min(MANY, found.count())) {
                    different.add(file + ": " + seen + " seen, " + found.count() + " counted");
                }
                methods.add(label.get("method").asText());
                pictures++;
            }
        }
        assertTrue(pictures >= 60, pictures + " pictures");
        assertEquals(7, methods.size(), methods.toString());
        assertTrue(different.size() <= 0.05 * pictures, different.toString());
    }
}
