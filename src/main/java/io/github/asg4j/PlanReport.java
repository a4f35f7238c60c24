// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * How a request would be drawn and what it would take, decided before any work ({@link Engine#plan}).
 * {@link ReportJson} writes it as JSON.
 *
 * @param method name of the method
 * @param size of the picture, pixels
 * @param patches native-size patches that the canvas is cut into, columns and rows
 * @param patchLatents latent cells of a patch
 * @param canvasLatents latent cells of the canvas
 * @param canvasPixels pixels of the canvas, whose centre is the picture
 * @param steps denoising steps of the schedule
 * @param viewBatch views in one call of the denoiser at most
 * @param precision of the denoiser: "fp32", "fp16" or "bf16"
 * @param provider what computes it, with its version
 * @param weights where networks read theirs: "packed" and "mapped" on CPUs, or "device"
 * @param compiledShapes shapes of calls that the denoiser is compiled for; 0: no network is compiled
 * @param stages in the order in which they are drawn
 * @param text that the denoiser is conditioned on; null: nothing is drawn
 * @param controls control networks, in the order in which their outputs are added
 * @param decoding of the latents; null: there are none, a picture is given
 * @param encoded how the largest picture becomes latents, a start picture or one between a relay's
 *     stages, as {@link Decoding#summary}; null: none does
 * @param upscaling of the decoded picture; null: the method has none
 * @param barriers moments at which all workers wait for each other
 * @param guidedEvaluations evaluations of the denoiser: one per view and step, a conditional and an
 *     unconditional row together
 * @param nativeEvaluations latent cells of all rows, over those of the two rows of a guided evaluation
 *     of native size: what methods whose views differ in size are compared by. A lower bound of the
 *     work for views larger than native, as attention grows faster than their cells
 * @param shallowEvaluations evaluations of the denoiser's outermost layers alone, which take the features
 *     of an earlier one (DeepCache, arXiv 2312.00858); no other number of evaluations and rows counts them
 * @param unetRuns calls of the denoiser, shallow ones too
 * @param unetRows rows of all whole calls: two for a view with classifier-free guidance, one without
 * @param operations floating-point operations; null: the bundle does not say those of its networks
 * @param memory bytes of host memory
 * @param deviceMemory bytes of each GPU worker's memory by the worker's name; empty on the CPU
 */
public record PlanReport(
        String method,
        Size size,
        Size patches,
        Size patchLatents,
        Size canvasLatents,
        Size canvasPixels,
        int steps,
        int viewBatch,
        String precision,
        String provider,
        String weights,
        int compiledShapes,
        List<StageReport> stages,
        @Nullable Text text,
        List<ControlNetwork> controls,
        @Nullable Decoding decoding,
        @Nullable String encoded,
        @Nullable Upscaling upscaling,
        int barriers,
        long guidedEvaluations,
        double nativeEvaluations,
        long shallowEvaluations,
        long unetRuns,
        long unetRows,
        @Nullable Operations operations,
        Memory memory,
        Map<String, Memory> deviceMemory) {
    public PlanReport {
        stages = List.copyOf(stages);
        controls = List.copyOf(controls);
        deviceMemory = Collections.unmodifiableMap(new LinkedHashMap<>(deviceMemory));
    }

    /**
     * Floating-point operations, a multiplication and an addition counted as two, of what is counted
     * exactly: the convolutions, matrix products and attention of the denoiser and of the VAE. Not counted are
     * what runs element by element, attention maps, text encoders, control networks, upscalers, a given
     * picture's encode, further chunks of a prompt, and what dilation pads.
     *
     * @param denoiser of all its rows, each of its own size, shallow ones too
     * @param vae of the decodes and encodes between a relay's stages and of the picture's decode, tiles with
     *     what they overlap and as often as they are run
     * @param vaeOnGpus the same where the plan's devices were GPUs, whose tiles begin anew for each norm
     */
    public record Operations(double denoiser, double vae, double vaeOnGpus) {}

    /**
     * What prompts come to.
     *
     * @param chunks of tokens that the longest prompt has
     * @param tokens that each call of the denoiser attends to
     * @param prompts that are encoded: negative prompt, prompt, background and regions, once more for
     *     each time that they change from step to step
     */
    public record Text(int chunks, int tokens, int prompts) {}

    /**
     * What a control network does.
     *
     * @param name of the network
     * @param steps in which it takes part, of all stages together
     * @param rows that it is given in all its calls; there are {@code unetRows} of the denoiser
     * @param weights bytes of its weights, as they are stored
     */
    public record ControlNetwork(String name, int steps, long rows, long weights) {}

    /**
     * How latents become pixels.
     *
     * @param tiles that are decoded one by one; 1: the canvas is decoded whole
     * @param feathered whether tiles are blended where they overlap; otherwise they have the statistics
     *     of the whole picture, and meet without a seam
     * @param bf16 whether the whole decoder, or that of feathered tiles, is compiled for bf16
     * @param tileSize pixels of a tile with its overlap
     * @param tilePixels pixels a side that were asked for or chosen; 0: the canvas is decoded whole
     * @param atOnce tiles that are decoded at the same time in one memory
     * @param columnBorders where tiles meet, pixels from the left of the canvas, ascending
     * @param rowBorders where tiles meet, pixels from the top of the canvas, ascending
     */
    public record Decoding(
            int tiles,
            boolean feathered,
            boolean bf16,
            Size tileSize,
            int tilePixels,
            int atOnce,
            List<Integer> columnBorders,
            List<Integer> rowBorders) {
        public Decoding {
            columnBorders = List.copyOf(columnBorders);
            rowBorders = List.copyOf(rowBorders);
        }

        /** Whether the canvas is decoded whole. */
        public boolean whole() {
            return tilePixels == 0;
        }

        /**
         * In words: "whole", "9 tiles of 512x512 pixels" or "9 feathered tiles of 512x512 pixels", and "in
         * bf16" behind it.
         */
        public String summary() {
            String how =
                    whole()
                            ? "whole"
                            : tiles
                                    + (feathered ? " feathered" : "")
                                    + " tiles of "
                                    + tileSize.width()
                                    + "x"
                                    + tileSize.height()
                                    + " pixels";
            return how + (bf16 ? " in bf16" : "");
        }
    }

    /**
     * How the decoded picture is enlarged.
     *
     * @param passes one upscaler after the other
     * @param resampledTo pixels that the last pass's result is made smaller to; null: it is kept
     * @param pictureBytes bytes of the pictures between the passes
     * @param workerBytes bytes of one worker's tiles
     */
    public record Upscaling(
            List<Pass> passes, @Nullable Size resampledTo, long pictureBytes, long workerBytes) {
        public Upscaling {
            passes = List.copyOf(passes);
        }

        /** Calls of upscalers. */
        public int tiles() {
            return passes.stream().mapToInt(Pass::tiles).sum();
        }

        /** Files of the upscalers in the bundle. */
        public List<String> files() {
            return passes.stream().map(Pass::file).toList();
        }
    }

    /**
     * One upscaler over the whole picture.
     *
     * @param file of the upscaler in the bundle
     * @param scale pixels of a side that it makes of one
     * @param pixels that it is given
     * @param tiles that the picture is cut into
     * @param overlap pixels of the picture that a tile sees beyond its own
     * @param timesThePixels pixels that the upscaler is given, overlaps included, per pixel of the
     *     picture
     * @param tileError how far a tile is off the whole picture at most, levels of 255, as it was
     *     measured when the upscaler was exported; NaN: the bundle does not say
     */
    public record Pass(
            String file,
            int scale,
            Size pixels,
            int tiles,
            int overlap,
            double timesThePixels,
            double tileError) {}

    /**
     * Bytes of one memory, by what they are for. What this engine allocates is exact; weights are as they
     * are stored; {@code workspace} and {@code vae}, which ONNX Runtime allocates, are lower bounds.
     *
     * @param weights of all networks, and what is compiled of them
     * @param latents latents, guides, masks and outputs of windows
     * @param workers inputs and outputs of the networks, and text embeddings
     * @param workspace working memory of the denoiser and of upscalers
     * @param vae working memory of the VAE's decoder
     * @param picture decoded picture, its tiles, and RGB8
     */
    public record Memory(
            long weights, long latents, long workers, long workspace, long vae, long picture) {
        /** The sum of all. */
        public long total() {
            return weights + latents + workers + workspace + vae + picture;
        }
    }
}
