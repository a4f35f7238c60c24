// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.Content;
import io.github.asg4j.RelayStage;
import io.github.asg4j.Size;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.Upscaling;
import io.github.asg4j.run.denoise.KeptPicture;
import io.github.asg4j.run.picture.LatentsDecoder;
import io.github.asg4j.run.picture.PictureEncoder;
import io.github.asg4j.run.picture.PictureEnlarger;
import io.github.asg4j.run.picture.TileUnits;
import io.github.asg4j.run.start.GivenPicture;
import io.github.asg4j.run.start.GivenPicture.Extent;
import io.github.asg4j.run.start.GivenPicture.Values;
import io.github.asg4j.run.start.Margins;
import io.github.asg4j.run.worker.RequestContext;
import io.github.asg4j.schedule.Level;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * What happens between two stages of a relay (SPEC §11), in host memory: the clean latents of the first
 * one become the canvas of the next, enlarged, by way of pixels or not, and noised anew.
 */
final class LatentsRefresh {
    /** Standard deviation of the blur that an unsharp mask takes away: the middle of DiffuseHigh's range. */
    private static final double SHARPEN_BLUR = 1.05;

    private final RequestContext context;
    private final LatentsDecoder decoder;
    private final PictureEncoder encoder;
    private final Consumer<TileUnits> workers;
    private final Kernels kernels;
    private final Canvas canvas;
    private final Margins margins;

    /**
     * @param margins about a given picture
     * @param decoder of the request
     * @param encoder of the request
     * @param workers carry out the units of a decode or an upscaler
     */
    LatentsRefresh(
            RequestContext context,
            Margins margins,
            LatentsDecoder decoder,
            PictureEncoder encoder,
            Consumer<TileUnits> workers) {
        this.context = context;
        this.margins = margins;
        this.decoder = decoder;
        this.encoder = encoder;
        this.workers = workers;
        kernels = context.kernels();
        canvas = context.canvas();
    }

    /**
     * Where the next stage finds its start.
     *
     * @param leg the next stage
     * @param clean float32 [C, H, W] for the enlarged latents
     * @param noised float32 [C, H, W] for the stage's canvas
     * @param kept what inpainting keeps of the start picture, for its latents and noise; null: nothing
     */
    record Handover(
            Stage.Leg leg,
            MemorySegment clean,
            MemorySegment noised,
            KeptPicture.@Nullable Cells kept) {
        Stage.Refresh refresh() {
            return Objects.requireNonNull(leg.refresh());
        }

        int height() {
            return leg.windows().y().canvas();
        }

        int width() {
            return leg.windows().x().canvas();
        }
    }

    /**
     * Hands over the latents of the stage before.
     *
     * @param latents float32 [C, h, w], predicted clean ones
     * @return the canvas of the next stage
     */
    MemorySegment latents(MemorySegment latents, Handover next) {
        Stage.Refresh refresh = next.refresh();
        try (Memory work = new Memory("a refresh")) {
            if (refresh.inPixels()) {
                MemorySegment picture =
                        decoder.decode(latents, refresh.height(), refresh.width(), workers::accept);
                encode(enlarged(picture, next, work), next, next.clean());
            } else {
                new Resize(
                                work,
                                canvas.channels(),
                                ResampleAxis.bilinear(work, refresh.height(), next.height()),
                                ResampleAxis.bilinear(work, refresh.width(), next.width()))
                        .run(kernels, next.clean(), latents);
            }
        }
        return begin(next);
    }

    /**
     * Hands over a given picture of native size.
     *
     * @return the canvas of the next stage
     */
    MemorySegment picture(Content given, Handover next) {
        try (Memory work = new Memory("the start picture")) {
            MemorySegment picture =
                    GivenPicture.read(context, given, Extent.PATCH, margins, Values.SIGNED, work);
            encode(enlarged(picture, next, work), next, next.clean());
        }
        return begin(next);
    }

