// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

/**
 * One axis of the picture, cut for patch methods (design: s patches per axis, each about native
 * size).
 *
 * @param pixels of the picture
 * @param patches s = max(1, ceil(L / native - 0.25)), L the latent length
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

    static Axis of(int pixels, int factor, int patches, int multiple) {
        int latent = pixels / factor;
        int patch = (latent + patches - 1) / patches;
        return new Axis(pixels, patches, (patch + multiple - 1) / multiple * multiple, factor);
    }
}
