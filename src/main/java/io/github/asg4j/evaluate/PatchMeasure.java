// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.PatchReport;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * What the patches of stage 1 look like at the stage switch.
 *
 * @param iou mean intersection over union of the object's pixels, over all pairs of patches; pairs
 *     in which neither shows an object are left out, NaN if that are all
 * @param noise root mean square of what is not the predicted clean latents, over what the step
 *     should have: 1 is right, more is noise that nobody will remove
 */
record PatchMeasure(double iou, double noise) {

    /**
     * @param counter finds the object by its caption; null, or of another caption: what stands out
     *     from the border is the object
     */
    static PatchMeasure of(PatchReport report, @Nullable ObjectCounter counter, String caption) {
        boolean known = counter != null && counter.knows(caption);
        List<Mask> masks =
                report.pictures().stream()
                        .map(Picture::of)
                        .map(
                                p ->
                                        counter != null && known
                                                ? counter.mask(p, caption)
                                                : ForegroundMask.of(p))
                        .toList();
        return new PatchMeasure(agreement(masks), noise(report));
    }

    static double agreement(List<Mask> masks) {
        double sum = 0;
        int pairs = 0;
        for (int i = 0; i < masks.size(); i++) {
            for (int j = 0; j < i; j++) {
                double iou = masks.get(i).iou(masks.get(j));
                if (!Double.isNaN(iou)) {
                    sum += iou;
                    pairs++;
                }
            }
        }
        return sum / pairs;
    }

    static double noise(PatchReport report) {
        double square = 0;
        int n = report.latents().remaining();
        for (int i = 0; i < n; i++) {
            double rest = report.latents().get(i) - (double) report.alpha() * report.clean().get(i);
            square += rest * rest;
        }
        return Math.sqrt(square / n) / report.sigma();
    }
}
