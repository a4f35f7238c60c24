// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Region;

import java.util.Arrays;
import java.util.List;

/** Which windows belong to the regions of a request (SPEC §6). */
public final class RegionWindows {
    private static final double HALF = 0.5;

    private RegionWindows() {}

    /**
     * The region of each window: that which covers most of it, the first of several, if that is more
     * than half of it. Where windows lie before jitter counts.
     *
     * @return an index of {@code regions} per window, or -1
     * @throws BadRequestException if a region leaves the picture, or has no window
     */
    public static int[] of(Stage.Windows windows, Canvas canvas, List<Region> regions) {
        int[] regionOf = new int[windows.views()];
        Arrays.fill(regionOf, -1);
        boolean[] found = new boolean[regions.size()];
        for (int view = 0; view < regionOf.length; view++) {
            double most = HALF;
            for (int r = 0; r < regions.size(); r++) {
                double share = share(windows, canvas, regions.get(r), view);
                if (share > most) {
                    most = share;
                    regionOf[view] = r;
                }
            }
            if (regionOf[view] >= 0) {
                found[regionOf[view]] = true;
            }
        }
        for (int r = 0; r < found.length; r++) {
            check(regions.get(r), canvas, found[r]);
        }
        return regionOf;
    }

    private static double share(Stage.Windows windows, Canvas canvas, Region region, int view) {
        int top = windows.y().start(view / windows.x().count());
        int left = windows.x().start(view % windows.x().count());
        double rows = overlap(canvas.y(), region.y(), region.height(), top, windows.viewHeight());
        double columns = overlap(canvas.x(), region.x(), region.width(), left, windows.viewWidth());
        return rows * columns / ((double) windows.viewHeight() * windows.viewWidth());
    }

    /** Latent cells of a window that lie between two pixels of the picture. */
    private static double overlap(Axis axis, int pixel, int pixels, int start, int size) {
        double first = (double) (pixel + axis.cropPixels()) / axis.factor();
        double end = first + (double) pixels / axis.factor();
        return Math.max(0, Math.min(end, start + size) - Math.max(first, start));
    }

    private static void check(Region region, Canvas canvas, boolean found) {
        int width = canvas.x().pixels();
        int height = canvas.y().pixels();
        if ((long) region.x() + region.width() > width
                || (long) region.y() + region.height() > height) {
            throw new BadRequestException(
                    "the region "
                            + region
                            + " leaves the picture of "
                            + width
                            + "x"
                            + height
                            + " pixels: make it smaller");
        }
        if (!found) {
            throw new BadRequestException(
                    "no window lies in the region "
                            + region
                            + " by more than half: make it larger, at least about a native picture"
                            + " ("
                            + canvas.nativeWidth() * canvas.x().factor()
                            + "x"
                            + canvas.nativeHeight() * canvas.y().factor()
                            + " pixels), lay windows more closely with --window-stride, or leave it"
                            + " out where another region covers it");
        }
    }
}
