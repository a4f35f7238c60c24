// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.PreviewImage;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

import javax.imageio.ImageIO;

/** An RGB picture as float32 planes {@code [3, height, width]} in [0, 1], on the heap. Immutable. */
public final class Picture {
    static final int CHANNELS = 3;

    private final int width;
    private final int height;
    private final float[] planes;

    private Picture(int width, int height, float[] planes) {
        this.width = width;
        this.height = height;
        this.planes = planes;
    }

    /** A picture of the engine. */
    public static Picture of(GeneratedImage image) {
        return of(image.width(), image.height(), image.rgb());
    }

    /** A picture on the way to one. */
    static Picture of(PreviewImage image) {
        return of(image.width(), image.height(), image.rgb());
    }

    private static Picture of(int width, int height, ByteBuffer rgb) {
        int pixels = width * height;
        float[] planes = new float[CHANNELS * pixels];
        for (int i = 0; i < pixels; i++) {
            for (int c = 0; c < CHANNELS; c++) {
                planes[c * pixels + i] = (rgb.get(CHANNELS * i + c) & 0xff) / 255f;
            }
        }
        return new Picture(width, height, planes);
    }

    /**
     * Reads a PNG, or whatever else ImageIO reads.
     *
     * @throws BadRequestException if it is no picture
     */
    public static Picture read(Path file) {
        BufferedImage image;
        try {
            // From bytes: ImageIO says "can't read input file" of everything that is wrong.
            image = ImageIO.read(new java.io.ByteArrayInputStream(Files.readAllBytes(file)));
        } catch (IOException e) {
            throw new BadRequestException(
                    "cannot read '" + file + "' (" + e + "): a PNG picture is expected", e);
        }
        if (image == null) {
            throw new BadRequestException("'" + file + "' is no picture: a PNG is expected");
        }
        int pixels = image.getWidth() * image.getHeight();
        float[] planes = new float[CHANNELS * pixels];
        for (int y = 0; y < image.getHeight(); y++) {
            for (int x = 0; x < image.getWidth(); x++) {
                int rgb = image.getRGB(x, y);
                int i = y * image.getWidth() + x;
                planes[i] = (rgb >> 16 & 0xff) / 255f;
                planes[pixels + i] = (rgb >> 8 & 0xff) / 255f;
                planes[2 * pixels + i] = (rgb & 0xff) / 255f;
            }
        }
        return new Picture(image.getWidth(), image.getHeight(), planes);
    }

    public int width() {
        return width;
    }

    public int height() {
        return height;
    }

    int pixels() {
        return width * height;
    }

    float at(int channel, int y, int x) {
        return planes[(channel * height + y) * width + x];
    }

    /** {@code [3, height, width]}; not to be changed. */
    float[] planes() {
        return planes;
    }

    /** RGB8, row-major, {@code width * height * 3} bytes; values are clamped to [0, 1]. */
    byte[] rgb8() {
        byte[] rgb = new byte[planes.length];
        int n = pixels();
        for (int i = 0; i < n; i++) {
            for (int c = 0; c < CHANNELS; c++) {
                float value = Math.clamp(planes[c * n + i], 0f, 1f);
                rgb[CHANNELS * i + c] = (byte) Math.round(value * 255);
            }
        }
        return rgb;
    }

    /** Luma of ITU-R BT.601, {@code [height, width]}. */
    float[] luma() {
        int n = pixels();
        float[] y = new float[n];
        for (int i = 0; i < n; i++) {
            y[i] = 0.299f * planes[i] + 0.587f * planes[n + i] + 0.114f * planes[2 * n + i];
        }
        return y;
    }

    /** The part whose upper left pixel is (x, y). */
    Picture crop(int x, int y, int w, int h) {
        float[] part = new float[CHANNELS * w * h];
        for (int c = 0; c < CHANNELS; c++) {
            for (int row = 0; row < h; row++) {
                System.arraycopy(
                        planes, (c * height + y + row) * width + x, part, (c * h + row) * w, w);
            }
        }
        return new Picture(w, h, part);
    }

    /** Means of blocks of {@code factor} x {@code factor} pixels; what is over at the end is left out. */
    Picture averaged(int factor) {
        int w = width / factor;
        int h = height / factor;
        float[] out = new float[CHANNELS * w * h];
        for (int c = 0; c < CHANNELS; c++) {
            for (int y = 0; y < h; y++) {
                for (int x = 0; x < w; x++) {
                    double sum = 0;
                    for (int dy = 0; dy < factor; dy++) {
                        for (int dx = 0; dx < factor; dx++) {
                            sum += at(c, y * factor + dy, x * factor + dx);
                        }
                    }
                    out[(c * h + y) * w + x] = (float) (sum / (factor * factor));
                }
            }
        }
        return new Picture(w, h, out);
    }

    /** Means of 3 x 3 pixels, the border repeated outwards. */
    Picture smoothed() {
        float[] out = new float[planes.length];
        for (int c = 0; c < CHANNELS; c++) {
            for (int y = 0; y < height; y++) {
                for (int x = 0; x < width; x++) {
                    double sum = 0;
                    for (int dy = -1; dy <= 1; dy++) {
                        for (int dx = -1; dx <= 1; dx++) {
                            sum += at(c, clamp(y + dy, height), clamp(x + dx, width));
                        }
                    }
                    out[(c * height + y) * width + x] = (float) (sum / 9);
                }
            }
        }
        return new Picture(width, height, out);
    }

    /**
     * Resized by the bicubic filter (a = -0.5) with antialiasing, without rounding between the axes:
     * how the field resizes before FID (clean-fid, arXiv 2104.11222).
     */
    Picture resized(int newWidth, int newHeight) {
        if (newWidth == width && newHeight == height) {
            return this;
        }
        Resampling across = Resampling.bicubic(width, newWidth);
        Resampling down = Resampling.bicubic(height, newHeight);
        float[] rows = new float[CHANNELS * height * newWidth];
        for (int line = 0; line < CHANNELS * height; line++) {
            across.apply(planes, line * width, 1, rows, line * newWidth, 1);
        }
        float[] out = new float[CHANNELS * newHeight * newWidth];
        for (int c = 0; c < CHANNELS; c++) {
            for (int x = 0; x < newWidth; x++) {
                down.apply(
                        rows,
                        c * height * newWidth + x,
                        newWidth,
                        out,
                        c * newHeight * newWidth + x,
                        newWidth);
            }
        }
        return new Picture(newWidth, newHeight, out);
    }

    /** Makes a picture of this size from {@code planes} [3, height, width]. */
    static Picture ofPlanes(int width, int height, float[] planes) {
        if (planes.length != CHANNELS * width * height) {
            throw new IllegalArgumentException(
                    planes.length + " values are no picture of " + width + "x" + height);
        }
        return new Picture(width, height, planes);
    }

    static int clamp(int index, int extent) {
        return Math.max(0, Math.min(extent - 1, index));
    }
}
