// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Stage;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Finds NaN and infinity where they arise, so that the message can say where. */
public final class NonFinite {
    private NonFinite() {}

    /**
     * @param found int64 [1] in host memory: of a search in what the denoiser returned in a step
     */
    public static void check(MemorySegment found, Stage stage, int step) {
        if (found.get(ValueLayout.JAVA_LONG, 0) != Kernels.NONE_FOUND) {
            throw new BadBundleException(
                    "the denoiser returned a NaN or an infinity from finite input in "
                            + stage.name()
                            + ", step "
                            + (step + 1)
                            + " of "
                            + stage.steps()
                            + ": the model may need fp32 (export it with --precision fp32), or the"
                            + " guidance scale "
                            + stage.guidanceScale()
                            + " is too large");
        }
    }

    public static void checkEncoded(Kernels kernels, MemorySegment latents) {
        if (kernels.firstNonFinite(latents, latents.byteSize() / 4) >= 0) {
            throw new BadBundleException(
                    "the VAE encoder returned a NaN or an infinity from a picture: export it"
                            + " with --precision fp32, or use a VAE that is safe in fp16");
        }
    }

    /** What the VAE's decoder returned is not finite. */
    public static BadBundleException decoded() {
        return new BadBundleException(
                "the VAE decoder returned a NaN or an infinity: export it with --precision fp32, or"
                        + " use a VAE that is safe in fp16");
    }

    public static void check(Kernels kernels, MemorySegment tile, String upscaler) {
        if (kernels.firstNonFinite(tile, tile.byteSize() / 4) >= 0) {
            throw new BadBundleException(
                    upscaler
                            + " returned a NaN or an infinity from a picture in [0, 1]: add it to"
                            + " the bundle again, from weights in fp32");
        }
    }
}
