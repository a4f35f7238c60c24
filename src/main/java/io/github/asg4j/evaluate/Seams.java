// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.PlanReport;
import io.github.asg4j.Size;
import io.github.asg4j.StageReport;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.plan.WindowAxis;

import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.function.ToIntFunction;

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

    /** Those of a plan for the bundle of {@code manifest}. */
    static Seams of(PlanReport plan, Manifest manifest) {
        Manifest.Latent latent = manifest.latent();
        int cell = latent.vaeFactor();
        PlanReport.Decoding tiles = plan.decoding();
        List<Integer> columns = tiles == null ? List.of() : tiles.columnBorders();
        List<Integer> rows = tiles == null ? List.of() : tiles.rowBorders();
        return new Seams(
                axis(plan, latent.nativeWidth(), cell, Size::width, columns),
                axis(plan, latent.nativeHeight(), cell, Size::height, rows),
                cell);
    }

    /**
     * Borders along an axis.
     *
     * @param size latent cells that the model was trained for
     * @param along takes the axis of a size
     * @param tiles where tiles of the decoder meet, pixels of the canvas
     */
    private static List<Integer> axis(
            PlanReport plan, int size, int cell, ToIntFunction<Size> along, List<Integer> tiles) {
        int canvas = along.applyAsInt(plan.canvasLatents());
        int pixels = along.applyAsInt(plan.size());
        WindowAxis windows = WindowAxis.of(canvas, size, Math.max(1, size / 2), 0);
        StageReport last = plan.stages().isEmpty() ? null : plan.stages().getLast();
        StageReport.Windows own = last == null ? null : last.settings().windowed();
        StageReport.Overlap overlap = own == null ? null : own.overlap();
        if (last != null
                && own != null
                && overlap != null
                && along.applyAsInt(own.grid()) > 1
                && along.applyAsInt(own.canvasLatents()) == canvas) {
            windows =
                    WindowAxis.of(
                            canvas,
                            along.applyAsInt(last.viewLatents()),
                            along.applyAsInt(overlap.stride()),
                            0);
        }
        SortedSet<Integer> borders = new TreeSet<>();
        for (int i = 0; i < windows.count(); i++) {
            borders.add(windows.start(i) * cell);
            borders.add((windows.start(i) + windows.size()) * cell);
        }
        borders.addAll(tiles);
        int crop = (canvas * cell - pixels) / 2;
        return borders.stream()
                .map(p -> p - crop)
                .filter(p -> p > BESIDE * cell && p < pixels - BESIDE * cell)
                .toList();
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
