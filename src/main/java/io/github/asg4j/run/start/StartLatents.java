// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.start;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.Variation;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.Npy;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.run.worker.RequestContext;
import io.github.asg4j.schedule.Level;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/**
 * What a picture is drawn from, in host memory.
 *
 * @param patches what the patches begin with: [N, C, h, w], noise scaled to start from, or a start
 *     picture with noise of the first level
 * @param canvas the same relocated: [C, H, W]
 * @param picture latents of the start picture, [C, h, w] of a patch or [C, H, W] of the canvas; NULL:
 *     none was given
 * @param first what the first stage begins with: the canvas, or the latents of a picture to enlarge
 * @param noise of N(0, 1) that a start picture was noised with, [C, H, W]; NULL: there is none
 */
public record StartLatents(
        MemorySegment patches,
        MemorySegment canvas,
        MemorySegment picture,
        MemorySegment first,
        MemorySegment noise) {

    /**
     * Draws the noise of a request, or reads the latents that it gives (SPEC §1, §7).
     *
     * @param picture latents of the start picture, or NULL
     * @param noised whether the canvas begins as the picture; else the picture is enlarged
     * @throws BadRequestException given latents that cannot be read, or of another shape
     */
    public static StartLatents of(RequestContext context, MemorySegment picture, boolean noised) {
        Memory memory = context.memory();
        Kernels kernels = context.kernels();
        Canvas canvas = context.canvas();
        MemorySegment patches = memory.floats(canvas.plane(), "initial noise");
        MemorySegment latents = memory.floats(canvas.plane(), "initial canvas");
        float scale = noised ? 1 : (float) context.planned().schedule().initScale();
        Content file = context.request().latents();
        if (file == null) {
            noise(context, patches, context.request().seed(), scale);
        } else {
            given(context, file, patches, latents, scale);
        }
        vary(context, patches, scale);
        kernels.relocate(
                latents,
                patches,
                canvas.channels(),
                canvas.y().patches(),
                canvas.x().patches(),
                canvas.y().patch(),
                canvas.x().patch());
        MemorySegment noise = MemorySegment.NULL;
        if (noised) {
            Level level = context.planned().schedule().levels().getFirst();
            float alpha = (float) level.alpha();
            noise = memory.floats(canvas.plane(), "noise of the start picture").copyFrom(latents);
            kernels.blend(latents, picture, noise, canvas.plane(), alpha, (float) level.sigma());
            cut(kernels, canvas, patches, latents);
        }
        boolean enlarged = picture.byteSize() > 0 && !noised;
        return new StartLatents(patches, latents, picture, enlarged ? picture : latents, noise);
    }

    private static void noise(
            RequestContext context, MemorySegment patches, long seed, float scale) {
        Canvas canvas = context.canvas();
        long plane = canvas.patchPlane();
        for (int i = 0; i < canvas.patches(); i++) {
            context.kernels()
                    .normal(
                            patches.asSlice(i * plane * 4, plane * 4),
                            plane,
                            seed,
                            i * plane,
                            0,
                            Kernels.INITIAL_NOISE,
                            scale);
        }
    }

    /** Turns the noise towards that of the variation's seed, cell by cell (SPEC §1). */
    private static void vary(RequestContext context, MemorySegment patches, float scale) {
        Variation variation = context.request().variation();
        Long seed = variation.seed();
        Double strength = variation.strength();
        if (seed == null || strength == null || !variation.changes()) {
            return;
        }
        double angle = strength * Math.PI / 2;
        try (Memory other = new Memory("the variation")) {
            MemorySegment towards =
                    other.floats(context.canvas().plane(), "noise of the variation");
            noise(context, towards, seed, scale);
            context.kernels()
                    .blend(
                            patches,
                            patches,
                            towards,
                            context.canvas().plane(),
                            (float) StrictMath.cos(angle),
                            (float) StrictMath.sin(angle));
        }
    }

    private static void cut(
            Kernels kernels, Canvas canvas, MemorySegment patches, MemorySegment latents) {
        kernels.cut(
                patches,
                latents,
                canvas.channels(),
                canvas.y().patches(),
                canvas.x().patches(),
                canvas.y().patch(),
                canvas.x().patch());
    }

    private static void given(
            RequestContext context,
            Content file,
            MemorySegment patches,
            MemorySegment latents,
            float scale) {
        Kernels kernels = context.kernels();
        Canvas canvas = context.canvas();
        Npy.Array given =
                Npy.read(
                        file,
                        Npy.Type.FLOAT32,
                        (bytes, alignment) -> context.memory().allocate(bytes, "given latents"));
        List<Long> shape = Arrays.stream(given.shape()).boxed().toList();
        long c = canvas.channels();
        List<Long> whole = List.of(1L, c, (long) canvas.height(), (long) canvas.width());
        List<Long> cut =
                List.of(
                        (long) canvas.patches(),
                        c,
                        (long) canvas.y().patch(),
                        (long) canvas.x().patch());
        if (shape.equals(cut)) {
            kernels.scaleShift(patches, given.data(), canvas.plane(), scale, 0);
        } else if (shape.equals(whole)) {
            kernels.scaleShift(latents, given.data(), canvas.plane(), scale, 0);
            cut(kernels, canvas, patches, latents);
        } else {
            throw new BadRequestException(
                    file
                            + " has shape "
                            + shape
                            + ": a picture of "
                            + canvas.x().pixels()
                            + "x"
                            + canvas.y().pixels()
                            + " starts from "
                            + whole
                            + ", or as patches "
                            + cut);
        }
        if (kernels.firstNonFinite(patches, canvas.plane()) >= 0) {
            throw new BadRequestException(file + " holds a NaN or an infinity");
        }
    }
}
