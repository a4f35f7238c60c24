// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.OutputException;
import io.github.asg4j.PatchReport;
import io.github.asg4j.PictureReport;
import io.github.asg4j.PlanReport;
import io.github.asg4j.ReportJson;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.Npy;
import io.github.asg4j.image.OutputFile;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Draws prompts x seeds x methods x sizes x settings and measures each picture at once. Resumable:
 * what the folder holds already is not drawn again, and whatever ends the process costs at most the
 * picture in work. Picture i of every row has prompt i (from the start again when they are through)
 * and seed {@code firstSeed + i}, and pictures are drawn index by index, so that the rows are paired
 * at any time.
 */
public final class Evaluation implements AutoCloseable {
    /** Parts in its own resolution that are compared with truth, of each picture. */
    static final int CROPS = 4;

    private final List<EvaluationRow> rows;
    private final List<String> prompts;
    private final long firstSeed;
    private final PictureEngine engine;
    private final Instruments instruments;
    private final ResultFolder results;
    private final Map<EvaluationRow.Key, Seams> seams = new LinkedHashMap<>();
    private final Map<EvaluationRow.Key, Long> plannedEvaluations = new LinkedHashMap<>();

    /** Told before each picture. */
    @FunctionalInterface
    public interface Progress {
        /**
         * @param next row of the picture that is drawn next
         * @param done pictures that are there
         * @param of pictures in all
         * @param secondsLeft estimate; NaN: none yet
         */
        void at(EvaluationRow.Key next, int done, int of, double secondsLeft);
    }

    private Evaluation(
            List<EvaluationRow> rows,
            List<String> prompts,
            long firstSeed,
            PictureEngine engine,
            Instruments instruments,
            ResultFolder results) {
        this.rows = List.copyOf(rows);
        this.prompts = List.copyOf(prompts);
        this.firstSeed = firstSeed;
        this.engine = engine;
        this.instruments = instruments;
        this.results = results;
    }

    /**
     * Plans every row before anything is drawn, and opens the folder.
     *
     * @param folder of the results; made if it is not there
     * @param redo forget what the folder holds of a row that was drawn otherwise
     * @throws io.github.asg4j.AsgException for a row that cannot be drawn, or a folder that holds
     *     other pictures under its name
     */
    public static Evaluation open(
            List<EvaluationRow> rows,
            List<String> prompts,
            long firstSeed,
            Path folder,
            boolean redo,
            PictureEngine engine,
            Instruments instruments) {
        Map<EvaluationRow, PlanReport> plans = new LinkedHashMap<>();
        rows.forEach(row -> plans.put(row, engine.plan(row.requests().of("a picture", 0))));
        ResultFolder results = ResultFolder.open(folder);
        try {
            Evaluation evaluation =
                    new Evaluation(rows, prompts, firstSeed, engine, instruments, results);
            plans.forEach((row, plan) -> evaluation.begin(row, plan, redo));
            return evaluation;
        } catch (RuntimeException e) {
            results.close();
            throw e;
        }
    }

    private void begin(EvaluationRow row, PlanReport plan, boolean redo) {
        Map<String, Object> stages = new TreeMap<>(ReportJson.map(plan));
        // What it takes, not what it does.
        stages.keySet().removeAll(Set.of("bytes", "native_evaluations", "tflop"));
        String how =
                row.requests().of("a picture", 0)
                        + " as "
                        + stages
                        + " with "
                        + instruments.drawing();
        results.begin(row.key(), how, redo);
        seams.put(row.key(), Seams.of(plan, instruments.manifest()));
        plannedEvaluations.put(row.key(), plan.guidedEvaluations());
    }

    /** One picture to draw. */
    private record Task(EvaluationRow row, int index) {}

    private List<Task> tasks() {
        int most = rows.stream().mapToInt(EvaluationRow::pictures).max().orElse(0);
        List<Task> tasks = new ArrayList<>();
        for (int i = 0; i < most; i++) {
            for (EvaluationRow row : rows) {
                if (i < row.pictures()) {
                    tasks.add(new Task(row, i));
                }
            }
        }
        return tasks;
    }

