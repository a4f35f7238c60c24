// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** What holds for the steps of every solver, and how accurate they are where the answer is known. */
class SolverTest {
    private static final NoiseLevels BETAS =
            new NoiseLevels.Betas("epsilon", "scaled_linear", 0.00085, 0.012, 1000, 1);

    /** Standard deviation of the clean values of {@link #error}. */
    private static final double DEVIATION = 0.5;

    private static Schedule karras(Solver solver, int steps) {
        return Schedule.of(BETAS, steps, solver, Spacing.KARRAS, 0);
    }

    /** Rows of k-diffusion's {@code sample_dpmpp_2m} in float64, on Karras' 10 levels of SDXL. */
    @ParameterizedTest
    @CsvSource({
        "0, 14.6146412, .62286361, .37713639, 0",
        "1, 9.1029281, .60182745, .61170658, -.21353403",
        "2, 5.4783920, .57838196, .64892377, -.22730572",
        "8, .0819102, .35608684, 1.01343712, -.36952396",
        "9, .0291672, 0, 1, 0",
    })
    void stepsOfDpmpp2mAreThoseOfKDiffusion(int k, double sigma, double a, double b0, double b1) {
        Schedule s = karras(Solver.DPMPP_2M, 10);
        Step step = s.step(k, Math.min(k, 1));
        double latest = -step.stepE() / s.levels().get(k).sigma();
        assertEquals(sigma, s.levels().get(k).sigma(), 5e-8);
        assertEquals(a, step.stepX() - latest, 5e-9);
        assertEquals(b0, latest, 5e-9);
        assertEquals(b1, k == 0 ? 0 : step.past().getFirst(), 5e-9);
    }

    /** Rows of k-diffusion and ComfyUI in float64 on the same levels; eta 1. */
    @ParameterizedTest
    @CsvSource({
        "EULER_A, 0, .38795907, .61204093, 0, 0, 7.12149784",
        "DPMPP_2M_SDE, 0, .38795907, .61204093, 0, 0, 7.12149784",
        "DPMPP_2M_SDE, 1, .36219627, .97984839, -.34204467, 0, 4.37518709",
        "DPMPP_2M_SDE, 8, .12679784, 1.37430874, -.50110658, 0, .02725533",
        "DPMPP_2M_SDE, 9, 0, 1, 0, 0, 0",
        "DPMPP_3M_SDE, 0, .38795907, .61204093, 0, 0, 7.12149784",
        "DPMPP_3M_SDE, 1, .36219627, 1.03677202, -.39896829, 0, 4.37518709",
        "DPMPP_3M_SDE, 2, .33452569, 1.39264729, -1.05343932, .32626634, 2.58483894",
        "RES_MULTISTEP, 0, .62286361, .37713639, 0, 0, 0",
        "RES_MULTISTEP, 1, .60182745, .62970094, -.23152839, 0, 0",
        "UNIPC, 0, .62286361, .37713639, 0, 0, 0",
        "UNIPC, 9, 0, 1, 0, 0, 0",
    })
    void stepsAreThoseOfOtherPrograms(
            Solver solver, int k, double a, double b0, double b1, double b2, double c) {
        assertRow(solver, k, new double[] {a, b0, b1, b2, c}, 6e-9);
    }

    /** Rows on estimates of the noise, of k-diffusion's and diffusers' code in float64; the last ones by hand. */
    @ParameterizedTest
    @CsvSource({
        "LMS, 1, -4.81629469, 1.19175854, 0, 0",
        "LMS, 2, -3.46178189, 1.42556995, -.27357697, 0",
        "LMS, 9, -.0422, .0155, -.0027, .0002",
        "DEIS, 2, -4.42920704, 3.17828070, -1.05886257, 0",
        "DEIS, 9, -.0291672, 0, 0, 0",
        "IPNDM, 1, -5.436804, 1.812268, 0, 0",
        "IPNDM, 9, -.0291672, 0, 0, 0",
    })
    void stepsOnEstimatesAreThoseOfOtherPrograms(
            Solver solver, int k, double c0, double c1, double c2, double c3) {
        Step step = karras(solver, 10).step(k, Math.min(k, solver.history()));
        double tolerance = k == 9 || solver == Solver.IPNDM ? 6e-5 : 6e-9;
        assertEquals(1, step.stepX());
        assertEquals(c0, step.stepE(), tolerance);
        double[] before = {c1, c2, c3};
        for (int j = 0; j < 3; j++) {
            double found = j < step.past().size() ? step.past().get(j) : 0;
            assertEquals(before[j], found, tolerance, "past " + j);
        }
    }

