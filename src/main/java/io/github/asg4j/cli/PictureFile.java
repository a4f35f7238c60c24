// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.OutputException;
import io.github.asg4j.image.PictureEncoding;

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

/** Where a picture goes: a PNG, JPEG or WebP file, by the ending of its name, or standard output. */
record PictureFile(Path path, PictureEncoding encoding) {
    private static final Path STANDARD_OUTPUT = Path.of("-");

    /** Endings of formats that a picture cannot be written in. */
    private static final Set<String> OTHERS =
            Set.of(
                    "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "jxl", "jp2", "svg", "pdf",
                    "psd", "ico", "exr", "hdr", "ppm", "pgm", "tga", "qoi", "json", "txt", "html",
                    "mp4", "webm");

    /**
     * What an option --out means.
     *
     * @param given its value, in which {prompt} and {seed} stand for those of the request; null: a
     *     default name in the current folder
     * @param asked how well the picture is kept
     * @throws ParameterException if no picture can be written under that name
     */
    static PictureFile of(
            CommandSpec command,
            @Nullable String given,
            EncodingArgs asked,
            GenerationRequest request) {
        Path path = path(command, given, request);
        boolean standardOutput = path.equals(STANDARD_OUTPUT);
        String file = standardOutput ? "standard output" : "'" + path + "'";
        PictureEncoding.Format format =
                PictureEncoding.Format.ofEnding(ending(path)).orElse(PictureEncoding.Format.PNG);
        return new PictureFile(path, asked.of(command, format, file));
    }

    /** The ending of a file's name in lower case, without the full stop; empty without one. */
    private static String ending(Path path) {
        String name = String.valueOf(path.getFileName());
        int dot = name.lastIndexOf('.');
        return dot < 0 ? "" : name.substring(dot + 1).toLowerCase(Locale.ROOT);
    }

    private static Path path(
            CommandSpec command, @Nullable String given, GenerationRequest request) {
        if (given == null) {
            return DefaultFile.of(request, ".png");
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
        if (path.equals(STANDARD_OUTPUT)) {
            return path;
        }
        if (out.endsWith("/") || Files.isDirectory(path)) {
            return DefaultFile.in(path, request, ".png");
        }
        if (OTHERS.contains(ending(path))) {
            throw new ParameterException(
                    command.commandLine(),
                    "Invalid value for option '--out': '"
                            + out
                            + "' ends in ."
                            + ending(path)
                            + ", and pictures are written as PNG, JPEG or WebP: name it .png, .jpg"
                            + " or .webp");
        }
        return path;
    }

    boolean isStandardOutput() {
        return path.equals(STANDARD_OUTPUT);
    }

    /**
     * Says before the work whether a picture could be written.
     *
     * @param width pixels; 0: not known yet
     * @param height pixels; 0: not known yet
     * @throws OutputException if not
     */
    void check(int width, int height) {
        if (isStandardOutput()) {
            encoding.check(width, height);
        } else {
            encoding.check(path, width, height);
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
        if (isStandardOutput()) {
            encoding.write(standardOutput, width, height, rgb, parameters, cancelled);
        } else {
            encoding.write(path, width, height, rgb, parameters, cancelled);
        }
    }
}
