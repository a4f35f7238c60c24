// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Lora;
import io.github.asg4j.PromptFolders;
import io.github.asg4j.batch.Batch;
import io.github.asg4j.batch.BatchOptions;
import io.github.asg4j.batch.PictureFormat;
import io.github.asg4j.batch.Setting;
import io.github.asg4j.batch.Shard;
import io.github.asg4j.image.PictureEncoding;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.logging.Level;
import java.util.logging.Logger;

/** Draws a picture, or several, for each row of a file. */
@Command(
        name = "batch",
        versionProvider = Cli.Version.class,
        description = {
            "Draws the rows of a file: prompts x settings x methods x seeds. The same command goes"
                + " on where it was stopped, at whatever moment, and pictures and records become"
                + " the same as without the stop.",
            "",
            "What is given beside the options below holds for all rows that do not give it"
                    + " themselves."
        },
        synopsisHeading = "Usage: ",
        customSynopsis = "asg batch --in FILE --out FOLDER [OPTIONS] [OPTIONS OF GENERATE]",
        descriptionHeading = "%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  asg batch --in prompts.txt --out pictures --size 512x512 --seeds 4",
            "  asg batch --in prompts.csv --out pictures --setting \"plain:\" --setting \"few:"
                    + " --steps 10\" --format tar",
            "  asg batch --in prompts.jsonl --out pictures --shard 0/8",
            "",
            "Exit codes: those of generate, and 6: all rows were gone through, and some pictures"
                + " could not be drawn (their records say why). 130: stopped by Ctrl-C; what was"
                + " drawn is kept."
        })
final class BatchCommand implements Callable<Integer> {
    private static final int PICTURES_OF_FILE = 1000;
    private static final List<String> FORMATS = List.of("files", "tar", "parquet");
    private static final List<String> ENCODINGS = List.of("png", "jpeg", "webp");

    /** The Parquet reader tells how it decodes; held here, because the log manager forgets loggers. */
    private static final Logger PARQUET = Logger.getLogger("dev.hardwood");

    private final Cli cli;
    private final Interruption interruption;

    @Spec
    @SuppressWarnings("NullAway.Init") // set by picocli
    private CommandSpec command;

    @Mixin private BatchArgs batchArgs = new BatchArgs();
    @Mixin private EngineArgs engineArgs = new EngineArgs();
    @Mixin HelpArgs helpArgs = new HelpArgs();

    BatchCommand(Cli cli, Interruption interruption) {
        this.cli = cli;
        this.interruption = interruption;
    }

    /** What is drawn, and where it goes. */
    static final class BatchArgs {
        @Option(
                names = "--in",
                paramLabel = "FILE",
                required = true,
                order = HelpSections.BATCH + 1,
                description =
                        "rows: .txt (a prompt a line), .csv or .parquet (columns named as options),"
                                + " .jsonl or .ndjson (requests as JSON)")
        @SuppressWarnings("NullAway.Init") // required
        Path in;

        @Option(
                names = "--seeds",
                paramLabel = "N",
                order = HelpSections.BATCH + 2,
                description =
                        "pictures of each row, setting and method, with seeds from the row's on; a"
                                + " row without a seed has that of --seed, else one made from its"
                                + " prompt (default: 1)")
        @Nullable Integer seeds;

        @Option(
                names = "--methods",
                paramLabel = "all|LIST",
                order = HelpSections.BATCH + 3,
                completionCandidates = MethodNames.class,
                description =
                        "draw each row with each of these, with commas between them, of"
                                + " ${COMPLETION-CANDIDATES} (default: with the row's)")
        @Nullable String methods;

        @Option(
                names = "--setting",
                paramLabel = "\"NAME: OPTIONS\"",
                order = HelpSections.BATCH + 4,
                description =
                        "draw each row with these options, which hold over its own; given several"
                                + " times, with each of them, as in \"plain:\" and \"few: --steps"
                                + " 10\"")
        @Nullable List<String> settings;

