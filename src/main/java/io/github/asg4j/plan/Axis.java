// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

/**
 * One axis of the picture, cut for methods of patches.
 *
 * @param pixels of the picture
 * @param patches s = max(1, ceil(r - 0.25)), r the square root of the areas' ratio, or one fewer, or,
 *     with a factor per axis, r = L / native, L the latent length
 * @param patch p, latent cells of a patch: ceil(L / s), rounded up to the UNet's multiple
 * @param factor VAE factor
 */
public record Axis(int pixels, int patches, int patch, int factor) {
    private static final double LARGEST_AREA = 4.0 / 3;

    /** Latent cells of the canvas. */
    public int canvas() {
        return patches * patch;
    }

    /** First pixel of the picture in the decoded canvas: the picture is its centre. */
    public int cropPixels() {
        return (canvas() * factor - pixels) / 2;
    }

    static int patchesFor(int latent, int nativeLatent) {
        return Math.max(1, (int) Math.ceil((double) latent / nativeLatent - 0.25));
    }

    /**
     * Patches along both axes, so that a patch has the picture's aspect and about the native area: an
     * equal factor on both axes stretches nothing. One fewer where that leaves less of the canvas
     * outside the picture, since whatever is cut off there may have been the object's, and where a
     * patch is still at most {@link #LARGEST_AREA} times as large as the native picture.
     *
     * @param multiple that the sides of a patch are rounded up to
     */
    static int patchesFor(int rows, int columns, int nativeRows, int nativeColumns, int multiple) {
        double area = (double) rows * columns / ((double) nativeRows * nativeColumns);
        int usual = Math.max(1, (int) Math.ceil(Math.sqrt(area) - 0.25));
        int fewer = usual - 1;
        boolean fits = fewer > 0 && area <= LARGEST_AREA * fewer * fewer;
        return fits
                        && canvas(rows, columns, fewer, multiple)
                                < canvas(rows, columns, usual, multiple)
                ? fewer
                : usual;
    }

    /** Cells of the canvas. */
    private static long canvas(int rows, int columns, int patches, int multiple) {
        return (long) patches
                * patches
                * patch(rows, patches, multiple)
                * patch(columns, patches, multiple);
    }

    private static int patch(int latent, int patches, int multiple) {
        return Math.ceilDiv(Math.ceilDiv(latent, patches), multiple) * multiple;
    }

    static Axis of(int pixels, int factor, int patches, int multiple) {
        return new Axis(pixels, patches, patch(pixels / factor, patches, multiple), factor);
    }
}