    /** TCD without its noise is DDIM over the same timesteps; with all of it, LCM's on clean latents. */
    @Test
    void tcdIsBetweenDdimAndLcm() {
        Schedule none = Schedule.of(BETAS, 4, Solver.TCD, Spacing.DISTILLED, 0);
        Schedule full = Schedule.of(BETAS, 4, Solver.TCD, Spacing.DISTILLED, 1);
        for (int k = 0; k < 4; k++) {
            Level from = none.levels().get(k);
            Level to = none.levels().get(k + 1);
            double stepX = to.alpha() / from.alpha();
            assertEquals(stepX, none.step(k, 0).stepX(), 1e-12);
            assertEquals(to.sigma() - stepX * from.sigma(), none.step(k, 0).stepE(), 1e-12);
            assertEquals(0, none.step(k, 0).stepN());
            // To timestep 0, which has little noise, and from there by noise alone.
            double least = none.levels().getLast().alpha();
            double kept = to.alpha() / least * Math.sqrt(1 - least * least);
            assertEquals(
                    kept / from.sigma()
                            + (to.alpha() - kept * from.alpha() / from.sigma()) / from.alpha(),
                    full.step(k, 0).stepX(),
                    1e-9);
        }
        assertEquals(0, full.step(3, 0).stepN());
        assertEquals(
                Schedule.of(BETAS, 4, Solver.TCD, Spacing.DISTILLED, 0.3).step(3, 0),
                full.step(3, 0));
    }

    /** Where a stage ends above the last level, all solvers hand over the clean latents that they predict there. */
    @ParameterizedTest
    @EnumSource
    void cutStretchesEndWithCleanLatents(Solver solver) {
        if (!solver.suits(false) || solver == Solver.LCM) {
            return;
        }
        Schedule s =
                Schedule.of(
                        BETAS,
                        10,
                        List.of(new Stretch.Part(10, 0, 5), new Stretch.Part(10, 5, 10)),
                        solver,
                        Spacing.TRAILING,
                        solver.usualEta());
        Level last = s.levels().get(4);
        for (int past = 0; past <= solver.history(); past++) {
            Step step = s.step(4, past);
            assertEquals(1 / last.cleanScale(), step.stepX(), 1e-9);
            assertEquals(-last.sigma() / last.cleanScale(), step.stepE(), 1e-9);
            assertEquals(0, step.past().stream().mapToDouble(Math::abs).sum(), 1e-12);
            assertEquals(0, step.stepN(), 1e-12);
        }
    }

    private static void assertRow(Solver solver, int k, double[] expected, double tolerance) {
        Schedule s = Schedule.of(BETAS, 10, solver, Spacing.KARRAS, solver.usualEta());
        Step step = s.step(k, Math.min(k, solver.history()));
        double latest = -step.stepE() / s.levels().get(k).sigma();
        assertEquals(expected[0], step.stepX() - latest, tolerance);
        assertEquals(expected[1], latest, tolerance);
        for (int j = 0; j < 2; j++) {
            double found = j < step.past().size() ? step.past().get(j) : 0;
            assertEquals(expected[2 + j], found, tolerance, "past " + j);
        }
        assertEquals(expected[4], step.stepN(), tolerance);
    }

    /**
     * UniPC's predictor and corrector as diffusers has them, of which a step is: y = a0 x + c0 D + c1 D1 +
     * c2 D2 and x' = a y + b0 D + b1 D1, where x is what the predictor before made of the same state.
     */
    @Test
    void stepsOfUniPcArePredictorAndCorrectorInOne() {
        double[] first = {.60182745, .61170658, -.21353403};
        // y_1 less x_1: the corrector's weights of D_1 and D_0 less the predictor's of step 0.
        double[] atOne = {.18856820, .18856820 - .37713639};
        assertRow(
                Solver.UNIPC,
                1,
                new double[] {
                    first[0], first[0] * atOne[0] + first[1], first[0] * atOne[1] + first[2], 0, 0
                },
                1e-7);
        double[] second = {.57838196, .64892377, -.22730572};
        double[] atTwo = {.18166695, .25318341 - first[1], -.03667781 - first[2]};
        assertRow(
                Solver.UNIPC,
                2,
                new double[] {
                    second[0],
                    second[0] * atTwo[0] + second[1],
                    second[0] * atTwo[1] + second[2],
                    second[0] * atTwo[2],
                    0
                },
                1e-7);
    }

