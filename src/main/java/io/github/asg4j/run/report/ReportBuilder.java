// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.report;

import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Lora;
import io.github.asg4j.Seed;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Plan;
import io.github.asg4j.planning.PlannedRequest;
import io.github.asg4j.run.denoise.ObjectMask;
import io.github.asg4j.run.picture.Pixels;
import io.github.asg4j.run.work.WorkScheduler;
import io.github.asg4j.run.worker.RequestContext;
import io.github.asg4j.run.worker.RequestTimes;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.schedule.Schedule;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToLongFunction;
import java.util.stream.Stream;

/** Puts together what a picture is returned with: what it was drawn from, by whom, how fast. */
public final class ReportBuilder {
    private final RequestContext context;
    private final WorkScheduler scheduler;

    /** Mean time that the workers waited in the stages, ms; negative: they are at it. */
    private double waitMillis = -1;

    public ReportBuilder(RequestContext context, WorkScheduler scheduler) {
        this.context = context;
        this.scheduler = scheduler;
    }

    /** Holds on to how long the workers waited: what they wait for later is no part of it. */
    public void stagesEnded() {
        waitMillis = mean(Worker::waitNanos);
    }

    /**
     * A finished picture with its report.
     *
     * @param cut of the prompt, which the text encoders had no room for
     * @param negativeCut of the negative prompt
     * @param vae how the latents were decoded; null: none were
     * @param objectMask by which background was told; null: it was not
     */
    public GeneratedImage picture(
            Pixels pixels,
            String cut,
            String negativeCut,
            @Nullable String vae,
            @Nullable ObjectMask objectMask) {
        PlannedRequest planned = context.planned();
        GenerationRequest request = context.request();
        Plan plan = context.plan();
        Canvas canvas = context.canvas();
        Manifest manifest = context.manifest();
        Schedule schedule = planned.schedule();
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("width", canvas.x().pixels());
        map.put("height", canvas.y().pixels());
        map.put("seed", Seed.number(request.seed()));
        map.put("method", request.method());
        map.put("prompt", request.prompt());
        map.put("negative_prompt", request.negativePrompt());
        map.put("prompt_cut", cut);
        map.put("negative_prompt_cut", negativeCut);
        map.put("steps", plan.steps());
        map.put("scheduler", schedule.solver().id());
        map.put("spacing", schedule.spacing().id());
        map.put("eta", schedule.eta());
        map.put("guidance_scale", planned.guidanceScale());
        map.put("patches", List.of(canvas.x().patches(), canvas.y().patches()));
        map.putAll(plan.settings());
        if (vae != null) {
            map.put("vae", vae);
        }
        if (!request.guide().maskBlocks().isEmpty()) {
            map.put("mask_blocks", request.guide().maskBlocks());
        }
        if (!request.guide().maskTokens().isEmpty()) {
            map.put("mask_tokens", request.guide().maskTokens());
        }
        if (objectMask != null) {
            map.put("background_windows", objectMask.backgroundWindows());
        }
        map.put("paper_defaults", request.paperDefaults());
        if (request.image() != null) {
            map.put("image", request.image().toString());
        }
        List<Worker> workers = context.workers().workers();
        map.put("devices", workers.stream().map(Worker::name).toList());
        map.put("lost_devices", lostDevices());
        map.put("view_batch", plan.viewBatch());
        map.put("threads_per_worker", context.model().threadsPerWorker());
        map.put("kernels", workers.getFirst().kernels().name());
        map.put("barriers", plan.barriers());
        map.put("guided_evaluations", plan.guidedEvaluations());
        map.put("unet_runs", plan.unetRuns());
        map.put("model", manifest.name());
        if (!request.loras().isEmpty()) {
            map.put("loras", loras());
        }
        map.put("version", context.engine().version());
        map.put("bundle_sha256", context.engine().bundle().bundleSha256());
        return image(pixels, map);
    }

    /** The LoRA files that were drawn with. */
    private List<Map<String, Object>> loras() {
        List<Map<String, Object>> list = new ArrayList<>();
        Iterator<String> hashes = context.model().loraHashes().iterator();
        for (Lora lora : context.request().loras()) {
            Map<String, Object> map = new LinkedHashMap<>();
            map.put("file", lora.file().toString());
            map.put("weight", lora.weight());
            map.put("sha256", hashes.next());
            list.add(map);
        }
        return list;
    }

    /** A picture on the way. */
    public GeneratedImage preview(Pixels pixels, String stage, int step) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("preview_stage", stage);
        map.put("preview_step", step);
        return image(pixels, map);
    }

    /** The picture of one patch as stage 1 left it. */
    public GeneratedImage patch(Pixels pixels, int patch) {
        return image(pixels, new LinkedHashMap<>(Map.of("patch", patch)));
    }

    private GeneratedImage image(Pixels pixels, Map<String, Object> map) {
        map.put("pixels_sha256", sha256(pixels.rgb().duplicate()));
        finish(map);
        return new GeneratedImage(pixels.width(), pixels.height(), pixels.rgb(), map);
    }

    /** Devices lost on the way of this picture, and GPUs lost before. */
    private List<String> lostDevices() {
        List<String> names = new ArrayList<>(context.devices().lostNames());
        names.addAll(scheduler.lostDevices());
        return names;
    }

    private void finish(Map<String, Object> map) {
        Map<String, Object> peak = new LinkedHashMap<>();
        context.workers().workers().forEach(w -> peak.put(w.name(), w.bytes()));
        map.put("peak_bytes", peak);
        map.put("host_bytes", context.memory().bytes());
        map.put("process_peak_bytes", processPeakBytes());
        RequestTimes times = context.times();
        Map<String, Object> millis = new LinkedHashMap<>();
        millis.put("load", millis(times.loadNanos()));
        millis.put("total", millis(times.totalNanos()));
        millis.put("text", millis(times.textNanos()));
        millis.put("unet", mean(Worker::unetNanos));
        millis.put("kernels", mean(Worker::kernelNanos));
        millis.put("exchange", mean(Worker::exchangeNanos));
        millis.put("wait", waitMillis < 0 ? mean(Worker::waitNanos) : waitMillis);
        millis.put("vae", millis(times.vaeNanos()));
        if (context.plan().upscaling() != null) {
            millis.put("upscale", millis(times.upscaleNanos()));
        }
        map.put("times_ms", millis);
    }

    /** Mean over the workers, ms. */
    private double mean(ToLongFunction<Worker> nanos) {
        List<Worker> workers = context.workers().workers();
        return millis(workers.stream().mapToLong(nanos).sum() / Math.max(1, workers.size()));
    }

    private static double millis(long nanos) {
        return Math.round(nanos / 1e4) / 100.0;
    }

    /** Peak resident memory of the process, -1 where the system does not tell. */
    private static long processPeakBytes() {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
            return lines.filter(line -> line.startsWith("VmHWM:"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D+", "")) * 1024)
                    .findFirst()
                    .orElse(-1);
        } catch (IOException | UncheckedIOException e) {
            return -1;
        }
    }

    private static String sha256(ByteBuffer data) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(data);
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }
}
