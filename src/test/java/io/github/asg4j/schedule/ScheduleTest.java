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
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * Schedules against tables of the NumPy reference and against what the schedulers of diffusers do
 * with the same network outputs and noise.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ScheduleTest {
    private static final Schedule.Settings SDXL =
            new Schedule.Settings(
                    "euler", "epsilon", "scaled_linear", 0.00085, 0.012, 1000, "leading", 1);

    private final JsonNode goldens = resource("/goldens/schedules.json");

    private static JsonNode resource(String name) {
        try (InputStream in = ScheduleTest.class.getResourceAsStream(name)) {
            return new ObjectMapper().readTree(Objects.requireNonNull(in, name));
        } catch (IOException e) {
            throw new AssertionError(name, e);
        }
    }

    Stream<JsonNode> cases() {
        return goldens.get("cases").valueStream();
    }

    private static Schedule schedule(JsonNode c) {
        Schedule.Settings model =
                new Schedule.Settings(
                        "euler",
                        c.get("prediction").asText(),
                        "scaled_linear",
                        0.00085,
                        0.012,
                        1000,
                        "leading",
                        1);
        return Schedule.of(
                model,
                c.get("steps").asInt(),
                c.get("scheduler").asText(),
                c.get("spacing").asText(),
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
        for (int k = 0; k < s.steps(); k++) {
            Schedule.Row row = s.rows().get(k);
            String what = what(c) + " row " + k + " ";
            JsonNode t = c.get("rows");
            near(t.get("timestep").get(k).asDouble(), row.timestep(), what + "timestep");
            near(t.get("alpha").get(k).asDouble(), row.alpha(), what + "alpha");
            near(t.get("sigma").get(k).asDouble(), row.sigma(), what + "sigma");
            near(t.get("inScale").get(k).asDouble(), row.inScale(), what + "inScale");
            near(t.get("predM").get(k).asDouble(), row.predM(), what + "predM");
            near(t.get("predX").get(k).asDouble(), row.predX(), what + "predX");
            near(t.get("stepX").get(k).asDouble(), row.stepX(), what + "stepX");
            near(t.get("stepE").get(k).asDouble(), row.stepE(), what + "stepE");
            near(t.get("stepN").get(k).asDouble(), row.stepN(), what + "stepN");
        }
        near(c.get("end").get("alpha").asDouble(), s.rows().getLast().alpha(), what(c));
        near(c.get("end").get("sigma").asDouble(), s.rows().getLast().sigma(), what(c));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void stepsLikeDiffusers(JsonNode c) {
        Schedule s = schedule(c);
        JsonNode start = goldens.get("x");
        double worst = 0;
        double largest = 0;
        for (int i = 0; i < start.size(); i++) {
            double x = start.get(i).asDouble();
            for (int k = 0; k < s.steps(); k++) {
                Schedule.Row row = s.rows().get(k);
                double m = goldens.get("model_outputs").get(k).get(i).asDouble();
                double e = row.predM() * m + row.predX() * x;
                double n = goldens.get("noise").get(k).get(i).asDouble();
                x = row.stepX() * x + row.stepE() * e + row.stepN() * n;
            }
            double expected = c.get("diffusers").get(i).asDouble();
            worst = Math.max(worst, Math.abs(x - expected));
            largest = Math.max(largest, Math.abs(expected));
        }
        assertTrue(worst <= 1e-6 * largest, what(c) + ": off by " + worst + " of " + largest);
    }

    /** Ties of rounding, and step counts that do not divide the training steps. */
    @Test
    void timestepsAreThoseOfDiffusers() {
        for (JsonNode c : resource("/schedule/timesteps.json")) {
            String name = c.get("scheduler").asText();
            String spacing = c.get("spacing").asText();
            JsonNode expected = c.get("timesteps");
            Schedule s = Schedule.of(SDXL, expected.size(), name, spacing, 0);
            for (int k = 0; k < expected.size(); k++) {
                String what = name + " " + spacing + " step " + k + " of " + expected.size();
                // diffusers keeps timesteps in float32
                assertEquals(expected.get(k).asDouble(), s.rows().get(k).timestep(), 1e-4, what);
            }
        }
    }

    @Test
    void rowsAreWrittenRoundedOnce() {
        Schedule s = Schedule.of(SDXL, 20, "ddim", "trailing", 1);
        try (Memory memory = new Memory("test")) {
            MemorySegment table = memory.allocate(s.bytes(), "table");
            s.write(table);
            for (int k = 0; k <= 20; k++) {
                Schedule.Row row = s.rows().get(k);
                MemorySegment written = table.asSlice(k * StepRow.BYTES, StepRow.BYTES);
                assertEquals((float) row.timestep(), StepRow.get(written, StepRow.TIMESTEP));
                assertEquals((float) row.stepE(), StepRow.get(written, StepRow.STEP_E));
                assertEquals((float) row.stepN(), StepRow.get(written, StepRow.STEP_N));
                assertEquals((float) (1 / row.alpha()), StepRow.get(written, StepRow.INV_ALPHA));
                assertEquals(
                        (float) (row.alpha() / row.sigma()), StepRow.get(written, StepRow.KAPPA));
            }
        }
    }

    @Test
    void endRowOfEulerIsFinite() {
        Schedule s = Schedule.of(SDXL, 4, null, null, 0);
        try (Memory memory = new Memory("test")) {
            MemorySegment table = memory.allocate(s.bytes(), "table");
            s.write(table);
            for (int field = 0; field < StepRow.FLOATS; field++) {
                assertTrue(
                        Float.isFinite(StepRow.get(table.asSlice(4 * StepRow.BYTES), field)),
                        "field " + field);
            }
        }
    }

    @Test
    void defaultsAreTheModels() {
        Schedule s = Schedule.of(SDXL, 50, null, null, 0);
        assertEquals("euler", s.name());
        assertEquals("leading", s.spacing());
        assertEquals(981, s.rows().getFirst().timestep());
        assertEquals(1, s.rows().get(49).timestep());
    }

    @Test
    void linearBetas() {
        Schedule.Settings linear =
                new Schedule.Settings("ddim", "epsilon", "linear", 0.1, 0.3, 3, "leading", 0);
        Schedule s = Schedule.of(linear, 3, null, null, 0);
        assertEquals(Math.sqrt(0.9 * 0.8 * 0.7), s.rows().get(0).alpha(), 1e-12);
        assertEquals(Math.sqrt(0.9), s.rows().get(2).alpha(), 1e-12);
    }

    private static void refused(String fragment, Runnable action) {
        String message = assertThrows(BadRequestException.class, action::run).getMessage();
        assertTrue(message.contains(fragment), message);
    }

    @Test
    void badRequestsSayWhatIsAllowed() {
        refused("euler, ddim", () -> Schedule.of(SDXL, 4, "pndm", null, 0));
        refused("leading, trailing, linspace", () -> Schedule.of(SDXL, 4, null, "karras", 0));
        refused("1 to 1000", () -> Schedule.of(SDXL, 1001, null, null, 0));
        refused("1 to 1000", () -> Schedule.of(SDXL, 0, null, null, 0));
        refused("trailing spacing", () -> Schedule.of(SDXL, 1000, null, null, 0));
        refused("between 0 and 1", () -> Schedule.of(SDXL, 4, "ddim", null, 1.5));
        refused("between 0 and 1", () -> Schedule.of(SDXL, 4, "ddim", null, Double.NaN));
        refused("adds no noise", () -> Schedule.of(SDXL, 4, "euler", null, 0.5));
        assertEquals(1000, Schedule.of(SDXL, 1000, null, "trailing", 0).steps());
    }

    Stream<JsonNode> flows() {
        return resource("/goldens/flow.json").get("cases").valueStream();
    }

    private static Schedule flow(JsonNode c) {
        var model = new Schedule.FlowSettings(1000, c.get("shift").asDouble());
        return Schedule.of(model, c.get("steps").asInt(), null, null, 0);
    }

    @ParameterizedTest
    @MethodSource("flows")
    void flowTableIsThatOfTheReference(JsonNode c) {
        Schedule s = flow(c);
        assertEquals("flow_euler", s.name());
        assertEquals(1, s.initScale());
        for (int k = 0; k < s.steps(); k++) {
            Schedule.Row row = s.rows().get(k);
            JsonNode t = c.get("rows");
            near(t.get("timestep").get(k).asDouble(), row.timestep(), "timestep");
            near(t.get("alpha").get(k).asDouble(), row.alpha(), "alpha");
            near(t.get("sigma").get(k).asDouble(), row.sigma(), "sigma");
            near(t.get("stepE").get(k).asDouble(), row.stepE(), "stepE");
            near(t.get("cleanScale").get(k).asDouble(), row.cleanScale(), "cleanScale");
            assertEquals(
                    new Schedule.Row(
                            row.timestep(),
                            row.alpha(),
                            row.sigma(),
                            t.get("inScale").get(k).asDouble(),
                            t.get("predM").get(k).asDouble(),
                            t.get("predX").get(k).asDouble(),
                            t.get("stepX").get(k).asDouble(),
                            row.stepE(),
                            t.get("stepN").get(k).asDouble(),
                            row.cleanScale()),
                    row);
        }
        assertEquals(new Schedule.Row(0, 1, 0, 1, 1, 0, 1, 0, 0), s.rows().getLast());
    }

    @ParameterizedTest
    @MethodSource("flows")
    void flowStepsLikeDiffusers(JsonNode c) {
        JsonNode inputs = resource("/goldens/flow.json");
        for (int i = 0; i < inputs.get("x").size(); i++) {
            double x = inputs.get("x").get(i).asDouble();
            for (int k = 0; k < c.get("steps").asInt(); k++) {
                x +=
                        flow(c).rows().get(k).stepE()
                                * inputs.get("model_outputs").get(k).get(i).asDouble();
            }
            assertEquals(c.get("diffusers").get(i).asDouble(), x, 1e-6 * 4);
        }
    }

    /** At the first step alpha is 0: nothing may be divided by it. */
    @Test
    void flowIsWrittenFinite() {
        Schedule s = Schedule.of(new Schedule.FlowSettings(1000, 3), 4, "flow_euler", null, 0);
        try (Memory memory = new Memory("test")) {
            MemorySegment table = memory.allocate(s.bytes(), "table");
            s.write(table);
            for (int k = 0; k < 4; k++) {
                MemorySegment row = table.asSlice(k * StepRow.BYTES, StepRow.BYTES);
                assertEquals(1, StepRow.get(row, StepRow.INV_ALPHA));
                assertEquals(
                        (float) (1 / s.rows().get(k).sigma()), StepRow.get(row, StepRow.KAPPA));
            }
        }
    }

    @Test
    void flowHasOneSolver() {
        var model = new Schedule.FlowSettings(1000, 3);
        refused("choose flow_euler", () -> Schedule.of(model, 4, "ddim", null, 0));
        refused("choose linspace", () -> Schedule.of(model, 4, null, "leading", 0));
        refused("euler, ddim, flow_euler", () -> Schedule.of(model, 4, "pndm", null, 0));
        refused("has to be 0", () -> Schedule.of(model, 4, null, null, 0.5));
        refused("1 to 1000", () -> Schedule.of(model, 1001, null, null, 0));
        refused("choose euler or ddim", () -> Schedule.of(SDXL, 4, "flow_euler", null, 0));
    }

    @Test
    void unknownTrainingIsABadBundle() {
        Schedule.Settings cosine =
                new Schedule.Settings("euler", "v", "cosine", 0.1, 0.2, 1000, "leading", 1);
        assertThrows(BadBundleException.class, () -> Schedule.of(cosine, 4, null, null, 0));
    }
}
