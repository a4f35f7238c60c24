// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.ModelParts;
import io.github.asg4j.OutputException;
import io.github.asg4j.PlanReport;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.UnaryOperator;

/** What is drawn is kept, paired, never mixed, and drawn once. */
class EvaluationTest {
    private static final List<String> PROMPTS = List.of("a red ball on grass", "grass");
    private static Instruments instruments;

    @TempDir Path folder;
    private final FakePictureEngine engine = new FakePictureEngine();

    @BeforeAll
    static void open() {
        instruments = Instruments.open(null, ModelParts.NONE, null, null, null);
    }

    @AfterAll
    static void close() {
        instruments.close();
    }

    private static EvaluationRow row(String method, String setting, int pictures) {
        return row(method, setting, pictures, builder -> builder);
    }

    private static EvaluationRow row(
            String method,
            String setting,
            int pictures,
            UnaryOperator<GenerationRequest.Builder> options) {
        return new EvaluationRow(
                new EvaluationRow.Key(method, 128, 128, setting),
                pictures,
                (prompt, seed) ->
                        options.apply(
                                        GenerationRequest.builder(prompt)
                                                .size(128, 128)
                                                .method(method)
                                                .seed(seed))
                                .build());
    }

    private Evaluation open(boolean redo, EvaluationRow... rows) {
        return Evaluation.open(List.of(rows), PROMPTS, 5, folder, redo, engine, instruments);
    }

    private Summary run(EvaluationRow... rows) {
        try (Evaluation evaluation = open(false, rows)) {
            evaluation.draw((next, done, of, left) -> {});
            return evaluation.summary();
        }
    }

    /** Without measuring: pictures of each row. */
    private List<Integer> draw(EvaluationRow... rows) {
        try (Evaluation evaluation = open(false, rows)) {
            evaluation.draw((next, done, of, left) -> {});
            assertEquals(evaluation.all(), evaluation.done());
        }
        try (ResultFolder results = ResultFolder.open(folder)) {
            return List.of(rows).stream()
                    .map(
                            row ->
                                    (int)
                                            results.pictures().stream()
                                                    .filter(p -> p.key().equals(row.key()))
                                                    .count())
                    .toList();
        }
    }

    private String lines() throws IOException {
        return Files.readString(folder.resolve(ResultFolder.RESULTS));
    }

    @Test
    void rowsHaveTheSamePromptsAndSeedsInTheSameOrder() {
        draw(row("asg", "default", 3), row("direct", "default", 2));
        assertEquals(
                List.of(
                        "asg a red ball on grass 5",
                        "direct a red ball on grass 5",
                        "asg grass 6",
                        "direct grass 6",
                        "asg a red ball on grass 7"),
                engine.drawn.stream()
                        .map(r -> r.method() + " " + r.prompt() + " " + r.seed())
                        .toList());
    }

    @Test
    void whatIsThereIsNotDrawnAgain() throws IOException {
        draw(row("asg", "default", 2));
        String before = lines();
        assertEquals(List.of(2), draw(row("asg", "default", 2)));
        assertEquals(2, engine.drawn.size());
        assertEquals(before, lines());
        draw(row("asg", "default", 3), row("direct", "default", 1));
        assertEquals(4, engine.drawn.size());
    }

    @Test
    void anInterruptionLosesThePictureInWorkOnly() {
        engine.failing.put("direct", new CancelledException("stopped"));
        try (Evaluation evaluation = open(false, row("asg", "a", 2), row("direct", "a", 2))) {
            assertThrows(
                    CancelledException.class, () -> evaluation.draw((next, done, of, left) -> {}));
            assertEquals(1, evaluation.done());
            assertEquals(4, evaluation.all());
        }
        engine.failing.clear();
        engine.drawn.clear();
        assertEquals(List.of(2, 2), draw(row("asg", "a", 2), row("direct", "a", 2)));
        assertEquals(3, engine.drawn.size());
    }

