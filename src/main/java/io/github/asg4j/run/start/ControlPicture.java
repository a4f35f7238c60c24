// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.start;

import io.github.asg4j.Control;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.Canny;
import io.github.asg4j.image.StartPicture;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.run.worker.RequestContext;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The picture of a control, in host memory of the request. It lies in the canvas as a start picture does,
 * and each stage asks for it at its own resolution, so that edges are found there and not made smaller.
 */
public final class ControlPicture {
    private static final float LEVELS = 255;

    private final RequestContext context;
    private final Control control;
    private final Margins margins;
    private final MemorySegment planes;
    private final int height;
    private final int width;

    private ControlPicture(
            RequestContext context, Control control, Margins margins, StartPicture given) {
        this.context = context;
        this.control = control;
        this.margins = margins;
        planes = given.planes(context.memory(), 1 / LEVELS, 0);
        height = given.height();
        width = given.width();
    }

    /**
     * Reads the picture.
     *
     * @param margins about it
     * @throws io.github.asg4j.BadRequestException if it cannot be read, or its aspect is another one than
     *     that of the picture to draw and the request does not say what becomes of it
     */
    public static ControlPicture read(RequestContext context, Control control, Margins margins) {
        try (Memory reading = new Memory("the picture of a control")) {
            StartPicture given = StartPicture.read(control.picture(), reading);
            GivenPicture.requireAspect(context, control.picture(), given, margins);
            return new ControlPicture(context, control, margins, given);
        }
    }

    /**
     * What the network is shown of the whole canvas at a resolution.
     *
     * @param rows pixels
     * @param columns pixels
     * @param down latent cells of the canvas by which the frame lies below it, as views do that hold
     *     every n-th cell
     * @param right latent cells of the canvas by which the frame lies right of it
     * @return float32 [3, rows, columns], RGB in [0, 1]
     */
    public MemorySegment frame(int rows, int columns, double down, double right) {
        MemorySegment out =
                context.memory().floats(3L * rows * columns, "picture of a control, resized");
        try (Memory working = new Memory("the picture of a control")) {
            Canvas canvas = context.canvas();
            int coarseRows = canvas.y().patch() * canvas.y().factor();
            int coarseColumns = canvas.x().patch() * canvas.x().factor();
            boolean coarse =
                    control.preprocess().kind() == Control.Kind.TILE
                            && (rows > coarseRows || columns > coarseColumns);
            GivenPicture.Frame frame =
                    coarse
                            ? new GivenPicture.Frame(coarseRows, coarseColumns, down, right)
                            : new GivenPicture.Frame(rows, columns, down, right);
            MemorySegment framed =
                    GivenPicture.framed(context, planes, height, width, frame, margins, working);
            if (coarse) {
                enlarge(framed, out, frame, rows, columns, working);
            } else {
                out.copyFrom(framed);
            }
        }
        if (control.preprocess().kind() == Control.Kind.CANNY) {
            round(out);
            Canny.edges(
                    out, rows, columns, control.preprocess().low(), control.preprocess().high());
        } else {
            clamp(out);
        }
        return out;
    }

    private void enlarge(
            MemorySegment from,
            MemorySegment to,
            GivenPicture.Frame coarse,
            int rows,
            int columns,
            Memory working) {
        ResampleAxis y = ResampleAxis.antialiasedBicubic(working, coarse.height(), rows);
        ResampleAxis x = ResampleAxis.antialiasedBicubic(working, coarse.width(), columns);
        new Resize(working, 3, y, x).run(context.kernels(), to, from);
    }

    /** To levels 0..255. */
    private static void round(MemorySegment picture) {
        for (long i = 0; i < picture.byteSize() / Float.BYTES; i++) {
            float level = picture.getAtIndex(ValueLayout.JAVA_FLOAT, i) * LEVELS;
            float rounded = (float) Math.floor(Math.clamp(level, 0f, LEVELS) + 0.5f);
            picture.setAtIndex(ValueLayout.JAVA_FLOAT, i, rounded);
        }
    }

    /** Interpolation swings beyond what was there. */
    private static void clamp(MemorySegment picture) {
        for (long i = 0; i < picture.byteSize() / Float.BYTES; i++) {
            float value = picture.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            picture.setAtIndex(ValueLayout.JAVA_FLOAT, i, Math.clamp(value, 0f, 1f));
        }
    }
}
