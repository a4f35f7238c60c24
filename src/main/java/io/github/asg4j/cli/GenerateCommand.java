// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.PictureReport;
import io.github.asg4j.PromptOptions;
import io.github.asg4j.ReportJson;
import io.github.asg4j.Seed;
import io.github.asg4j.Size;
import io.github.asg4j.image.OutputFile;
import io.github.asg4j.image.PngParameters;
import io.github.asg4j.prompt.PromptLoras;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;

/** Draws a picture, or one for each of several seeds, and writes them to files. */
@Command(
        name = "generate",
        versionProvider = Cli.Version.class,
        description = "Draws a picture, or several that differ in their seed.",
        synopsisHeading = "Usage: ",
        customSynopsis = "asg generate --prompt TEXT|--like FILE [OPTIONS]",
        descriptionHeading = "%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  asg generate --prompt \"a red ball on grass\"",
            "  asg generate --prompt \"a blue cube\" --size 384x256 --seed 7 --out cube.png --json",
            "  asg generate --prompt \"a blue cube\" --seeds 1,2,5..9 --out \"cubes/{seed}.jpg\"",
            "  asg generate --like cube.png --size 768x512",
            "",
            "Exit codes: 0 done, 1 a bug of ours, 2 bad arguments, 3 bad bundle, 4 device or"
                    + " memory,",
            "            5 output cannot be written, 130 cancelled."
        })
final class GenerateCommand implements Callable<Integer> {
    /** Characters of a prompt in a warning, which is one line. */
    private static final int MAX_SHOWN = 60;

    private final Cli cli;
    private final Interruption interruption;

    /** The picture to draw again; null: none. */
    private @Nullable Likeness like;

    @Spec
    @SuppressWarnings("NullAway.Init") // set by picocli
    private CommandSpec command;

    @Mixin private EngineArgs engineArgs = new EngineArgs();
    @Mixin private LikeArgs likeArgs = new LikeArgs();
    @Mixin private OutputArgs outputArgs = new OutputArgs();
    @Mixin private CommonArgs commonArgs = new CommonArgs();

    GenerateCommand(Cli cli, Interruption interruption) {
        this.cli = cli;
        this.interruption = interruption;
    }

    /** Where the picture goes; plan takes and ignores them. */
    static final class OutputArgs {
        @Option(
                names = "--out",
                paramLabel = "FILE",
                order = HelpSections.OUTPUT + 80,
                description =
                        "the picture's file, .png, .jpg or .webp, in whose name {prompt}, {seed}"
                                + " and {variation}, the variation's seed, are replaced; a folder:"
                                + " {prompt}-{seed}.png in it; -: standard output, as PNG (default:"
                                + " ./{prompt}-{seed}.png; it is numbered where there is one)")
        @Nullable String out;

        @Mixin EncodingArgs encoding = new EncodingArgs();

        @Option(
                names = "--count",
                paramLabel = "N",
                order = HelpSections.OUTPUT + 80,
                description =
                        "so many pictures, of seeds that follow --seed, or of --variation-seed"
                                + " where that is given (default: 1)")
        @Nullable Integer count;

        @Option(
                names = "--seeds",
                paramLabel = "LIST",
                order = HelpSections.OUTPUT + 80,
                description = "a picture for each of these seeds, as in 1,2,5..9")
        @Nullable String seeds;

        @Option(
                names = "--grid",
                paramLabel = "FILE",
                order = HelpSections.OUTPUT + 80,
                description =
                        "all pictures of --count or --seeds side by side in one file more, .png,"
                                + " .jpg or .webp")
        @Nullable String grid;

        @Option(
                names = "--grid-labels",
                order = HelpSections.OUTPUT + 80,
                description =
                        "above each picture of the grid its seed, or its variation's seed where"
                                + " only that differs")
        boolean gridLabels;

        @Option(
                names = "--trace",
                paramLabel = "FILE.json",
                order = HelpSections.OUTPUT + 81,
                description =
                        "where the time goes, call by call and device by device, for"
                                + " chrome://tracing or Perfetto; a summary is printed")
        @Nullable Path trace;