        @Option(
                names = "--shard",
                paramLabel = "I/N",
                order = HelpSections.BATCH + 5,
                description =
                        "draw the share I of N, counted from 0, in a folder of its own in that of"
                                + " --out (default: all)")
        @Nullable String shard;

        @Option(
                names = "--fail-fast",
                order = HelpSections.BATCH + 6,
                description = "stop at the first picture that cannot be drawn")
        boolean failFast;

        @Option(
                names = "--out",
                paramLabel = "FOLDER",
                required = true,
                order = HelpSections.OUTPUT + 80,
                description =
                        "pictures, records.jsonl (a line a picture), log.jsonl (times) and"
                                + " batch.json; made if it is not there")
        @SuppressWarnings("NullAway.Init") // required
        Path out;

        @Option(
                names = "--format",
                paramLabel = "files|tar|parquet",
                order = HelpSections.OUTPUT + 81,
                description =
                        "a file KEY.png for each picture, or files of many: tar in WebDataset's"
                                + " convention, or Parquet (default: files)")
        @Nullable String format;

        @Option(
                names = "--encoding",
                paramLabel = "png|jpeg|webp",
                order = HelpSections.OUTPUT + 81,
                description = "what each picture is written as (default: png)")
        @Nullable String encoding;

        @Mixin EncodingArgs encodingArgs = new EncodingArgs();

        @Option(
                names = "--pictures-per-file",
                paramLabel = "N",
                order = HelpSections.OUTPUT + 82,
                description = "with --format tar or parquet (default: " + PICTURES_OF_FILE + ")")
        @Nullable Integer picturesPerFile;

        @Option(
                names = "--json",
                order = HelpSections.OUTPUT + 90,
                description =
                        "print on standard output how far it is, a JSON object a line, once a"
                                + " second at most, and the last with \"finished\"")
        boolean json;
    }

    @Override
    public Integer call() {
        PARQUET.setLevel(Level.WARNING);
        RequestArgs requestArgs = new RequestArgs(command);
        BatchOptions options =
                new BatchOptions(
                        batchArgs.in,
                        batchArgs.out,
                        requestArgs.values(),
                        settings(),
                        methods(requestArgs),
                        EvalCommand.seeds(batchArgs.seeds),
                        batchArgs.shard == null ? Shard.ALL : Shard.parse(batchArgs.shard),
                        format(),
                        batchArgs.failFast);
        Batch.check(options);
        EngineOptions engineOptions = engineArgs.options().withLoras(loras(requestArgs));
        if (!engineOptions.folders().equals(PromptFolders.NONE)) {
            // Another file of the same name would be taken for the same picture.
            throw new BadRequestException(
                    "the keys of a batch hold the hashes of files that options name, not of those"
                            + " that words of a prompt name: give --lora FILE:WEIGHT or a column"
                            + " lora, and leave out --lora-folder and --embedding-folder");
        }
        try (EngineFactory.Handle engine = cli.engines().open(engineOptions);
                Batch batch = Batch.open(options, engine.describe())) {
            interruption.watch(batch::cancel);
            draw(batch, engine, options.folder());
            return batch.errors() == 0 ? ExitCode.DONE : ExitCode.PICTURES;
        }
    }

    /** The settings, each checked as far as can be without a row. */
    private List<Setting> settings() {
        Map<String, List<String>> all = SettingArgs.words(command, batchArgs.settings);
        if (all.isEmpty()) {
            return List.of(Setting.NONE);
        }
        List<Setting> settings = new ArrayList<>();
        all.forEach((name, words) -> settings.add(setting(name, words)));
        return settings;
    }

