// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

/**
 * A noise level and how a network is asked there: x = alpha * x0 + sigma * noise; the network's
 * input is inScale * x; its output m gives the estimate e = predM * m + predX * x. The estimate is
 * of the noise, of a flow of the velocity: x = cleanScale * x0 + sigma * e; see also {@link
 * #withoutSignal(double)}.
 *
 * @param timestep given to the network, perhaps between two that it was trained on
 * @param alphaSquared alpha * alpha, without the rounding of a root
 * @param cleanScale alpha; of a flow, and where there is no signal, 1
 */
public record Level(
        double timestep,
        double alpha,
        double alphaSquared,
        double sigma,
        double inScale,
        double predM,
        double predX,
        double cleanScale) {
    /** The finished latents of a schedule that ends without noise. */
    public static final Level CLEAN = new Level(0, 1, 1, 0, 1, 1, 0, 1);

    /**
     * Standard deviation of the noise beside clean latents of weight 1, as k-diffusion's sigma; of a flow
     * its own sigma, 0..1.
     */
    public double noise() {
        return withoutSignal() ? Double.POSITIVE_INFINITY : sigma / cleanScale;
    }

    /**
     * The level without signal of a model that predicts v, x = noise, where v is -x0: what is estimated is
     * e = x + v = noise - x0, so that x0 = x - e as in a flow.
     */
    static Level withoutSignal(double timestep) {
        return new Level(timestep, 0, 0, 1, 1, 1, 1, 1);
    }

    /** Whether it is such a level; a flow's first is none. */
    boolean withoutSignal() {
        return alpha == 0 && predX != 0;
    }

    /** Logarithm of alpha / sigma, half the log signal-to-noise ratio; infinite without noise. */
    double logSignal() {
        return Math.log(alpha / sigma);
    }
}
