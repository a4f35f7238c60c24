// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

/**
 * One axis of the picture, cut for methods of patches.
 *
 * @param pixels of the picture
 * @param patches s = max(1, ceil(r - 0.25)), r the square root of the areas' ratio, or, with a factor
 *     per axis, L / native, L the latent length
 * @param patch p, latent cells of a patch: ceil(L / s), rounded up to the UNet's multiple
 * @param factor VAE factor
 */
public record Axis(int pixels, int patches, int patch, int factor) {
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
     * equal factor on both axes stretches nothing.
     */
    static int patchesFor(int rows, int columns, int nativeRows, int nativeColumns) {
        double area = (double) rows * columns / ((double) nativeRows * nativeColumns);
        return Math.max(1, (int) Math.ceil(Math.sqrt(area) - 0.25));
    }

    static Axis of(int pixels, int factor, int patches, int multiple) {
        int latent = pixels / factor;
        int patch = (latent + patches - 1) / patches;
        return new Axis(pixels, patches, (patch + multiple - 1) / multiple * multiple, factor);
    }
}
