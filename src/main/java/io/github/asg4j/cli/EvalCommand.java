// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.Seed;
import io.github.asg4j.evaluate.Evaluation;
import io.github.asg4j.evaluate.EvaluationRow;
import io.github.asg4j.evaluate.Instruments;
import io.github.asg4j.evaluate.PictureEngine;
import io.github.asg4j.evaluate.Summary;
import io.github.asg4j.evaluate.SummaryTable;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/** Draws prompts x seeds x methods x sizes x settings and measures them. */
@Command(
        name = "eval",
        versionProvider = Cli.Version.class,
        description = {
            "Draws prompts by methods, at sizes, with settings, and measures the pictures:"
                + " repetition, right shape and colour, KID and FID against true pictures,"
                + " sharpness, power by octaves, seams, agreement of the patches, time. The same"
                + " command goes on where it was stopped, and adds to what the folder holds.",
            "",
            "Fair by default: one scheduler (the bundle's), eta 0, one guidance scale, the same"
                + " negative prompt and the same noise for all. What is given beside the options"
                + " below holds for all settings."
        },
        synopsisHeading = "Usage: ",
        customSynopsis = "asg eval --out FOLDER [OPTIONS] [OPTIONS OF GENERATE]",
        descriptionHeading = "%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  asg eval --out results --methods asg,direct --sizes 256x256:50,512x512:10",
            "  asg eval --out results --setting \"sync: --method asg --staleness 0\" --setting"
                    + " \"whole: --window-conditioning whole\"",
            "",
            "Exit code 130: stopped by Ctrl-C; what was drawn is kept."
        })
final class EvalCommand implements Callable<Integer> {
    private final Cli cli;
    private final Interruption interruption;

    @Spec
    @SuppressWarnings("NullAway.Init") // set by picocli
    private CommandSpec command;

    @Mixin private EvalArgs evalArgs = new EvalArgs();
    @Mixin private EngineArgs engineArgs = new EngineArgs();
    @Mixin private CommonArgs commonArgs = new CommonArgs();

    EvalCommand(Cli cli, Interruption interruption) {
        this.cli = cli;
        this.interruption = interruption;
    }

    /** What is drawn, what measures it, where it goes. */
    static final class EvalArgs {
        @Option(
                names = "--prompts",
                paramLabel = "FILE",
                order = HelpSections.EVALUATION + 1,
                description = "one prompt a line (default: the bundle's)")
        @Nullable Path prompts;

        @Option(
                names = "--seeds",
                paramLabel = "N",
                order = HelpSections.EVALUATION + 2,
                description =
                        "pictures of each prompt; picture i of a row has seed --seed + i"
                                + " (default: 1, from seed 0)")
        @Nullable Integer seeds;

        @Option(
                names = "--methods",
                paramLabel = "all|LIST",
                order = HelpSections.EVALUATION + 3,
                completionCandidates = MethodNames.class,
                description =
                        "with commas between them, of ${COMPLETION-CANDIDATES}"
                                + " (default: all that the bundle can do)")
        @Nullable String methods;

        @Option(
                names = "--sizes",
                paramLabel = "WxH[:N],...",
                order = HelpSections.EVALUATION + 4,
                description =
                        "sizes, and how many pictures at most of each, as in"
                                + " 256x256:50,512x512:10 (default: 2x native)")
        @Nullable String sizes;

        @Option(
                names = "--setting",
                paramLabel = "\"NAME: OPTIONS\"",
                order = HelpSections.EVALUATION + 5,
                description =
                        "one more row for every method and size, or for those that its options"
                                + " name, as in \"sync: --method asg --staleness 0\"; may be given"
                                + " again. \"default\" is the setting without options")
        @Nullable List<String> settings;

        @Option(
                names = "--no-default",
                order = HelpSections.EVALUATION + 6,
                description = "only the rows of --setting")
        boolean noDefault;

        @Option(
                names = "--features",
                paramLabel = "FILE.onnx",
                order = HelpSections.EVALUATION + 7,
                description =
                        "feature network for KID and FID, as asg4j-export metrics writes it"
                                + " (default: the bundle's)")
        @Nullable Path features;

        @Option(
                names = "--truth",
                paramLabel = "FOLDER",
                order = HelpSections.EVALUATION + 8,
                description =
                        "true pictures: PNG files in it, or in its folders WxH by size"
                                + " (default: the bundle's)")
        @Nullable Path truth;

        @Option(
                names = "--clip",
                paramLabel = "FOLDER",
                order = HelpSections.EVALUATION + 9,
                description = "networks for the CLIP score (default: no CLIP score)")
        @Nullable Path clip;

        @Option(
                names = "--out",
                paramLabel = "FOLDER",
                required = true,
                order = HelpSections.OUTPUT + 80,
                description =
                        "pictures, pictures.jsonl (a line a picture), eval.json, pareto.svg"
                                + " (quality against evaluations) and index.html; made if it is not"
                                + " there")
        @SuppressWarnings("NullAway.Init") // required
        Path out;