    @Test
    void aLineThatWasCutOffIsDrawnAgain() throws IOException {
        draw(row("asg", "default", 2));
        String whole = lines();
        Files.writeString(
                folder.resolve(ResultFolder.RESULTS), whole.substring(0, whole.length() - 20));
        draw(row("asg", "default", 2));
        assertEquals(3, engine.drawn.size());
        assertEquals(3, lines().lines().count());
    }

    @Test
    void aPictureWhoseFileIsGoneIsDrawnAgain() throws IOException {
        draw(row("asg", "default", 2));
        Files.delete(folder.resolve("asg_128x128_default").resolve("0001.png"));
        assertEquals(List.of(2), draw(row("asg", "default", 2)));
        assertEquals(List.of(5L, 6L, 6L), engine.drawn.stream().map(r -> r.seed()).toList());
    }

    @Test
    void aLineThatIsDamagedIsAnErrorThatSaysWhich() throws IOException {
        draw(row("asg", "default", 1));
        Files.writeString(
                folder.resolve(ResultFolder.RESULTS), "rubbish\n", StandardOpenOption.APPEND);
        String message =
                assertThrows(BadRequestException.class, () -> draw(row("asg", "default", 1)))
                        .getMessage();
        assertTrue(message.contains("line 3") && message.contains("delete"), message);
    }

    @Test
    void otherOptionsUnderOneNameAreRefusedOrRedone() throws IOException {
        draw(row("asg", "default", 2), row("direct", "default", 2));
        EvaluationRow changed =
                row(
                        "asg",
                        "default",
                        2,
                        b ->
                                b.options(
                                        AsgOptions.DEFAULT.withGuide(
                                                GuideOptions.DEFAULT.withStaleness(0))));
        String message = assertThrows(BadRequestException.class, () -> draw(changed)).getMessage();
        for (String part : List.of("asg 128x128 default", "OptionalInt[0]", "--redo", "name")) {
            assertTrue(message.contains(part), message);
        }
        assertEquals(4, engine.drawn.size());
        try (Evaluation evaluation = open(true, changed)) {
            assertEquals(0, evaluation.done());
            evaluation.draw((next, done, of, left) -> {});
        }
        assertEquals(6, engine.drawn.size());
        // The other row is as it was, and the file says so to the next process too.
        assertEquals(List.of(2, 2), draw(changed, row("direct", "default", 2)));
        assertEquals(6, engine.drawn.size());
    }

    @Test
    void twoProcessesCannotShareAFolder() {
        try (Evaluation first = open(false, row("asg", "default", 1))) {
            assertEquals(0, first.done());
            String message =
                    assertThrows(OutputException.class, () -> open(false, row("asg", "default", 1)))
                            .getMessage();
            assertTrue(message.contains("another eval"), message);
        }
    }

    @Test
    void aRowThatCannotBeDrawnFailsBeforeAnyWork() {
        engine.unplannable.put("direct", new BadRequestException("no such thing"));
        assertThrows(
                BadRequestException.class,
                () -> draw(row("asg", "default", 1), row("direct", "default", 1)));
        assertEquals(List.of(), engine.drawn);
        assertFalse(Files.exists(folder.resolve(ResultFolder.RESULTS)));
    }

    @Test
    void timeLeftIsThatOfTheRowsSoFar() {
        List<Double> left = new ArrayList<>();
        try (Evaluation evaluation =
                open(false, row("asg", "default", 2), row("direct", "default", 2))) {
            evaluation.draw((next, done, of, seconds) -> left.add(seconds));
        }
        assertTrue(Double.isNaN(left.getFirst()));
        // 1.2345 s for each of 10 evaluations, as the fake reports.
        assertEquals(3 * 1.2345, left.get(1), 1e-9);
        assertEquals(1.2345, left.get(3), 1e-9);
    }