        @Option(
                names = "--quiet",
                order = HelpSections.OUTPUT + 91,
                description = "no progress; print the file's name only")
        boolean quiet;
    }

    @Override
    public Integer call() {
        RequestArgs requestArgs = new RequestArgs(command);
        String prompt = requestArgs.text("prompt");
        like = likeArgs.likeness();
        if (prompt == null && (like == null || !like.values().containsKey("prompt"))) {
            throw new ParameterException(
                    command.commandLine(),
                    like == null
                            ? "Missing required option: '--prompt TEXT'"
                            : "'" + like.file() + "' says no prompt: give it with --prompt TEXT");
        }
        GenerationRequest request =
                requestArgs.request(
                        prompt == null ? "any" : prompt,
                        cli.engines().methods(),
                        cli.seeds(),
                        like);
        if (like != null) {
            like.warnings().forEach(warning -> cli.err().println("asg: warning: " + warning));
        }
        List<Picture> pictures =
                requests(request, requestArgs).stream().map(this::picture).toList();
        if (outputArgs.quiet) {
            Cli.logWarningsOnly();
        }
        check(pictures);
        draw(pictures);
        return ExitCode.DONE;
    }

    /** A picture to draw, and where it goes. */
    private record Picture(GenerationRequest request, PictureFile file) {}

    private Picture picture(GenerationRequest request) {
        return new Picture(
                request, PictureFile.of(command, outputArgs.out, outputArgs.encoding, request));
    }

    private List<GenerationRequest> requests(GenerationRequest request, RequestArgs requestArgs) {
        if (outputArgs.seeds != null) {
            if (outputArgs.count != null || requestArgs.text("seed") != null) {
                throw new ParameterException(
                        command.commandLine(),
                        "--seeds says all seeds: leave out --seed and --count");
            }
            return SeedList.parse(outputArgs.seeds).stream()
                    .map(seed -> request.toBuilder().seed(seed).build())
                    .toList();
        }
        int count = outputArgs.count == null ? 1 : outputArgs.count;
        if (count < 1) {
            throw new ParameterException(
                    command.commandLine(),
                    "Invalid value for option '--count': " + count + " is not at least 1");
        }
        SeedList.requireFew(count);
        return IntStream.range(0, count).mapToObj(request::following).toList();
    }

    /** Says before the work whether all pictures can be written, each to a file of its own. */
    private void check(List<Picture> pictures) {
        Picture first = pictures.getFirst();
        if (first.file.isStandardOutput() && commonArgs.json) {
            throw new ParameterException(
                    command.commandLine(),
                    "--out - and --json both write to standard output: give --out a file");
        }
        if (pictures.size() > 1) {
            checkSeveral(pictures);
        }
        for (Picture picture : pictures) {
            picture.file.check(picture.request.width(), picture.request.height());
        }
        if (outputArgs.trace != null) {
            checkTrace(outputArgs.trace, first.file.path());
        }
        PictureFile grid = gridFile(first.request);
        if (grid != null) {
            checkGrid(grid, pictures);
        } else if (outputArgs.gridLabels) {
            throw new ParameterException(
                    command.commandLine(), "--grid-labels are of a grid: name it with --grid");
        }
    }

    /** What is written above the pictures of a grid, in their order; nothing: no labels. */
    private List<String> labels(List<Picture> pictures) {
        if (!outputArgs.gridLabels) {
            return List.of();
        }
        boolean varied =
                pictures.stream().map(picture -> picture.request.seed()).distinct().count() == 1;
        return pictures.stream()
                .map(
                        picture -> {
                            Long variation = picture.request.variation().seed();
                            return varied && variation != null
                                    ? "variation " + Seed.number(variation)
                                    : "seed " + Seed.number(picture.request.seed());
                        })
                .toList();
    }

    /** Where all pictures go together; null: nowhere. */
    private @Nullable PictureFile gridFile(GenerationRequest first) {
        String grid = outputArgs.grid;
        return grid == null ? null : PictureFile.of(command, grid, new EncodingArgs(), first);
    }

