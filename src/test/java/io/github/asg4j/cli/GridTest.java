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
import java.io.UncheckedIOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

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
        try (Grid grid = new Grid(5, List.of())) {
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

    /** As it is seen: a hash sign is ink. */
    private static String strip(LabelText text, String label, int from, int to) {
        StringBuilder seen = new StringBuilder();
        for (int y = 0; y < text.height(); y++) {
            for (int x = from; x < to; x++) {
                seen.append(text.isInk(label, x, y) ? '#' : '.');
            }
            seen.append('\n');
        }
        return seen.toString();
    }

    @Test
    void labelsAreReadable() {
        LabelText text = LabelText.of(List.of("seed 10"), 64);
        assertEquals(11, text.height());
        assertEquals(
                """
                ................................................
                ................................................
                .................#...............#....###.......
                .................#..............##...#...#......
                ..###...###...##.#...............#...#..##......
                .#.....#...#.#..##...............#...#.#.#......
                ..###..#####.#...#...............#...##..#......
                .....#.#.....#...#...............#...#...#......
                .####...###...####..............###...###.......
                ................................................
                ................................................
                """,
                strip(text, "sed  10", 1, 49));
    }

    /** Letters grow with the pictures, and the largest seed fits: in lines where it has to. */
    @Test
    void labelsFitTheirPictures() {
        List<String> labels = List.of("seed 1", "seed 18446744073709551615");
        for (int width : new int[] {8, 16, 64, 128, 256, 1024}) {
            LabelText text = LabelText.of(labels, width);
            int ink = 0;
            for (int y = 0; y < text.height(); y++) {
                for (int x = 0; x < width; x++) {
                    ink += text.isInk(labels.get(1), x, y) ? 1 : 0;
                }
            }
            assertEquals(340, ink / text.scale() / text.scale(), width + " pixels");
        }
        assertEquals(3, LabelText.of(labels, 64).lines());
        assertEquals(new LabelText(1024, 6, 1), LabelText.of(labels, 1024));
        assertEquals(0, LabelText.of(List.of(), 64).height());
    }

    @Test
    void labelsSayWhatDiffers() throws IOException {
        String[] common = {
            "generate", "--prompt", "a ball", "--seed", "7", "--count", "3", "--grid-labels"
        };
        Map<String, String> expected = Map.of("seeds", "seed 8", "variations", "variation 6");
        expected.forEach(
                (name, label) -> {
                    Path grid = folder.resolve(name + ".png");
                    List<String> arguments = new ArrayList<>(List.of(common));
                    arguments.addAll(List.of("--grid", grid.toString(), "--out"));
                    if (name.equals("seeds")) {
                        arguments.add(folder + "/{seed}.png");
                    } else {
                        arguments.addAll(
                                List.of(
                                        folder + "/{variation}.png",
                                        "--variation-seed",
                                        "5",
                                        "--variation-strength",
                                        "0.2"));
                    }
                    FakeEngines.Result result = engines.run(arguments.toArray(String[]::new));
                    assertEquals(0, result.code(), result.err());
                    BufferedImage image = read(grid);
                    LabelText text = LabelText.of(List.of(label), 16);
                    assertEquals(2 * (text.height() + 8), image.getHeight());
                    for (int y = 0; y < text.height(); y++) {
                        for (int x = 0; x < 16; x++) {
                            int colour = text.isInk(label, x, y) ? 0xff000000 : 0xffffffff;
                            assertEquals(colour, image.getRGB(16 + x, y), x + "," + y);
                        }
                    }
                });
        FakeEngines.Result alone = engines.run(common);
        assertEquals(2, alone.code());
        assertTrue(alone.err().contains("name it with --grid"), alone.err());
    }

    private static BufferedImage read(Path file) {
        try {
            return ImageIO.read(file.toFile());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void gridThatItsFormatCannotHoldIsRefusedBeforeItsPicturesAreDrawn() {
        String[] wide = {
            "generate",
            "--prompt",
            "a ball",
            "--seeds",
            "1,2",
            "--size",
            "8192x16",
            "--out",
            folder + "/{seed}.png",
            "--grid",
            folder + "/grid.webp"
        };
        FakeEngines.Result result = engines.run(wide);
        assertEquals(5, result.code());
        assertTrue(
                result.err().contains("16384x16 pixels cannot be written as webp"), result.err());
        assertTrue(engines.requests.isEmpty());
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
