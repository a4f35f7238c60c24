// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The solvers of the denoising equation, by the names that users give them. A solver is a row of
 * coefficients per step; what it remembers is the clean latents that it predicted in the steps
 * before, which mean the same at every noise level, or {@linkplain #keepsEstimates estimates} of the noise.
 */
public enum Solver {
    /** Euler's method on sigma (Karras et al. 2022, Algorithm 2 without churn). */
    EULER("euler", "Euler", 0, EnumSet.allOf(Spacing.class), "EulerDiscreteScheduler") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            return new Step(1, grid.targets().get(k).sigma() - grid.levels().get(k).sigma(), 0);
        }
    },
    /** DDIM (Song et al. 2021, Eq. 12 and 16), whose final alpha is that of timestep 0. */
    DDIM(
            "ddim",
            "DDIM",
            0,
            EnumSet.of(Spacing.LEADING, Spacing.TRAILING, Spacing.LINSPACE),
            "DDIMScheduler") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            Level from = grid.levels().get(k);
            Level to = grid.targets().get(k);
            double current = from.alphaSquared();
            double previous = to.alphaSquared();
            if (from.withoutSignal()) { // x is the noise
                double added = eta * to.sigma();
                double kept = Math.sqrt(1 - previous - added * added);
                return onClean(from, kept, added, to.alpha());
            }
            double noise =
                    eta * Math.sqrt((1 - previous) / (1 - current) * (1 - current / previous));
            double stepX = Math.sqrt(previous / current);
            double stepE = Math.sqrt(1 - previous - noise * noise) - stepX * from.sigma();
            return new Step(stepX, stepE, noise);
        }
    },
    /** Euler's method on the noise levels of a flow. */
    FLOW_EULER(
            "flow_euler",
            "flow_euler",
            0,
            EnumSet.of(Spacing.LINSPACE),
            "FlowMatchEulerDiscreteScheduler") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            return EULER.step(grid, k, past, eta);
        }
    },
    /**
     * DPM-Solver++(2M) (Lu et al. 2022, Algorithm 2): the prediction of clean latents is continued
     * along a line through the last two.
     */
    DPMPP_2M(
            "dpmpp_2m",
            "DPM++ 2M",
            1,
            EnumSet.allOf(Spacing.class),
            "DPMSolverMultistepScheduler",
            "dpmsolver++") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            Level from = grid.levels().get(k);
            Level to = grid.targets().get(k);
            double stepD = to.alpha() - to.sigma() * from.alpha() / from.sigma();
            double slope = 0;
            if (past > 0 && to.sigma() > 0) {
                double width = from.logSignal() - grid.levels().get(k - 1).logSignal();
                // From pure noise, as a flow begins, the width is infinite and the slope 0.
                slope = stepD * (to.logSignal() - from.logSignal()) / (2 * width);
            }
            double latest = stepD + slope;
            // D = (x - sigma * e) / cleanScale, written as terms of x and e.
            double perClean = latest / from.cleanScale();
            double stepX = to.sigma() / from.sigma() + perClean;
            double stepE = -perClean * from.sigma();
            return past > 0
                    ? new Step(stepX, stepE, 0, List.of(-slope))
                    : new Step(stepX, stepE, 0);
        }
    },
    /**
     * Euler's method with noise added back (k-diffusion's {@code sample_euler_ancestral}); on trained
     * timesteps with eta 1 it is DDPM.
     */
    EULER_A(
            "euler_a",
            "Euler a",
            0,
            EnumSet.allOf(Spacing.class),
            "euler_ancestral",
            "EulerAncestralDiscreteScheduler") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            double from = grid.levels().get(k).sigma();
            double to = grid.targets().get(k).sigma();
            double up = Math.min(to, eta * to * Math.sqrt(1 - to * to / (from * from)));
            return new Step(1, Math.sqrt(to * to - up * up) - from, up);
        }
    },
    /** DPM-Solver++(2M) for the stochastic equation (Lu et al. 2022), its midpoint form; eta 0 is DPM++ 2M. */
    DPMPP_2M_SDE(
            "dpmpp_2m_sde", "DPM++ 2M SDE", 1, EnumSet.allOf(Spacing.class), "sde-dpmsolver++") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            Level from = grid.levels().get(k);
            double to = grid.targets().get(k).sigma();
            if (to == 0) {
                return toClean(from, past);
            }
            double h = Math.log(from.sigma() / to);
            double latest = -Math.expm1(-h * (1 + eta));
            double slope = past == 0 ? 0 : latest * h / (2 * width(grid, k - 1));
            double kept = to / from.sigma() * Math.exp(-eta * h);
            double noise = to * Math.sqrt(-Math.expm1(-2 * eta * h));
            return past == 0
                    ? onClean(from, kept, noise, latest)
                    : onClean(from, kept, noise, latest + slope, -slope);
        }
    },
    /**
     * UniPC of second order (Zhao et al. 2023, arXiv 2302.04867), B(h) = e^h - 1, on clean latents. Its
     * corrected state enters a step only through past predictions, so that no second tensor is kept:
     * predictor and corrector share the factor of the state (SPEC §2).
     */
    UNIPC(
            "unipc",
            "UniPC",
            2,
            EnumSet.allOf(Spacing.class),
            "uni_pc",
            "uni_pc_bh2",
            "UniPCMultistepScheduler") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            return UniPc.step(grid, k, past);
        }
    },
    /**
     * Sampling of latent consistency models (Luo et al. 2023, arXiv 2310.04378, Algorithm 4): the
     * prediction, noised to the next level.
     */
    LCM("lcm", "LCM", 0, EnumSet.allOf(Spacing.class), "LCMScheduler") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            Level from = grid.levels().get(k);
            // Standard deviation 0.5 of the data, timesteps times 10, as diffusers.
            double scaled = 10 * from.timestep();
            double skip = 0.25 / (scaled * scaled + 0.25);
            double out = scaled / Math.sqrt(scaled * scaled + 0.25);
            Step clean = onClean(from, skip * from.inScale(), 0, out);
            return new Step(clean.stepX(), clean.stepE(), grid.targets().get(k).sigma());
        }
    },
    /** DDPM (Ho et al. 2020, Eq. 7 and 11) over strides: DDIM with eta 1 that ends without noise. */
    DDPM(
            "ddpm",
            "DDPM",
            0,
            EnumSet.of(Spacing.LEADING, Spacing.TRAILING, Spacing.LINSPACE),
            "DDPMScheduler") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            return DDIM.step(grid, k, past, 1);
        }
    },
    /** DPM-Solver++(3M) for the stochastic equation (k-diffusion's {@code sample_dpmpp_3m_sde}). */
    DPMPP_3M_SDE("dpmpp_3m_sde", "DPM++ 3M SDE", 2, EnumSet.allOf(Spacing.class)) {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            Level from = grid.levels().get(k);
            double to = grid.targets().get(k).sigma();
            if (to == 0) {
                return toClean(from, past);
            }
            double h = Math.log(from.sigma() / to);
            double wide = h * (1 + eta);
            double kept = Math.exp(-wide);
            double noise = to * Math.sqrt(-Math.expm1(-2 * eta * h));
            double latest = -Math.expm1(-wide);
            double f2 = Math.expm1(-wide) / wide + 1;
            if (past == 0) {
                return onClean(from, kept, noise, latest);
            }
            double r0 = width(grid, k - 1) / h;
            if (past == 1) {
                return onClean(from, kept, noise, latest + f2 / r0, -f2 / r0);
            }
            double r1 = width(grid, k - 2) / h;
            double f3 = f2 / wide - 0.5;
            double q = 1 / (r0 + r1);
            double first = f2 * (1 + r0 * q) - f3 * q;
            double second = f3 * q - f2 * r0 * q;
            return onClean(
                    from, kept, noise, latest + first / r0, second / r1 - first / r0, -second / r1);
        }
    },
    /** Linear multistep of fourth order in sigma (k-diffusion's {@code sample_lms}). */
    LMS("lms", "LMS", 3, EnumSet.allOf(Spacing.class), "LMSDiscreteScheduler") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            return AdamsBashforth.inSigma(grid, k, past);
        }
    },
    /** Linear multistep of fourth order with the weights of equal steps, as ComfyUI has it. */
    IPNDM("ipndm", "iPNDM", 3, EnumSet.allOf(Spacing.class)) {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            return AdamsBashforth.equal(grid, k, past);
        }
    },
    /** DEIS of third order in the logarithm of sigma (Zhang and Chen 2023, arXiv 2204.13902). */
    DEIS("deis", "DEIS", 2, EnumSet.allOf(Spacing.class), "DEISMultistepScheduler") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            return AdamsBashforth.inLogarithm(grid, k, past);
        }
    },
    /**
     * Sampling of trajectory consistency distillation (Zheng et al. 2024, arXiv 2402.19159, Algorithm 4):
     * DDIM to a timestep below the next one, eta (the paper's gamma) of the way, and noise up to the next.
     */
    TCD(
            "tcd",
            "TCD",
            0,
            EnumSet.of(Spacing.LEADING, Spacing.TRAILING, Spacing.LINSPACE, Spacing.DISTILLED),
            "TCDScheduler") {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            Level from = grid.levels().get(k);
            Level to = grid.targets().get(k);
            Level below =
                    to.sigma() == 0
                            ? to
                            : grid.trained().apply((int) Math.floor((1 - eta) * to.timestep()));
            double scale = to.alpha() / below.alpha();
            double noise = Math.sqrt(Math.max(0, 1 - to.alphaSquared() / below.alphaSquared()));
            // The noise in x is (x - alpha * x0) / sigma.
            double kept = scale * below.sigma() / from.sigma();
            return onClean(from, kept, noise, to.alpha() - kept * from.alpha());
        }
    },
    /** Exponential multistep of second order (RES, Zhang et al. 2023, arXiv 2308.02157), as ComfyUI has it. */
    RES_MULTISTEP("res_multistep", "Res Multistep", 1, EnumSet.allOf(Spacing.class)) {
        @Override
        Step step(Grid grid, int k, int past, double eta) {
            Level from = grid.levels().get(k);
            double to = grid.targets().get(k).sigma();
            if (to == 0) {
                return toClean(from, past);
            }
            double h = Math.log(from.sigma() / to);
            double phi1 = -Math.expm1(-h) / h;
            double slope = past == 0 ? 0 : (1 - phi1) * h / width(grid, k - 1);
            double kept = to / from.sigma();
            return past == 0
                    ? onClean(from, kept, 0, h * phi1)
                    : onClean(from, kept, 0, h * phi1 + slope, -slope);
        }
    };

    private final String id;
    private final String label;
    private final int history;

    @SuppressWarnings("ImmutableEnumChecker") // copied on construction
    private final Set<Spacing> spacings;

    @SuppressWarnings("ImmutableEnumChecker") // of Stream.toList
    private final List<String> names;

    Solver(String id, String label, int history, Set<Spacing> spacings, String... aliases) {
        this.id = id;
        this.label = label;
        this.history = history;
        this.spacings = Collections.unmodifiableSet(EnumSet.copyOf(spacings));
        this.names = Stream.concat(Stream.of(id, label), Stream.of(aliases)).toList();
    }

    /**
     * Coefficients of step k.
     *
     * @param past past predictions that there are, of what it {@linkplain #keepsEstimates remembers}, 0 to {@link #history()} and at most k; with none
     *     it is a step of first order
     * @param eta stochasticity, of those that {@linkplain #takesEta take} it
     */
    abstract Step step(Grid grid, int k, int past, double eta);

    /** Its name on the command line, in manifests and in reports. */
    public String id() {
        return id;
    }

    /** Its name for people, as AUTOMATIC1111's web UI has it; {@link Sampler} understands it too. */
    public String label() {
        return label;
    }

    /**
     * A step on latents x0 + sigma * noise, written with predicted clean latents D.
     *
     * @param kept weight of the latents
     * @param noise weight of the step noise
     * @param weights of D and of past predictions, the latest first
     */
    static Step onClean(Level from, double kept, double noise, double... weights) {
        // D = (x - sigma * e) / cleanScale
        double perClean = weights[0] / from.cleanScale();
        return new Step(
                kept + perClean,
                -perClean * from.sigma(),
                noise,
                Arrays.stream(weights).skip(1).boxed().toList());
    }

    /** The step to the predicted clean latents. */
    static Step toClean(Level from, int past) {
        double[] weights = new double[past + 1];
        weights[0] = 1;
        return onClean(from, 0, 0, weights);
    }

    /** How far step {@code k} led in the logarithm of sigma. */
    static double width(Grid grid, int k) {
        return grid.levels().get(k + 1).logSignal() - grid.levels().get(k).logSignal();
    }

    /** How many past predictions of the clean latents it keeps. */
    public int history() {
        return history;
    }

    /** Whether it steps from trained timestep to trained timestep, as DDPM and DDIM were published. */
    boolean stepsBetweenTimesteps() {
        return this == DDIM || this == DDPM || this == TCD;
    }

    /** Whether what it remembers are its estimates e, in place of the clean latents. */
    public boolean keepsEstimates() {
        return this == LMS || this == IPNDM || this == DEIS;
    }

    /** Whether a stochasticity may be chosen. */
    public boolean takesEta() {
        return this == DDIM || usualEta() > 0;
    }

    /** The stochasticity where none is chosen: of those that are stochastic by name as published, else 0. */
    public double usualEta() {
        return switch (this) {
            case EULER_A, DPMPP_2M_SDE, DPMPP_3M_SDE -> 1;
            case TCD -> 0.3;
            case EULER,
                    DDIM,
                    FLOW_EULER,
                    DPMPP_2M,
                    UNIPC,
                    LCM,
                    DDPM,
                    LMS,
                    IPNDM,
                    DEIS,
                    RES_MULTISTEP ->
                    0;
        };
    }

    /** The spacing where none is chosen; null: the bundle's. */
    public @Nullable Spacing usualSpacing() {
        return this == LCM || this == TCD ? Spacing.DISTILLED : null;
    }

    /** The spacings that it can follow. */
    public Set<Spacing> spacings() {
        return spacings;
    }

    /** All names that it is called by, here and in other programs. */
    public List<String> names() {
        return names;
    }

    /** Whether it solves for a model of flow matching, or for one that predicts noise or v. */
    public boolean suits(boolean flow) {
        return flow ? this == FLOW_EULER || this == DPMPP_2M : this != FLOW_EULER;
    }

    /** The names of all solvers. */
    public static List<String> ids() {
        return Arrays.stream(values()).map(Solver::id).toList();
    }

    /** The names of the solvers for a model of flow matching, or for one of noise or v. */
    public static List<String> ids(boolean flow) {
        return Arrays.stream(values()).filter(s -> s.suits(flow)).map(Solver::id).toList();
    }

    @Override
    public String toString() {
        return id;
    }
}