    private void checkGrid(PictureFile grid, List<Picture> pictures) {
        if (grid.isStandardOutput()) {
            throw new ParameterException(
                    command.commandLine(), "--grid needs a file: give it a name, as in grid.png");
        }
        if (pictures.size() == 1) {
            throw new ParameterException(
                    command.commandLine(),
                    "--grid is of several pictures: ask for them with --count or --seeds, or leave"
                            + " it out");
        }
        Path path = grid.path().toAbsolutePath().normalize();
        for (Picture picture : pictures) {
            if (picture.file.path().toAbsolutePath().normalize().equals(path)) {
                throw new ParameterException(
                        command.commandLine(),
                        "--grid and --out name the same file, '"
                                + grid.path()
                                + "': give the grid another");
            }
        }
        GenerationRequest first = pictures.getFirst().request;
        boolean part =
                first.inpaint().area() == InpaintOptions.Area.MASKED; // as large as its start
        Size size =
                part
                        ? new Size(0, 0)
                        : Grid.size(
                                pictures.size(), labels(pictures), first.width(), first.height());
        grid.check(size.width(), size.height());
    }

    private void checkSeveral(List<Picture> pictures) {
        Set<Path> paths = new HashSet<>();
        pictures.forEach(picture -> paths.add(picture.file.path().toAbsolutePath().normalize()));
        if (paths.size() < pictures.size()) {
            throw new ParameterException(
                    command.commandLine(),
                    "--out "
                            + outputArgs.out
                            + " names one file for "
                            + pictures.size()
                            + " pictures: write {seed} into the name, or {variation} where only"
                            + " --variation-seed differs, as in ball-{seed}.png");
        }
        if (outputArgs.trace != null || pictures.getFirst().request.dumpDirectory() != null) {
            throw new ParameterException(
                    command.commandLine(),
                    "--trace and --dump are of one picture: leave out --count and --seeds");
        }
    }

    private void checkTrace(Path trace, Path picture) {
        if (trace.toAbsolutePath().normalize().equals(picture.toAbsolutePath().normalize())) {
            throw new ParameterException(
                    command.commandLine(),
                    "--trace and --out name the same file, '"
                            + trace
                            + "': give the trace another");
        }
        OutputFile.check(trace, 0);
    }

    private void draw(List<Picture> pictures) {
        long start = System.nanoTime();
        EngineOptions options = engineArgs.options(like);
        GenerationRequest first = pictures.getFirst().request;
        options = options.withLoras(PromptLoras.of(first, options.folders()));
        try (EngineFactory.Handle engine = cli.engines().open(options)) {
            long loading = System.nanoTime() - start;
            PictureFile gridFile = gridFile(first);
            try (Grid grid = new Grid(pictures.size(), labels(pictures))) {
                String text = "";
                for (Picture picture : pictures) {
                    GeneratedImage image = draw(engine, picture.request, picture.file, loading);
                    loading = 0;
                    if (gridFile != null) {
                        grid.add(image);
                        text = text.isEmpty() ? PngParameters.text(image.report()) : text;
                    }
                }
                if (gridFile != null) {
                    write(grid, gridFile, text, pictures.size());
                }
            }
        }
    }

    /**
     * Writes all pictures as one.
     *
     * @param text of the first picture, as AUTOMATIC1111's web UI has it
     */
    private void write(Grid grid, PictureFile file, String text, int pictures) {
        file.check(grid.width(), grid.height());
        file.write(
                cli.out(), grid.width(), grid.height(), grid.rgb(), text, interruption::requested);
        if (outputArgs.quiet && !commonArgs.json) {
            cli.out().println(file.path());
        } else if (!commonArgs.json) {
            cli.out()
                    .printf(
                            Locale.ROOT,
                            "%s: %dx%d, %d pictures%n",
                            file.path(),
                            grid.width(),
                            grid.height(),
                            pictures);
        }
    }