    @Test
    void recordsHoldEveryMeasureWithItsInterval() {
        Summary summary =
                run(row("asg", "default", 4), row("direct", "default", 4), row("asg", "sync", 4));
        Object records = summary.toMap().get("records");
        assertTrue(records instanceof List<?> list && list.size() == 3);
        Map<?, ?> record = (Map<?, ?>) ((List<?>) records).getLast();
        assertEquals("asg", record.get("method"));
        assertEquals("128x128", record.get("size"));
        assertEquals("sync", record.get("setting"));
        assertEquals(4, record.get("n"));
        for (String name : Measures.NAMES) {
            assertTrue(record.containsKey(name), name);
        }
        for (String name :
                List.of(
                        "one_object_share",
                        "mean_count",
                        "kid",
                        "sharpness",
                        "power_half",
                        "seconds")) {
            Map<?, ?> measure = (Map<?, ?>) record.get(name);
            assertNotNull(measure, name);
            assertTrue(measure.keySet().containsAll(List.of("value", "low", "high")), name);
        }
        assertNull(record.get("patch_iou")); // the fake has no patches
        Map<?, ?> difference = (Map<?, ?>) record.get("difference");
        assertEquals("default", difference.get("setting"));
        assertEquals(4, difference.get("n"));
        assertEquals(0.0, ((Map<?, ?>) difference.get("mean_count")).get("value"));
        // "grass" promises nothing that can be counted: two of the four pictures are.
        Map<?, ?> share = (Map<?, ?>) record.get("one_object_share");
        int hits = (int) Math.round(2 * ((Number) share.get("value")).doubleValue());
        assertEquals(Interval.wilson(hits, 2).toMap(), share);
    }

    @Test
    void tableAndPageHoldAllRows() throws IOException {
        try (Evaluation evaluation =
                open(false, row("asg", "default", 2), row("direct", "default", 2))) {
            evaluation.draw((next, done, of, left) -> {});
            Summary summary = evaluation.summary();
            String table = SummaryTable.text(summary);
            assertEquals(3, table.lines().count());
            assertTrue(table.contains("one object %") && table.contains("direct"), table);
            assertFalse(table.contains("patch IoU"), table);
            String page = Files.readString(evaluation.page(summary));
            assertTrue(page.contains("data:image/png;base64,"));
            assertTrue(page.contains("a red ball on grass"));
            assertTrue(page.contains("<svg xmlns="));
            String chart = Files.readString(Objects.requireNonNull(evaluation.chart(summary)));
            assertTrue(chart.startsWith("<svg ") && chart.endsWith("</svg>\n"), chart);
            assertTrue(chart.contains("direct: 15 evaluations, n = 2"), chart);
        }
        assertTrue(Files.readString(folder.resolve("eval.json")).contains("\"kid\""));
    }

    /** What is derived from the stages is no part of how a row is drawn: older folders stay open. */
    @Test
    void picturesSayWhatTheyTookAndOlderOnesAreKeptWithoutIt() throws IOException {
        draw(row("asg", "default", 1));
        assertTrue(lines().contains("\"native_evaluations\":15.0"), lines());
        assertFalse(lines().contains("native_evaluations="), lines());
        Files.writeString(
                folder.resolve(ResultFolder.RESULTS),
                lines().replace("\"native_evaluations\":15.0,", ""));
        try (Evaluation evaluation = open(false, row("asg", "default", 1))) {
            assertEquals(1, evaluation.done());
            Summary summary = evaluation.summary();
            assertFalse(summary.rows().getFirst().measures().containsKey("native_evaluations"));
            assertNull(evaluation.chart(summary));
            assertFalse(Files.exists(folder.resolve("pareto.svg")));
        }
    }

