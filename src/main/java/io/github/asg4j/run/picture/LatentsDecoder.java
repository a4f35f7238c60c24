// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Decoding;
import io.github.asg4j.plan.Plan;
import io.github.asg4j.run.work.WorkUnits;
import io.github.asg4j.run.worker.InterruptibleRuns;
import io.github.asg4j.run.worker.RequestContext;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * Decodes the latents of a request to pixels, by the workers or, for previews, in the request's own
 * thread. Goes on where a decoder overflows or memory is short. One call at a time; all results lie in
 * the same memory, until the next call.
 */
public final class LatentsDecoder {
    private static final System.Logger LOG = System.getLogger(LatentsDecoder.class.getName());

    private final RequestContext context;
    private final Canvas canvas;
    private final InterruptibleRuns own;
    private final MemorySegment input;
    private final MemorySegment decoded;

    /** How latents are decoded; in smaller tiles than planned once memory was short. */
    private @Nullable Decoding decoding;

    private @Nullable Decoding last;

    /**
     * @param own runs the networks of previews
     */
    public LatentsDecoder(RequestContext context, InterruptibleRuns own) {
        this.context = context;
        this.own = own;
        Plan plan = context.plan();
        canvas = plan.canvas();
        decoding = plan.decoding();
        long cells = plan.upscaling() == null ? canvas.plane() : canvas.patchPlane();
        long factor = context.manifest().latent().vaeFactor();
        input = context.memory().floats(cells, "VAE input");
        decoded =
                context.memory()
                        .floats(3 * cells / canvas.channels() * factor * factor, "decoded picture");
    }

    /** How latents were decoded last, for the report; null: none were. */
    public @Nullable String summary() {
        return last == null ? null : last.summary();
    }

    /** Memory of the picture that is decoded: float32 [3, h, w], native size where it is enlarged. */
    public MemorySegment decoded() {
        return decoded;
    }

    /**
     * The picture asked for.
     *
     * @param latents [C, H, W] of the canvas
     * @param workers carry out the units
     */
    public Pixels canvas(MemorySegment latents, Consumer<DecodeRun> workers) {
        MemorySegment image = decode(latents, canvas.height(), canvas.width(), workers);
        return rgb8(image, canvas.heightPixels(), canvas.widthPixels(), Crop.of(canvas));
    }

    /**
     * Latents [C, h, w], at most the canvas, decoded in this thread while the workers draw on.
     *
     * @param crop what is cut out of them
     */
    public Pixels preview(MemorySegment latents, int h, int w, Crop crop) {
        MemorySegment image =
                decode(
                        latents,
                        h,
                        w,
                        run ->
                                context.devices()
                                        .onFront(
                                                () -> {
                                                    run.carryOut(own);
                                                    return run;
                                                }));
        int factor = context.manifest().latent().vaeFactor();
        return rgb8(image, h * factor, w * factor, crop);
    }

    /**
     * Decodes latents [C, h, w], at most the canvas, to [3, h * f, w * f]; once more by another
     * decoder of the bundle where this one overflows, as one in half precision may (SDXL's does).
     *
     * @param workers carry out the units
     */
    public MemorySegment decode(MemorySegment latents, int h, int w, Consumer<DecodeRun> workers) {
        Manifest.Latent latent = context.manifest().latent();
        long cells = (long) canvas.channels() * h * w;
        MemorySegment scaled = input.asSlice(0, cells * 4);
        int factor = latent.vaeFactor();
        MemorySegment image = decoded.asSlice(0, 3L * h * factor * w * factor * 4);
        context.kernels()
                .scaleShift(
                        scaled,
                        latents,
                        cells,
                        (float) (1 / latent.scaling()),
                        (float) latent.shift());
        boolean exact = false;
        while (true) {
            Decoding tried = Objects.requireNonNull(this.decoding).of(h, w);
            DecodeRun.Job job = job(tried, scaled, image);
            DecodeRun.Job attempt = exact ? job.byFallback() : job;
            try (DecodeRun run = context.devices().onFront(() -> DecodeRun.of(attempt))) {
                workers.accept(run);
                OutOfMemoryException shortage = run.shortage();
                if (shortage != null) {
                    decodeSmaller(tried, shortage);
                } else if (run.overflowed()) {
                    LOG.log(
                            System.Logger.Level.WARNING,
                            tried.vae().decoder()
                                    + " overflows on this picture: decoded again in fp32");
                    exact = true;
                } else {
                    last = attempt.decoding();
                    return image;
                }
            }
        }
    }

    private DecodeRun.Job job(Decoding tried, MemorySegment scaled, MemorySegment image) {
        boolean onHost = context.workers().onHost();
        int workers = context.workers().size();
        return new DecodeRun.Job(
                tried,
                worker -> context.of(worker, context.model()::vaeDecoder),
                onHost ? WorkUnits.NOBODY : context.frontWorker(),
                workers,
                onHost ? tried.atOnce() : workers,
                scaled,
                image,
                context.kernels());
    }

    /** The latents are there still: less memory may do for the rest. */
    private void decodeSmaller(Decoding failed, OutOfMemoryException shortage) {
        Decoding smaller = failed.smaller();
        if (smaller == null) {
            throw shortage;
        }
        LOG.log(
                System.Logger.Level.WARNING,
                "out of memory in the VAE decode ("
                        + failed.summary()
                        + "), decoded again in "
                        + smaller.summary()
                        + ": the last bits of the picture may change");
        decoding = smaller;
        // What the failed networks took of the memory, they would keep.
        context.model().unloadVae();
    }

    /** A crop of a picture [3, height, width] in [-1, 1] as RGB8. */
    private Pixels rgb8(MemorySegment image, int height, int width, Crop crop) {
        ByteBuffer rgb = ByteBuffer.allocate(crop.width() * crop.height() * 3);
        try (Memory rows = new Memory("RGB8")) {
            MemorySegment out = rows.allocate(rgb.capacity(), "RGB8");
            context.kernels()
                    .rgb8(
                            out,
                            image,
                            height,
                            width,
                            crop.top(),
                            crop.left(),
                            crop.height(),
                            crop.width());
            rgb.put(out.asByteBuffer()).flip();
        }
        return new Pixels(crop.width(), crop.height(), rgb);
    }
}
