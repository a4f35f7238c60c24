// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.nio.file.Path;
import java.util.List;

class LoraTest {
    @ParameterizedTest
    @CsvSource({
        "style.safetensors, style.safetensors, 1",
        "style.safetensors:0.8, style.safetensors, 0.8",
        "style.safetensors:-1, style.safetensors, -1",
        "a:b.safetensors, a:b.safetensors, 1",
        "a:b.safetensors:.5, a:b.safetensors, 0.5",
        "C:\\l\\s.safetensors, C:\\l\\s.safetensors, 1",
    })
    void readsFileAndWeight(String text, String file, double weight) {
        assertEquals(new Lora(Path.of(file), weight), Lora.parse(text));
    }

    @Test
    void aWeightHasItsRange() {
        for (String weight : List.of("11", "-11", "NaN", "Infinity")) {
            String message =
                    assertThrows(
                                    BadRequestException.class,
                                    () -> Lora.parse("s.safetensors:" + weight))
                            .getMessage();
            assertTrue(message.contains("s.safetensors") && message.contains("10"), message);
        }
    }

    @Test
    void severalAreAddedInTheirOrder() {
        GenerationRequest request =
                RequestJson.read(
                        "{\"prompt\":\"a\",\"loras\":[{\"file\":\"b\"},"
                                + "{\"file\":\"a\",\"weight\":0.5}]}");
        assertEquals(
                List.of(new Lora(Path.of("b"), 1), new Lora(Path.of("a"), 0.5)), request.loras());
        assertEquals(request, RequestJson.read(RequestJson.write(request)));
        String message =
                assertThrows(
                                BadRequestException.class,
                                () ->
                                        RequestJson.read(
                                                "{\"prompt\":\"a\",\"loras\":[{\"name\":\"b\"}]}"))
                        .getMessage();
        assertTrue(message.contains("\"loras\"") && message.contains("\"weight\": 1"), message);
    }
}