    /**
     * Draws one picture.
     *
     * @param loading nanoseconds that the engine was opened in for it
     */
    private GeneratedImage draw(
            EngineFactory.Handle engine,
            GenerationRequest request,
            PictureFile file,
            long loading) {
        long loaded = System.nanoTime();
        GeneratedImage image;
        TraceFile trace = null;
        try (Progress progress = new Progress(cli.err(), style(), "")) {
            if (outputArgs.trace != null) {
                trace = new TraceFile(outputArgs.trace, progress);
            }
            Generation generation = engine.submit(request, trace == null ? progress : trace);
            interruption.watch(generation::cancel);
            image = generation.join();
        }
        long drawn = System.nanoTime();
        file.write(cli.out(), image, PngParameters.text(image.report()), interruption::requested);
        long written = System.nanoTime();
        if (trace != null) {
            trace.write();
        }

        PictureReport report = image.report();
        // what the request itself had to load first counts as loading too
        long later = (long) (report.times().load() * 1e6);
        Map<String, Object> times = ReportJson.map(report.times());
        times.put("load", milliseconds(loading + later));
        times.put("total", milliseconds(written - loaded - later));
        times.put("png", milliseconds(written - drawn));
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("file", file.path().toString());
        if (outputArgs.trace != null) {
            json.put("trace", outputArgs.trace.toString());
        }
        if (outputArgs.grid != null) {
            json.put("grid", outputArgs.grid);
        }
        json.putAll(ReportJson.map(report));
        List<String> warnings = new ArrayList<>();
        PromptOptions.Syntax syntax = request.prompts().syntax();
        warnings.addAll(PromptSyntax.warnings("prompt", request.prompt(), syntax));
        warnings.addAll(PromptSyntax.warnings("negative prompt", request.negativePrompt(), syntax));
        if (like != null) {
            warnings.addAll(like.differences(report));
        }
        warnings.forEach(warning -> cli.err().println("asg: warning: " + warning));
        if (like != null) {
            warnings.addAll(0, like.warnings());
        }
        if (!warnings.isEmpty()) {
            json.put("warnings", warnings);
        }
        json.put("times_ms", times);
        warn(report);
        print(json, report, file, written - loaded - later);
        if (trace != null && !outputArgs.quiet) {
            trace.summary().forEach(cli.err()::println);
        }
        return image;
    }

    private void warn(PictureReport report) {
        warnIfCut("prompt", report.cut().prompt());
        warnIfCut("negative prompt", report.cut().negativePrompt());
        if (!report.devices().lost().isEmpty()) {
            cli.err()
                    .println(
                            "asg: warning: lost in the middle, their work was done by the others: "
                                    + String.join(", ", report.devices().lost()));
        }
    }

    private void print(
            Map<String, Object> json, PictureReport report, PictureFile file, long totalNanos) {
        if (commonArgs.json) {
            cli.out().println(Json.write(json));
        } else if (outputArgs.quiet) {
            if (!file.isStandardOutput()) {
                cli.out().println(file.path());
            }
        } else {
            (file.isStandardOutput() ? cli.err() : cli.out())
                    .printf(
                            Locale.ROOT,
                            "%s: %dx%d, %s, seed %d, %.1f s%n",
                            file.path(),
                            report.size().width(),
                            report.size().height(),
                            report.request().method(),
                            Seed.number(report.request().seed()),
                            totalNanos / 1e9);
        }
    }

    private void warnIfCut(String what, String text) {
        if (!text.isEmpty()) {
            cli.err()
                    .println(
                            "asg: warning: the "
                                    + what
                                    + " is longer than a text encoder of the model takes;"
                                    + " it has not read this"
                                    + (text.length() > MAX_SHOWN
                                            ? " (" + text.length() + " characters)"
                                            : "")
                                    + ": \""
                                    + Cli.shortened(text, MAX_SHOWN)
                                    + "\"");
        }
    }

    private Progress.Style style() {
        if (outputArgs.quiet) {
            return Progress.Style.NONE;
        }
        return cli.terminal() ? Progress.Style.BAR : Progress.Style.LINES;
    }

    /** Milliseconds with one decimal. */
    private static double milliseconds(long nanos) {
        return Math.rint(nanos / 1e5) / 10;
    }
}
