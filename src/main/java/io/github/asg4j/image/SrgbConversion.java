// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import org.jspecify.annotations.Nullable;

import java.awt.color.CMMException;
import java.awt.color.ColorSpace;
import java.awt.color.ICC_Profile;
import java.awt.image.ColorConvertOp;
import java.awt.image.DataBufferUShort;
import java.awt.image.Raster;
import java.awt.image.WritableRaster;
import java.util.stream.IntStream;

/** Conversion of samples to sRGB. One thread. */
@FunctionalInterface
interface SrgbConversion {
    /** Largest sample. */
    int MAX = 65_535;

    /** Levels of each channel at which a conversion is compared with doing nothing. */
    int PROBES = 18;

    /** Grey samples, taken as sRGB has them. */
    SrgbConversion GREY =
            (samples, rgb, pixels) -> {
                for (int i = 0; i < pixels; i++) {
                    rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = samples[i];
                }
            };

    /** Samples that are sRGB already. */
    SrgbConversion RGB = (samples, rgb, pixels) -> System.arraycopy(samples, 0, rgb, 0, 3 * pixels);

    /** Inks without a profile: (1 - C) (1 - K), as most programs have it. */
    SrgbConversion CMYK =
            (samples, rgb, pixels) -> {
                for (int i = 0; i < pixels; i++) {
                    long paper = MAX - Short.toUnsignedLong(samples[4 * i + 3]);
                    for (int c = 0; c < 3; c++) {
                        long ink = Short.toUnsignedInt(samples[4 * i + c]);
                        rgb[3 * i + c] = (short) (((MAX - ink) * paper + MAX / 2) / MAX);
                    }
                }
            };

    /**
     * Converts pixels.
     *
     * @param samples uint16 [pixels, channels]
     * @param rgb uint16 [pixels, 3], the result
     */
    void convert(short[] samples, short[] rgb, int pixels);

    /** What applies where a file says nothing about its colours. */
    static SrgbConversion of(int channels) {
        return switch (channels) {
            case 1 -> GREY;
            case 3 -> RGB;
            case 4 -> CMYK;
            default -> throw new IllegalArgumentException(channels + " channels");
        };
    }

    /**
     * The conversion by an ICC profile, perceptually; {@link #RGB} or {@link #GREY} if that differs
     * by a rounding of 8 bits at most.
     *
     * @return null if the profile is damaged or of another number of channels
     */
    static @Nullable SrgbConversion of(byte[] icc, int channels) {
        try {
            ICC_Profile profile = ICC_Profile.getInstance(icc);
            return profile.getNumComponents() == channels
                    ? unlessNothing(of(profile, channels), channels)
                    : null;
        } catch (IllegalArgumentException | CMMException e) {
            return null;
        }
    }

    private static SrgbConversion of(ICC_Profile profile, int channels) {
        ICC_Profile srgb = ICC_Profile.getInstance(ColorSpace.CS_sRGB);
        ColorConvertOp operation = new ColorConvertOp(new ICC_Profile[] {profile, srgb}, null);
        return (samples, rgb, pixels) ->
                operation.filter(raster(samples, channels, pixels), raster(rgb, 3, pixels));
    }

    private static WritableRaster raster(short[] samples, int channels, int pixels) {
        return Raster.createInterleavedRaster(
                new DataBufferUShort(samples, samples.length),
                pixels,
                1,
                channels * pixels,
                channels,
                IntStream.range(0, channels).toArray(),
                null);
    }

    /**
     * The conversion from RGB of given primaries and transfer function; {@link #RGB} if that differs
     * by a rounding of 8 bits at most.
     */
    static SrgbConversion of(RgbSpace space) {
        float[] linear = new float[MAX + 1];
        short[] encoded = new short[MAX + 1];
        for (int i = 0; i <= MAX; i++) {
            double v = (double) i / MAX;
            linear[i] = (float) space.transfer().applyAsDouble(v);
            encoded[i] = (short) Math.round(MAX * RgbSpace.encodeSrgb(v));
        }
        double[] m = space.toLinearSrgb();
        SrgbConversion conversion =
                (samples, rgb, pixels) -> {
                    for (int i = 0; i < 3 * pixels; i += 3) {
                        float r = linear[Short.toUnsignedInt(samples[i])];
                        float g = linear[Short.toUnsignedInt(samples[i + 1])];
                        float b = linear[Short.toUnsignedInt(samples[i + 2])];
                        for (int c = 0; c < 3; c++) {
                            double v = m[3 * c] * r + m[3 * c + 1] * g + m[3 * c + 2] * b;
                            rgb[i + c] = encoded[(int) Math.rint(Math.clamp(v, 0, 1) * MAX)];
                        }
                    }
                };
        return unlessNothing(conversion, 3);
    }

    /** A conversion of grey samples by one of RGB. */
    static SrgbConversion ofGrey(SrgbConversion ofRgb) {
        SrgbConversion grey =
                (samples, rgb, pixels) -> {
                    short[] three = new short[3 * pixels];
                    GREY.convert(samples, three, pixels);
                    ofRgb.convert(three, rgb, pixels);
                };
        return unlessNothing(grey, 1);
    }

    private static SrgbConversion unlessNothing(SrgbConversion conversion, int channels) {
        if (channels == 4) {
            return conversion;
        }
        int pixels = channels == 1 ? 256 : PROBES * PROBES * PROBES;
        int levels = channels == 1 ? 256 : PROBES;
        short[] probes = new short[channels * pixels];
        for (int i = 0; i < pixels; i++) {
            int rest = i;
            for (int c = 0; c < channels; c++, rest /= levels) {
                probes[channels * i + c] = (short) (rest % levels * (255 / (levels - 1)) * 257);
            }
        }
        short[] found = new short[3 * pixels];
        conversion.convert(probes, found, pixels);
        SrgbConversion nothing = of(channels);
        short[] same = new short[3 * pixels];
        nothing.convert(probes, same, pixels);
        for (int i = 0; i < found.length; i++) {
            int difference = Short.toUnsignedInt(found[i]) - Short.toUnsignedInt(same[i]);
            if (Math.abs(difference) > 257) {
                return conversion;
            }
        }
        return nothing;
    }
}