    private Setting setting(String name, List<String> words) {
        CommandLine line = SettingArgs.line();
        RequestArgs own = new RequestArgs(line.getCommandSpec());
        try {
            line.parseArgs(words.toArray(String[]::new));
            String method = own.text("method");
            if (method != null) {
                own.request("any", cli.engines().methods(), () -> 0);
            } else {
                cli.engines().methods().forEach(m -> own.requestFor(m, "any", Set.of(m), () -> 0));
            }
        } catch (CommandLine.ParameterException e) {
            throw EvalCommand.misuse(command, "setting '" + name + "': " + e.getMessage());
        }
        for (String option : List.of("prompt", "seed", "dump")) {
            if (own.text(option) != null) {
                throw EvalCommand.misuse(
                        command, "setting '" + name + "': --" + option + " is none of its own");
            }
        }
        return new Setting(name, own.values());
    }

    /** The values of --methods, after a check that the defaults are options of one of them. */
    private List<String> methods(RequestArgs requestArgs) {
        String prompt = requestArgs.text("prompt");
        String any = prompt == null ? "any" : prompt;
        Set<String> all = cli.engines().methods();
        String list = batchArgs.methods;
        if (list == null) {
            requestArgs.request(any, all, () -> 0);
            return List.of();
        }
        if (requestArgs.text("method") != null) {
            throw EvalCommand.misuse(command, "give --method or --methods, not both");
        }
        Set<String> methods = new LinkedHashSet<>();
        for (String name : list.equalsIgnoreCase("all") ? all : List.of(list.split(",", -1))) {
            methods.add(Values.choice(command, "--methods", name.strip(), all));
        }
        requestArgs.requireAny(methods);
        methods.forEach(method -> requestArgs.requestFor(method, any, all, () -> 0));
        return List.copyOf(methods);
    }

    /** LoRA files of all rows: the model is opened with them. */
    private static List<Lora> loras(RequestArgs requestArgs) {
        GenerationRequest.Builder request = GenerationRequest.builder("any");
        requestArgs.values().stream()
                .filter(given -> given.option().name().equals("lora"))
                .forEach(given -> given.applyTo(request));
        return request.build().loras();
    }

    private PictureFormat format() {
        String name =
                batchArgs.format == null
                        ? "files"
                        : Values.choice(command, "--format", batchArgs.format, FORMATS);
        PictureEncoding encoding = encoding();
        Integer pictures = batchArgs.picturesPerFile;
        PictureFormat.Kind kind = PictureFormat.Kind.valueOf(name.toUpperCase(Locale.ROOT));
        if (kind == PictureFormat.Kind.FILES) {
            if (pictures != null) {
                throw EvalCommand.misuse(
                        command, "--pictures-per-file goes with --format tar or parquet");
            }
            return new PictureFormat(kind, 1, encoding);
        }
        if (pictures != null && pictures < 1) {
            throw new BadRequestException(
                    "--pictures-per-file is " + pictures + ": it has to be at least 1");
        }
        return new PictureFormat(kind, pictures == null ? PICTURES_OF_FILE : pictures, encoding);
    }

    /** What pictures are written as, after a check that it can be done here. */
    private PictureEncoding encoding() {
        String name =
                batchArgs.encoding == null
                        ? "png"
                        : Values.choice(command, "--encoding", batchArgs.encoding, ENCODINGS);
        PictureEncoding encoding =
                batchArgs.encodingArgs.of(
                        command,
                        PictureEncoding.Format.valueOf(name.toUpperCase(Locale.ROOT)),
                        "--encoding " + name);
        encoding.check(0, 0);
        return encoding;
    }

    private void draw(Batch batch, EngineFactory.Handle engine, Path folder) {
        try (BatchOutput output = new BatchOutput(cli, batchArgs.json)) {
            batch.draw(request -> engine.submit(request, event -> {}), output::at);
            output.finished(folder);
        } catch (CancelledException e) {
            throw new CancelledException("stopped after " + kept(batch, folder), e);
        } catch (AsgException e) {
            cli.err().println("asg: failed after " + kept(batch, folder));
            throw e;
        }
    }

    private static String kept(Batch batch, Path folder) {
        return batch.done()
                + " of "
                + batch.pictures()
                + " pictures, which are kept in '"
                + folder
                + "': the same command goes on from there";
    }
}
