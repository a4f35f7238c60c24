// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import java.util.ArrayList;
import java.util.List;

/**
 * The noise levels that a schedule visits, from noisy to clean.
 *
 * @param levels one per step: where the network is asked
 * @param targets one per step: where the step leads; the next step's level, but of DDIM, whose
 *     strides are those of the diffusers library
 * @param initScale the latents start as initScale * N(0, 1)
 */
record Grid(List<Level> levels, List<Level> targets, double initScale) {
    Grid {
        levels = List.copyOf(levels);
        targets = List.copyOf(targets);
    }

    /** A grid whose steps lead from level to level and at last to {@link Level#CLEAN}. */
    static Grid toClean(List<Level> levels, double initScale) {
        List<Level> targets = new ArrayList<>(levels.subList(1, levels.size()));
        targets.add(Level.CLEAN);
        return new Grid(levels, targets, initScale);
    }
}
