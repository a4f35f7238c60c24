// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.image.JpegWriter;

import org.jspecify.annotations.Nullable;

import java.util.Locale;

/**
 * How a picture is handed out.
 *
 * @param quality 0..100, of JPEG; PNG keeps everything
 */
record Output(Format format, int quality) {
    static final Output PNG = new Output(Format.PNG, JpegWriter.DEFAULT_QUALITY);

    /** The form of previews, which are soon replaced. */
    static final Output PREVIEW = new Output(Format.JPEG, 80);

    /** Formats that are written here. */
    enum Format {
        PNG,
        JPEG;

        String mediaType() {
            return "image/" + word();
        }

        /** Returns the name in OpenAI's API. */
        String word() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /**
     * What {@code output_format} and {@code output_compression} say.
     *
     * @throws Refusal if a picture cannot be written like that
     */
    static Output of(@Nullable String format, @Nullable Integer quality) {
        Format parsed =
                switch (format == null ? "png" : format.toLowerCase(Locale.ROOT)) {
                    case "png" -> Format.PNG;
                    case "jpeg", "jpg" -> Format.JPEG;
                    default ->
                            throw Refusal.invalidValue(
                                    "output_format",
                                    "output_format \""
                                            + format
                                            + "\": pictures are written as png and jpeg here");
                };
        if (quality != null && (quality < 0 || quality > 100)) {
            throw Refusal.invalidValue(
                    "output_compression",
                    "output_compression " + quality + ": it goes from 0 to 100");
        }
        return new Output(
                parsed,
                quality == null || parsed == Format.PNG ? JpegWriter.DEFAULT_QUALITY : quality);
    }
}
