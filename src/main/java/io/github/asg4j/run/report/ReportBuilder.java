// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.report;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Control;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Lora;
import io.github.asg4j.PictureReport;
import io.github.asg4j.Size;
import io.github.asg4j.planning.PlannedControl;
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
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.function.ToLongFunction;
import java.util.stream.Stream;

/** Puts together what a picture is returned with: what it was drawn from, by whom, how fast. */
public final class ReportBuilder {
    private final RequestContext context;
    private final WorkScheduler scheduler;
    private final List<PictureReport.AppliedEmbedding> embeddings;

    /** Mean time that the workers waited in the stages, ms; negative: they are at it. */
    private double waitMillis = -1;

    /**
     * @param embeddings textual inversions of the prompts
     */
    public ReportBuilder(
            RequestContext context,
            WorkScheduler scheduler,
            List<PictureReport.AppliedEmbedding> embeddings) {
        this.context = context;
        this.scheduler = scheduler;
        this.embeddings = embeddings;
    }

    /** Holds on to how long the workers waited: what they wait for later is no part of it. */
    public void stagesEnded() {
        waitMillis = mean(Worker::waitNanos);
    }

    /**
     * A finished picture with its report.
     *
     * @param cut of the prompts
     * @param decoded how the latents were decoded; null: there were none
     * @param objectMask by which background was told; null: it was not
     */
    public GeneratedImage picture(
            Pixels pixels,
            PictureReport.Cut cut,
            @Nullable String decoded,
            @Nullable ObjectMask objectMask) {
        Schedule schedule = context.planned().schedule();
        List<Worker> workers = context.workers().workers();
        PictureReport report =
                new PictureReport(
                        context.request(),
                        context.plan().report(),
                        new Size(pixels.width(), pixels.height()),
                        new PictureReport.Sampling(
                                schedule.solver().id(),
                                schedule.spacing().id(),
                                schedule.eta(),
                                context.planned().guidanceScale(),
                                context.planned().strength()),
                        cut,
                        decoded,
                        objectMask == null
                                ? OptionalInt.empty()
                                : OptionalInt.of(objectMask.backgroundWindows()),
                        new PictureReport.Devices(
                                workers.stream().map(Worker::name).toList(),
                                lostDevices(),
                                context.model().threadsPerWorker(),
                                workers.getFirst().kernels().name()),
                        context.manifest().name(),
                        context.engine().bundle().vae(),
                        loras(),
                        embeddings,
                        controls(),
                        context.engine().bundle().bundleSha256(),
                        context.engine().version(),
                        sha256(pixels.rgb().duplicate()),
                        memory(),
                        times());
        return new GeneratedImage(pixels.width(), pixels.height(), pixels.rgb(), report);
    }

    /** The LoRA files that were drawn with. */
    private List<PictureReport.AppliedLora> loras() {
        List<PictureReport.AppliedLora> list = new ArrayList<>();
        Iterator<String> hashes = context.model().loraHashes().iterator();
        for (Lora lora : context.planned().loras()) {
            list.add(new PictureReport.AppliedLora(lora.file(), lora.weight(), hashes.next()));
        }
        return list;
    }

    private List<PictureReport.AppliedControl> controls() {
        List<PictureReport.AppliedControl> list = new ArrayList<>();
        for (PlannedControl each : context.planned().controls()) {
            Control control = each.control();
            try {
                list.add(
                        new PictureReport.AppliedControl(
                                control, each.network().sha256(), control.picture().sha256()));
            } catch (IOException e) {
                throw new BadRequestException(
                        "the picture of a control '"
                                + control.picture()
                                + "' is gone while it was drawn with ("
                                + e
                                + ")",
                        e);
            }
        }
        return list;
    }

    /** Devices lost on the way of this picture, and GPUs lost before. */
    private List<String> lostDevices() {
        List<String> names = new ArrayList<>(context.devices().lostNames());
        names.addAll(scheduler.lostDevices());
        return names;
    }

    private PictureReport.MemoryUse memory() {
        Map<String, Long> devices = new LinkedHashMap<>();
        context.workers().workers().forEach(w -> devices.put(w.name(), w.bytes()));
        return new PictureReport.MemoryUse(devices, context.memory().bytes(), processPeakBytes());
    }

    private PictureReport.Times times() {
        RequestTimes times = context.times();
        return new PictureReport.Times(
                millis(times.loadNanos()),
                millis(times.totalNanos()),
                millis(times.textNanos()),
                mean(Worker::unetNanos),
                mean(Worker::kernelNanos),
                mean(Worker::exchangeNanos),
                waitMillis < 0 ? mean(Worker::waitNanos) : waitMillis,
                millis(times.vaeNanos()),
                context.plan().upscaling() == null
                        ? OptionalDouble.empty()
                        : OptionalDouble.of(millis(times.upscaleNanos())));
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
