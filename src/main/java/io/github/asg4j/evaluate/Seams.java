// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.model.Manifest;
import io.github.asg4j.plan.Decoding;
import io.github.asg4j.plan.WindowAxis;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * Steps in brightness where windows and decoder tiles end: the mean |difference| of luma across the
 * borders over the mean across lines one and two latent cells beside them, which lie alike in the
 * decoder's grid and are no borders themselves. 1: no seam.
 *
 * <p>Borders are those of the method's last windows, before jitter, or, for a method without
 * windows, where the default windows of others would end: so that direct inference shows what the
 * score is without any.
 *
 * @param columns pixels that begin a new window or tile, ascending
 * @param rows likewise
 * @param cell pixels of a latent cell
 */
record Seams(List<Integer> columns, List<Integer> rows, int cell) {
    private static final int BESIDE = 2;

    /**
     * @param plan as {@code Engine.plan} describes it
     */
    static Seams of(Map<String, ?> plan, Manifest manifest) {
        int cell = manifest.latent().vaeFactor();
        return new Seams(axis(plan, manifest, 0), axis(plan, manifest, 1), cell);
    }

    private static List<Integer> axis(Map<String, ?> plan, Manifest manifest, int axis) {
        Manifest.Latent latent = manifest.latent();
        int cell = latent.vaeFactor();
        int canvas = pair(plan.get("canvas_latents"), axis);
        int pixels = number(plan.get(axis == 0 ? "width" : "height"));
        int size = axis == 0 ? latent.nativeWidth() : latent.nativeHeight();
        WindowAxis windows = WindowAxis.of(canvas, size, Math.max(1, size / 2), 0);
        if (plan.get("stages") instanceof List<?> stages
                && !stages.isEmpty()
                && stages.getLast() instanceof Map<?, ?> last
                && pair(last.get("grid"), axis) > 1
                && pair(last.get("canvas_latents"), axis) == canvas) {
            int window = pair(last.get("view_latents"), axis);
            windows = WindowAxis.of(canvas, window, number(last.get("window_stride")), 0);
        }
        SortedSet<Integer> borders = new TreeSet<>();
        for (int i = 0; i < windows.count(); i++) {
            borders.add(windows.start(i) * cell);
            borders.add((windows.start(i) + windows.size()) * cell);
        }
        borders.addAll(ofTiles(plan, manifest, axis));
        int crop = (canvas * cell - pixels) / 2;
        return borders.stream()
                .map(p -> p - crop)
                .filter(p -> p > BESIDE * cell && p < pixels - BESIDE * cell)
                .toList();
    }

    /** Borders of the VAE's tiles. */
    private static List<Integer> ofTiles(Map<String, ?> plan, Manifest manifest, int axis) {
        int pixels = plan.get("vae") instanceof Map<?, ?> vae ? number(vae.get("tile_pixels")) : 0;
        if (pixels == 0) {
            return List.of();
        }
        Decoding decoding =
                new Decoding(
                        manifest.vae(),
                        manifest.latent(),
                        pair(plan.get("canvas_latents"), 1),
                        pair(plan.get("canvas_latents"), 0),
                        Decoding.Tiling.of(pixels / manifest.latent().vaeFactor()),
                        1);
        return axis == 0 ? decoding.columnBorders() : decoding.rowBorders();
    }

    private static int pair(@Nullable Object list, int axis) {
        return list instanceof List<?> pair ? number(pair.get(axis)) : 0;
    }

    private static int number(@Nullable Object value) {
        return value instanceof Number number ? number.intValue() : 0;
    }

    /** The score of a picture; NaN if it has no border or is flat beside them. */
    double score(Picture picture) {
        float[] luma = picture.luma();
        int w = picture.width();
        int h = picture.height();
        double[] across = new double[2]; // sum, lines
        double[] beside = new double[2];
        for (int axis = 0; axis < 2; axis++) {
            List<Integer> borders = axis == 0 ? columns : rows;
            for (int border : borders) {
                add(across, luma, w, h, axis, border);
                for (int k = -BESIDE; k <= BESIDE; k++) {
                    if (!borders.contains(border + k * cell)) {
                        add(beside, luma, w, h, axis, border + k * cell);
                    }
                }
            }
        }
        return across[0] / across[1] / (beside[0] / beside[1]);
    }

    /** Adds the mean |difference| across one line. */
    private static void add(double[] sums, float[] luma, int w, int h, int axis, int at) {
        double sum = 0;
        int n = axis == 0 ? h : w;
        for (int i = 0; i < n; i++) {
            int index = axis == 0 ? i * w + at : at * w + i;
            sum += Math.abs((double) luma[index] - luma[index - (axis == 0 ? 1 : w)]);
        }
        sums[0] += sum / n;
        sums[1]++;
    }
}
