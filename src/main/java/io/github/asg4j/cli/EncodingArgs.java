// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.image.PictureEncoding;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** How well pictures are kept in their files. */
final class EncodingArgs {
    private static final int MAX_QUALITY = 100;

    @Option(
            names = "--quality",
            paramLabel = "N",
            order = HelpSections.OUTPUT + 80,
            description = "of JPEG and WebP (0..100; default: 95)")
    @Nullable Integer quality;

    @Option(
            names = "--lossless",
            order = HelpSections.OUTPUT + 80,
            description = "write WebP that keeps every pixel, as PNG does")
    boolean lossless;

    /**
     * The encoding of a format with these options.
     *
     * @param file what is written, for messages, as in "'a.png'"
     * @throws ParameterException if they are not of that format
     */
    PictureEncoding of(CommandSpec command, PictureEncoding.Format format, String file) {
        if (lossless) {
            if (quality != null) {
                throw misuse(command, "--quality and --lossless exclude each other: give one");
            }
            if (format != PictureEncoding.Format.WEBP) {
                throw misuse(
                        command,
                        "--lossless is of WebP, and "
                                + file
                                + " gets a "
                                + (format == PictureEncoding.Format.PNG
                                        ? "PNG, which keeps every pixel anyway: leave it out"
                                        : "JPEG, which never keeps every pixel: leave it out, or"
                                                + " choose WebP"));
            }
            return PictureEncoding.LOSSLESS_WEBP;
        }
        if (quality == null) {
            return PictureEncoding.of(format);
        }
        if (!format.isLossy()) {
            throw misuse(
                    command,
                    "--quality is of JPEG and WebP, and "
                            + file
                            + " gets a PNG, which keeps every pixel: leave it out, or choose JPEG"
                            + " (a name that ends in .jpg) or WebP (.webp)");
        }
        if (quality < 0 || quality > MAX_QUALITY) {
            throw misuse(
                    command,
                    "Invalid value for option '--quality': " + quality + " is not in 0..100");
        }
        return new PictureEncoding(format, quality);
    }

    private static ParameterException misuse(CommandSpec command, String message) {
        return new ParameterException(command.commandLine(), message);
    }
}