    /** One equation under three names: noise added back in full. */
    @Test
    void eulerAncestralIsDdimWithEtaOneAndDdpm() {
        Schedule ancestral = Schedule.of(BETAS, 10, Solver.EULER_A, Spacing.TRAILING, 1);
        Schedule ddpm = Schedule.of(BETAS, 10, Solver.DDPM, Spacing.TRAILING, 0);
        Schedule ddim = Schedule.of(BETAS, 10, Solver.DDIM, Spacing.TRAILING, 1);
        for (int k = 0; k < 9; k++) {
            // x of DDPM is alpha times that of Euler.
            double from = ddpm.levels().get(k).alpha();
            double to = ddpm.levels().get(k + 1).alpha();
            Step euler = ancestral.step(k, 0);
            Step other = ddpm.step(k, 0);
            assertEquals(to / from * euler.stepX(), other.stepX(), 1e-12);
            assertEquals(to * euler.stepE(), other.stepE(), 1e-9);
            assertEquals(to * euler.stepN(), other.stepN(), 1e-9);
            assertEquals(ddim.step(k, 0), other);
        }
        assertEquals(0, ddpm.step(9, 0).stepN());
    }

    @Test
    void withoutNoiseTheStochasticSolversAreTheOthers() {
        Schedule deterministic = karras(Solver.DPMPP_2M, 10);
        Schedule sde = Schedule.of(BETAS, 10, Solver.DPMPP_2M_SDE, Spacing.KARRAS, 0);
        Schedule euler = Schedule.of(BETAS, 10, Solver.EULER_A, Spacing.KARRAS, 0);
        for (int k = 0; k < 10; k++) {
            int past = Math.min(k, 1);
            assertEquals(deterministic.step(k, past).stepX(), sde.step(k, past).stepX(), 1e-12);
            assertEquals(deterministic.step(k, past).stepE(), sde.step(k, past).stepE(), 1e-9);
            assertEquals(karras(Solver.EULER, 10).step(k, 0), euler.step(k, 0));
        }
    }

    /** The levels that were published, and the timesteps where they lie. */
    @Test
    void alignedStepsAreThosePublished() {
        Schedule ten = Schedule.of(BETAS, 10, Solver.EULER, Spacing.AYS, 0);
        int[] timesteps = {999, 845, 730, 587, 443, 310, 193, 116, 53, 13};
        for (int k = 0; k < 10; k++) {
            assertEquals(timesteps[k], ten.levels().get(k).timestep(), 0.51, "step " + k);
        }
        assertEquals(6.3184485287, ten.levels().get(1).sigma(), 1e-12);
        Schedule five = Schedule.of(BETAS, 5, Solver.EULER, Spacing.AYS_SD1, 0);
        assertEquals(3.8636745985, five.levels().get(1).sigma(), 1e-12);
    }

    /** Values of the quantile function of Beta(0.6, 0.6), computed by SciPy. */
    @ParameterizedTest
    @CsvSource({
        "0, 0",
        "0.01, 0.00086123882",
        "0.25, 0.17568037865",
        "0.5, 0.5",
        "0.9, 0.96041559441",
        "1, 1"
    })
    void quantilesOfBetaAreThoseOfSciPy(double share, double expected) {
        assertEquals(expected, BetaQuantile.of(share), 1e-8);
    }

    @TestFactory
    Stream<DynamicTest> everySchedule() {
        List<Schedule> all = new ArrayList<>();
        for (int steps : new int[] {1, 2, 10, 37}) {
            for (Solver solver : Solver.values()) {
                for (Spacing spacing : solver.spacings()) {
                    for (double eta :
                            solver.takesEta() ? new double[] {0, 0.3, 1} : new double[1]) {
                        // LCM's boundary condition keeps a little of x where noise is low.
                        if (solver.suits(false) && solver != Solver.LCM) {
                            all.add(Schedule.of(BETAS, steps, solver, spacing, eta));
                        }
                    }
                }
                if (solver.suits(true)) {
                    var flow = new NoiseLevels.Flow(1000, 3);
                    all.add(Schedule.of(flow, steps, solver, Spacing.LINSPACE, 0));
                }
            }
        }
        return all.stream()
                .map(
                        s ->
                                DynamicTest.dynamicTest(
                                        s.solver() + " " + s.spacing() + " " + s.steps(),
                                        () -> keepsCleanLatentsAndVariance(s)));
    }

