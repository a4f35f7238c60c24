// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.json.JsonMapper;

import io.github.asg4j.ModelParts;
import io.github.asg4j.model.Bundle;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Power by octaves against NumPy's and SciPy's numbers, and what it is for: noise raises sharpness as detail
 * does, and the octaves tell them apart. {@code ObjectCounterTest} holds rendered pictures to Python's.
 */
class DetailBandsTest {
    private static final String CAPTION = "a red ball on grass";

    interface Grey {
        double at(int y, int x);
    }

    private static Picture picture(int width, int height, Grey grey) {
        float[] planes = new float[3 * width * height];
        int pixels = width * height;
        for (int i = 0; i < pixels; i++) {
            float value = (float) grey.at(i / width, i % width);
            for (int c = 0; c < 3; c++) {
                planes[c * pixels + i] = value;
            }
        }
        return Picture.ofPlanes(width, height, planes);
    }

    /** Prime extents, odd ones and powers of 2. */
    @ParameterizedTest
    @CsvSource({
        "37, 29, 0.0897797, 0.0488583, 0.0700847, 0.0885364",
        "296, 232, 0.0760203, 0.0824754, 0.0810173, 0.0844325",
        "64, 64, 0.0521555, 0.0430162, 0.0670325, 0.0894863"
    })
    void powersAreThoseOfSciPy(int width, int height, double a, double b, double c, double d) {
        Grey pattern = (y, x) -> (x * x * 7 + y * 13 + x * y * 3) % 256 / 255.0;
        List<Double> powers = DetailBands.of(picture(width, height, pattern));
        List<Double> expected = List.of(a, b, c, d);
        for (int i = 0; i < 4; i++) {
            assertEquals(expected.get(i), powers.get(i), 2e-6 * expected.get(i) + 1e-7);
        }
    }

    @ParameterizedTest
    @CsvSource({"128, 128", "97, 150", "384, 256"})
    void whiteNoiseHasItsVarianceInEveryOctave(int width, int height) {
        SplittableRandom random = new SplittableRandom(1);
        Picture noise = picture(width, height, (y, x) -> 0.5 + 0.1 * random.nextGaussian());
        // Of 4 octaves the coarsest has the fewest coefficients, some 150 at 128 x 128.
        for (double power : DetailBands.of(noise)) {
            assertEquals(0.01, power, 0.0025);
        }
    }

    /** A wave along one axis lies in its octave alone. */
    @ParameterizedTest
    @CsvSource({"0.09, 0", "0.2, 1", "0.4, 2", "0.8, 3"})
    void wavesLieInTheirOctave(double frequency, int octave) {
        int n = 200;
        long k = Math.round(frequency * n);
        Picture wave = picture(n, 120, (y, x) -> 0.5 + 0.4 * Math.cos(Math.PI * k * (x + 0.5) / n));
        List<Double> powers = DetailBands.of(wave);
        for (int i = 0; i < 4; i++) {
            assertTrue(i == octave ? powers.get(i) > 1e-3 : powers.get(i) < 1e-8, powers::toString);
        }
    }

    @Test
    void flatAndTinyPicturesHaveNoneAndFail() {
        assertEquals(
                List.of(1e-9, 1e-9, 1e-9, 1e-9), DetailBands.of(picture(32, 32, (y, x) -> 0.5)));
        List<Double> tiny = DetailBands.of(picture(4, 4, (y, x) -> x % 2));
        assertTrue(tiny.get(0).isNaN() && tiny.get(1).isNaN() && tiny.get(3) > 0, "no such waves");
    }

    private static DrawnPicture drawn(int index, Picture picture) {
        return drawn(index, Sharpness.of(picture), DetailBands.of(picture));
    }

    private static DrawnPicture drawn(int index, double sharpness, List<Double> powers) {
        return new DrawnPicture(
                new EvaluationRow.Key("relay", 256, 256, "default"),
                index,
                CAPTION,
                index,
                "",
                null,
                sharpness,
                powers,
                1,
                1,
                1,
                1,
                1,
                1,
                1,
                "");
    }

    /** Textures with less power the finer they are. */
    private static List<Picture> pictures() {
        List<Picture> pictures = new ArrayList<>();
        for (int seed = 0; seed < 6; seed++) {
            SplittableRandom random = new SplittableRandom(seed);
            Picture coarse = picture(96, 96, (y, x) -> 0.5 + 0.2 * random.nextGaussian());
            pictures.add(mixed(coarse.smoothed(), coarse, 0.2));
        }
        return pictures;
    }

    /** {@code a + weight * (b - 0.5)}. */
    private static Picture mixed(Picture a, Picture b, double weight) {
        float[] first = a.luma();
        float[] second = b.luma();
        int w = a.width();
        return picture(
                w, a.height(), (y, x) -> first[y * w + x] + weight * (second[y * w + x] - 0.5));
    }

