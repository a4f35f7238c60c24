// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.schedule;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.StepRow;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * Schedules against tables of the NumPy reference and against what the schedulers of diffusers do
 * with the same network outputs and noise.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ScheduleTest {
    private static final NoiseLevels SDXL = betas("epsilon");
    private static final NoiseLevels FLOW = new NoiseLevels.Flow(1000, 3);

    private static NoiseLevels betas(String prediction) {
        return betas(prediction, false);
    }

    private static NoiseLevels betas(String prediction, boolean zeroSnr) {
        return new NoiseLevels.Betas(prediction, "scaled_linear", 0.00085, 0.012, 1000, 1, zeroSnr);
    }

    private static Schedule of(NoiseLevels model, int steps, Solver solver, Spacing spacing) {
        return Schedule.of(model, steps, solver, spacing, 0);
    }

    private final JsonNode goldens = resource("/goldens/schedules.json");

    private static JsonNode resource(String name) {
        try (InputStream in = ScheduleTest.class.getResourceAsStream(name)) {
            return new ObjectMapper().readTree(Objects.requireNonNull(in, name));
        } catch (IOException e) {
            throw new AssertionError(name, e);
        }
    }

    private final JsonNode solvers = resource("/goldens/solvers.json");

    Stream<JsonNode> cases() {
        return Stream.concat(
                goldens.get("cases").valueStream(), solvers.get("cases").valueStream());
    }

    /** Of the cases those whose grid and solver diffusers has too. */
    Stream<JsonNode> casesOfDiffusers() {
        return cases().filter(c -> c.has("diffusers"));
    }

    private static Schedule schedule(JsonNode c) {
        return Schedule.of(
                betas(c.get("prediction").asText(), c.path("zero_snr").asBoolean()),
                c.get("steps").asInt(),
                Sampler.named(c.get("scheduler").asText()).solver(),
                Sampler.spacingNamed(c.get("spacing").asText()),
                c.get("eta").asDouble());
    }

    private static String what(JsonNode c) {
        return c.get("scheduler")
                + " "
                + c.get("spacing")
                + " "
                + c.get("prediction")
                + " steps "
                + c.get("steps")
                + " eta "
                + c.get("eta");
    }

    private static void near(double expected, double found, String what) {
        assertEquals(expected, found, 1e-12 * Math.max(1, Math.abs(expected)), what);
    }

    @ParameterizedTest
    @MethodSource("cases")
    void tableIsThatOfTheReference(JsonNode c) {
        Schedule s = schedule(c);
        assertEquals(c.get("steps").asInt(), s.steps());
        near(c.get("initScale").asDouble(), s.initScale(), what(c));
        assertRows(c.get("rows"), s, what(c));
        near(c.get("end").get("alpha").asDouble(), s.levels().getLast().alpha(), what(c));
        near(c.get("end").get("sigma").asDouble(), s.levels().getLast().sigma(), what(c));
    }

    private static void assertRows(JsonNode t, Schedule s, String of) {
        for (int k = 0; k < s.steps(); k++) {
            Level level = s.levels().get(k);
            String what = of + " row " + k + " ";
            near(t.get("timestep").get(k).asDouble(), level.timestep(), what + "timestep");
            near(t.get("alpha").get(k).asDouble(), level.alpha(), what + "alpha");
            near(t.get("sigma").get(k).asDouble(), level.sigma(), what + "sigma");
            near(t.get("inScale").get(k).asDouble(), level.inScale(), what + "inScale");
            near(t.get("predM").get(k).asDouble(), level.predM(), what + "predM");
            near(t.get("predX").get(k).asDouble(), level.predX(), what + "predX");
            double clean =
                    t.has("cleanScale") ? t.get("cleanScale").get(k).asDouble() : level.alpha();
            near(clean, level.cleanScale(), what + "cleanScale");
            for (int past = 0; past <= Math.min(k, s.solver().history()); past++) {
                Step step = s.step(k, past);
                JsonNode columns = past == 0 ? t : t.get("past" + past);
                near(columns.get("stepX").get(k).asDouble(), step.stepX(), what + "stepX");
                near(columns.get("stepE").get(k).asDouble(), step.stepE(), what + "stepE");
                near(columns.get("stepN").get(k).asDouble(), step.stepN(), what + "stepN");
                for (int j = 0; j < past; j++) {
                    double weight = columns.get("stepPast").get(k).get(j).asDouble();
                    near(weight, step.past().get(j), what + "stepPast");
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("casesOfDiffusers")
    void stepsLikeDiffusers(JsonNode c) {
        Schedule s = schedule(c);
        JsonNode start = goldens.get("x");
        double worst = 0;
        double largest = 0;
        for (int i = 0; i < start.size(); i++) {
            double x = stepped(s, goldens, i);
            double expected = c.get("diffusers").get(i).asDouble();
            worst = Math.max(worst, Math.abs(x - expected));
            largest = Math.max(largest, Math.abs(expected));
        }
        assertTrue(worst <= 1e-6 * largest, what(c) + ": off by " + worst + " of " + largest);
    }

    /** Value i after all steps, with the network outputs and the noise of the file. */
    private static double stepped(Schedule s, JsonNode inputs, int i) {
        double x = inputs.get("x").get(i).asDouble();
        List<Double> past = new ArrayList<>();
        for (int k = 0; k < s.steps(); k++) {
            Level level = s.levels().get(k);
            Step step = s.step(k, Math.min(k, s.solver().history()));
            double m = inputs.get("model_outputs").get(k).get(i).asDouble();
            double e = level.predM() * m + level.predX() * x;
            past.addFirst(
                    s.solver().keepsEstimates() ? e : (x - level.sigma() * e) / level.cleanScale());
            x = step.stepX() * x + step.stepE() * e;
            if (step.stepN() != 0) {
                x += step.stepN() * inputs.get("noise").get(k).get(i).asDouble();
            }
            for (int j = 0; j < step.past().size(); j++) {
                x += step.past().get(j) * past.get(j + 1);
            }
        }
        return x;
    }

    /** Ties of rounding, and step counts that do not divide the training steps. */
    @Test
    void timestepsAreThoseOfDiffusers() {
        for (JsonNode c : resource("/schedule/timesteps.json")) {
            String name = c.get("scheduler").asText();
            String spacing = c.get("spacing").asText();
            JsonNode expected = c.get("timesteps");
            Schedule s =
                    of(
                            SDXL,
                            expected.size(),
                            Sampler.named(name).solver(),
                            Sampler.spacingNamed(spacing));
            for (int k = 0; k < expected.size(); k++) {
                String what = name + " " + spacing + " step " + k + " of " + expected.size();
                // diffusers keeps timesteps in float32
                assertEquals(expected.get(k).asDouble(), s.levels().get(k).timestep(), 1e-4, what);
            }
        }
    }

    @Test
    void rowsAreWrittenRoundedOnce() {
        Schedule s = Schedule.of(SDXL, 20, Solver.DDIM, Spacing.TRAILING, 1);
        try (Memory memory = new Memory("test")) {
            MemorySegment table = memory.allocate(s.bytes(), "table");
            s.write(table, 0);
            for (int k = 0; k <= 20; k++) {
                Level row = s.levels().get(k);
                Step step = k < 20 ? s.step(k, 0) : Step.NONE;
                MemorySegment written = table.asSlice(k * StepRow.BYTES, StepRow.BYTES);
                assertEquals((float) row.timestep(), StepRow.get(written, StepRow.TIMESTEP));
                assertEquals((float) step.stepE(), StepRow.get(written, StepRow.STEP_E));
                assertEquals((float) step.stepN(), StepRow.get(written, StepRow.STEP_N));
                assertEquals((float) (1 / row.alpha()), StepRow.get(written, StepRow.INV_ALPHA));
                assertEquals(
                        (float) (row.alpha() / row.sigma()), StepRow.get(written, StepRow.KAPPA));
            }
        }
    }

    /** What a solver remembers is the kernels' to know. */
    @ParameterizedTest
    @EnumSource
    void rowsSayWhatIsKept(Solver solver) {
        NoiseLevels levels = solver.suits(false) ? SDXL : FLOW;
        Schedule s =
                of(levels, 4, solver, solver.suits(false) ? Spacing.TRAILING : Spacing.LINSPACE);
        boolean estimates = List.of(Solver.LMS, Solver.IPNDM, Solver.DEIS).contains(solver);
        try (Memory memory = new Memory("test")) {
            MemorySegment table = memory.allocate(s.bytes(), "table");
            s.write(table, 0);
            assertEquals(estimates ? 1 : 0, StepRow.get(table, StepRow.KEEP_E));
        }
    }

    /**
     * A model without signal at its last level: DDIM starts there, from noise alone, with what v says of
     * the picture; sigma of latents x0 + sigma * noise is 4096, as diffusers has it.
     */
    @Test
    void levelsMayEndWithoutSignal() {
        NoiseLevels zero = betas("v", true);
        Schedule ddim = of(zero, 10, Solver.DDIM, Spacing.TRAILING);
        Level first = ddim.levels().getFirst();
        assertEquals(0, first.alpha());
        assertEquals(1, first.sigma());
        assertEquals(Double.POSITIVE_INFINITY, first.noise());
        Level second = ddim.levels().get(1);
        double v = 0.7;
        double x = 0.3; // x0 = -v
        double e = first.predM() * v + first.predX() * x;
        Step step = ddim.step(0, 0);
        assertEquals(
                second.alpha() * -v + second.sigma() * x,
                step.stepX() * x + step.stepE() * e,
                1e-12);
        assertEquals(
                Math.sqrt(0x1p24 - 1),
                of(zero, 10, Solver.EULER, Spacing.TRAILING).levels().getFirst().sigma(),
                1e-9);
        // The first level is as it was.
        assertEquals(
                of(betas("v"), 10, Solver.DDIM, Spacing.TRAILING).levels().getLast().alpha(),
                ddim.levels().getLast().alpha(),
                1e-12);
        BadBundleException refused =
                assertThrows(BadBundleException.class, () -> betas("epsilon", true));
        assertTrue(refused.getMessage().contains("rescale_betas_zero_snr"), refused.getMessage());
    }

    @Test
    void endRowOfEulerIsFinite() {
        Schedule s = of(SDXL, 4, Solver.EULER, Spacing.LEADING);
        try (Memory memory = new Memory("test")) {
            MemorySegment table = memory.allocate(s.bytes(), "table");
            s.write(table, 0);
            for (int field = 0; field < StepRow.FLOATS; field++) {
                assertTrue(
                        Float.isFinite(StepRow.get(table.asSlice(4 * StepRow.BYTES), field)),
                        "field " + field);
            }
        }
    }

    @Test
    void linearBetas() {
        NoiseLevels linear = new NoiseLevels.Betas("epsilon", "linear", 0.1, 0.3, 3, 0);
        Schedule s = of(linear, 3, Solver.DDIM, Spacing.LEADING);
        assertEquals(Math.sqrt(0.9 * 0.8 * 0.7), s.levels().get(0).alpha(), 1e-12);
        assertEquals(Math.sqrt(0.9), s.levels().get(2).alpha(), 1e-12);
    }

    private static void refused(String fragment, Runnable action) {
        String message = assertThrows(BadRequestException.class, action::run).getMessage();
        assertTrue(message.contains(fragment), message);
    }

    @Test
    void badRequestsSayWhatIsAllowed() {
        Solver euler = Solver.EULER;
        Spacing leading = Spacing.LEADING;
        refused("1 to 1000", () -> of(SDXL, 1001, euler, leading));
        refused("1 to 1000", () -> of(SDXL, 0, euler, leading));
        refused("trailing spacing", () -> of(SDXL, 1000, euler, leading));
        refused(
                "choose one of leading, trailing, linspace",
                () -> of(SDXL, 4, Solver.DDIM, Spacing.KARRAS));
        refused("between 0 and 1", () -> Schedule.of(SDXL, 4, Solver.DDIM, leading, 1.5));
        refused("between 0 and 1", () -> Schedule.of(SDXL, 4, Solver.DDIM, leading, Double.NaN));
        refused("is not to be chosen", () -> Schedule.of(SDXL, 4, euler, leading, 0.5));
        refused(
                "choose one of ddim, euler_a, dpmpp_2m_sde, dpmpp_3m_sde",
                () -> Schedule.of(SDXL, 4, Solver.DPMPP_2M, leading, 0.5));
        refused(
                "there are 50 timesteps to choose from",
                () -> Schedule.of(SDXL, 51, Solver.LCM, Spacing.DISTILLED, 0));
        assertEquals(1000, of(SDXL, 1000, euler, Spacing.TRAILING).steps());
    }

    @Test
    void solversOfOtherModelsAreRefused() {
        Spacing linspace = Spacing.LINSPACE;
        refused("choose flow_euler or dpmpp_2m", () -> of(FLOW, 4, Solver.DDIM, linspace));
        refused("choose linspace", () -> of(FLOW, 4, Solver.FLOW_EULER, Spacing.LEADING));
        refused(
                "is not to be chosen",
                () -> Schedule.of(FLOW, 4, Solver.FLOW_EULER, linspace, 0.5));
        refused("1 to 1000", () -> of(FLOW, 1001, Solver.FLOW_EULER, linspace));
        refused("choose euler or ddim", () -> of(SDXL, 4, Solver.FLOW_EULER, linspace));
    }

    Stream<JsonNode> flows() {
        return resource("/goldens/flow.json").get("cases").valueStream();
    }

    private static Schedule flow(JsonNode c) {
        return of(
                new NoiseLevels.Flow(1000, c.get("shift").asDouble()),
                c.get("steps").asInt(),
                Sampler.named(c.get("scheduler").asText()).solver(),
                Spacing.LINSPACE);
    }

    @ParameterizedTest
    @MethodSource("flows")
    void flowTableIsThatOfTheReference(JsonNode c) {
        Schedule s = flow(c);
        assertEquals(1, s.initScale());
        assertRows(c.get("rows"), s, "flow");
        assertEquals(Level.CLEAN, s.levels().getLast());
    }

    @ParameterizedTest
    @MethodSource("flows")
    void flowStepsLikeDiffusers(JsonNode c) {
        JsonNode inputs = resource("/goldens/flow.json");
        Schedule s = flow(c);
        for (int i = 0; i < inputs.get("x").size(); i++) {
            assertEquals(c.get("diffusers").get(i).asDouble(), stepped(s, inputs, i), 1e-6 * 4);
        }
    }

    /** At the first step alpha is 0: nothing may be divided by it. */
    @Test
    void flowIsWrittenFinite() {
        Schedule s = of(FLOW, 4, Solver.FLOW_EULER, Spacing.LINSPACE);
        try (Memory memory = new Memory("test")) {
            MemorySegment table = memory.allocate(s.bytes(), "table");
            s.write(table, 0);
            for (int k = 0; k < 4; k++) {
                MemorySegment row = table.asSlice(k * StepRow.BYTES, StepRow.BYTES);
                assertEquals(1, StepRow.get(row, StepRow.INV_ALPHA));
                assertEquals(
                        (float) (1 / s.levels().get(k).sigma()), StepRow.get(row, StepRow.KAPPA));
            }
        }
    }

    @Test
    void unknownTrainingIsABadBundle() {
        assertThrows(
                BadBundleException.class,
                () -> new NoiseLevels.Betas("v", "cosine", 0.1, 0.2, 1000, 1));
        assertThrows(BadBundleException.class, () -> betas("sample"));
    }
}
