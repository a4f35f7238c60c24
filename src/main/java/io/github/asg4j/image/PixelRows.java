// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.Raster;

/** A decoded picture as rows of samples, before its colours are converted. One thread. */
@FunctionalInterface
interface PixelRows {
    /**
     * Reads a row.
     *
     * @param samples uint16 [width, channels], the result, without alpha
     * @param alpha [width], 0..65535, the result; opaque on entry
     */
    void read(int y, short[] samples, int[] alpha);

    /** Samples of 1 to 16 bits as 16 bits. */
    static short widen(int sample, int max) {
        return (short) ((sample * (long) SrgbConversion.MAX + max / 2) / max);
    }

    /**
     * The bands of a raster.
     *
     * @param channels bands that are colours; one more is alpha if {@code hasAlpha}
     * @param max largest sample of the colours
     * @param alphaMax largest sample of alpha
     */
    static PixelRows of(Raster raster, int channels, int max, boolean hasAlpha, int alphaMax) {
        int width = raster.getWidth();
        int bands = raster.getNumBands();
        int[] row = new int[width * bands];
        return (y, samples, alpha) -> {
            raster.getPixels(raster.getMinX(), raster.getMinY() + y, width, 1, row);
            for (int x = 0; x < width; x++) {
                for (int c = 0; c < channels; c++) {
                    samples[x * channels + c] = widen(row[x * bands + c], max);
                }
                if (hasAlpha) {
                    alpha[x] = Short.toUnsignedInt(widen(row[x * bands + channels], alphaMax));
                }
            }
        };
    }

    /** What a palette or an unusual colour model makes of a picture: 3 channels. */
    static PixelRows ofArgb(BufferedImage image) {
        int[] argb = new int[image.getWidth()];
        return (y, samples, alpha) -> {
            image.getRGB(0, y, argb.length, 1, argb, 0, argb.length);
            fromArgb(argb, samples, alpha);
        };
    }

    /** Indices into a palette of 256 entries 0xAARRGGBB: 3 channels. */
    static PixelRows ofPalette(Raster raster, int[] palette) {
        int[] argb = new int[raster.getWidth()];
        return (y, samples, alpha) -> {
            raster.getSamples(0, y, argb.length, 1, 0, argb);
            for (int x = 0; x < argb.length; x++) {
                argb[x] = palette[argb[x] & 255];
            }
            fromArgb(argb, samples, alpha);
        };
    }

    private static void fromArgb(int[] argb, short[] samples, int[] alpha) {
        for (int x = 0; x < argb.length; x++) {
            for (int c = 0; c < 3; c++) {
                samples[3 * x + c] = (short) (((argb[x] >> (16 - 8 * c)) & 255) * 257);
            }
            alpha[x] = (argb[x] >>> 24) * 257;
        }
    }

    /** Whether {@link #of(Raster, int, int, boolean, int)} can take an image's samples. */
    static boolean hasPlainSamples(ColorModel model) {
        int channels = model.getNumColorComponents();
        for (int c = 1; c < channels; c++) {
            if (model.getComponentSize(c) != model.getComponentSize(0)) {
                return false;
            }
        }
        return model.getTransferType() <= java.awt.image.DataBuffer.TYPE_USHORT
                || model instanceof java.awt.image.DirectColorModel;
    }

    /** These rows with the samples of one colour made transparent. */
    default PixelRows withTransparent(int[] colour, int max) {
        int channels = colour.length;
        short[] key = new short[channels];
        for (int c = 0; c < channels; c++) {
            key[c] = widen(colour[c], max);
        }
        return (y, samples, alpha) -> {
            read(y, samples, alpha);
            for (int x = 0; x < alpha.length; x++) {
                boolean same = true;
                for (int c = 0; c < channels; c++) {
                    same &= samples[x * channels + c] == key[c];
                }
                if (same) {
                    alpha[x] = 0;
                }
            }
        };
    }

    /** Inks of JPEG files, which all programs store inverted, as amounts of ink. */
    default PixelRows ofJpegInks(boolean ycck) {
        return (y, samples, alpha) -> {
            read(y, samples, alpha);
            for (int i = 0; i < samples.length; i += 4) {
                if (ycck) {
                    toRgb(samples, i);
                }
                for (int c = 0; c < 4; c++) {
                    samples[i + c] = (short) ~samples[i + c];
                }
            }
        };
    }

    /** YCbCr in place (ITU-T T.871). */
    private static void toRgb(short[] samples, int i) {
        double luma = Short.toUnsignedInt(samples[i]) / 257.0;
        double blue = Short.toUnsignedInt(samples[i + 1]) / 257.0 - 128;
        double red = Short.toUnsignedInt(samples[i + 2]) / 257.0 - 128;
        double[] rgb = {
            luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue
        };
        for (int c = 0; c < 3; c++) {
            samples[i + c] = (short) (Math.round(Math.clamp(rgb[c], 0, 255)) * 257);
        }
    }
}