    /** Octaves are measured in the pictures of older folders, too. */
    @Test
    void picturesThatWereDrawnBeforeAreMeasuredWithoutDrawing() throws IOException {
        draw(row("asg", "default", 3));
        String all = lines();
        String older = all.replaceAll("\"band_powers\":\\[[^]]*\\],", "");
        assertTrue(all.length() - older.length() > 100, all);
        Files.writeString(folder.resolve(ResultFolder.RESULTS), older);
        engine.drawn.clear();
        try (Evaluation evaluation = open(false, row("asg", "default", 3))) {
            evaluation.draw((next, done, of, left) -> {});
            assertTrue(evaluation.summary().rows().getFirst().measures().containsKey("power_half"));
        }
        assertEquals(List.of(), engine.drawn);
        try (ResultFolder results = ResultFolder.open(folder)) {
            for (DrawnPicture picture : results.pictures()) {
                assertEquals(4, picture.bandPowers().size());
            }
        }
    }

    @Test
    void picturesOfAnotherCounterAreCountedAgainWithoutDrawing() throws IOException {
        run(row("asg", "default", 2));
        Path file = folder.resolve(ResultFolder.RESULTS);
        String now = "\"counted_by\":\"" + instruments.counting() + "\"";
        assertTrue(lines().contains(now), lines());
        Files.writeString(
                file,
                lines().replace(now, "\"counted_by\":\"older\"")
                        .replaceAll("\"count\":\\d+", "\"count\":77"));
        int drawn = engine.drawn.size();
        try (Evaluation evaluation = open(false)) {
            assertTrue(
                    evaluation.summary().rows().getFirst().measures().get("mean_count").value()
                            < 77);
        }
        assertEquals(drawn, engine.drawn.size());
        assertTrue(lines().lines().toList().getLast().contains(now), lines());
    }

    /** Everything that an engine reports is where it is looked for. */
    @Test
    void realPicturesHaveEveryMeasure() {
        EvaluationRow row =
                new EvaluationRow(
                        new EvaluationRow.Key("asg", 256, 256, "short"),
                        2,
                        (prompt, seed) ->
                                GenerationRequest.builder(prompt)
                                        .size(256, 256)
                                        .steps(2)
                                        .seed(seed)
                                        .build());
        try (Engine engine = Engine.open(EngineOptions.DEFAULT.withDevices("cpu:1"));
                Evaluation evaluation =
                        Evaluation.open(
                                List.of(row),
                                List.of("a pink cone on water", "a yellow cube at night"),
                                0,
                                folder,
                                false,
                                engine(engine),
                                instruments)) {
            evaluation.draw((next, done, of, left) -> {});
            Map<String, Interval> measures = evaluation.summary().rows().getFirst().measures();
            List<String> missing = new ArrayList<>(Measures.NAMES);
            missing.removeAll(measures.keySet());
            // After two steps no picture has exactly one object.
            assertEquals(
                    List.of("aspect", "aspect_to_square", "inception_score", "clip_score"),
                    missing);
            assertEquals(1, measures.get("seam").value(), 1, "of two steps: little but a ratio");
            assertEquals(13, measures.get("guided_evaluations").value());
            assertEquals(13, measures.get("native_evaluations").value());
        }
    }

    private static PictureEngine engine(Engine engine) {
        return new PictureEngine() {
            @Override
            public Generation submit(GenerationRequest request, GenerationListener listener) {
                return engine.submit(request, listener);
            }

            @Override
            public PlanReport plan(GenerationRequest request) {
                return engine.plan(request);
            }

            @Override
            public EngineInfo describe() {
                return engine.describe();
            }
        };
    }

    @Test
    void namesOfSettingsAreNamesOfFolders() {
        for (String name : List.of("", "a b", "../x", "a/b", "-x", "x".repeat(41))) {
            assertThrows(
                    BadRequestException.class,
                    () -> new EvaluationRow.Key("asg", 8, 8, name),
                    name);
        }
        assertEquals("asg_8x4_w0.5+m", new EvaluationRow.Key("asg", 8, 4, "w0.5+m").folder());
    }
}
