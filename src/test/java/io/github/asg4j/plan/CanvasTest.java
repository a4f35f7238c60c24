// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.Tiny;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.util.BitSet;

/** Cutting pictures into patches and windows, against the NumPy reference and for its own sake. */
class CanvasTest {
    @Test
    void axesAndWindowsAreThoseOfTheReference() throws IOException {
        JsonNode golden = new ObjectMapper().readTree(Tiny.resource("goldens/plan.json").toFile());
        int checked = 0;
        for (JsonNode axis : golden.get("axes")) {
            int nativeSize = axis.get("native").asInt();
            int factor = axis.get("factor").asInt();
            int multiple = axis.get("unet_multiple").asInt();
            int pixels = axis.get("pixels").asInt();
            Axis a =
                    Axis.of(pixels, factor, Axis.patchesFor(pixels / factor, nativeSize), multiple);
            assertEquals(axis.get("s").asInt(), a.patches(), axis::toString);
            assertEquals(axis.get("patch").asInt(), a.patch(), axis::toString);
            assertEquals(axis.get("canvas").asInt(), a.canvas(), axis::toString);
            assertEquals(axis.get("crop").asInt(), a.cropPixels(), axis::toString);
            for (var windows : axis.get("starts").properties()) {
                WindowAxis w =
                        WindowAxis.of(
                                a.canvas(), nativeSize, Integer.parseInt(windows.getKey()), 0);
                assertEquals(windows.getValue().size(), w.count(), axis::toString);
                for (int i = 0; i < w.count(); i++) {
                    assertEquals(windows.getValue().get(i).asInt(), w.start(i), axis::toString);
                }
            }
            checked++;
        }
        assertTrue(checked > 20, "only " + checked + " axes");
    }

    @Test
    void everyCellIsCoveredWhateverTheJitterDraws() {
        for (int nativeSize : new int[] {8, 15, 16}) {
            for (int canvas = 1; canvas < 70; canvas++) {
                for (int stride = 1; stride <= nativeSize; stride++) {
                    int jitter = (nativeSize - stride) / 2;
                    WindowAxis axis = WindowAxis.of(canvas, nativeSize, stride, jitter);
                    // The worst case: neighbours move apart as far as they can.
                    for (int gap = 0; gap + 1 < axis.count(); gap++) {
                        int end = axis.start(gap) + axis.jitterLow(gap) + axis.size();
                        int next = axis.start(gap + 1) + axis.jitterHigh(gap + 1);
                        assertTrue(next <= end, axis + " gap after window " + gap);
                    }
                    BitSet covered = new BitSet();
                    for (int i = 0; i < axis.count(); i++) {
                        covered.set(axis.start(i), axis.start(i) + axis.size());
                    }
                    assertEquals(canvas, covered.cardinality(), axis::toString);
                }
            }
        }
    }

    @Test
    void windowsOfTheReferenceCode() {
        // CutDiffusion on SDXL: 9, 25, 49 views at 2048², 3072², 4096² with stride 64.
        for (int[] views : new int[][] {{256, 3}, {384, 5}, {512, 7}}) {
            assertEquals(views[1], WindowAxis.of(views[0], 128, 64, 16).count());
        }
    }

    @Test
    void aPictureOfOnePatchAspectHasOneGrid() {
        Canvas axis = canvas(256, 128, GuideOptions.PatchAspect.AXIS);
        assertEquals(2, axis.x().patches());
        assertEquals(1, axis.y().patches());
        // pixels, then patches along both axes and latent cells of one, width first
        for (int[] size :
                new int[][] {
                    {256, 128, 2, 16, 8},
                    {384, 256, 3, 16, 12},
                    {256, 384, 3, 12, 16},
                    {512, 256, 3, 24, 12},
                    {512, 288, 3, 24, 12},
                    {1024, 128, 3, 44, 8},
                    {672, 288, 3, 28, 12}, // of 4 patches a third would be cut off
                    {432, 432, 3, 20, 20},
                    {640, 640, 5, 16, 16},
                    {256, 256, 2, 16, 16},
                    {264, 264, 2, 20, 20}
                }) {
            Canvas picture = canvas(size[0], size[1], GuideOptions.PatchAspect.PICTURE);
            assertEquals(size[2], picture.x().patches(), picture::toString);
            assertEquals(size[2], picture.y().patches(), picture::toString);
            assertEquals(size[3], picture.x().patch(), picture::toString);
            assertEquals(size[4], picture.y().patch(), picture::toString);
        }
    }

    /** SDXL was trained on these: drawn as they are, and in patches of them when twice as large. */
    @ParameterizedTest
    @CsvSource({
        "512, 2048", "512, 1984", "512, 1920", "512, 1856", "576, 1792", "576, 1728", "576, 1664",
        "640, 1600", "640, 1536", "704, 1472", "704, 1408", "704, 1344", "768, 1344", "768, 1280",
        "832, 1216", "832, 1152", "896, 1152", "896, 1088", "960, 1088", "960, 1024", "1024, 1024"
    })
    void bucketsOfSdxlAreNativeSizes(int side, int other) {
        for (int times : new int[] {1, 2, 3, 4}) {
            for (boolean wide : new boolean[] {true, false}) {
                int width = wide ? other : side;
                int height = wide ? side : other;
                Canvas canvas =
                        Canvas.of(
                                width * times,
                                height * times,
                                8,
                                4,
                                4,
                                128,
                                128,
                                GuideOptions.PatchAspect.PICTURE);
                assertEquals(times, canvas.x().patches(), canvas::toString);
                assertEquals(times, canvas.y().patches(), canvas::toString);
                assertEquals(width, canvas.x().patch() * 8, canvas::toString);
                assertEquals(height, canvas.y().patch() * 8, canvas::toString);
            }
        }
    }

    @Test
    void impossibleSizesSayWhatWouldBePossible() {
        for (int bad : new int[] {0, -8, 100, 7}) {
            BadRequestException e =
                    assertThrows(
                            BadRequestException.class,
                            () -> canvas(bad, 128, GuideOptions.PatchAspect.AXIS));
            assertTrue(e.getMessage().contains("try "), e.getMessage());
            assertTrue(e.getMessage().contains(Integer.toString(bad)), e.getMessage());
        }
        for (int large : new int[] {Integer.MAX_VALUE, 26_008, 20_000}) {
            OutOfMemoryException e =
                    assertThrows(
                            OutOfMemoryException.class,
                            () -> canvas(large, 20_000, GuideOptions.PatchAspect.AXIS));
            assertTrue(e.getMessage().contains(Integer.toString(large)), e.getMessage());
        }
    }

    private static Canvas canvas(int width, int height, GuideOptions.PatchAspect aspect) {
        return Canvas.of(width, height, 8, 4, 4, 16, 16, aspect);
    }
}
