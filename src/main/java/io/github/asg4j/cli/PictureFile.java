// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.OutputException;
import io.github.asg4j.image.JpegWriter;
import io.github.asg4j.image.PngWriter;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

import java.io.PrintStream;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Set;
import java.util.function.BooleanSupplier;

/**
 * Where a picture goes: a PNG or JPEG file, by the ending of its name, or standard output.
 *
 * @param quality of JPEG, 0..100
 */
record PictureFile(Path path, Kind kind, int quality) {
    private static final int MAX_QUALITY = 100;
    private static final String STANDARD_OUTPUT = "-";
    private static final Set<String> JPEG = Set.of("jpg", "jpeg", "jpe", "jfif");

    /** Endings of formats that a picture cannot be written in. */
    private static final Set<String> OTHERS =
            Set.of(
                    "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "jxl", "jp2",
                    "svg", "pdf", "psd", "ico", "exr", "hdr", "ppm", "pgm", "tga", "qoi", "json",
                    "txt", "html", "mp4", "webm");

    enum Kind {
        PNG,
        JPEG,
        STANDARD_OUTPUT
    }

    /**
     * What an option --out means.
     *
     * @param given its value, in which {prompt} and {seed} stand for those of the request; null: a
     *     default name in the current folder
     * @param asked quality of JPEG, 0..100; null: the usual one
     * @throws ParameterException if no picture can be written under that name
     */
    static PictureFile of(
            CommandSpec command,
            @Nullable String given,
            @Nullable Integer asked,
            GenerationRequest request) {
        PictureFile file = of(command, given, request);
        if (asked == null) {
            return file;
        }
        if (file.kind != Kind.JPEG) {
            throw new ParameterException(
                    command.commandLine(),
                    "--quality is of JPEG, and "
                            + (file.isStandardOutput() ? "standard output" : "'" + file.path + "'")
                            + " gets a PNG, which keeps everything: leave it out, or give --out a"
                            + " name that ends in .jpg");
        }
        if (asked < 0 || asked > MAX_QUALITY) {
            throw new ParameterException(
                    command.commandLine(),
                    "Invalid value for option '--quality': " + asked + " is not in 0..100");
        }
        return new PictureFile(file.path, Kind.JPEG, asked);
    }

    private static PictureFile png(Path path) {
        return new PictureFile(path, Kind.PNG, JpegWriter.DEFAULT_QUALITY);
    }

    private static PictureFile of(
            CommandSpec command, @Nullable String given, GenerationRequest request) {
        if (given == null) {
            return png(DefaultFile.of(request, ".png"));
        }
        if (given.equals(STANDARD_OUTPUT)) {
            return new PictureFile(
                    Path.of(STANDARD_OUTPUT), Kind.STANDARD_OUTPUT, JpegWriter.DEFAULT_QUALITY);
        }
        String out = DefaultFile.expanded(given, request);
        Path path;
        try {
            path = Path.of(out);
        } catch (InvalidPathException e) {
            throw new ParameterException(
                    command.commandLine(),
                    "Invalid value for option '--out': '"
                            + out
                            + "' cannot be a file name here ("
                            + e.getReason()
                            + "): choose another, or a UTF-8 locale, as in LC_ALL=C.UTF-8");
        }
        if (out.endsWith("/") || Files.isDirectory(path)) {
            return png(DefaultFile.in(path, request, ".png"));
        }
        String ending = out.substring(out.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
        if (OTHERS.contains(ending) && out.contains(".")) {
            throw new ParameterException(
                    command.commandLine(),
                    "Invalid value for option '--out': '"
                            + out
                            + "' ends in ."
                            + ending
                            + ", and pictures are written as PNG or JPEG: name it .png or .jpg");
        }
        return JPEG.contains(ending)
                ? new PictureFile(path, Kind.JPEG, JpegWriter.DEFAULT_QUALITY)
                : png(path);
    }

    boolean isStandardOutput() {
        return kind == Kind.STANDARD_OUTPUT;
    }

    /**
     * Says before the work whether a picture could be written.
     *
     * @param width pixels; 0: not known yet
     * @param height pixels; 0: not known yet
     * @throws OutputException if not
     */
    void check(int width, int height) {
        if (kind == Kind.JPEG) {
            JpegWriter.checkSize(path, width, height);
        }
        if (!isStandardOutput()) {
            PngWriter.checkWritable(path, width, height);
        }
    }

    /**
     * Writes a picture.
     *
     * @param standardOutput for a picture that goes there
     * @param parameters its settings as text
     * @param cancelled asked before each row
     */
    void write(
            PrintStream standardOutput,
            GeneratedImage image,
            String parameters,
            BooleanSupplier cancelled) {
        MemorySegment rgb = MemorySegment.ofBuffer(image.rgb());
        write(standardOutput, image.width(), image.height(), rgb, parameters, cancelled);
    }

    /**
     * Writes pixels.
     *
     * @param standardOutput for a picture that goes there
     * @param rgb RGB8, row by row
     * @param parameters settings as text
     * @param cancelled asked before each row
     */
    void write(
            PrintStream standardOutput,
            int width,
            int height,
            MemorySegment rgb,
            String parameters,
            BooleanSupplier cancelled) {
        switch (kind) {
            case PNG -> PngWriter.write(path, width, height, rgb, parameters, cancelled);
            case JPEG -> JpegWriter.write(path, width, height, rgb, parameters, quality, cancelled);
            case STANDARD_OUTPUT ->
                    PngWriter.write(standardOutput, width, height, rgb, parameters, cancelled);
        }
    }
}
