// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.Tiny;
import io.github.asg4j.model.checkpoint.SafeTensorsFile;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

class ModelsCommandTest {
    @TempDir private Path folder = Path.of("");
    private final FakeEngines engines = new FakeEngines();

    private void fill() {
        SafeTensorsFile.likeStableDiffusion1().write(folder.resolve("sd15.safetensors"));
        new SafeTensorsFile()
                .floats("lora_unet_mid.lora_down.weight", List.of(1L), new float[1])
                .write(folder.resolve("style.safetensors"));
    }

    @Test
    void modelsAreListedForPeople() {
        fill();
        FakeEngines.Result result = engines.run("models", folder.toString());
        assertEquals(0, result.code());
        List<String> lines = result.out().lines().toList();
        assertEquals(3, lines.size(), result.out());
        assertTrue(lines.get(0).startsWith("sd15.safetensors"), result.out());
        assertTrue(lines.get(0).contains("Stable Diffusion 1.x"), result.out());
        assertTrue(lines.get(1).endsWith("cannot be drawn with"), result.out());
        assertTrue(lines.get(2).contains("give it with --lora"), result.out());
    }

    @Test
    void modelsAreListedAsJson() throws IOException {
        fill();
        FakeEngines.Result result = engines.run("models", folder.toString(), "--json");
        JsonNode models = new ObjectMapper().readTree(result.out()).path("models");
        assertEquals(2, models.size());
        assertEquals("Stable Diffusion 1.x", models.get(0).path("kind").asText());
        assertEquals("", models.get(0).path("refusal").asText());
        assertTrue(models.get(1).path("refusal").asText().contains("LoRA"));
    }

    /** In folders of their own, and in a bundle's. */
    @Test
    void controlNetworksAreListedWithWhatTheyGoWith() throws IOException {
        Path families = Tiny.resource("families");
        FakeEngines.Result result =
                engines.run("models", families.resolve("controlnets/sd15") + "");
        List<String> lines = result.out().lines().toList();
        assertTrue(
                lines.get(0).matches("\\S+ .*fp32  control network for text of 32 channels.*"),
                result.out());
        assertTrue(
                lines.get(1)
                        .matches(
                                "    goes with a model: --control \\S+:PICTURE --control-folder"
                                        + " .*sd15"),
                result.out());

        Path inside = Files.createDirectories(folder.resolve("bundle/controlnets"));
        Files.copy(Tiny.bundle().resolve("manifest.json"), folder.resolve("bundle/manifest.json"));
        for (String name : List.of("whole", "broken")) {
            Path network = Files.createDirectory(inside.resolve(name));
            Files.copy(
                    Tiny.resource("controls/networks/where/control.json"),
                    network.resolve("control.json"));
        }
        Files.writeString(inside.resolve("broken/control.json"), "{}");
        JsonNode models =
                new ObjectMapper()
                        .readTree(engines.run("models", folder.toString(), "--json").out())
                        .path("models");
        assertEquals(3, models.size());
        assertEquals("bundle", models.get(0).path("form").asText());
        assertEquals("control network", models.get(1).path("form").asText());
        assertEquals("", models.get(1).path("kind").asText());
        assertTrue(models.get(1).path("refusal").asText().contains("format_version"));
        assertEquals("control network for text of 8 channels", models.get(2).path("kind").asText());
        assertEquals("Apache-2.0", models.get(2).path("licence").asText());
        assertTrue(models.get(2).path("bytes").asLong() > 0);
    }

    @Test
    void emptyFoldersAndNoFoldersAreTold() {
        assertTrue(engines.run("models", folder.toString()).out().contains("no model in"));
        FakeEngines.Result none = engines.run("models", folder.resolve("none").toString());
        assertEquals(2, none.code());
        assertTrue(none.err().contains("is no folder"), none.err());
    }
}
