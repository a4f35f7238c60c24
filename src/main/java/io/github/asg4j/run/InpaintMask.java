// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.InpaintOptions.Area;
import io.github.asg4j.InpaintOptions.Borders;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.StartPicture;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.run.picture.Crop;
import io.github.asg4j.run.start.GivenPicture;
import io.github.asg4j.run.start.GivenPicture.Extent;
import io.github.asg4j.run.start.GivenPicture.Values;
import io.github.asg4j.run.start.Margins;
import io.github.asg4j.run.worker.RequestContext;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

/**
 * Which parts of a start picture are drawn anew, in host memory of the request.
 *
 * @param canvas that is drawn
 * @param share float32 [H * f, W * f] of the canvas in pixels: how much of a pixel is drawn, 0..1
 * @param margins about the start picture
 * @param pixels that the finished picture keeps
 */
record InpaintMask(Canvas canvas, MemorySegment share, Margins margins, KeptPixels pixels) {
    /** Shares this near to 0 and 1 are meant to be 0 and 1: half a level of an 8-bit mask. */
    private static final float HALF_LEVEL = 0.5f / 255;

    /** Luma of sRGB samples (ITU-R BT.601), as image tools make grey of colours. */
    private static final float[] LUMA = {0.299f, 0.587f, 0.114f};

    /** Standard deviations that the taps of the blur reach on each side. */
    private static final double REACH = 2.5;

    /**
     * Reads the mask and the start picture of a request.
     *
     * @throws BadRequestException if one cannot be read, they differ in size, or nothing is to be drawn
     */
    static InpaintMask of(RequestContext context) {
        Content mask = context.request().inpaint().mask();
        Content image = Objects.requireNonNull(context.request().image());
        try (Memory reading = new Memory("the inpaint mask")) {
            return mask != null && context.request().inpaint().area() == Area.MASKED
                    ? aboutMask(context, image, mask, reading)
                    : whole(context, image, mask, reading);
        }
    }

    private static InpaintMask whole(
            RequestContext context, Content image, @Nullable Content mask, Memory reading) {
        Canvas canvas = context.canvas();
        Borders borders = context.request().inpaint().borders();
        Margins margins = Margins.of(borders);
        int height = canvas.heightPixels();
        int width = canvas.widthPixels();
        long area = (long) height * width;
        MemorySegment share = context.memory().floats(area, "inpaint mask");
        MemorySegment picture = context.memory().allocate(3 * area, "kept picture");
        StartPicture given = StartPicture.read(image, reading);
        StartPicture drawn = mask == null ? null : sameSize(mask, given, reading);
        GivenPicture.requireAspect(context, image, given, margins);
        MemorySegment sharp =
                drawn == null
                        ? reading.floats(area, "inpaint mask, nothing drawn")
                        : grey(
                                context,
                                GivenPicture.resampled(
                                        context,
                                        drawn,
                                        Extent.CANVAS,
                                        margins,
                                        Values.UNIT,
                                        reading),
                                reading);
        addBorders(canvas, borders, sharp);
        soften(context, share, sharp, height, width, reading);
        requireDrawn(context, share);
        colours(context, given, margins, picture, reading);
        return new InpaintMask(
                canvas,
                share,
                margins,
                new KeptPixels(share, picture, width, Crop.of(canvas), null));
    }

    /** The start picture keeps its size, and what is drawn is put back into it. */
    private static InpaintMask aboutMask(
            RequestContext context, Content image, Content mask, Memory reading) {
        StartPicture given = StartPicture.read(image, context.memory());
        int height = given.height();
        int width = given.width();
        MemorySegment share =
                context.memory().floats((long) height * width, "inpaint mask of a part");
        MemorySegment planes = sameSize(mask, given, reading).planes(reading, 1 / 255f, 0);
        soften(context, share, grey(context, planes, reading), height, width, reading);
        requireDrawn(context, share);
        MaskedArea area =
                MaskedArea.about(
                        share,
                        height,
                        width,
                        context.request().inpaint().padding(),
                        context.canvas(),
                        context.kernels());
        MemorySegment onCanvas =
                GivenPicture.onCanvas(context, share, height, width, area.margins(), reading);
        MemorySegment clear =
                context.memory().floats(onCanvas.byteSize() / Float.BYTES, "inpaint mask");
        clear(clear, onCanvas);
        requireDrawn(context, clear);
        return new InpaintMask(
                context.canvas(),
                clear,
                area.margins(),
                new KeptPixels(share, given.rgb(), width, new Crop(0, 0, height, width), area));
    }

    private static StartPicture sameSize(Content mask, StartPicture given, Memory reading) {
        StartPicture drawn = StartPicture.read(mask, reading);
        if (given.width() != drawn.width() || given.height() != drawn.height()) {
            throw new BadRequestException(
                    "the mask '"
                            + mask
                            + "' has "
                            + drawn.width()
                            + "x"
                            + drawn.height()
                            + " pixels, the start picture "
                            + given.width()
                            + "x"
                            + given.height()
                            + ": make them the same size");
        }
        return drawn;
    }

