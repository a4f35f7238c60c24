// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.ModelParts;
import io.github.asg4j.PlanReport;
import io.github.asg4j.RequestOption;
import io.github.asg4j.RequestOptions;
import io.github.asg4j.StageReport;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.Flops;
import io.github.asg4j.model.Manifest;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;

/**
 * Seconds of a model's pictures on 1, 2, 4 and 8 devices by {@link DeviceModel}, from what a guided
 * evaluation of native size takes on one: {@code benchmarks/device-seconds.sh MODEL MILLISECONDS...}.
 * Loads no network. A view costs what its floating-point operations are in those of a native one, and so
 * does the VAE, whose tiles all devices share.
 */
public final class DevicePredictions {
    private static final int[] DEVICES = {1, 2, 4, 8};
    private static final int[] SCALES = {2, 4};

    /** Milliseconds until another device has a guide, and of a step of the canvas: some launches each. */
    private static final double SMALL = 0.05;

    /** Requests, by the names of their options. */
    private static final List<String> REQUESTS =
            List.of(
                    "method=asg",
                    "method=relay",
                    "method=relay guidance-interval=0.28..5.42",
                    "method=relay guidance-interval=0.28..5.42 cache-interval=2",
                    "method=relay steps=4 guidance-scale=1 scheduler=euler spacing=trailing");

    private DevicePredictions() {}

    public static void main(String[] arguments) {
        Path model = Path.of(arguments[0]);
        List<Double> millis = Arrays.stream(arguments).skip(1).map(Double::valueOf).toList();
        EngineOptions options =
                EngineOptions.DEFAULT
                        .withModel(model)
                        .withDevices("cpu:1")
                        .withWeights("mapped")
                        .withMaxMemoryBytes(1L << 50);
        try (Bundle bundle = Bundle.open(model, ModelParts.NONE, false);
                Engine engine = Engine.open(options)) {
            Flops flops =
                    Objects.requireNonNull(
                            bundle.manifest().flops(),
                            "the manifest of "
                                    + model
                                    + " does not say the operations of its networks");
            Manifest.Latent latent = bundle.manifest().latent();
            int pixels = latent.nativeWidth() * latent.vaeFactor();
            System.out.println(
                    "| request | size | native evaluations, by operations | of the VAE |"
                            + head(millis));
            System.out.println("|---|---|---|---|" + "---|".repeat(DEVICES.length * millis.size()));
            for (int scale : SCALES) {
                for (String words : REQUESTS) {
                    GenerationRequest request = request(words, scale * pixels);
                    row(words, scale * pixels, engine.plan(request), flops, millis);
                }
            }
        }
    }

    private static String head(List<Double> millis) {
        StringBuilder head = new StringBuilder();
        for (double each : millis) {
            for (int devices : DEVICES) {
                head.append(
                        String.format(Locale.ROOT, " %.0f ms, %d device(s): s |", each, devices));
            }
        }
        return head.toString();
    }

    private static GenerationRequest request(String words, int pixels) {
        GenerationRequest.Builder request =
                GenerationRequest.builder("a picture").size(pixels, pixels).viewBatch(1);
        Map<String, String> given = new LinkedHashMap<>();
        for (String word : words.split(" ", -1)) {
            given.put(word.substring(0, word.indexOf('=')), word.substring(word.indexOf('=') + 1));
        }
        for (RequestOption<?> option : RequestOptions.ALL) {
            String text = given.get(option.name());
            if (text != null) {
                option.parse(request, text);
            }
        }
        return request.build();
    }

    private static void row(
            String words, int pixels, PlanReport plan, Flops flops, List<Double> millis) {
        PlanReport.Operations operations = Objects.requireNonNull(plan.operations());
        double one = 2 * flops.denoiser().of(cells(plan.stages().getFirst()));
        System.out.print(
                String.format(
                        Locale.ROOT,
                        "| `%s` | %dx%d | %.1f | %.1f |",
                        words,
                        pixels,
                        pixels,
                        operations.denoiser() / one,
                        operations.vaeOnGpus() / one));
        for (double each : millis) {
            for (int devices : DEVICES) {
                System.out.print(
                        String.format(
                                Locale.ROOT,
                                " %.1f |",
                                seconds(
                                        plan,
                                        flops,
                                        operations.vaeOnGpus() / one,
                                        one,
                                        each,
                                        devices)));
            }
        }
        System.out.println();
    }

    private static double seconds(
            PlanReport plan, Flops flops, double vae, double one, double millis, int devices) {
        int staleness = 1;
        List<DeviceModel.Stage> stages = DeviceModelReport.stages(plan, staleness);
        List<Double> views = new ArrayList<>();
        for (StageReport stage : plan.stages()) {
            views.add(millis / one * flopsOfAView(stage, flops));
        }
        DeviceModel.Times times = new DeviceModel.Times(views, SMALL, SMALL, 0);
        double drawn = DeviceModel.predict(stages, times, devices).total();
        return (drawn + vae * millis / devices) / 1e3;
    }

    /** Operations of a view in a step, the mean over the stage's steps. */
    private static double flopsOfAView(StageReport stage, Flops flops) {
        StageReport.Steps guided = stage.guidedSteps();
        double rows =
                guided == null
                        ? stage.rowsPerView()
                        : 1 + (stage.rowsPerView() - 1.0) * guided.count() / stage.steps();
        StageReport.Windows windows = stage.settings().windowed();
        StageReport.Cache cache = windows == null ? null : windows.cache();
        Flops.Count whole = flops.denoiser();
        Flops.Count shallow = flops.shallow();
        if (cache == null || shallow == null) {
            return rows * whole.of(cells(stage));
        }
        double share = (double) cache.wholeSteps() / stage.steps();
        return rows * (share * whole.of(cells(stage)) + (1 - share) * shallow.of(cells(stage)));
    }

    private static double cells(StageReport stage) {
        return (double) stage.viewLatents().width() * stage.viewLatents().height();
    }
}
