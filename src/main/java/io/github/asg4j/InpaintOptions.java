// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.util.Objects;

/**
 * Which parts of a start picture are drawn anew.
 *
 * @param mask a picture of the same size as the start picture: white parts are drawn, black ones stay as
 *     they are, grey ones are mixed; null: all of it is drawn
 * @param blur standard deviation by which the mask's borders are softened, pixels of the finished picture;
 *     0: not
 * @param inverted black parts are drawn instead
 * @param borders beside the start picture, which are drawn too
 * @param area of the start picture that is at work
 * @param padding by which {@link Area#MASKED} is wider on each side than what the mask has drawn, pixels
 *     of the start picture
 */
public record InpaintOptions(
        @Nullable Content mask,
        double blur,
        boolean inverted,
        Borders borders,
        Area area,
        int padding) {
    /** Of {@code blur}. */
    public static final Range BLUR_RANGE = new Range(0, 64);

    /** Of {@code padding}. */
    public static final Range PADDING_RANGE = new Range(0, 4096);

    /** What of a start picture is resized to the size to draw. */
    public enum Area {
        /** All of it: the finished picture has the size that was drawn. */
        WHOLE,
        /**
         * The rectangle about what the mask has drawn, widened to the aspect of the size to draw. It is
         * drawn at that size and put back at its own, so the finished picture has the start picture's
         * size, and all pixels that the mask leaves.
         */
        MASKED
    }

    /**
     * Widths of what lies beside the start picture in the picture to draw, pixels.
     *
     * @param left at least 0
     * @param top at least 0
     * @param right at least 0
     * @param bottom at least 0
     */
    public record Borders(int left, int top, int right, int bottom) {
        private static final Range WIDTH = new Range(0, 1 << 16);

        /** The start picture is as large as the picture to draw. */
        public static final Borders NONE = new Borders(0, 0, 0, 0);

        public Borders {
            for (int width : new int[] {left, top, right, bottom}) {
                WIDTH.check("width of a border", width);
            }
        }

        /**
         * Reads "LEFT,TOP,RIGHT,BOTTOM".
         *
         * @throws BadRequestException if it is no such text
         */
        public static Borders parse(String text) {
            String[] parts = text.strip().split("\\s*,\\s*", -1);
            int[] widths = new int[parts.length];
            try {
                for (int i = 0; i < parts.length; i++) {
                    widths[i] = Integer.parseInt(parts[i]);
                }
            } catch (NumberFormatException e) {
                throw wrong(text);
            }
            if (widths.length != 4) {
                throw wrong(text);
            }
            return new Borders(widths[0], widths[1], widths[2], widths[3]);
        }

        private static BadRequestException wrong(String text) {
            return new BadRequestException(
                    "'" + text + "' is not LEFT,TOP,RIGHT,BOTTOM in pixels, as in 64,0,64,0");
        }

        /** As {@link #parse} reads it. */
        @Override
        public String toString() {
            return left + "," + top + "," + right + "," + bottom;
        }
    }

    /** No mask. */
    public static final InpaintOptions DEFAULT =
            new InpaintOptions(null, 0, false, Borders.NONE, Area.WHOLE, 32);

    public InpaintOptions {
        Objects.requireNonNull(area, "area");
        BLUR_RANGE.check("inpaint blur", blur);
        PADDING_RANGE.check("inpaint padding", padding);
    }

    public InpaintOptions withMask(@Nullable Content picture) {
        return new InpaintOptions(picture, blur, inverted, borders, area, padding);
    }

    public InpaintOptions withBlur(double pixels) {
        return new InpaintOptions(mask, pixels, inverted, borders, area, padding);
    }

    public InpaintOptions withInverted(boolean black) {
        return new InpaintOptions(mask, blur, black, borders, area, padding);
    }

    public InpaintOptions withBorders(Borders beside) {
        return new InpaintOptions(mask, blur, inverted, beside, area, padding);
    }

    public InpaintOptions withArea(Area drawn) {
        return new InpaintOptions(mask, blur, inverted, borders, drawn, padding);
    }

    public InpaintOptions withPadding(int pixels) {
        return new InpaintOptions(mask, blur, inverted, borders, area, pixels);
    }

    /** Whether some parts of the picture to draw are kept. */
    public boolean keeps() {
        return mask != null || !borders.equals(Borders.NONE);
    }
}
