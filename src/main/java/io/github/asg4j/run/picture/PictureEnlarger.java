// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.kernel.Resize;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.model.Upscaler;
import io.github.asg4j.plan.Upscaling;
import io.github.asg4j.run.worker.RequestContext;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.function.Consumer;

/**
 * Enlarges a picture of native size by the bundle's upscalers, tile by tile, then resamples it to the
 * size of the canvas (SPEC.md §9, superres).
 */
public final class PictureEnlarger {
    private final RequestContext context;
    private final Upscaling upscaling;

    /** float32 [3, h, w] in [0, 1]. */
    private final MemorySegment picture;

    /**
     * @param picture float32 [3, h, w] in [0, 1], before {@link #enlarge}
     */
    public PictureEnlarger(RequestContext context, MemorySegment picture, Upscaling upscaling) {
        this.context = context;
        this.upscaling = upscaling;
        this.picture = picture;
    }

    /**
     * Makes one of a decoded picture, which it maps to [0, 1] in place.
     *
     * @param decoded float32 [3, h, w] in [-1, 1]; what lies outside is clamped
     */
    public static PictureEnlarger of(
            RequestContext context, MemorySegment decoded, Upscaling upscaling) {
        UnitRange.enter(context.kernels(), decoded);
        return new PictureEnlarger(context, decoded, upscaling);
    }

    /**
     * Takes a given picture of native size.
     *
     * @param given float32 [3, h, w]; what lies outside [0, 1] is clamped
     */
    public void take(MemorySegment given) {
        picture.copyFrom(given);
        UnitRange.clamp(picture);
    }

    /**
     * The enlarged picture of the whole canvas: float32 [3, H, W] in [0, 1], in the request's memory.
     *
     * @param workers carry out the units
     */
    public MemorySegment enlarge(Consumer<TileRun> workers) {
        MemorySegment enlarged = picture;
        if (upscaling.tiles() > 0) {
            try (TileRun run =
                    new TileRun(
                            upscaling,
                            this::upscaler,
                            picture,
                            context.kernels(),
                            context.workers().size(),
                            context.memory())) {
                workers.accept(run);
                enlarged = run.enlarged();
            }
        }
        return upscaling.resamples() ? resampled(enlarged) : enlarged;
    }

    private MemorySegment resampled(MemorySegment enlarged) {
        Upscaling.Pass last = upscaling.passes().getLast();
        MemorySegment resampled =
                context.memory()
                        .floats(3L * upscaling.height() * upscaling.width(), "resampled picture");
        Resize.antialiasedBicubic(
                        context.memory(),
                        3,
                        last.outHeight(),
                        last.outWidth(),
                        upscaling.height(),
                        upscaling.width())
                .run(context.kernels(), resampled, enlarged);
        UnitRange.clamp(resampled);
        return resampled;
    }

    /** The picture asked for, out of an enlarged one of the whole canvas. */
    public Pixels pixels(MemorySegment enlarged) {
        Crop crop = Crop.of(context.canvas());
        ByteBuffer rgb = ByteBuffer.allocate(crop.width() * crop.height() * 3);
        UnitRange.rgb8(
                rgb,
                enlarged,
                upscaling.height(),
                upscaling.width(),
                crop.top(),
                crop.left(),
                crop.height(),
                crop.width());
        return new Pixels(crop.width(), crop.height(), rgb);
    }

    private Upscaler upscaler(Manifest.Upscaler entry, int worker) {
        return context.of(worker, lane -> context.model().upscaler(entry, lane));
    }
}
