// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;

/**
 * What a method plans for.
 *
 * @param request what was asked
 * @param manifest of the bundle that draws
 * @param canvas the cut of the picture
 * @param steps that are drawn
 * @param skipped steps of the schedule before those: a start picture takes their place
 * @param guidanceScale classifier-free guidance scale, {@link Stage#guidanceScale at least 1}
 */
public record Setting(
        GenerationRequest request,
        Manifest manifest,
        Canvas canvas,
        int steps,
        int skipped,
        double guidanceScale) {

    public Setting {
        guidanceScale = Stage.guidanceScale(guidanceScale);
    }

    /** Steps of those that are drawn which fall into the first {@code share} of the whole schedule. */
    int stepsWithin(double share) {
        return Math.max(0, (int) Math.floor((skipped + steps) * share + 0.5) - skipped);
    }

    /** Patches along the longer axis: what the methods' defaults depend on. */
    public int scale() {
        return Math.max(canvas.y().patches(), canvas.x().patches());
    }
}