    /** Pictures in all. */
    public int all() {
        return rows.stream().mapToInt(EvaluationRow::pictures).sum();
    }

    /** Pictures that are there. */
    public int done() {
        return all() - left().size();
    }

    private List<Task> left() {
        Map<EvaluationRow.Key, Set<Integer>> done = new HashMap<>();
        results.pictures()
                .forEach(p -> done.computeIfAbsent(p.key(), k -> new HashSet<>()).add(p.index()));
        return tasks().stream()
                .filter(t -> !done.getOrDefault(t.row().key(), Set.of()).contains(t.index()))
                .toList();
    }

    /**
     * Draws what is missing.
     *
     * @throws io.github.asg4j.AsgException what a picture failed with; all before it are kept
     */
    public void draw(Progress progress) {
        List<Task> left = left();
        for (int i = 0; i < left.size(); i++) {
            Task task = left.get(i);
            int done = all() - left.size() + i;
            double seconds = secondsFor(left.subList(i, left.size()));
            progress.at(task.row().key(), done, all(), seconds);
            draw(task);
        }
    }

    /**
     * Estimates the seconds left from the mean time of each row; for a row without pictures, from the
     * mean time of an evaluation.
     */
    private double secondsFor(List<Task> tasks) {
        Map<EvaluationRow.Key, double[]> byRow = new LinkedHashMap<>();
        double seconds = 0;
        double evaluations = 0;
        for (DrawnPicture picture : results.pictures()) {
            double[] sums = byRow.computeIfAbsent(picture.key(), key -> new double[2]);
            sums[0] += picture.seconds();
            sums[1]++;
            seconds += picture.seconds();
            evaluations += picture.guidedEvaluations();
        }
        double left = 0;
        for (Task task : tasks) {
            double[] own = byRow.get(task.row().key());
            Long planned = plannedEvaluations.get(task.row().key());
            left +=
                    own != null
                            ? own[0] / own[1]
                            : planned == null ? Double.NaN : planned * seconds / evaluations;
        }
        return left;
    }

    private void draw(Task task) {
        EvaluationRow.Key key = task.row().key();
        String prompt = prompts.get(task.index() % prompts.size());
        long seed = firstSeed + task.index();
        GenerationRequest request = task.row().requests().of(prompt, seed);
        Listener listener = new Listener();
        GeneratedImage image = engine.submit(request, listener).join();
        Path file = results.file(key, task.index());
        try {
            Files.createDirectories(file.getParent());
        } catch (IOException e) {
            throw new OutputException("cannot make the folder of '" + file + "' (" + e + ")", e);
        }
        image.writePng(file);
        Picture picture = Picture.of(image);
        features(picture, key, task.index());
        results.add(measured(task, prompt, seed, image, picture, listener.patches));
    }

    /** Keeps what the patches looked like. */
    private static final class Listener implements GenerationListener {
        private volatile @Nullable PatchReport patches;

        @Override
        public void onEvent(GenerationEvent event) {}

        @Override
        public boolean wantsPatches() {
            return true;
        }

        @Override
        public void onPatches(PatchReport report) {
            patches = report;
        }
    }

    private DrawnPicture measured(
            Task task,
            String prompt,
            long seed,
            GeneratedImage image,
            Picture picture,
            @Nullable PatchReport report) {
        EvaluationRow.Key key = task.row().key();
        PatchMeasure patches =
                report == null ? null : PatchMeasure.of(report, instruments.counter(), prompt);
        Seams borders = seams.get(key);
        ClipScore clip = instruments.clip();
        PictureReport said = image.report();
        return new DrawnPicture(
                key,
                task.index(),
                prompt,
                seed,
                instruments.counting(),
                finding(picture, prompt),
                Sharpness.of(picture),
                DetailBands.of(picture),
                borders == null ? Double.NaN : borders.score(picture),
                patches == null ? Double.NaN : patches.iou(),
                patches == null ? Double.NaN : patches.noise(),
                clip == null ? Double.NaN : clip.of(picture, prompt),
                said.plan().guidedEvaluations(),
                said.plan().nativeEvaluations(),
                said.times().total() / 1000,
                said.pixelsSha256());
    }