    /**
     * A network that always predicts the same clean latents is led to them, to the next level's share
     * of them; and one that predicts none leaves the next level's noise.
     */
    private static void keepsCleanLatentsAndVariance(Schedule s) {
        for (int k = 0; k < s.steps(); k++) {
            Level from = s.levels().get(k);
            Grid grid = grid(s);
            Level to = grid.targets().get(k);
            for (int past = 0; past <= Math.min(k, s.solver().history()); past++) {
                Step step = s.step(k, past);
                // x = c x0 + sigma e: from x = alpha x0 without noise, e = (alpha - c) / sigma x0.
                double e = (from.alpha() - from.cleanScale()) / from.sigma();
                // Of estimates that were kept, all are e: 0, and of no clean latents x / sigma.
                double sum = step.past().stream().mapToDouble(v -> v).sum();
                boolean estimates = s.solver().keepsEstimates();
                double clean =
                        step.stepX() * from.alpha() + step.stepE() * e + (estimates ? 0 : sum);
                assertEquals(to.alpha(), clean, 1e-12, "clean latents at step " + k);
                // Without clean latents e is x / sigma; x has the variance sigma squared.
                double kept = step.stepX() * from.sigma() + step.stepE() + (estimates ? sum : 0);
                assertEquals(
                        to.sigma() * to.sigma(),
                        kept * kept + step.stepN() * step.stepN(),
                        1e-11 * (1 + from.sigma() * from.sigma()),
                        "variance at step " + k);
            }
        }
    }

    private static Grid grid(Schedule s) {
        boolean flow = s.levels().getFirst().cleanScale() != s.levels().getFirst().alpha();
        NoiseLevels levels = flow ? new NoiseLevels.Flow(1000, 3) : BETAS;
        return levels.grid(s.solver(), s.spacing(), s.steps());
    }

    /**
     * Relative error at the end where clean values are of N(0, DEVIATION squared): the best prediction
     * is x d^2 / (d^2 + sigma^2), and x follows sqrt(d^2 + sigma^2) exactly.
     */
    private static double error(Schedule s) {
        double d2 = DEVIATION * DEVIATION;
        double start = s.levels().getFirst().sigma();
        double x = Math.sqrt(d2 + start * start);
        List<Double> before = new ArrayList<>();
        for (int k = 0; k < s.steps(); k++) {
            double sigma = s.levels().get(k).sigma();
            double clean = x * d2 / (d2 + sigma * sigma);
            double estimate = (x - clean) / sigma;
            Step step = s.step(k, Math.min(k, s.solver().history()));
            x = step.stepX() * x + step.stepE() * estimate;
            for (int j = 0; j < step.past().size(); j++) {
                x += step.past().get(j) * before.get(j);
            }
            before.addFirst(s.solver().keepsEstimates() ? estimate : clean);
        }
        return Math.abs(x / DEVIATION - 1);
    }

    @ParameterizedTest
    @CsvSource({
        "EULER, 8, .21",
        "EULER, 20, .086",
        "EULER, 50, .035",
        "DPMPP_2M, 8, .062",
        "DPMPP_2M, 10, .052",
        "DPMPP_2M, 15, .025",
        "DPMPP_2M, 20, .013",
        "DPMPP_2M, 25, .0073",
        "UNIPC, 8, .084",
        "UNIPC, 10, .057",
        "UNIPC, 15, .016",
        "UNIPC, 20, .0053",
        "UNIPC, 25, .0017",
        "LMS, 8, .11",
        "LMS, 10, .06",
        "LMS, 15, .019",
        "LMS, 20, .0074",
        "LMS, 25, .0035",
    })
    void errorOnAGaussianIsKnown(Solver solver, int steps, double expected) {
        assertEquals(expected, error(karras(solver, steps)), 0.05 * expected);
    }

    @Test
    void fifteenStepsOfSecondOrderBeatFiftyOfFirst() {
        double euler = error(karras(Solver.EULER, 50));
        assertTrue(error(karras(Solver.DPMPP_2M, 15)) < euler, "Euler's error is " + euler);
    }
}