    /** A picture [3, h, w] in [-1, 1] at the size of the next stage, in the same range. */
    private MemorySegment enlarged(MemorySegment picture, Handover next, Memory work) {
        Stage.Refresh refresh = next.refresh();
        int factor = canvas.y().factor();
        int h = refresh.height() * factor;
        int w = refresh.width() * factor;
        int height = next.height() * factor;
        int width = next.width() * factor;
        clamp(picture);
        MemorySegment enlarged = work.floats(3L * height * width, "enlarged picture");
        Upscaling networks = refresh.upscaling();
        if (networks != null) {
            MemorySegment upscaled =
                    PictureEnlarger.of(context, picture, networks).enlarge(workers::accept);
            kernels.scaleShift(upscaled, upscaled, upscaled.byteSize() / 4, 2, -1);
            Resize.antialiasedBicubic(work, 3, networks.height(), networks.width(), height, width)
                    .run(kernels, enlarged, upscaled);
        } else if (refresh.enlarge() == RelayStage.Enlarge.NEAREST) {
            new Resize(
                            work,
                            3,
                            ResampleAxis.nearest(work, h, height),
                            ResampleAxis.nearest(work, w, width))
                    .run(kernels, enlarged, picture);
        } else {
            Resize.antialiasedBicubic(work, 3, h, w, height, width).run(kernels, enlarged, picture);
        }
        if (refresh.sharpen() > 0) {
            sharpen(enlarged, (float) refresh.sharpen(), height, width, work);
        }
        clamp(enlarged);
        return enlarged;
    }

    /** An unsharp mask: (weight + 1) y - weight * blur(y), 3 x 3. */
    private void sharpen(MemorySegment picture, float weight, int height, int width, Memory work) {
        double side = Math.exp(-1 / (2 * SHARPEN_BLUR * SHARPEN_BLUR));
        double[] taps = {side / (1 + 2 * side), 1 / (1 + 2 * side), side / (1 + 2 * side)};
        MemorySegment blurred = work.floats(3L * height * width, "blurred picture");
        new Resize(
                        work,
                        3,
                        ResampleAxis.filter(work, height, taps),
                        ResampleAxis.filter(work, width, taps))
                .run(kernels, blurred, picture);
        kernels.blend(picture, picture, blurred, 3L * height * width, weight + 1, -weight);
    }

    private static void clamp(MemorySegment picture) {
        for (long i = 0; i < picture.byteSize() / 4; i++) {
            float v = picture.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            picture.setAtIndex(ValueLayout.JAVA_FLOAT, i, Math.clamp(v, -1f, 1f));
        }
    }

    private void encode(MemorySegment picture, Handover next, MemorySegment clean) {
        encoder.encode(picture, next.height(), next.width(), clean);
    }

    /** The enlarged latents, in kept cells the start picture's, with fresh noise of the first level. */
    private MemorySegment begin(Handover next) {
        Level level = context.planned().schedule().levels().get(next.leg().firstStep());
        MemorySegment noised = next.noised();
        KeptPicture.Cells kept = next.kept();
        if (kept != null) {
            keep(next, kept);
        }
        MemorySegment noise = kept == null ? noised : kept.noise();
        long n = noised.byteSize() / 4;
        long seed = context.request().seed();
        kernels.normal(noise, n, seed, 0, next.leg().number(), Kernels.PHASE_NOISE, 1);
        kernels.blend(noised, next.clean(), noise, n, (float) level.alpha(), (float) level.sigma());
        return noised;
    }

    /** Encodes the start picture at the size of the stage, and takes its latents in kept cells. */
    private void keep(Handover next, KeptPicture.Cells kept) {
        Content image = Objects.requireNonNull(context.request().image());
        int factor = canvas.y().factor();
        Size size = new Size(next.width() * factor, next.height() * factor);
        try (Memory work = new Memory("the start picture")) {
            MemorySegment pixels =
                    GivenPicture.readAt(context, image, size, margins, Values.SIGNED, work);
            encode(pixels, next, kept.clean());
        }
        for (long i = 0; i < kept.kept().byteSize() / 4; i++) {
            if (kept.kept().getAtIndex(ValueLayout.JAVA_FLOAT, i) == 1) {
                float own = kept.clean().getAtIndex(ValueLayout.JAVA_FLOAT, i);
                next.clean().setAtIndex(ValueLayout.JAVA_FLOAT, i, own);
            }
        }
    }
}
