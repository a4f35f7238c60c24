// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.PlanReport;
import io.github.asg4j.model.Manifest;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.Arrays;
import java.util.List;

/** Which upscalers run, and over which tiles. */
class UpscalingTest {
    /** Each time the smallest that suffices, else the largest, in whatever order they are listed. */
    @ParameterizedTest
    @CsvSource({
        "1, 2, ''",
        "2, 2, 2",
        "3, 2, 2 2",
        "4, 2, 2 2",
        "5, 2, 2 2 2",
        "2, 4 2, 2",
        "3, 4 2, 4",
        "4, 2 4, 4",
        "5, 2 4, 4 2",
        "8, 4 2, 4 2",
        "9, 2 4, 4 4",
        "16, 2 4, 4 4",
        "2, 4, 4",
        "7, 3 2, 3 3",
        "6, 3 2, 3 2"
    })
    void theSmallestThatSuffices(int scale, String available, String expected) {
        Upscaling upscaling = Upscaling.of(40, 56, scale, upscalers(available));
        assertEquals(
                expected,
                String.join(
                        " ",
                        upscaling.passes().stream().map(p -> "" + p.upscaler().scale()).toList()));
        assertEquals(40 * scale, upscaling.height());
        assertEquals(56 * scale, upscaling.width());
        int reached = 1;
        for (Upscaling.Pass pass : upscaling.passes()) {
            assertEquals(40 * reached, pass.height());
            assertEquals(56 * reached, pass.width());
            reached *= pass.upscaler().scale();
        }
        assertTrue(reached >= scale);
        assertEquals(reached > scale, upscaling.resamples());
    }

    @ParameterizedTest
    @CsvSource({
        "128, 128, 16, 1",
        "192, 192, 16, 1",
        "193, 192, 16, 2",
        "256, 512, 16, 6",
        "640, 200, 0, 8",
        "1024, 1024, 300, 36"
    })
    void coresCoverThePictureOnce(int height, int width, int overlap, int count) {
        var pass =
                new Upscaling.Pass(
                        new Manifest.Upscaler("x", 2, overlap, Double.NaN, 0), height, width);
        int[] seen = new int[height * width];
        for (Tile t : pass.tiles()) {
            assertTrue(t.height() <= 192 && t.width() <= 192);
            for (int y = t.top(); y < t.top() + t.height(); y++) {
                for (int x = t.left(); x < t.left() + t.width(); x++) {
                    seen[y * width + x]++;
                }
            }
            assertBorder(t.top(), t.height(), t.seenTop(), t.seenHeight(), height, overlap);
            assertBorder(t.left(), t.width(), t.seenLeft(), t.seenWidth(), width, overlap);
            assertTrue(3L * t.seenHeight() * t.seenWidth() <= pass.tileFloats());
        }
        assertTrue(Arrays.stream(seen).allMatch(n -> n == 1));
        assertEquals(count, pass.tiles().size());
    }

    private static void assertBorder(
            int start, int extent, int seenStart, int seenExtent, int whole, int overlap) {
        assertEquals(Math.min(overlap, start), start - seenStart);
        assertEquals(
                Math.min(overlap, whole - start - extent), seenStart + seenExtent - start - extent);
    }

    /** The plan says what tiles share, what that costs, and by how much they may differ. */
    @Test
    void whatTilesCost() {
        var exact = new Manifest.Upscaler("x2", 2, 94, 0.04, 0);
        Upscaling upscaling = Upscaling.of(256, 256, 2, List.of(exact));
        // cores of 192 and 64, each sees the 94 pixels beside it that there are
        double seen = Math.pow((256 + 64 + 94) / 256.0, 2);
        assertEquals(seen, upscaling.passes().getFirst().cost(), 1e-12);
        PlanReport.Pass pass = upscaling.report().passes().getFirst();
        assertEquals(94, pass.overlap());
        assertEquals(2.62, pass.timesThePixels());
        assertEquals(0.04, pass.tileError());
        pass = Upscaling.of(128, 128, 2, upscalers("2")).report().passes().getFirst();
        assertEquals(1.0, pass.timesThePixels());
        assertTrue(Double.isNaN(pass.tileError()), "unknown");
    }

    @Test
    void bytesAreThoseOfThePassesAndOneTile() {
        Upscaling upscaling = Upscaling.of(128, 256, 3, upscalers("2"));
        // 256 x 512, 512 x 1024, then its rows and the picture of 384 x 768
        assertEquals(
                12L * (256 * 512 + 512 * 1024 + 512 * 768 + 384 * 768), upscaling.pictureBytes());
        // seen at most: 208 of 256 rows, 224 of 512 columns
        assertEquals(12L * 208 * 224 * (1 + 4), upscaling.workerBytes());
        assertEquals(2 + 6, upscaling.tiles());
    }

    /** Of the largest tile of each network; the first tile has it, so that ONNX Runtime's arena fits all. */
    @Test
    void workspaceIsThatOfTheLargestTile() {
        var x4 = new Manifest.Upscaler("x4", 4, 16, Double.NaN, 64);
        var x2 = new Manifest.Upscaler("x2", 2, 16, Double.NaN, 32);
        Upscaling upscaling = Upscaling.of(128, 256, 8, List.of(x4, x2));
        // seen at most: 128 of 128 rows and 208 of 256 columns, then 224 of 512 and of 1024
        long expected = 12L * (64 * 16 * 128 * 208 + 32 * 4 * 224 * 224);
        assertEquals(expected, upscaling.workspace(12));
        for (Upscaling.Pass pass : upscaling.passes()) {
            long first =
                    (long) pass.tiles().getFirst().seenHeight()
                            * pass.tiles().getFirst().seenWidth();
            assertEquals(3 * first, pass.tileFloats());
        }
        assertEquals(0, Upscaling.of(128, 256, 3, upscalers("2")).workspace(12), "width unknown");
    }

    private static List<Manifest.Upscaler> upscalers(String scales) {
        return Arrays.stream(scales.split(" "))
                .map(s -> new Manifest.Upscaler("x" + s, Integer.parseInt(s), 16, Double.NaN, 0))
                .toList();
    }
}
