// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Reports;
import io.github.asg4j.Size;
import io.github.asg4j.image.PictureTexts;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

import javax.imageio.ImageIO;

/** Several pictures in one file. */
class GridTest {
    @TempDir Path folder;

    private final FakeEngines engines = new FakeEngines();

    private static GeneratedImage picture(int width, int height, int value) {
        ByteBuffer rgb = ByteBuffer.allocate(width * height * 3);
        while (rgb.hasRemaining()) {
            rgb.put((byte) value);
        }
        GenerationRequest request = GenerationRequest.builder("a ball").build();
        return new GeneratedImage(
                width, height, rgb.flip(), Reports.picture(request, new Size(width, height)));
    }

    @Test
    void picturesLieInTheirOrderRowByRow() {
        try (Grid grid = new Grid(5)) {
            for (int i = 0; i < 5; i++) {
                grid.add(picture(4, 2, 10 + i));
            }
            assertEquals(12, grid.width());
            assertEquals(4, grid.height());
            for (int y = 0; y < 4; y++) {
                for (int x = 0; x < 12; x++) {
                    int index = y / 2 * 3 + x / 4;
                    int expected = index < 5 ? 10 + index : 0;
                    long at = 3L * (y * 12 + x);
                    assertEquals(expected, grid.rgb().get(ValueLayout.JAVA_BYTE, at), x + "," + y);
                }
            }
        }
    }

    @Test
    void gridIsWrittenBesideThePictures() throws IOException {
        Path grid = folder.resolve("grid.png");
        FakeEngines.Result result =
                engines.run(
                        "generate",
                        "--prompt",
                        "a ball",
                        "--seed",
                        "7",
                        "--count",
                        "3",
                        "--grid",
                        grid.toString(),
                        "--out",
                        folder + "/{seed}.png",
                        "--json");
        assertEquals(0, result.code(), result.err());
        BufferedImage image = ImageIO.read(grid.toFile());
        assertEquals(32, image.getWidth());
        assertEquals(16, image.getHeight());
        for (String line : result.out().lines().toList()) {
            assertEquals(grid.toString(), new ObjectMapper().readTree(line).path("grid").asText());
        }
        assertEquals(3, result.out().lines().count());
        assertTrue(Files.exists(folder.resolve("9.png")));
        // the settings are those of the first picture
        String text = PictureTexts.of(Files.readAllBytes(grid)).get("parameters");
        assertTrue(text.contains("Seed: 7,"), text);
    }

    @Test
    void gridsThatCannotBeAreRefused() {
        String[] one = {"generate", "--prompt", "a ball", "--grid", folder + "/g.png"};
        FakeEngines.Result result = engines.run(one);
        assertEquals(2, result.code());
        assertTrue(result.err().contains("--grid is of several pictures"), result.err());
        String[] same = {
            "generate",
            "--prompt",
            "a ball",
            "--seeds",
            "1,2",
            "--out",
            folder + "/{seed}.png",
            "--grid",
            folder + "/2.png"
        };
        assertTrue(engines.run(same).err().contains("--grid and --out name the same file"));
        String[] stream = {
            "generate",
            "--prompt",
            "a ball",
            "--seeds",
            "1,2",
            "--out",
            folder + "/{seed}.png",
            "--grid",
            "-"
        };
        assertTrue(engines.run(stream).err().contains("--grid needs a file"));
        assertTrue(engines.requests.isEmpty());
    }
}