    private static Truth truth(List<Picture> pictures) {
        double sharpness = pictures.stream().mapToDouble(Sharpness::of).average().orElseThrow();
        List<Double> logs = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            int band = i;
            logs.add(
                    pictures.stream()
                            .mapToDouble(p -> Math.log(DetailBands.of(p).get(band)))
                            .average()
                            .orElseThrow());
        }
        return new Truth(
                List.of(),
                new float[0][],
                new float[0][],
                Map.of(CAPTION, sharpness),
                Map.of(CAPTION, logs),
                List.of(),
                0,
                Double.NaN);
    }

    private static Measures measures(List<DrawnPicture> drawn, @Nullable Truth truth) {
        return new Measures(drawn, Map.of(), truth);
    }

    private static Map<String, Interval> of(List<Picture> pictures, @Nullable Truth truth) {
        List<DrawnPicture> drawn = new ArrayList<>();
        pictures.forEach(p -> drawn.add(drawn(drawn.size(), p)));
        return measures(drawn, truth).intervals();
    }

    private static double value(Map<String, Interval> measures, String name) {
        Interval interval = measures.get(name);
        assertTrue(interval != null, name);
        return interval.value();
    }

    @Test
    void octavesTellNoiseFromDetail() {
        List<Picture> real = pictures();
        Truth truth = truth(real);
        Map<String, Interval> same = of(real, truth);
        DetailBands.MEASURES.forEach(name -> assertEquals(1, value(same, name), 1e-9, name));

        List<Picture> soft = real.stream().map(Picture::smoothed).toList();
        Map<String, Interval> blurred = of(soft, truth);
        assertTrue(value(blurred, "sharpness") < 0.1);
        assertTrue(value(blurred, "power_half") < 0.1);
        assertTrue(value(blurred, "power_16th") > 0.5, "large detail stays");

        SplittableRandom random = new SplittableRandom(8);
        List<Picture> noisy =
                soft.stream()
                        .map(
                                p ->
                                        mixed(
                                                p,
                                                picture(
                                                        96,
                                                        96,
                                                        (y, x) ->
                                                                0.5 + 0.1 * random.nextGaussian()),
                                                1))
                        .toList();
        Map<String, Interval> noise = of(noisy, truth);
        assertTrue(value(noise, "sharpness") > 1, "sharper than true pictures");
        assertTrue(value(noise, "power_half") > 3, "by what they do not have");
        assertTrue(noise.get("power_half").low() > 3);
    }

    /** Half and twice are 1 in the mean; one picture does not make up all of it. */
    @Test
    void meansAreGeometricAndDifferencesPaired() {
        Truth truth =
                new Truth(
                        List.of(),
                        new float[0][],
                        new float[0][],
                        Map.of(CAPTION, 1.0),
                        Map.of("", List.of(0.0, 0.0, 0.0, 0.0)),
                        List.of(),
                        0,
                        Double.NaN);
        List<DrawnPicture> some =
                List.of(
                        drawn(0, 1, List.of(0.5, 1.0, 1.0, 100.0)),
                        drawn(1, 1, List.of(2.0, 1.0, 1.0, 0.01)));
        List<DrawnPicture> others =
                List.of(
                        drawn(0, 1, List.of(1.0, 1.0, 1.0, 1.0)),
                        drawn(1, 1, List.of(4.0, 1.0, 1.0, 1.0)));
        Map<String, Interval> own = measures(some, truth).intervals();
        assertEquals(1, value(own, "power_16th"), 1e-12);
        assertEquals(1, value(own, "power_half"), 1e-12);
        Map<String, Interval> difference =
                measures(some, truth).differences(measures(others, truth));
        assertEquals(-1, value(difference, "power_16th"), 1e-12);
    }

    @Test
    void withoutTruthOrPowersThereAreNone() throws IOException {
        List<Picture> real = pictures();
        Map<String, Interval> none = of(real, null);
        assertFalse(none.containsKey("power_half") || none.containsKey("sharpness"));
        DrawnPicture older = drawn(0, 1, List.of());
        String line = JsonMapper.builder().build().writeValueAsString(older.toMap());
        assertFalse(line.contains("band_powers"), line);
        DrawnPicture read = DrawnPicture.parse(JsonMapper.builder().build().readTree(line));
        assertEquals(List.of(), read.bandPowers());
        Map<String, Interval> old = measures(List.of(read), truth(real)).intervals();
        assertFalse(old.containsKey("power_half"), old.toString());
        assertTrue(old.containsKey("sharpness"));
    }

    @Test
    void powersAreKeptInTheResults() throws IOException {
        DrawnPicture picture = drawn(0, 1, List.of(Double.NaN, 0.25, 1.25e-6, 3e-5));
        String line = JsonMapper.builder().build().writeValueAsString(picture.toMap());
        assertEquals(picture, DrawnPicture.parse(JsonMapper.builder().build().readTree(line)));
    }

    /** In 8 bits, fine octaves of rendered pictures have little, and all sizes alike. */
    @ParameterizedTest
    @CsvSource({"128, 128", "256, 128", "256, 256", "384, 384", "512, 512"})
    void truthOfTheDemoHasThem(int width, int height) {
        try (Bundle demo = Bundle.open(null, ModelParts.NONE, false)) {
            Truth truth = Truth.ofBundle(demo, width, height, 64);
            assertTrue(truth != null);
            List<Double> one = List.of(1.0, 1.0, 1.0, 1.0);
            double[] logs = new double[4];
            for (int band = 0; band < 4; band++) {
                logs[band] = -truth.logOfPower(band, one, "a caption of none");
                assertEquals(logs[band], -truth.logOfPower(band, one, CAPTION), 3);
            }
            assertTrue(logs[0] > logs[1] && logs[1] > logs[2] && logs[2] > logs[3]);
            assertTrue(logs[3] > Math.log(1e-7) && logs[0] < 0);
            List<Double> kept = truth.bandsThroughAutoencoder();
            assertEquals(1, kept.getFirst(), 0.1, "coarse detail is kept");
            assertTrue(kept.getLast() < 0.7, "fine detail is not");
        }
    }
}
