// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.PatchReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;

/** Seams, sharpness, noise, agreement and resizing on pictures made for it. */
class PictureMeasuresTest {
    /** Grey, of a function of the pixel. */
    private interface Grey {
        double at(int y, int x);
    }

    private static Picture grey(int width, int height, Grey grey) {
        float[] planes = new float[3 * width * height];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                for (int c = 0; c < 3; c++) {
                    planes[(c * height + y) * width + x] = (float) grey.at(y, x);
                }
            }
        }
        return Picture.ofPlanes(width, height, planes);
    }

    private static Picture noise(int width, int height, double step) {
        SplittableRandom random = new SplittableRandom(4);
        return grey(
                width,
                height,
                (y, x) -> 0.3 + 0.1 * random.nextDouble() + (x >= width / 2 ? step : 0));
    }

    @Test
    void seamScoreSeesAStepAtABorderOnly() {
        Seams seams = new Seams(List.of(64), List.of(64), 8);
        assertEquals(1, seams.score(noise(128, 128, 0)), 0.2);
        assertTrue(seams.score(noise(128, 128, 0.2)) > 2);
        Seams elsewhere = new Seams(List.of(40), List.of(64), 8);
        assertEquals(1, elsewhere.score(noise(128, 128, 0.2)), 0.2);
        assertTrue(Double.isNaN(new Seams(List.of(), List.of(), 8).score(noise(64, 64, 0))));
    }

    @Test
    void sharpnessOfPatterns() {
        assertEquals(0, Sharpness.of(grey(16, 16, (y, x) -> 0.5)), 1e-12);
        // A checkerboard of 0 and 1: the Laplacian is +-4.
        assertEquals(16, Sharpness.of(grey(18, 18, (y, x) -> (x + y) % 2)), 1e-6);
        double fine = Sharpness.of(noise(64, 64, 0));
        double soft = Sharpness.of(noise(64, 64, 0).smoothed());
        assertTrue(soft < fine / 10, soft + " against " + fine);
    }

    private static PatchReport report(float sigma, float alpha, double noise) {
        SplittableRandom random = new SplittableRandom(9);
        int n = 2 * 4 * 16 * 16;
        float[] latents = new float[n];
        float[] clean = new float[n];
        for (int i = 0; i < n; i++) {
            clean[i] = (float) random.nextGaussian();
            latents[i] = (float) (alpha * clean[i] + sigma * noise * random.nextGaussian());
        }
        return new PatchReport(
                4,
                16,
                16,
                FloatBuffer.wrap(latents),
                FloatBuffer.wrap(clean),
                alpha,
                sigma,
                List.of());
    }

    @Test
    void noiseIsMeasuredAgainstWhatTheStepShouldHave() {
        assertEquals(1, PatchMeasure.noise(report(0.8f, 1, 1)), 0.05);
        assertEquals(1, PatchMeasure.noise(report(0.3f, 0.5f, 1)), 0.05);
        assertEquals(1.4, PatchMeasure.noise(report(2, 1, 1.4)), 0.06);
    }

    @Test
    void agreementIsTheMeanOverPairs() {
        Mask a = MaskTest.mask("##..");
        Mask b = MaskTest.mask(".##.");
        Mask none = MaskTest.mask("....");
        assertEquals((1 + 1.0 / 3 + 1.0 / 3) / 3, PatchMeasure.agreement(List.of(a, a, b)), 1e-12);
        assertEquals(0, PatchMeasure.agreement(List.of(a, none, none)), 1e-12);
        assertTrue(Double.isNaN(PatchMeasure.agreement(List.of(none, none))));
    }

    @Test
    void foregroundOfAnyPicture() {
        SplittableRandom random = new SplittableRandom(5);
        Picture disc =
                grey(
                        64,
                        64,
                        (y, x) ->
                                (Math.hypot(y - 30, x - 34) < 12 ? 0.8 : 0.3)
                                        + 0.02 * random.nextGaussian());
        Mask mask = ForegroundMask.of(disc);
        int inside = 0;
        for (int y = 0; y < 64; y++) {
            for (int x = 0; x < 64; x++) {
                if (Math.hypot(y - 30, x - 34) < 11) {
                    inside += mask.at(y, x) ? 1 : 0;
                }
            }
        }
        assertEquals(Math.PI * 11 * 11, inside, 15);
        assertEquals(Math.PI * 12 * 12, mask.count(), 60);
        assertEquals(0, ForegroundMask.of(grey(32, 32, (y, x) -> 0.4)).count());
    }

    @Test
    void resizingKeepsWhatItShould() {
        Picture flat = grey(50, 40, (y, x) -> 0.7).resized(13, 77);
        assertEquals(13, flat.width());
        assertEquals(77, flat.height());
        for (float value : flat.planes()) {
            assertEquals(0.7, value, 1e-5);
        }
        // A ramp stays a ramp away from the borders.
        Picture ramp = grey(64, 8, (y, x) -> x / 64.0).resized(32, 8);
        for (int x = 4; x < 28; x++) {
            assertEquals((2 * x + 0.5) / 64, ramp.at(0, 3, x), 1e-4);
        }
        Picture picture = noise(32, 32, 0);
        assertArrayEquals(picture.planes(), picture.resized(32, 32).planes());
    }

    @Test
    void cropAndAverage() {
        Picture picture = grey(6, 4, (y, x) -> (10 * y + x) / 100.0);
        assertEquals(0.23f, picture.crop(3, 2, 2, 2).at(1, 0, 0), 1e-6f);
        Picture half = picture.averaged(2);
        assertEquals(3, half.width());
        assertEquals((0 + 1 + 10 + 11) / 400.0, half.at(2, 0, 0), 1e-6);
        assertEquals(1, picture.averaged(4).width());
    }

    @Test
    void filesThatAreNoPicturesAreRefused(@TempDir Path folder) throws IOException {
        Path text = Files.writeString(folder.resolve("a.png"), "no picture");
        for (Path file : List.of(text, folder.resolve("missing.png"))) {
            String message =
                    assertThrows(BadRequestException.class, () -> Picture.read(file)).getMessage();
            assertTrue(message.contains(file.toString()) && message.contains("PNG"), message);
        }
    }
}
