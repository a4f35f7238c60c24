// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;

/**
 * The noise levels that a schedule visits, from noisy to clean.
 *
 * @param levels one per step: where the network is asked
 * @param targets one per step: where the step leads; the next step's level, but of DDIM and DDPM, whose
 *     strides are those of the diffusers library
 * @param initScale the latents start as initScale * N(0, 1)
 * @param cut whether the last step leads to the clean latents that it predicts since the levels end there,
 *     above the last one of their schedule
 * @param trained the level of a trained timestep, in the latents of {@code levels}
 */
record Grid(
        List<Level> levels,
        List<Level> targets,
        double initScale,
        boolean cut,
        IntFunction<Level> trained) {
    Grid {
        levels = List.copyOf(levels);
        targets = List.copyOf(targets);
    }

    /** A grid whose steps lead from level to level and at last to {@link Level#CLEAN}. */
    static Grid toClean(List<Level> levels, double initScale, IntFunction<Level> trained) {
        List<Level> targets = new ArrayList<>(levels.subList(1, levels.size()));
        targets.add(Level.CLEAN);
        return new Grid(levels, targets, initScale, false, trained);
    }

    /** Some of its steps; those that end above its last step lead to clean latents. */
    Grid steps(int first, int end) {
        Grid some =
                new Grid(
                        levels.subList(first, end),
                        targets.subList(first, end),
                        initScale,
                        cut,
                        trained);
        return end < levels.size() ? some.cutOff() : some;
    }

    /** The same with a last step that leads to the clean latents that it predicts. */
    Grid cutOff() {
        List<Level> ending = new ArrayList<>(targets);
        ending.set(ending.size() - 1, Level.CLEAN);
        return new Grid(levels, ending, initScale, true, trained);
    }
}
