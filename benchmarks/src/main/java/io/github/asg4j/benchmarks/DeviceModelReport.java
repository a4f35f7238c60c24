// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.PictureReport;
import io.github.asg4j.PlanReport;
import io.github.asg4j.StageReport;
import io.github.asg4j.plan.WindowAxis;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Measures a picture on {@code cpu:1}, predicts its time on 1, 2, 4 and 8 devices by {@link
 * DeviceModel}, and measures it on {@code cpu:2} beside the prediction: {@code
 * benchmarks/device-model.sh [RUNS [STEPS]]}. Needs two idle cores; prints the table of NOTES.md.
 */
public final class DeviceModelReport {
    private static final int[] DEVICES = {1, 2, 4, 8};
    private static final int NATIVE_PIXELS = 128; // of the demo bundle

    private DeviceModelReport() {}

    /** A run: wall time, and what the stages and the report say. */
    private record Run(Map<String, Double> stageMillis, PictureReport.Times times) {
        double total() {
            return times.total();
        }
    }

    public static void main(String[] arguments) {
        int runs = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 5;
        int steps = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 50;
        System.out.println(
                "| picture | guide | cpu:1, s | cpu:2, s | speed-up | model of 2 | its speed-up |"
                        + " model of 4, 8 | UNet / kernels / exchange / wait on cpu:2, s |");
        System.out.println("|---|---|---|---|---|---|---|---|---|");
        try (Engine one = engine("cpu:1");
                Engine two = engine("cpu:2")) {
            for (int scale : new int[] {2, 4}) {
                for (int staleness : new int[] {0, 1}) {
                    report(one, two, scale, staleness, steps, runs);
                }
            }
        }
    }

    private static Engine engine(String devices) {
        return Engine.open(EngineOptions.DEFAULT.withDevices(devices).withThreadsPerWorker(1));
    }

    private static void report(
            Engine one, Engine two, int scale, int staleness, int steps, int runs) {
        GenerationRequest request =
                GenerationRequest.builder("a red ball on grass")
                        .size(scale * NATIVE_PIXELS, scale * NATIVE_PIXELS)
                        .steps(steps)
                        .seed(7)
                        // A call of its own for every patch, so that there is something to share.
                        .viewBatch(1)
                        .options(
                                AsgOptions.DEFAULT.withGuide(
                                        GuideOptions.DEFAULT.withStaleness(staleness)))
                        .build();
        Run single = best(one, request, runs);
        Run pair = best(two, request, runs);
        List<DeviceModel.Stage> stages = stages(one.plan(request), staleness);
        DeviceModel.Times times = times(stages, single);
        StringBuilder more = new StringBuilder();
        double onOne = DeviceModel.predict(stages, times, 1).total();
        double onTwo = 0;
        for (int devices : DEVICES) {
            double predicted = DeviceModel.predict(stages, times, devices).total();
            if (devices == 2) {
                onTwo = predicted;
            } else if (devices > 2) {
                more.append(
                        format(
                                "%s%.2f s, %.2fx",
                                more.isEmpty() ? "" : "; ", predicted / 1e3, onOne / predicted));
            }
        }
        System.out.println(
                format(
                        "| %dx | %s | %.2f | %.2f | %.2fx | %.2f s | %.2fx | %s | %.2f / %.2f /"
                                + " %.2f / %.2f |",
                        scale,
                        staleness == 0 ? "synchronous" : "asynchronous",
                        single.total() / 1e3,
                        pair.total() / 1e3,
                        single.total() / pair.total(),
                        onTwo / 1e3,
                        onOne / onTwo,
                        more,
                        pair.times().unet() / 1e3,
                        pair.times().kernels() / 1e3,
                        pair.times().exchange() / 1e3,
                        pair.times().waiting() / 1e3));
    }

    private static String format(String text, Object... values) {
        return String.format(Locale.ROOT, text, values);
    }

    /** The fastest of several runs, after one that warms up. */
    private static Run best(Engine engine, GenerationRequest request, int runs) {
        Run best = run(engine, request);
        for (int i = 0; i < runs; i++) {
            Run next = run(engine, request);
            best = i == 0 || next.total() < best.total() ? next : best;
        }
        return best;
    }

    private static Run run(Engine engine, GenerationRequest request) {
        Map<String, Double> ends = new LinkedHashMap<>();
        GenerationListener listener =
                new GenerationListener() {
                    @Override
                    public void onEvent(GenerationEvent event) {
                        ends.put(event.stage(), event.elapsedNanos() / 1e6);
                    }
                };
        GeneratedImage image = engine.submit(request, listener).join();
        Map<String, Double> lengths = new LinkedHashMap<>();
        double before = ends.get("text");
        for (Map.Entry<String, Double> end : ends.entrySet()) {
            if (end.getKey().startsWith("stage")) {
                lengths.put(end.getKey(), end.getValue() - before);
                before = end.getValue();
            }
        }
        return new Run(lengths, image.report().times());
    }

    static List<DeviceModel.Stage> stages(PlanReport plan, int staleness) {
        List<DeviceModel.Stage> stages = new ArrayList<>();
        for (StageReport stage : plan.stages()) {
            StageReport.Windows windows = stage.settings().windowed();
            boolean patches = windows == null;
            // barriers of stage 1: one for each step that gathers, and the stage switch
            stages.add(
                    new DeviceModel.Stage(
                            patches,
                            stage.steps(),
                            Collections.nCopies(stage.views(), 1),
                            patches ? stage.barriers() - 1 : 0,
                            patches ? staleness : -1,
                            patches ? List.of() : strips(stage, windows)));
        }
        return stages;
    }

    /**
     * The strips that each window meets: one begins where a row of windows may begin at the earliest,
     * and a row of windows reaches to where its lowest one may end.
     */
    private static List<DeviceModel.Strips> strips(StageReport stage, StageReport.Windows windows) {
        int rows = windows.grid().height();
        int columns = windows.grid().width();
        int canvas = windows.canvasLatents().height();
        int size = stage.viewLatents().height();
        StageReport.Overlap overlap = windows.overlap();
        WindowAxis axis =
                rows == 1 || overlap == null
                        ? WindowAxis.whole(canvas)
                        : WindowAxis.of(
                                canvas, size, overlap.stride().height(), overlap.jitter().height());
        List<DeviceModel.Strips> strips = new ArrayList<>();
        for (int row = 0; row < rows; row++) {
            int end = axis.start(row) + axis.jitterHigh(row) + size;
            int last = row;
            while (last + 1 < rows && axis.start(last + 1) + axis.jitterLow(last + 1) < end) {
                last++;
            }
            strips.addAll(Collections.nCopies(columns, new DeviceModel.Strips(row, last)));
        }
        return strips;
    }

    private static DeviceModel.Times times(List<DeviceModel.Stage> stages, Run single) {
        List<Double> views = new ArrayList<>();
        List<Double> lengths = List.copyOf(single.stageMillis.values());
        double inStages = 0;
        for (int s = 0; s < stages.size(); s++) {
            DeviceModel.Stage stage = stages.get(s);
            views.add(lengths.get(s) / ((double) stage.steps() * stage.callViews().size()));
            inStages += lengths.get(s);
        }
        // In one memory a guide is there when it is published; a join is part of the stage's time.
        return new DeviceModel.Times(views, 0, 0, single.total() - inStages);
    }
}
