// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.kernel.ResampleAxis;

/**
 * How the parts of a phase of DemoFusion (arXiv 2311.16973) weigh over its steps: powers of f =
 * 0.5 (1 + cos(pi (train - t) / train)), which falls from 1 at pure noise to 0 (SPEC §9).
 *
 * @param skipExponent a1 of c1 = f^a1
 * @param dilatedExponent a2 of c2 = f^a2
 * @param blurExponent a3 of c3 = 0.99 f^a3 + 0.01
 * @param blur standard deviation of the blur where c3 is 1, latent cells
 * @param trainSteps timesteps that the model was trained with
 */
public record PhaseCourse(
        double skipExponent,
        double dilatedExponent,
        double blurExponent,
        double blur,
        int trainSteps) {
    private double f(double timestep) {
        return 0.5 * (1 + Math.cos(Math.PI * (trainSteps - timestep) / trainSteps));
    }

    /** c1, the weight of the noised phase before in the skip residual. */
    public double skip(double timestep) {
        return Math.pow(f(timestep), skipExponent);
    }

    /** c2, the weight of the dilated views beside the local windows. */
    public double dilated(double timestep) {
        return Math.pow(f(timestep), dilatedExponent);
    }

    /** The 2s - 1 taps of the blur of phase {@code number} = s along an axis; they sum to 1. */
    public double[] blurTaps(int number, double timestep) {
        double deviation = blur * (0.99 * Math.pow(f(timestep), blurExponent) + 0.01);
        return ResampleAxis.gaussian(2 * number - 1, deviation);
    }
}
