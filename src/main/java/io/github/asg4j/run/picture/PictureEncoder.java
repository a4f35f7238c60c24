// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.plan.Encoding;
import io.github.asg4j.run.work.WorkUnits;
import io.github.asg4j.run.worker.InterruptibleRuns;
import io.github.asg4j.run.worker.NonFinite;
import io.github.asg4j.run.worker.RequestContext;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * Encodes the pictures of a request to latents: whole in the front's thread, or by the workers in tiles;
 * in smaller ones once memory was short. One call at a time.
 */
public final class PictureEncoder {
    private static final System.Logger LOG = System.getLogger(PictureEncoder.class.getName());

    private final RequestContext context;
    private final InterruptibleRuns own;
    private final Consumer<TileUnits> workers;
    private @Nullable Encoding encoding;

    /**
     * @param own runs the whole encoder
     * @param workers carry out the units of tiles
     */
    public PictureEncoder(
            RequestContext context, InterruptibleRuns own, Consumer<TileUnits> workers) {
        this.context = context;
        this.own = own;
        this.workers = workers;
        encoding = context.plan().encoding();
    }

    /**
     * Encodes a picture.
     *
     * @param picture float32 [3, height * factor, width * factor] in [-1, 1]
     * @param height latent cells
     * @param width latent cells
     * @param latents receives float32 [C, height, width], as the denoiser has them
     * @throws io.github.asg4j.BadBundleException the encoder returned a NaN or an infinity
     */
    public void encode(MemorySegment picture, int height, int width, MemorySegment latents) {
        Encoding tried = Objects.requireNonNull(encoding).of(height, width);
        OutOfMemoryException shortage;
        while ((shortage = attempt(tried, picture, latents)) != null) {
            Encoding smaller = tried.smaller();
            if (smaller == null) {
                throw shortage;
            }
            LOG.log(
                    System.Logger.Level.WARNING,
                    "out of memory in the VAE encode ("
                            + tried.summary()
                            + "), encoded again in "
                            + smaller.summary()
                            + ": the last bits of the picture may change");
            // What the failed networks took of the memory, they would keep.
            context.model().unloadVae();
            encoding = smaller;
            tried = smaller;
        }
        Manifest.Latent latent = context.manifest().latent();
        Kernels kernels = context.kernels();
        long n = latents.byteSize() / Float.BYTES;
        NonFinite.checkEncoded(kernels, latents);
        kernels.scaleShift(latents, latents, n, 1, (float) -latent.shift());
        kernels.scaleShift(latents, latents, n, (float) latent.scaling(), 0);
    }

    /** What memory was missing for; null: nothing. */
    private @Nullable OutOfMemoryException attempt(
            Encoding tried, MemorySegment picture, MemorySegment latents) {
        if (tried.whole()) {
            return context.devices().onFront(() -> whole(tried, picture, latents));
        }
        EncodeRun.Job job = job(tried, picture, latents);
        try (EncodeRun run = context.devices().onFront(() -> EncodeRun.of(job))) {
            workers.accept(run);
            return run.shortage();
        }
    }

    private @Nullable OutOfMemoryException whole(
            Encoding tried, MemorySegment picture, MemorySegment latents) {
        try (Binding binding =
                context.model()
                        .vaeEncoder()
                        .bind(picture, latents, tried.height(), tried.width())) {
            own.run(binding);
            return null;
        } catch (OutOfMemoryException e) {
            return e;
        }
    }

    private EncodeRun.Job job(Encoding tried, MemorySegment picture, MemorySegment latents) {
        boolean onHost = context.workers().onHost();
        int workers = context.workers().size();
        return new EncodeRun.Job(
                tried,
                worker -> context.of(worker, context.model()::vaeEncoder),
                onHost ? WorkUnits.NOBODY : context.frontWorker(),
                workers,
                onHost ? tried.atOnce() : workers,
                picture,
                latents);
    }
}
