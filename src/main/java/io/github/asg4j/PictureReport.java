// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * How a picture came about: what was asked for, what was decided, who drew it, and what it took. {@link
 * ReportJson} writes it as JSON.
 *
 * @param request as it was submitted
 * @param plan that was carried out
 * @param size of the picture: the plan's, but that of the start picture where only a part of it was drawn
 * @param sampling of the schedule
 * @param cut what the text encoders had no room for
 * @param decoded how the latents were decoded, as {@link PlanReport.Decoding#summary}: in smaller tiles
 *     than planned where memory did not suffice; null: there were none
 * @param backgroundWindows windows of stage 2 without an object; empty: they were not told apart
 * @param devices that drew
 * @param model name of the bundle
 * @param vae the autoencoder's file, where it was given beside the model; else null
 * @param loras files that were merged into the model for this picture
 * @param embeddings textual inversions that words of its prompts named, by name
 * @param controls pictures that it was held to, in the request's order
 * @param bundleSha256 of the bundle's manifest, 64 hexadecimal digits
 * @param version of this library
 * @param pixelsSha256 of the pixels, RGB8 row by row, 64 hexadecimal digits
 * @param memory that this engine took
 * @param times that it took
 */
public record PictureReport(
        GenerationRequest request,
        PlanReport plan,
        Size size,
        Sampling sampling,
        Cut cut,
        @Nullable String decoded,
        OptionalInt backgroundWindows,
        Devices devices,
        String model,
        EngineInfo.@Nullable VaeFile vae,
        List<AppliedLora> loras,
        List<AppliedEmbedding> embeddings,
        List<AppliedControl> controls,
        String bundleSha256,
        String version,
        String pixelsSha256,
        MemoryUse memory,
        Times times) {
    public PictureReport {
        loras = List.copyOf(loras);
        embeddings = List.copyOf(embeddings);
        controls = List.copyOf(controls);
    }

    /**
     * A LoRA file that was merged into the model.
     *
     * @param weight that it was merged with
     * @param sha256 of the file, 64 hexadecimal digits
     */
    public record AppliedLora(Path file, double weight, String sha256) {}

    /**
     * A textual inversion.
     *
     * @param name its word in the prompts, which is its file's name without ending
     * @param sha256 of the file, 64 hexadecimal digits
     */
    public record AppliedEmbedding(String name, String sha256) {}

    /**
     * A picture that a control network held this one to.
     *
     * @param control as it was asked for
     * @param networkSha256 of the network, 64 hexadecimal digits
     * @param pictureSha256 of the picture's file or bytes, 64 hexadecimal digits
     */
    public record AppliedControl(Control control, String networkSha256, String pictureSha256) {}

    /**
     * How the noise was taken away.
     *
     * @param scheduler name of the solver, as in "euler"
     * @param spacing of the noise levels, as in "leading"
     * @param eta stochasticity of solvers whose noise can be chosen, 0..1
     * @param guidanceScale of classifier-free guidance; up to 1: none
     * @param strength share of the schedule that was drawn from a start picture; empty: it began as noise,
     *     or the picture was enlarged
     */
    public record Sampling(
            String scheduler,
            String spacing,
            double eta,
            double guidanceScale,
            OptionalDouble strength) {}

    /**
     * The ends of prompts that are longer than the text encoder with the least room takes; empty where
     * nothing was cut off. Another encoder of the model may have read more (SD3's T5 does).
     *
     * @param prompt end of the prompt
     * @param negativePrompt end of the negative prompt
     */
    public record Cut(String prompt, String negativePrompt) {
        /** Nothing was cut off. */
        public static final Cut NONE = new Cut("", "");
    }

    /**
     * The workers.
     *
     * @param names of those that drew, as in "cpu#0" and "cuda:1"
     * @param lost names of those that were lost on the way, and of GPUs that were lost before
     * @param threadsPerWorker threads of one call of a network
     * @param kernels name of the kernels
     */
    public record Devices(
            List<String> names, List<String> lost, int threadsPerWorker, String kernels) {
        public Devices {
            names = List.copyOf(names);
            lost = List.copyOf(lost);
        }
    }

    /**
     * Bytes at their peak. What ONNX Runtime takes is only in the process's.
     *
     * @param devices what this engine allocated for each worker, by its name
     * @param host what it allocated in host memory for the picture
     * @param process resident memory of the process since it began; -1: the system does not tell
     */
    public record MemoryUse(Map<String, Long> devices, long host, long process) {
        public MemoryUse {
            devices = Collections.unmodifiableMap(new LinkedHashMap<>(devices));
        }
    }

    /**
     * Milliseconds. Those of networks, kernels, exchange and waiting are means over the workers.
     *
     * @param load networks that only this request's method needs
     * @param total from the begin of the work to the pixels
     * @param text text encoders
     * @param unet the denoiser
     * @param kernels this engine's kernels
     * @param exchange copies between devices
     * @param waiting for other workers
     * @param vae the VAE, and pictures on the way
     * @param upscale upscalers; empty: the method has none
     */
    public record Times(
            double load,
            double total,
            double text,
            double unet,
            double kernels,
            double exchange,
            double waiting,
            double vae,
            OptionalDouble upscale) {}
}
