// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.json.JsonMapper;

import io.github.asg4j.ModelParts;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Whether objects are stretched: what is measured in a picture, and what is made of it. */
class AspectTest {
    private static final Path CASES = Path.of("src/test/resources/io/github/asg4j/evaluate/cases");

    private static Instruments instruments;

    @BeforeAll
    static void open() {
        instruments = Instruments.open(null, ModelParts.NONE, null, null, null);
    }

    @AfterAll
    static void close() {
        instruments.close();
    }

    /** A picture that is stretched has an object that is, by as much. */
    @ParameterizedTest
    @CsvSource({"02.png, 1.5, 1", "02.png, 1, 1.5", "02.png, 2, 1", "02.png, 1.25, 1.25"})
    void aStretchedPictureIsFoundOut(String file, double wider, double higher) throws IOException {
        ObjectCounter counter = instruments.counter();
        assertNotNull(counter);
        Picture picture = Picture.read(CASES.resolve(file));
        String caption = caption(file);
        Finding plain = counter.examine(picture, caption);
        assertEquals(1, plain.count());
        Picture stretched =
                picture.resized(
                        (int) Math.round(picture.width() * wider),
                        (int) Math.round(picture.height() * higher));
        Finding found = counter.examine(stretched, caption);
        assertEquals(1, found.count());
        assertEquals(wider / higher, found.aspect() / plain.aspect(), 0.04 * wider / higher);
    }

    private static String caption(String file) throws IOException {
        return JsonMapper.builder()
                .build()
                .readTree(CASES.resolve("cases.json").toFile())
                .valueStream()
                .filter(c -> c.get("file").asText().equals(file))
                .findFirst()
                .orElseThrow()
                .get("caption")
                .asText();
    }

    /** Pictures with one object count, and are held against the square ones of their method and setting. */
    @Test
    void theAspectOfARowIsHeldAgainstItsSquares() {
        List<DrawnPicture> pictures = new ArrayList<>();
        add(pictures, "asg", 256, 256, "default", new double[] {1, 1.2, 0.8, 1}, 1, 1, 1, 3);
        add(pictures, "asg", 384, 256, "default", new double[] {1.5, 1.8, 1.2, 9}, 1, 1, 1, 2);
        add(pictures, "asg", 512, 512, "default", new double[] {7, 7, 7, 7}, 1, 1, 1, 1);
        add(pictures, "asg", 384, 256, "other", new double[] {5, 5, 5, 5}, 1, 1, 1, 1);
        add(pictures, "direct", 256, 256, "default", new double[] {2, 2, 2, 2}, 0, 0, 0, 0);
        add(pictures, "direct", 256, 384, "default", new double[] {1, 1, 1, 1}, 1, 1, 1, 1);
        Map<String, Map<String, Interval>> rows = new HashMap<>();
        Summary.of(pictures, Map.of(), instruments)
                .rows()
                .forEach(row -> rows.put(row.key().toString(), row.measures()));
        Map<String, Interval> wide = rows.get("asg 384x256 default");
        assertEquals(1.5, wide.get("aspect").value(), 1e-12);
        Interval ratio = wide.get("aspect_to_square");
        assertEquals(1.5, ratio.value(), 1e-12);
        assertTrue(ratio.low() > 1.2 && ratio.high() < 1.8, ratio.toString());
        assertEquals(1, rows.get("asg 256x256 default").get("aspect").value(), 1e-12);
        for (String without :
                List.of(
                        "asg 256x256 default", // is a square
                        "asg 384x256 other", // has no square of its setting
                        "direct 256x384 default")) { // whose squares have no object
            assertFalse(rows.get(without).containsKey("aspect_to_square"), without);
        }
        assertFalse(rows.get("direct 256x256 default").containsKey("aspect"));
    }

    /** Of wide pictures all cones are lost, whose aspect is 0.5: what is left is not stretched. */
    @Test
    void shapesAreHeldAgainstTheirOwn() {
        List<DrawnPicture> pictures = new ArrayList<>();
        String[] shapes = {"cone", "ring", "cone", "ring"};
        double[] square = {0.5, 1.1, 0.5, 1.1};
        int[] none = {0, 1, 2, 1};
        for (int i = 0; i < shapes.length; i++) {
            add(pictures, 256, i, new Finding(1, shapes[i], "red", 0.1, square[i], true, true));
            add(pictures, 384, i, new Finding(none[i], shapes[i], "red", 0.1, 1.1, true, true));
        }
        Interval ratio =
                Summary.of(pictures, Map.of(), instruments)
                        .rows()
                        .getLast()
                        .measures()
                        .get("aspect_to_square");
        assertEquals(1, ratio.value(), 1e-12);
    }

    private static void add(List<DrawnPicture> pictures, int width, int i, Finding finding) {
        EvaluationRow.Key key = new EvaluationRow.Key("asg", width, 256, "default");
        pictures.add(
                new DrawnPicture(
                        key,
                        i,
                        "a " + finding.shape(),
                        i,
                        "",
                        finding,
                        1,
                        List.of(),
                        1,
                        1,
                        1,
                        1,
                        1,
                        1,
                        1,
                        ""));
    }

    private static void add(
            List<DrawnPicture> pictures,
            String method,
            int width,
            int height,
            String setting,
            double[] aspects,
            int... counts) {
        EvaluationRow.Key key = new EvaluationRow.Key(method, width, height, setting);
        for (int i = 0; i < aspects.length; i++) {
            Finding finding = new Finding(counts[i], "ball", "red", 0.1, aspects[i], true, true);
            pictures.add(
                    new DrawnPicture(
                            key,
                            i,
                            "a red ball on grass",
                            i,
                            "",
                            finding,
                            1,
                            List.of(),
                            1,
                            1,
                            1,
                            1,
                            1,
                            1,
                            1,
                            ""));
        }
    }
}
