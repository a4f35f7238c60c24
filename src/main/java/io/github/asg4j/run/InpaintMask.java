// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.InpaintOptions.Borders;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.StartPicture;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.run.picture.Crop;
import io.github.asg4j.run.picture.Pixels;
import io.github.asg4j.run.start.GivenPicture;
import io.github.asg4j.run.start.GivenPicture.Extent;
import io.github.asg4j.run.worker.RequestContext;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.Objects;

/**
 * Which parts of a start picture are drawn anew, in host memory of the request.
 *
 * @param share float32 [H * f, W * f] of the canvas in pixels: how much of a pixel is drawn, 0..1
 * @param kept float32 [C, H, W]: 1 in the latent cells of which no pixel is drawn, 0 in others
 * @param picture the start picture as RGB8 [H * f, W * f, 3]
 */
record InpaintMask(MemorySegment share, MemorySegment kept, MemorySegment picture) {
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
        Canvas canvas = context.canvas();
        InpaintOptions asked = context.request().inpaint();
        Content mask = asked.mask();
        Content image = Objects.requireNonNull(context.request().image());
        int height = canvas.heightPixels();
        int width = canvas.widthPixels();
        MemorySegment share = context.memory().floats((long) height * width, "inpaint mask");
        MemorySegment picture = context.memory().allocate(3L * height * width, "kept picture");
        try (Memory reading = new Memory("the inpaint mask")) {
            StartPicture given = StartPicture.read(image, reading);
            MemorySegment sharp =
                    mask == null
                            ? reading.floats((long) height * width, "inpaint mask, nothing drawn")
                            : grey(context, mask, sameSize(mask, given, reading), reading);
            addBorders(canvas, asked.borders(), sharp);
            soften(context, asked.blur(), share, sharp, reading);
            colours(context, image, given, picture, reading);
        }
        MemorySegment kept = kept(context, share);
        return new InpaintMask(share, kept, picture);
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

    /** float32 [H * f, W * f]: how much the mask has of each pixel drawn. */
    private static MemorySegment grey(
            RequestContext context, Content mask, StartPicture drawn, Memory reading) {
        boolean inverted = context.request().inpaint().inverted();
        MemorySegment planes =
                GivenPicture.resampled(context, mask, drawn, Extent.CANVAS, reading, 1 / 255f, 0);
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

    private static void soften(
            RequestContext context,
            double blur,
            MemorySegment share,
            MemorySegment sharp,
            Memory reading) {
        Canvas canvas = context.canvas();
        if (blur == 0) {
            share.copyFrom(sharp);
        } else {
            int reach = Math.max(1, (int) Math.ceil(REACH * blur));
            double[] taps = ResampleAxis.gaussian(2 * reach + 1, blur);
            ResampleAxis y = ResampleAxis.filter(reading, canvas.heightPixels(), taps);
            ResampleAxis x = ResampleAxis.filter(reading, canvas.widthPixels(), taps);
            new Resize(reading, 1, y, x).run(context.kernels(), share, sharp);
        }
        for (long i = 0; i < share.byteSize() / Float.BYTES; i++) {
            float v = share.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            float clear = v < HALF_LEVEL ? 0 : v > 1 - HALF_LEVEL ? 1 : v;
            share.setAtIndex(ValueLayout.JAVA_FLOAT, i, clear);
        }
    }

    private static void colours(
            RequestContext context,
            Content image,
            StartPicture given,
            MemorySegment picture,
            Memory reading) {
        MemorySegment planes =
                GivenPicture.resampled(context, image, given, Extent.CANVAS, reading, 1, 0);
        long area = picture.byteSize() / 3;
        for (long i = 0; i < area; i++) {
            for (int c = 0; c < 3; c++) {
                float v = planes.getAtIndex(ValueLayout.JAVA_FLOAT, c * area + i);
                picture.set(ValueLayout.JAVA_BYTE, 3 * i + c, level(v));
            }
        }
    }

    private static MemorySegment kept(RequestContext context, MemorySegment share) {
        Canvas canvas = context.canvas();
        int factor = canvas.y().factor();
        long cells = (long) canvas.height() * canvas.width();
        MemorySegment kept = context.memory().floats(canvas.plane(), "kept latents");
        boolean draws = false;
        for (int y = 0; y < canvas.height(); y++) {
            for (int x = 0; x < canvas.width(); x++) {
                boolean drawn = drawn(share, canvas.widthPixels(), y * factor, x * factor, factor);
                draws |= drawn;
                for (int c = 0; c < canvas.channels() && !drawn; c++) {
                    long at = c * cells + (long) y * canvas.width() + x;
                    kept.setAtIndex(ValueLayout.JAVA_FLOAT, at, 1);
                }
            }
        }
        if (!draws) {
            throw new BadRequestException(
                    "the mask '"
                            + context.request().inpaint().mask()
                            + "' leaves nothing to draw: what is white in it is drawn (or what is"
                            + " black, with --inpaint-inverted)");
        }
        return kept;
    }

    /** Whether any pixel of a cell is drawn. */
    private static boolean drawn(MemorySegment share, int width, int top, int left, int factor) {
        for (int y = top; y < top + factor; y++) {
            for (int x = left; x < left + factor; x++) {
                if (share.getAtIndex(ValueLayout.JAVA_FLOAT, (long) y * width + x) > 0) {
                    return true;
                }
            }
        }
        return false;
    }

    /**
     * The drawn picture where it was to be drawn, and the given one's bytes elsewhere.
     *
     * @param canvas of the request
     */
    Pixels composite(Pixels drawn, Canvas canvas) {
        Crop crop = Crop.of(canvas);
        ByteBuffer rgb = ByteBuffer.allocate(drawn.rgb().remaining());
        ByteBuffer from = drawn.rgb().duplicate();
        for (int y = 0; y < crop.height(); y++) {
            for (int x = 0; x < crop.width(); x++) {
                long at = (long) (crop.top() + y) * canvas.widthPixels() + crop.left() + x;
                float weight = share.getAtIndex(ValueLayout.JAVA_FLOAT, at);
                for (int c = 0; c < 3; c++) {
                    int given = picture.get(ValueLayout.JAVA_BYTE, 3 * at + c) & 255;
                    int own = from.get() & 255;
                    rgb.put(level(given + weight * (own - given)));
                }
            }
        }
        return new Pixels(drawn.width(), drawn.height(), rgb.flip());
    }

    private static byte level(float value) {
        return (byte) (int) Math.floor(Math.clamp(value, 0f, 255f) + 0.5f);
    }
}
