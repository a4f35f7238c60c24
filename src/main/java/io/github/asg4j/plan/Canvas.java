// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.OutOfMemoryException;

/**
 * The latent canvas a picture is drawn on and the grid of patches it relocates from.
 *
 * @param y rows
 * @param x columns
 * @param channels latent channels
 * @param nativeHeight latent rows the denoiser was trained on
 * @param nativeWidth latent columns
 */
public record Canvas(Axis y, Axis x, int channels, int nativeHeight, int nativeWidth) {
    /** Longest side in pixels: beyond it a picture does not fit a Java byte buffer. */
    public static final int MAX_PIXELS = 26_000;

    /** What a pixel interaction can permute. */
    private static final int MAX_PATCHES = 256;

    /**
     * Cuts a picture of {@code width} x {@code height} pixels.
     *
     * @throws BadRequestException for a size the VAE cannot make
     * @throws OutOfMemoryException for a size beyond all memory
     */
    public static Canvas of(
            int width,
            int height,
            int factor,
            int unetMultiple,
            int channels,
            int nativeHeight,
            int nativeWidth,
            GuideOptions.PatchAspect aspect) {
        check("width", width, factor);
        check("height", height, factor);
        int rows = Axis.patchesFor(height / factor, nativeHeight);
        int columns = Axis.patchesFor(width / factor, nativeWidth);
        if (aspect == GuideOptions.PatchAspect.PICTURE) {
            rows =
                    Axis.patchesFor(
                            height / factor,
                            width / factor,
                            nativeHeight,
                            nativeWidth,
                            unetMultiple);
            columns = rows;
        }
        if ((long) rows * columns > MAX_PATCHES) {
            throw new OutOfMemoryException(
                    width
                            + "x"
                            + height
                            + " needs "
                            + (long) rows * columns
                            + " patches of native size, at most "
                            + MAX_PATCHES
                            + " are supported: use a smaller size");
        }
        return new Canvas(
                Axis.of(height, factor, rows, unetMultiple),
                Axis.of(width, factor, columns, unetMultiple),
                channels,
                nativeHeight,
                nativeWidth);
    }

    private static void check(String name, int pixels, int factor) {
        if (pixels > MAX_PIXELS) {
            throw new OutOfMemoryException(
                    name
                            + " "
                            + pixels
                            + " is beyond what fits into memory: at most "
                            + MAX_PIXELS
                            + " pixels a side");
        }
        if (pixels <= 0 || pixels % factor != 0) {
            int near = Math.max(1, Math.round((float) pixels / factor));
            throw new BadRequestException(
                    name
                            + " "
                            + pixels
                            + " is no positive multiple of "
                            + factor
                            + ", the VAE's"
                            + " factor: try "
                            + near * factor);
        }
    }

    public int patches() {
        return y.patches() * x.patches();
    }

    public int height() {
        return y.canvas();
    }

    public int width() {
        return x.canvas();
    }

    /** Cells of one patch times channels. */
    public long patchPlane() {
        return (long) channels * y.patch() * x.patch();
    }

    /** Cells of the canvas times channels. */
    public long plane() {
        return (long) channels * height() * width();
    }

    public int heightPixels() {
        return height() * y.factor();
    }

    public int widthPixels() {
        return width() * x.factor();
    }
}