    /**
     * How much the mask has of each pixel drawn.
     *
     * @param planes float32 [3, h, w] of the mask, 0..1
     * @return float32 [h, w]
     */
    private static MemorySegment grey(
            RequestContext context, MemorySegment planes, Memory reading) {
        boolean inverted = context.request().inpaint().inverted();
        long area = planes.byteSize() / Float.BYTES / LUMA.length;
        MemorySegment sharp = reading.floats(area, "inpaint mask, sharp");
        for (long i = 0; i < area; i++) {
            float grey = 0;
            for (int c = 0; c < LUMA.length; c++) {
                grey += LUMA[c] * planes.getAtIndex(ValueLayout.JAVA_FLOAT, c * area + i);
            }
            sharp.setAtIndex(ValueLayout.JAVA_FLOAT, i, inverted ? 1 - grey : grey);
        }
        return sharp;
    }

    /** What lies beside the start picture is drawn. */
    private static void addBorders(Canvas canvas, Borders borders, MemorySegment sharp) {
        if (borders.equals(Borders.NONE)) {
            return;
        }
        int left = canvas.x().cropPixels() + borders.left();
        int top = canvas.y().cropPixels() + borders.top();
        int right = canvas.x().cropPixels() + canvas.x().pixels() - borders.right();
        int bottom = canvas.y().cropPixels() + canvas.y().pixels() - borders.bottom();
        for (int y = 0; y < canvas.heightPixels(); y++) {
            for (int x = 0; x < canvas.widthPixels(); x++) {
                if (x < left || x >= right || y < top || y >= bottom) {
                    long at = (long) y * canvas.widthPixels() + x;
                    sharp.setAtIndex(ValueLayout.JAVA_FLOAT, at, 1);
                }
            }
        }
    }

    /** Blurs float32 [height, width] as the request says. */
    private static void soften(
            RequestContext context,
            MemorySegment share,
            MemorySegment sharp,
            int height,
            int width,
            Memory reading) {
        double blur = context.request().inpaint().blur();
        if (blur == 0) {
            clear(share, sharp);
            return;
        }
        int reach = Math.max(1, (int) Math.ceil(REACH * blur));
        double[] taps = ResampleAxis.gaussian(2 * reach + 1, blur);
        ResampleAxis y = ResampleAxis.filter(reading, height, taps);
        ResampleAxis x = ResampleAxis.filter(reading, width, taps);
        new Resize(reading, 1, y, x).run(context.kernels(), share, sharp);
        clear(share, share);
    }

    /** Writes shares without what is meant to be 0 or 1. */
    private static void clear(MemorySegment out, MemorySegment share) {
        for (long i = 0; i < share.byteSize() / Float.BYTES; i++) {
            float v = share.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            float clear = v < HALF_LEVEL ? 0 : v > 1 - HALF_LEVEL ? 1 : v;
            out.setAtIndex(ValueLayout.JAVA_FLOAT, i, clear);
        }
    }

    private static void colours(
            RequestContext context,
            StartPicture given,
            Margins margins,
            MemorySegment picture,
            Memory reading) {
        MemorySegment planes =
                GivenPicture.resampled(
                        context, given, Extent.CANVAS, margins, Values.LEVELS, reading);
        long area = picture.byteSize() / 3;
        for (long i = 0; i < area; i++) {
            for (int c = 0; c < 3; c++) {
                float v = planes.getAtIndex(ValueLayout.JAVA_FLOAT, c * area + i);
                picture.set(ValueLayout.JAVA_BYTE, 3 * i + c, KeptPixels.level(v));
            }
        }
    }

    private static void requireDrawn(RequestContext context, MemorySegment share) {
        for (long i = 0; i < share.byteSize() / Float.BYTES; i++) {
            if (share.getAtIndex(ValueLayout.JAVA_FLOAT, i) > 0) {
                return;
            }
        }
        throw new BadRequestException(
                "the mask '"
                        + context.request().inpaint().mask()
                        + "' leaves nothing to draw: what is white in it is drawn (or what is"
                        + " black, with --inpaint-inverted)");
    }

    /**
     * The latent cells that are kept, at any resolution of the whole canvas.
     *
     * @param memory owns them
     * @return float32 [C, height, width]: 1 in cells of which no pixel is drawn, 0 in others
     */
    MemorySegment kept(int height, int width, Memory memory) {
        long cells = (long) height * width;
        MemorySegment kept = memory.floats(canvas.channels() * cells, "kept latents");
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                boolean drawn = drawn(y, height, x, width);
                for (int c = 0; c < canvas.channels() && !drawn; c++) {
                    kept.setAtIndex(ValueLayout.JAVA_FLOAT, c * cells + (long) y * width + x, 1);
                }
            }
        }
        return kept;
    }

    /** Whether any pixel is drawn that lies in cell y, x of so many, or partly in it. */
    private boolean drawn(int y, int height, int x, int width) {
        long rows = canvas.heightPixels();
        long columns = canvas.widthPixels();
        for (long row = y * rows / height; row * height < (y + 1) * rows; row++) {
            for (long column = x * columns / width; column * width < (x + 1) * columns; column++) {
                if (share.getAtIndex(ValueLayout.JAVA_FLOAT, row * columns + column) > 0) {
                    return true;
                }
            }
        }
        return false;
    }
}