    private @Nullable Finding finding(Picture picture, String prompt) {
        ObjectCounter counter = instruments.counter();
        return counter != null && counter.knows(prompt) ? counter.examine(picture, prompt) : null;
    }

    /**
     * Measures again in the pictures that another counter has seen, or that were drawn before octaves were
     * measured; they need not be drawn again.
     */
    private void measureAgain() {
        String counting = instruments.counting();
        for (DrawnPicture picture : List.copyOf(results.pictures())) {
            boolean counted = picture.countedBy().equals(counting);
            if (!counted || picture.bandPowers().isEmpty()) {
                Picture png = Picture.read(results.file(picture.key(), picture.index()));
                results.add(
                        picture.measured(
                                counting,
                                counted ? picture.finding() : finding(png, picture.prompt()),
                                DetailBands.of(png)));
            }
        }
    }

    /**
     * Features of a picture: from the file beside it, or computed and kept there. The file's name
     * holds the network's hash: those of another network are computed from the picture, which need
     * not be drawn again.
     */
    private FeatureNetwork.@Nullable Features features(
            @Nullable Picture drawn, EvaluationRow.Key key, int index) {
        FeatureNetwork network = instruments.features();
        if (network == null) {
            return null;
        }
        Path png = results.file(key, index);
        Path kept = png.resolveSibling(String.format("%04d.%.8s.npy", index, network.id()));
        if (Files.isRegularFile(kept)) {
            try (Memory memory = new Memory("features")) {
                Npy.Array array =
                        Npy.read(
                                kept,
                                Npy.Type.FLOAT32,
                                (bytes, alignment) -> memory.allocate(bytes, "features"));
                return network.unpacked(Truth.rows(array));
            }
        }
        Picture picture = drawn == null ? Picture.read(png) : drawn;
        FeatureNetwork.Features features = network.of(picture, CROPS, index);
        float[][] rows = network.packed(features);
        try (Memory memory = new Memory("features")) {
            int width = rows[0].length;
            MemorySegment data = memory.floats((long) rows.length * width, "features");
            for (int i = 0; i < rows.length; i++) {
                MemorySegment.copy(rows[i], 0, data, ValueLayout.JAVA_FLOAT, 4L * i * width, width);
            }
            Npy.write(kept, Npy.Type.FLOAT32, data, rows.length, width);
        }
        return features;
    }

    /**
     * The measures of all rows that the folder holds, and writes them as {@code eval.json}. With
     * another counter or feature network than when they were drawn, pictures are measured again; the
     * agreement of their patches stays as it was.
     */
    public Summary summary() {
        measureAgain();
        Map<DrawnPicture, FeatureNetwork.Features> features = new LinkedHashMap<>();
        for (DrawnPicture picture : results.pictures()) {
            FeatureNetwork.Features own = features(null, picture.key(), picture.index());
            if (own != null) {
                features.put(picture, own);
            }
        }
        Summary summary = Summary.of(results.pictures(), features, instruments);
        results.write("eval.json", summary.toMap());
        return summary;
    }

    /**
     * Writes the chart of quality against evaluations, {@code pareto.svg}.
     *
     * @return null: no row of the folder says how many evaluations its pictures took
     */
    public @Nullable Path chart(Summary summary) {
        Html chart = ParetoChart.of(summary);
        if (chart == null) {
            return null;
        }
        Path file = results.folder().resolve("pareto.svg");
        OutputFile.write(
                file,
                out -> {
                    StringBuilder text = new StringBuilder();
                    chart.writeTo(text);
                    out.write(text.append('\n').toString().getBytes(StandardCharsets.UTF_8));
                });
        return file;
    }

    /** Writes the page of the results, {@code index.html}. */
    public Path page(Summary summary) {
        Path file = results.folder().resolve("index.html");
        SummaryPage.of(summary, results).write(file, () -> false);
        return file;
    }

    @Override
    public void close() {
        results.close();
    }
}
