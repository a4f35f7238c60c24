// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

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

    @TestFactory
    Stream<DynamicTest> everySchedule() {
        List<Schedule> all = new ArrayList<>();
        for (int steps : new int[] {1, 2, 10, 37}) {
            for (Solver solver : Solver.values()) {
                for (Spacing spacing : solver.spacings()) {
                    for (double eta :
                            solver == Solver.DDIM ? new double[] {0, 0.3, 1} : new double[1]) {
                        if (solver.suits(false)) {
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
                double ofPast = step.past().stream().mapToDouble(v -> v).sum();
                double clean = step.stepX() * from.alpha() + step.stepE() * e + ofPast;
                assertEquals(to.alpha(), clean, 1e-12, "clean latents at step " + k);
                // Without clean latents e is x / sigma; x has the variance sigma squared.
                double kept = step.stepX() * from.sigma() + step.stepE();
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
        double before = 0;
        for (int k = 0; k < s.steps(); k++) {
            double sigma = s.levels().get(k).sigma();
            double clean = x * d2 / (d2 + sigma * sigma);
            Step step = s.step(k, Math.min(k, s.solver().history()));
            x = step.stepX() * x + step.stepE() * (x - clean) / sigma;
            x += step.past().isEmpty() ? 0 : step.past().getFirst() * before;
            before = clean;
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
