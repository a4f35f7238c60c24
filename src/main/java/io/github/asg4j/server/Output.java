// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.OutputException;
import io.github.asg4j.image.PictureEncoding;
import io.github.asg4j.image.PictureEncoding.Format;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/** How pictures are handed out. */
final class Output {
    /** The form of previews, which are soon replaced. */
    static final PictureEncoding PREVIEW = new PictureEncoding(Format.JPEG, 80);

    private Output() {}

    /**
     * What {@code output_format} and {@code output_compression} say.
     *
     * @throws Refusal if a picture cannot be written like that
     */
    static PictureEncoding of(@Nullable String format, @Nullable Integer quality) {
        Format parsed =
                switch (format == null ? "png" : format.toLowerCase(Locale.ROOT)) {
                    case "png" -> Format.PNG;
                    case "jpeg", "jpg" -> Format.JPEG;
                    case "webp" -> Format.WEBP;
                    default ->
                            throw Refusal.invalidValue(
                                    "output_format",
                                    "output_format \""
                                            + format
                                            + "\": pictures are written as png, jpeg and webp"
                                            + " here");
                };
        if (quality != null && (quality < 0 || quality > 100)) {
            throw Refusal.invalidValue(
                    "output_compression",
                    "output_compression " + quality + ": it goes from 0 to 100");
        }
        PictureEncoding encoding =
                quality == null ? PictureEncoding.of(parsed) : new PictureEncoding(parsed, quality);
        check(encoding, 0, 0);
        return encoding;
    }

    /**
     * Says before the work whether a picture can be written.
     *
     * @param width pixels; 0: not known yet
     * @param height pixels; 0: not known yet
     * @throws Refusal if not
     */
    static void check(PictureEncoding encoding, int width, int height) {
        try {
            encoding.check(width, height);
        } catch (OutputException e) {
            throw Refusal.invalidValue("output_format", String.valueOf(e.getMessage()));
        }
    }

    /** Values of {@code output_format} that pictures can be written as here. */
    static List<String> formats() {
        return Stream.of(Format.PNG, Format.JPEG, Format.WEBP)
                .filter(Output::isWritten)
                .map(Format::word)
                .toList();
    }

    private static boolean isWritten(Format format) {
        try {
            PictureEncoding.of(format).check(0, 0);
            return true;
        } catch (OutputException e) {
            return false; // a library is missing
        }
    }
}
