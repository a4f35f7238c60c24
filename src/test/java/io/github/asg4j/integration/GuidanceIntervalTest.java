// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuidanceInterval;
import io.github.asg4j.LegOptions;
import io.github.asg4j.MethodOptions.RelayOptions;
import io.github.asg4j.PlanReport;
import io.github.asg4j.RelayStage;
import io.github.asg4j.StageReport;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.nio.file.Path;
import java.util.List;

/**
 * Classifier-free guidance at some noise levels only; the values of the latents are in {@link
 * GoldenPipelineTest}, the same bytes for any workers in {@link DeterminismTest}.
 */
class GuidanceIntervalTest {
    private static final GuidanceInterval PAPER = new GuidanceInterval(0.28, 5.42);

    private static EngineOptions options(String method, int workers) {
        return Tiny.options(
                method.equals("scalecrafter") ? Tiny.resource("tiny-methods") : Tiny.bundle(),
                workers);
    }

    private static String hash(EngineOptions options, GenerationRequest request) {
        try (Engine engine = Engine.open(options)) {
            return Tiny.hash(engine.submit(request).join());
        }
    }

    private static PlanReport plan(GenerationRequest.Builder request) {
        try (Engine engine = Engine.open(Tiny.options(1))) {
            return engine.plan(request.build());
        }
    }

    @ParameterizedTest
    @CsvSource({
        "asg, dpmpp_2m_karras",
        "direct, euler",
        "multidiffusion, ddim",
        "cutdiffusion, euler",
        "demofusion, dpmpp_2m",
        "relay, dpmpp_2m",
        "scalecrafter, euler"
    })
    void anIntervalOfAllNoiseLevelsChangesNoByteAndAPartOfThemDoes(
            String method, String scheduler) {
        GenerationRequest.Builder request =
                Tiny.request().method(method).scheduler(scheduler).steps(6);
        String plain = hash(options(method, 2), request.build());
        GenerationRequest all = request.guidanceInterval(new GuidanceInterval(0, 1000)).build();
        assertEquals(plain, hash(options(method, 2), all));
        GenerationRequest some = request.guidanceInterval(PAPER).build();
        assertNotEquals(plain, hash(options(method, 2), some));
    }

    @Test
    void withoutGuidanceTheIntervalIsOfNoEffect() {
        GenerationRequest.Builder request = Tiny.request().guidanceScale(1).scheduler("dpmpp_2m");
        String plain = hash(Tiny.options(1), request.build());
        assertEquals(plain, hash(Tiny.options(1), request.guidanceInterval(PAPER).build()));
    }

    @ParameterizedTest
    @CsvSource({"asg", "demofusion", "relay"})
    void gpusGiveTheSameBytes(String method) {
        GenerationRequest request =
                Tiny.request()
                        .method(method)
                        .scheduler("dpmpp_2m")
                        .steps(5)
                        .guidanceInterval(PAPER)
                        .build();
        EngineOptions options = Tiny.options(1).withDevices("cuda:0,cuda:1");
        try (Engine engine = TestEngines.open(options, WorkerHook.NONE, new EmulatedGpus())) {
            assertEquals(
                    Tiny.hash(Tiny.drawOnCpu(Tiny.options(1), request)),
                    Tiny.hash(engine.submit(request).join()));
        }
    }

    /**
     * Of 50 leading steps 37 have a sigma in the paper's interval: those from timestep 801 to 81. A
     * guided view has two rows, another one.
     */
    @Test
    void thePlanCountsGuidedStepsAndRows() {
        GenerationRequest.Builder request =
                Tiny.request().method("direct").scheduler("euler").steps(50);
        PlanReport plain = plan(request);
        assertEquals(100, plain.unetRows());
        assertNull(plain.stages().getFirst().guidedSteps());
        PlanReport some = plan(request.guidanceInterval(PAPER));
        assertEquals(87, some.unetRows());
        assertEquals(plain.guidedEvaluations(), some.guidedEvaluations());
        assertEquals(0.87 * plain.nativeEvaluations(), some.nativeEvaluations(), 1e-9);
        StageReport.Steps guided = some.stages().getFirst().guidedSteps();
        assertEquals("9-45", String.valueOf(guided));
        assertEquals(37, guided.count());

        PlanReport asg = plan(request.method("asg"));
        // 33 steps of 4 patches, 24 of them guided, and 17 of 9 windows, 13 of them.
        assertEquals(4 * (33 + 24) + 9 * (17 + 13), asg.unetRows());
        assertEquals(
                List.of("9-32", "0-12"),
                asg.stages().stream().map(s -> String.valueOf(s.guidedSteps())).toList());
        long all = plan(request.guidanceInterval(null)).memory().workers();
        assertTrue(asg.memory().workers() > all, "buffers of both shapes");
    }

