// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

import io.github.asg4j.ModelParts;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Path;

/**
 * The counter on the many renders of {@code asg4j-demo validate-counter --cases DIR}, which
 * are too large to commit: with {@code -Dasg.cases=DIR}.
 */
class RenderedPicturesTest {
    @Test
    void isRightInNinetyNinePercent() throws IOException {
        String property = System.getProperty("asg.cases");
        assumeTrue(property != null, "needs -Dasg.cases");
        Path folder = Path.of(property);
        JsonNode cases =
                JsonMapper.builder().build().readTree(folder.resolve("cases.json").toFile());
        int right = 0;
        int asPython = 0;
        try (Instruments instruments = Instruments.open(null, ModelParts.NONE, null, null, null)) {
            ObjectCounter counter = instruments.counter();
            assertNotNull(counter);
            for (JsonNode each : cases) {
                Picture picture = Picture.read(folder.resolve(each.get("file").asText()));
                int count = counter.examine(picture, each.get("caption").asText()).count();
                right += count == each.get("objects").intValue() ? 1 : 0;
                asPython += count == each.get("count").intValue() ? 1 : 0;
            }
        }
        String result = right + " right and " + asPython + " as Python found, of " + cases.size();
        System.out.println(result);
        assertTrue(right >= 0.99 * cases.size() && asPython >= 0.995 * cases.size(), result);
    }
}
