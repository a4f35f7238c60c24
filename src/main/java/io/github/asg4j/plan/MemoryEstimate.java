// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.PlanReport;
import io.github.asg4j.model.Manifest;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;

/**
 * Bytes a request takes, by part. Our own buffers are exact; weights are as they are held ({@link
 * Arithmetic#heldBytes}). A network's working memory is a lower bound, measured as benchmarks/NOTES.md
 * tells: ONNX Runtime's arena may hold up to half more.
 *
 * @param weights of all networks, and what is compiled of them, shared by the workers
 * @param latents board: latents, guides, masks, window outputs
 * @param workers inputs and outputs of the networks that all workers run, and the text embeddings
 * @param workspace working memory of UNet calls and of upscalers, one per worker
 * @param vae lower bound of the working memory of the VAE's decoder, of all that run at once
 * @param picture decoded float picture, its tiles and their sums, enlarged pictures, RGB8
 */
public record MemoryEstimate(
        long weights, long latents, long workers, long workspace, long vae, long picture) {

    /** Canvases that a phase holds besides the noise of its windows. */
    private static final double PHASE_CANVASES = 10;

    /** Canvases that the low band of a relay's stage takes. */
    private static final double FILTER_CANVASES = 6;

    /** Canvases that a kept start picture takes: latents, noise and mask; by patches once more. */
    private static final double KEPT_CANVASES = 3;

    /** Canvases that a worker needs to put kept cells back. */
    private static final double KEEPING_CANVASES = 4;

    /** Bytes of a pixel of a kept picture: its mask and its colours. */
    private static final double KEPT_PIXEL_BYTES = 4 + 3;

    /** Pictures at work where a relay's stage is refreshed. */
    private static final double REFRESHED_PICTURES = 3;

    /**
     * Bytes of a row, latent cell and channel of the outermost level at the peak of a UNet call: some
     * twenty float32 tensors, the skip connections among them.
     */
    private static final double CELL_BYTES = 80;

    /** Bytes per cell on a GPU, where ONNX Runtime does less in place. */
    private static final double GPU_CELL_BYTES = 117;

    /** The same where that level attends with operators of their own, as the demo's does. */
    private static final double ATTENDING_CELL_BYTES = 150;

    /** The same of a transformer (SD3's), whose feed-forward layers are all at that width. */
    private static final double TRANSFORMER_CELL_BYTES = 138;

    private static final double GPU_TRANSFORMER_CELL_BYTES = 182;

    /** Bytes of a row, head and pair of tokens that attend: scores, and their softmax. */
    private static final double PAIR_BYTES = 8;

    /**
     * Bytes of an output pixel and channel of an upscaler: three float32 tensors of its last layers, of
     * which the CPU computes one in place.
     */
    private static final double UPSCALER_BYTES = 12;

    private static final double GPU_UPSCALER_BYTES = 14;

    public long total() {
        return weights + latents + workers + workspace + vae + picture;
    }

    /**
     * Estimates for {@code workers} workers that share their memory, without the VAE.
     *
     * @param history past predictions that the solver keeps
     * @param inpaints whether parts of a start picture are kept
     * @param controls control networks
     * @param denoiser of the bundle
     * @param gpu whether it runs on GPUs
     */
    public static MemoryEstimate of(
            Canvas canvas,
            List<Stage> stages,
            @Nullable Upscaling upscaling,
            int viewBatch,
            int workers,
            long weights,
            int history,
            boolean inpaints,
            List<ControlWork> controls,
            Manifest.Denoiser denoiser,
            boolean gpu) {
        int predictions = history == 0 ? 0 : history + 1;
        double latents = 2.0 * canvas.plane() * 4;
        double buffers = 0;
        double guides = 0;
        double legs = 0;
        double predicted = 0;
        double workspace = 0;
        double features = 0;
        for (Stage s : stages) {
            double view = (double) canvas.channels() * s.viewHeight() * s.viewWidth() * 4;
            int views = Math.min(viewBatch, s.views());
            int rows = views * s.rows();
            // Calls of one row and of two have buffers of their own.
            int bound = views * s.rowCounts().stream().mapToInt(n -> n).sum();
            buffers =
                    Math.max(
                            buffers,
                            2.0 * bound * view + ControlWork.workerBytes(controls, s, bound));
            latents += ControlWork.pictureBytes(controls, s);
            latents +=
                    switch (s) {
                        case Stage.Patches p ->
                                view * ((2.0 + predictions) * p.views() + 1.5 * p.steps());
                        case Stage.Windows w -> windows(w, canvas, view, predictions);
                        case Stage.Leg l ->
                                windows(l.windows(), canvas, view, predictions) + leg(l, canvas);
                        case Stage.Phase p ->
                                view * p.local().views()
                                        + (PHASE_CANVASES + 2 * predictions)
                                                * canvas.patchPlane()
                                                * p.dilatedViews()
                                                * 4;
                        case Stage.Dilated d ->
                                view * ((d.dampedSteps() > 0 ? 3 : 1) + predictions);
                    };
            if (s instanceof Stage.Phase) {
                buffers = Math.max(buffers, 2.0 * bound * canvas.patchPlane() * 4);
            }
            if (s instanceof Stage.Patches p) {
                predicted = (double) history * Math.min(viewBatch, p.views()) * view;
            }
            if (s instanceof Stage.Patches p && p.upsampled()) {
                guides = 2.0 * canvas.plane() * 4 + Math.min(viewBatch, p.views()) * view;
            }
            if (s instanceof Stage.Leg leg) {
                Stage.Windows w = leg.windows();
                legs += (double) canvas.channels() * w.y().canvas() * w.x().canvas() * 4;
            }
            if (s.caches()) {
                double feature = (double) denoiser.width() * s.viewHeight() * s.viewWidth() * 4;
                features = Math.max(features, bound * feature);
                latents += features(s, denoiser.width());
            }
            double cells = (double) s.viewHeight() * s.viewWidth();
            if (s instanceof Stage.Phase) {
                cells = Math.max(cells, canvas.patchPlane() / (double) canvas.channels());
            }
            double denoising = rows * rowBytes(denoiser, cells, gpu);
            workspace = Math.max(workspace, denoising + ControlWork.workspace(controls, denoising));
        }
        if (inpaints) {
            boolean relay = legs > 0; // whose stages keep each their own, whole
            double kept = relay ? legs : canvas.plane() * 4.0;
            latents += (relay || canvas.patches() == 1 ? 1 : 2) * KEPT_CANVASES * kept;
            guides += KEEPING_CANVASES * kept;
        }
        double pixels = (double) canvas.heightPixels() * canvas.widthPixels();
        double decoded = pixels;
        double enlarged = 0;
        for (Stage s : stages) {
            if (s instanceof Stage.Leg leg && leg.refresh() != null && leg.refresh().inPixels()) {
                // the enlarged picture, half resized, and sharpened
                enlarged = Math.max(enlarged, REFRESHED_PICTURES * 3 * 4 * pixels);
                Upscaling networks = leg.refresh().upscaling();
                if (networks != null) {
                    enlarged = Math.max(enlarged, (double) networks.pictureBytes());
                    buffers = Math.max(buffers, (double) networks.workerBytes());
                    workspace =
                            Math.max(
                                    workspace,
                                    (double)
                                            networks.workspace(
                                                    gpu ? GPU_UPSCALER_BYTES : UPSCALER_BYTES));
                }
            }
        }
        if (upscaling != null) {
            decoded /= canvas.patches();
            enlarged = upscaling.pictureBytes();
            buffers += upscaling.workerBytes(); // a worker keeps both
            workspace += upscaling.workspace(gpu ? GPU_UPSCALER_BYTES : UPSCALER_BYTES);
        }
        return new MemoryEstimate(
                weights,
                (long) latents,
                (long) ((buffers + guides + predicted + features) * workers),
                (long) (workspace * workers),
                0,
                (long)
                        (decoded * (3 * 4 + 4)
                                + enlarged
                                + pixels * (3 + 3 + (inpaints ? KEPT_PIXEL_BYTES : 0))));
    }

    private static double windows(Stage.Windows w, Canvas canvas, double view, int predictions) {
        double cells = (double) w.y().canvas() * w.x().canvas();
        return view * w.views() + 4.0 * (1 + predictions) * canvas.channels() * cells;
    }

    /** Features of all windows, and of the canvas, of each row. */
    private static double features(Stage s, int channels) {
        Stage.Windows w = Objects.requireNonNull(s.canvasWindows());
        double cells =
                (double) w.views() * w.viewHeight() * w.viewWidth()
                        + (double) w.y().canvas() * w.x().canvas();
        return 4.0 * s.rows() * channels * cells;
    }

    /** What a stage of a relay has beside its windows: its start, and what its low band takes. */
    private static double leg(Stage.Leg leg, Canvas canvas) {
        Stage.Windows w = leg.windows();
        double plane = 4.0 * canvas.channels() * w.y().canvas() * w.x().canvas();
        double start = leg.refresh() == null ? 0 : 2 * plane;
        double views = 4.0 * canvas.channels() * w.viewHeight() * w.viewWidth() * w.views();
        return leg.lowBand() == null ? start : start + FILTER_CANVASES * plane + views;
    }

    /** Working memory of a UNet call per row. */
    private static double rowBytes(Manifest.Denoiser denoiser, double cells, boolean gpu) {
        int scale = denoiser.masks().stream().mapToInt(Manifest.Mask::scale).min().orElse(8);
        double unet = gpu ? GPU_CELL_BYTES : CELL_BYTES;
        double transformer = gpu ? GPU_TRANSFORMER_CELL_BYTES : TRANSFORMER_CELL_BYTES;
        double inner = denoiser.transformer() ? transformer : unet;
        boolean attends = scale == 1 && !denoiser.fusedAttention();
        double cellBytes = attends ? ATTENDING_CELL_BYTES : inner;
        double bytes = cellBytes * denoiser.width() * cells;
        if (!denoiser.fusedAttention()) {
            double tokens = cells / ((double) scale * scale);
            bytes += PAIR_BYTES * denoiser.heads() * tokens * tokens;
        }
        // The CPU widens halves.
        return gpu && denoiser.precision().equals("fp16") ? bytes / 2 : bytes;
    }

    /**
     * What has to be free for it where the weights are loaded already: with what ONNX Runtime's arena
     * may hold beyond the bound.
     */
    public long withoutWeights() {
        return total() - weights + (workspace + vae) / 2;
    }

    /**
     * With a decode's memory.
     *
     * @param networks working memory of the decoder's networks
     * @param host beside the picture, in host memory
     */
    public MemoryEstimate withVae(long networks, long host) {
        return new MemoryEstimate(
                weights, latents, workers, workspace, vae + networks, picture + host);
    }

    /** With so many bytes more for weights. */
    public MemoryEstimate withWeights(long more) {
        return new MemoryEstimate(weights + more, latents, workers, workspace, vae, picture);
    }

    /**
     * With what prompts take.
     *
     * @param changed weights of changed text encoders
     * @param embeddings and copies of them
     */
    MemoryEstimate withText(long changed, long embeddings) {
        return new MemoryEstimate(
                weights + changed, latents, workers + embeddings, workspace, vae, picture);
    }

    /** What of it lies on a GPU of its own: all but the picture, which the host puts together. */
    public MemoryEstimate onDevice() {
        return new MemoryEstimate(weights, latents, workers, workspace, vae, 0);
    }

    /** What of it the host keeps where GPUs draw: what they start from, and the picture. */
    public MemoryEstimate beside() {
        return new MemoryEstimate(0, latents, 0, 0, 0, picture);
    }

    /**
     * Refuses work that does not fit, and says which of its parts take how much and what would take
     * less.
     *
     * @param limit bytes there are
     * @param where the memory is: "of memory", or "on" a device
     * @param plan of the work
     * @throws OutOfMemoryException when {@code limit} bytes do not suffice
     */
    void require(long limit, String where, Plan plan) {
        if (total() <= limit) {
            return;
        }
        Canvas canvas = plan.canvas();
        throw new OutOfMemoryException(
                canvas.x().pixels()
                        + "x"
                        + canvas.y().pixels()
                        + " by "
                        + plan.method()
                        + " needs at least "
                        + mebibytes(total())
                        + " "
                        + where
                        + ", the limit is "
                        + mebibytes(limit)
                        + ". It takes "
                        + parts()
                        + ". "
                        + advice(limit, plan),
                null);
    }

    /** As "weights 16.5 MiB, VAE 28.5 MiB": the largest first, what is below a hundredth left out. */
    private String parts() {
        Map<String, Long> parts = new LinkedHashMap<>();
        parts.put("weights", weights);
        parts.put("latents", latents);
        parts.put("inputs and outputs of the networks", workers);
        parts.put("the denoiser's working memory", workspace);
        parts.put("the VAE's working memory", vae);
        parts.put("the picture", picture);
        return parts.entrySet().stream()
                .filter(part -> part.getValue() > total() / 100)
                .sorted(Map.Entry.<String, Long>comparingByValue().reversed())
                .map(part -> mebibytes(part.getValue()) + " for " + part.getKey())
                .collect(Collectors.joining(", "));
    }

    private String advice(long limit, Plan plan) {
        boolean packed = plan.arithmetic().holding() == Arithmetic.Holding.PACKED;
        if (weights > limit && !packed && !plan.arithmetic().compiles()) {
            return "The model's weights alone do not fit: allow more (--max-memory), or use a"
                    + " smaller model";
        }
        List<String> ways = new ArrayList<>();
        ways.add("draw a smaller picture");
        if (packed) {
            ways.add("read weights where they lie in files (--weights mapped)");
        }
        if (plan.workers() > 1) {
            ways.add("use fewer workers than " + plan.workers() + " (--devices cpu:1)");
        }
        if (plan.arithmetic().compiles()) {
            ways.add("do not compile the denoiser (--precision fp32)");
        }
        if (plan.viewBatch() > 1) {
            ways.add("use a smaller view batch than " + plan.viewBatch() + " (--view-batch 1)");
        }
        if (plan.drawsWhole()) {
            ways.add("draw in patches, as --method asg does");
        }
        return "Allow more (--max-memory), or " + String.join(", or ", ways);
    }

    private static String mebibytes(long bytes) {
        return String.format(Locale.ROOT, "%.1f MiB", bytes / (double) (1 << 20));
    }

    /** What a caller is told of it. */
    public PlanReport.Memory report() {
        return new PlanReport.Memory(weights, latents, workers, workspace, vae, picture);
    }
}