        @Option(
                names = "--measure-only",
                order = HelpSections.OUTPUT + 82,
                description =
                        "draw nothing: measure what the folder holds, with the bundle's present"
                                + " counter, features and truth")
        boolean measureOnly;

        @Option(
                names = "--redo",
                order = HelpSections.OUTPUT + 81,
                description = "draw rows again that the folder holds with other settings")
        boolean redo;
    }

    @Override
    public Integer call() {
        if (new RequestArgs(command).text("prompt") != null) {
            throw misuse(command, "eval takes no '--prompt': give --prompts FILE");
        }
        RowPlanner planner = new RowPlanner(command, evalArgs, cli.engines().methods());
        long firstSeed = firstSeed();
        int seeds = seeds(evalArgs.seeds);
        try (EngineFactory.Handle handle = cli.engines().open(engineArgs.options());
                Instruments instruments =
                        Instruments.open(
                                engineArgs.options().model(),
                                engineArgs.options().parts(),
                                evalArgs.features,
                                evalArgs.truth,
                                evalArgs.clip)) {
            List<String> prompts = prompts(instruments.prompts());
            PictureEngine engine = new Watched(handle, interruption);
            int pictures = Math.multiplyExact(prompts.size(), seeds);
            List<EvaluationRow> rows =
                    evalArgs.measureOnly ? List.of() : planner.rows(engine, pictures, cli.err());
            try (Evaluation evaluation =
                    Evaluation.open(
                            rows,
                            prompts,
                            firstSeed,
                            evalArgs.out,
                            evalArgs.redo,
                            engine,
                            instruments)) {
                draw(evaluation);
                print(evaluation, evaluation.summary());
            }
        }
        return ExitCode.DONE;
    }

    /** Returns the value of --seed, or 0. */
    private long firstSeed() {
        String seed = new RequestArgs(command).text("seed");
        if (seed == null) {
            return 0;
        }
        return Seed.random(seed) ? cli.seeds().getAsLong() : Seed.parse(seed);
    }

    /** The value of --seeds, or 1. */
    static int seeds(@Nullable Integer seeds) {
        if (seeds == null) {
            return 1;
        }
        if (seeds < 1 || seeds > 1_000_000) {
            throw new BadRequestException(
                    "--seeds is " + seeds + ": it has to be between 1 and 1000000");
        }
        return seeds;
    }

    /** Reads the prompts of --prompts, or takes the bundle's own. */
    private List<String> prompts(@Nullable String own) {
        Path file = evalArgs.prompts;
        if (file == null && own == null) {
            throw new BadRequestException(
                    "the bundle has no prompts of its own: give --prompts FILE, one prompt a line");
        }
        try {
            String text =
                    file != null
                            ? Files.readString(file, StandardCharsets.UTF_8)
                            : String.valueOf(own);
            List<String> prompts =
                    text.lines().map(String::strip).filter(line -> !line.isEmpty()).toList();
            if (prompts.isEmpty()) {
                throw new BadRequestException("'" + file + "' holds no prompt: write one a line");
            }
            return prompts;
        } catch (IOException e) {
            throw new BadRequestException(
                    "the prompts '"
                            + file
                            + "' cannot be read ("
                            + e
                            + "): a UTF-8 text file with one prompt a line is expected",
                    e);
        }
    }

    private void draw(Evaluation evaluation) {
        try (CountProgress progress = new CountProgress("eval", cli.err(), cli.terminal())) {
            evaluation.draw(
                    (next, done, of, left) -> {
                        if (interruption.requested()) {
                            throw new CancelledException("stopped");
                        }
                        progress.at(done, of, "", left, next.toString());
                    });
        } catch (CancelledException e) {
            throw new CancelledException(
                    "stopped after "
                            + evaluation.done()
                            + " of "
                            + evaluation.all()
                            + " pictures, which are kept in '"
                            + evalArgs.out
                            + "': the same command goes on from there",
                    e);
        }
    }

    private void print(Evaluation evaluation, Summary summary) {
        Path page = evaluation.page(summary);
        Path chart = evaluation.chart(summary);
        if (commonArgs.json) {
            Map<String, Object> report = new LinkedHashMap<>();
            report.put("folder", evalArgs.out.toString());
            report.put("page", page.toString());
            if (chart != null) {
                report.put("chart", chart.toString());
            }
            report.putAll(summary.toMap());
            cli.out().println(Json.write(report));
        } else {
            cli.out().println(SummaryTable.text(summary));
            cli.out().println(page);
            if (chart != null) {
                cli.out().println(chart);
            }
        }
    }

    /** A wrong use of an option. */
    static ParameterException misuse(CommandSpec command, String message) {
        return new ParameterException(command.commandLine(), message);
    }
}