    @Test
    void aStageOfARelayMayHaveItsOwn() {
        String table = "1x 0..0.6; full 0.6..1 guidance=2 interval=0..0.5";
        LegOptions legs = LegOptions.DEFAULT.withStages(RelayStage.table(table));
        GenerationRequest.Builder request =
                Tiny.request().options(RelayOptions.DEFAULT.withLegs(legs)).steps(10);
        assertEquals(table, RelayStage.text(legs.stages()));
        PlanReport own = plan(request);
        assertNull(own.stages().getFirst().guidedSteps());
        assertEquals("2-3", String.valueOf(own.stages().getLast().guidedSteps()));
        PlanReport both = plan(request.guidanceInterval(new GuidanceInterval(3, 20)));
        assertEquals("0-2", String.valueOf(both.stages().getFirst().guidedSteps()));
        assertEquals(own.stages().getLast(), both.stages().getLast());
    }

    /** A stage that the request's interval leaves out is drawn without guidance. */
    @Test
    void aStageMayHaveNoGuidedStep() {
        StageReport second =
                plan(Tiny.request().steps(10).guidanceInterval(new GuidanceInterval(2, 20)))
                        .stages()
                        .getLast();
        assertEquals("none", String.valueOf(second.guidedSteps()));
        assertEquals(1, second.rowsPerView());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "5.42..0.28 | the guidance interval 5.42..0.28 is turned around: give the smaller",
                "2..2 | the guidance interval 2..2 is empty",
                "-1..2 | both ends have to be finite numbers, at least 0",
                "NaN..2 | 'NaN' is not finite",
                "0..Infinity | 'Infinity' is not finite",
                "0.28 | '0.28' is no interval of sigma: write both ends, as in 0.28..5.42",
                "..5 | '' is no number",
                "0.28..five | 'five' is no number"
            })
    void whatIsNoIntervalIsRefused(String text, String message) {
        BadRequestException e =
                assertThrows(BadRequestException.class, () -> GuidanceInterval.parse(text));
        assertTrue(e.getMessage().contains(message), e.getMessage());
        String stage = "1x 0..1 interval=" + text;
        e = assertThrows(BadRequestException.class, () -> RelayStage.parse(stage));
        assertTrue(e.getMessage().startsWith("the interval of a stage: "), e.getMessage());
    }

    @Test
    void notANumberIsRefusedWhereverItComesFrom() {
        assertThrows(BadRequestException.class, () -> new GuidanceInterval(Double.NaN, 1));
        assertThrows(BadRequestException.class, () -> new GuidanceInterval(0, Double.NaN));
    }

    @Test
    void anIntervalWithoutAStepIsRefusedWithTheStepsBesideIt() {
        GenerationRequest.Builder request = Tiny.request().method("direct").steps(50);
        BadRequestException between =
                assertThrows(
                        BadRequestException.class,
                        () -> plan(request.guidanceInterval(new GuidanceInterval(5.3, 5.4))));
        assertTrue(
                between.getMessage()
                        .contains(
                                "5.3..5.4 contains no step: those nearest to it are at sigma 5.633"
                                        + " and 5.134"),
                between.getMessage());
        BadRequestException above =
                assertThrows(
                        BadRequestException.class,
                        () -> plan(request.guidanceInterval(new GuidanceInterval(20, 30))));
        assertTrue(above.getMessage().contains("are at sigma 1"), above.getMessage());
        String table = "1x 0..0.6; full 0.6..1 interval=10..20";
        LegOptions legs = LegOptions.DEFAULT.withStages(RelayStage.table(table));
        BadRequestException ofStage =
                assertThrows(
                        BadRequestException.class,
                        () -> plan(Tiny.request().options(RelayOptions.DEFAULT.withLegs(legs))));
        assertTrue(ofStage.getMessage().contains("10..20"), ofStage.getMessage());
    }

    @Test
    void aNetworkThatTakesTheScaleHasNoRowToLeaveOut(@TempDir Path folder) {
        Path bundle =
                Tiny.withDenoiser(
                        folder,
                        "guided",
                        denoiser ->
                                denoiser.withArray("inputs")
                                        .addObject()
                                        .put("name", "guidance")
                                        .put("role", "guidance")
                                        .put("width", 8));
        try (Engine engine = Engine.open(Tiny.options(bundle, 1))) {
            BadRequestException e =
                    assertThrows(
                            BadRequestException.class,
                            () -> engine.plan(Tiny.request().guidanceInterval(PAPER).build()));
            assertTrue(e.getMessage().contains("draw without a guidance interval"), e.getMessage());
        }
    }
}
