// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.OutOfMemoryException;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Bytes a request takes, by part. Weights and our own buffers are exact; a network's working memory
 * is a lower bound: the attention scores of its finest attending level, which outgrow all else on
 * large views, and what the VAE's decoder takes ({@link Decoding}). That of upscalers is
 * left out: it grows with their width, which the manifest does not say.
 *
 * @param weights of all networks, shared by the workers
 * @param latents board: latents, guides, masks, window outputs
 * @param workers inputs and outputs of the networks that all workers run
 * @param attention lower bound of a UNet call's working memory, times the workers
 * @param vae lower bound of the working memory of the VAE's decoder, of all that run at once
 * @param picture decoded float picture, its tiles and their sums, enlarged pictures, RGB8
 */
public record MemoryEstimate(
        long weights, long latents, long workers, long attention, long vae, long picture) {

    /** Canvases that a phase holds besides the noise of its windows. */
    private static final double PHASE_CANVASES = 10;

    /** Attention as one operator, in blocks: its working memory is small beside all else. */
    public static final int NO_SCORES = 0;

    public long total() {
        return weights + latents + workers + attention + vae + picture;
    }

    /**
     * Estimates for {@code workers} workers that share their memory, without the VAE.
     *
     * @param attentionScale latent cells per token of the finest attending level; {@link
     *     #NO_SCORES} where attention keeps no scores
     */
    public static MemoryEstimate of(
            Canvas canvas,
            List<Stage> stages,
            @Nullable Upscaling upscaling,
            int viewBatch,
            int workers,
            long weights,
            int attentionScale) {
        double latents = 2.0 * canvas.plane() * 4;
        double buffers = 0;
        double guides = 0;
        double attention = 0;
        for (Stage s : stages) {
            double view = (double) canvas.channels() * s.viewHeight() * s.viewWidth() * 4;
            int rows = Math.min(viewBatch, s.views()) * 2;
            buffers = Math.max(buffers, 2.0 * rows * view);
            latents +=
                    switch (s) {
                        case Stage.Patches p -> view * (2.0 * p.views() + 1.5 * p.steps());
                        case Stage.Windows w ->
                                view * w.views()
                                        + 4.0 * canvas.channels() * w.y().canvas() * w.x().canvas();
                        case Stage.Phase p ->
                                view * p.local().views()
                                        + PHASE_CANVASES
                                                * canvas.patchPlane()
                                                * p.dilatedViews()
                                                * 4;
                        case Stage.Dilated d -> view * (d.dampedSteps() > 0 ? 3 : 1);
                    };
            if (s instanceof Stage.Phase) {
                buffers = Math.max(buffers, 2.0 * rows * canvas.patchPlane() * 4);
            }
            if (s instanceof Stage.Patches p && p.upsampled()) {
                guides = 2.0 * canvas.plane() * 4 + Math.min(viewBatch, p.views()) * view;
            }
            if (attentionScale != NO_SCORES) {
                double tokens =
                        Math.ceil((double) s.viewHeight() / attentionScale)
                                * Math.ceil((double) s.viewWidth() / attentionScale);
                if (s instanceof Stage.Phase) {
                    double cells = (double) canvas.y().patch() * canvas.x().patch();
                    tokens = Math.max(tokens, cells / ((double) attentionScale * attentionScale));
                }
                attention = Math.max(attention, rows * tokens * tokens * 4);
            }
        }
        double pixels = (double) canvas.heightPixels() * canvas.widthPixels();
        double decoded = pixels;
        double enlarged = 0;
        if (upscaling != null) {
            decoded /= canvas.patches();
            enlarged = upscaling.pictureBytes();
            buffers += upscaling.workerBytes(); // a worker keeps both
        }
        return new MemoryEstimate(
                weights,
                (long) latents,
                (long) ((buffers + guides) * workers),
                (long) (attention * workers),
                0,
                (long) (decoded * (3 * 4 + 4) + enlarged + pixels * (3 + 3)));
    }

    /**
     * With a decode's memory.
     *
     * @param networks working memory of the decoder's networks
     * @param host beside the picture, in host memory
     */
    public MemoryEstimate withVae(long networks, long host) {
        return new MemoryEstimate(
                weights, latents, workers, attention, vae + networks, picture + host);
    }

    /** What of it lies on a GPU of its own: all but the picture, which the host puts together. */
    public MemoryEstimate onDevice() {
        return new MemoryEstimate(weights, latents, workers, attention, vae, 0);
    }

    /** What of it the host keeps where GPUs draw: what they start from, and the picture. */
    public MemoryEstimate beside() {
        return new MemoryEstimate(0, latents, 0, 0, 0, picture);
    }

    /**
     * @param where the memory is: "of memory", or a device's name
     * @throws OutOfMemoryException when {@code limit} bytes do not suffice
     */
    public void require(long limit, Canvas canvas, String where) {
        if (total() > limit) {
            throw new OutOfMemoryException(
                    canvas.x().pixels()
                            + "x"
                            + canvas.y().pixels()
                            + " needs at least "
                            + megabytes(total())
                            + " "
                            + where
                            + " ("
                            + describe()
                            + " bytes), the limit is "
                            + megabytes(limit)
                            + ": draw a smaller picture, use --method asg, fewer workers or a"
                            + " smaller view batch",
                    null);
        }
    }

    static String megabytes(long bytes) {
        return bytes < 10 << 20 ? bytes + " bytes" : bytes / (1L << 20) + " MiB";
    }

    public Map<String, Object> describe() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("weights", weights);
        map.put("latents", latents);
        map.put("workers", workers);
        map.put("attention", attention);
        map.put("vae", vae);
        map.put("picture", picture);
        map.put("total", total());
        return map;
    }
}
