// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.Content;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.StartPicture;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.plan.Axis;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.run.picture.PictureEncoder;
import io.github.asg4j.run.start.GivenPicture;
import io.github.asg4j.run.start.GivenPicture.Extent;
import io.github.asg4j.run.start.GivenPicture.Values;
import io.github.asg4j.run.worker.RequestContext;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

/**
 * What a network for inpainting is shown beside the latents, as diffusers prepares it: where it draws, and
 * the latents of the start picture in which that is grey. Without a mask it draws everywhere.
 */
final class MaskedPicture {
    private final RequestContext context;
    private final Canvas canvas;
    private final @Nullable InpaintMask mask;

    /** The start picture, read once for all frames; null: there is no mask. */
    private final @Nullable StartPicture given;

    private final PictureEncoder encoder;

    /**
     * @param mask null: all is drawn
     */
    MaskedPicture(RequestContext context, @Nullable InpaintMask mask, PictureEncoder encoder) {
        this.context = context;
        this.mask = mask;
        this.encoder = encoder;
        canvas = context.canvas();
        Content image = context.request().image();
        given = mask == null || image == null ? null : StartPicture.read(image, context.memory());
    }

    /**
     * The whole canvas at a resolution.
     *
     * @param rows latent cells
     * @param columns latent cells
     * @param down latent cells of the canvas by which the frame lies below it
     * @param right latent cells of the canvas by which the frame lies right of it
     * @return float32 [1 + C, rows, columns]: 1 where is drawn, else 0; latents
     */
    MemorySegment frame(int rows, int columns, double down, double right) {
        int factor = canvas.y().factor();
        int height = rows * factor;
        int width = columns * factor;
        long area = (long) rows * columns;
        MemorySegment out =
                context.memory().floats((1 + canvas.channels()) * area, "masked picture");
        try (Memory work = new Memory("the masked picture")) {
            MemorySegment picture = work.floats(3L * height * width, "masked picture");
            if (mask == null) {
                for (long i = 0; i < area; i++) {
                    out.setAtIndex(ValueLayout.JAVA_FLOAT, i, 1);
                }
            } else {
                ResampleAxis y = axis(work, canvas.y(), height, down);
                ResampleAxis x = axis(work, canvas.x(), width, right);
                MemorySegment share = work.floats((long) height * width, "inpaint mask");
                new Resize(work, 1, y, x).run(context.kernels(), share, mask.share());
                MemorySegment planes =
                        GivenPicture.resampled(
                                context,
                                Objects.requireNonNull(given),
                                Extent.CANVAS,
                                mask.margins(),
                                Values.SIGNED,
                                work);
                new Resize(work, 3, y, x).run(context.kernels(), picture, planes);
                cover(picture, share);
                for (long i = 0; i < area; i++) {
                    // The pixel in a cell's corner, as diffusers resizes masks.
                    long corner = i / columns * factor * width + i % columns * factor;
                    out.setAtIndex(ValueLayout.JAVA_FLOAT, i, drawn(share, corner) ? 1 : 0);
                }
            }
            MemorySegment latents = out.asSlice(area * Float.BYTES);
            encoder.encode(picture, rows, columns, latents);
        }
        return out;
    }

    private static ResampleAxis axis(Memory work, Axis axis, int pixels, double shift) {
        int own = axis.canvas() * axis.factor();
        return ResampleAxis.antialiasedBicubic(work, own, pixels, shift * axis.factor(), own);
    }

    /** Makes grey what is drawn. */
    private static void cover(MemorySegment picture, MemorySegment share) {
        long area = share.byteSize() / Float.BYTES;
        for (long i = 0; i < 3 * area; i++) {
            float level = picture.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            boolean drawn = drawn(share, i % area);
            picture.setAtIndex(ValueLayout.JAVA_FLOAT, i, drawn ? 0 : Math.clamp(level, -1f, 1f));
        }
    }

    private static boolean drawn(MemorySegment share, long pixel) {
        return share.getAtIndex(ValueLayout.JAVA_FLOAT, pixel) >= 0.5f;
    }
}
