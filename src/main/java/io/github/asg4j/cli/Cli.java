// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.Engine;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help.Ansi;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.UnmatchedArgumentException;

import java.io.PrintStream;
import java.io.PrintWriter;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * The command line as a function from arguments to an exit code. One run after the other.
 *
 * @param terminal whether {@code err} is a terminal, where a bar can be drawn
 * @param seeds gives the seed of a request that names none
 */
record Cli(
        EngineFactory engines,
        PrintStream out,
        PrintStream err,
        boolean terminal,
        LongSupplier seeds) {
    private static final int HELP_WIDTH = 100;
    private static final int OPTION_COLUMN_WIDTH = 44;

    /** Options of other tools, and what does the same here. */
    private static final Map<String, String> FOREIGN =
            Map.ofEntries(
                    Map.entry("--cfg-scale", "--guidance-scale X"),
                    Map.entry("--cfg", "--guidance-scale X"),
                    Map.entry("--scale", "--guidance-scale X"),
                    Map.entry("--guidance", "--guidance-scale X"),
                    Map.entry("--width", "--size WxH, as in --size 512x384"),
                    Map.entry("--height", "--size WxH, as in --size 512x384"),
                    Map.entry("-W", "--size WxH, as in --size 512x384"),
                    Map.entry("-H", "--size WxH, as in --size 512x384"),
                    Map.entry("-p", "--prompt TEXT"),
                    Map.entry("-n", "--negative-prompt TEXT"),
                    Map.entry("--neg-prompt", "--negative-prompt TEXT"),
                    Map.entry("--negative", "--negative-prompt TEXT"),
                    Map.entry("-s", "--seed N"),
                    Map.entry("--sampler", "--scheduler NAME"),
                    Map.entry("--sampling-method", "--scheduler NAME"),
                    Map.entry("--num-inference-steps", "--steps N"),
                    Map.entry("--sample-steps", "--steps N"),
                    Map.entry("--init-img", "--image FILE"),
                    Map.entry("--init-image", "--image FILE"),
                    Map.entry("-i", "--image FILE"),
                    Map.entry("--output", "--out FILE"),
                    Map.entry("-o", "--out FILE"),
                    Map.entry("-m", "--model DIR"),
                    Map.entry("--ckpt", "--model DIR, a bundle made by onnx-export"),
                    Map.entry("--device", "--devices LIST"),
                    Map.entry("--batch-size", "--view-batch N"),
                    Map.entry("--threads", "--threads-per-worker N"),
                    Map.entry("-t", "--threads-per-worker N"),
                    Map.entry("--gpu", "--devices cuda:0"),
                    Map.entry("--sd-model", "--model DIR"),
                    Map.entry("--batch-count", "asg batch --in FILE --out FOLDER --seeds N"),
                    Map.entry("--num-images", "asg batch --in FILE --out FOLDER --seeds N"),
                    Map.entry("--upscale", "--size WxH, with any method"),
                    Map.entry("--denoise", "--strength X"));

    /** Held here, because the log manager forgets loggers with their levels. */
    private static final Logger LOG = Logger.getLogger("io.github.asg4j");

    /** Leaves warnings only of what the engine logs to standard error. */
    static void logWarningsOnly() {
        LOG.setLevel(Level.WARNING);
    }

    /** Runs one command and returns its exit code; whatever fails is said on standard error. */
    int run(String... args) {
        try (Interruption interruption = new Interruption()) {
            try {
                requireCharacters(args);
                int code = commandLine(interruption, args).execute(args);
                if (code == ExitCode.DONE && out.checkError()) {
                    err.println(
                            "asg: what was to be printed on standard output could not be written:"
                                    + " the disk is full, or the reader is gone");
                    return ExitCode.OUTPUT;
                }
                return code;
            } catch (Throwable e) { // errors: picocli hands on exceptions only
                return failed(e, args);
            }
        }
    }

    /** A text, and no more than so many characters of it. */
    static String shortened(String text, int characters) {
        return text.codePointCount(0, text.length()) <= characters
                ? text
                : text.substring(0, text.offsetByCodePoints(0, characters)) + "...";
    }

    /** What Java cannot read of its arguments has become U+FFFD: it would draw another picture. */
    private static void requireCharacters(String... args) {
        for (String argument : args) {
            if (argument.indexOf('\uFFFD') >= 0) {
                throw new BadRequestException(
                        "the argument \""
                                + argument
                                + "\" holds the replacement character U+FFFD: it was not written in"
                                + " "
                                + System.getProperty("sun.jnu.encoding")
                                + ", the encoding of this process. Write it in UTF-8, and start"
                                + " with ./asg or with LC_ALL=C.UTF-8");
            }
        }
    }

    private CommandLine commandLine(Interruption interruption, String... args) {
        CommandLine.IFactory factory =
                new CommandLine.IFactory() {
                    @Override
                    public <K> K create(Class<K> type) throws Exception {
                        return type == MethodNames.class
                                ? type.cast(new MethodNames(engines))
                                : CommandLine.defaultFactory().create(type);
                    }
                };
        CommandLine asg = new CommandLine(new Root(), factory);
        asg.addSubcommand(
                withRequest(
                        new CommandLine(new GenerateCommand(this, interruption), factory),
                        Set.of()));
        asg.addSubcommand(
                withRequest(
                        new CommandLine(new CompareCommand(this, interruption), factory),
                        Set.of("method", "dump")));
        asg.addSubcommand(
                withRequest(
                        new CommandLine(new EvalCommand(this, interruption), factory), Set.of()));
        asg.addSubcommand(
                withRequest(
                        new CommandLine(new BatchCommand(this, interruption), factory),
                        Set.of("dump")));
        asg.addSubcommand(withRequest(new CommandLine(new PlanCommand(this), factory), Set.of()));
        asg.addSubcommand(new CommandLine(new ShowCommand(this), factory));
        asg.addSubcommand(new CommandLine(new ServeCommand(this), factory));
        asg.addSubcommand(new CommandLine(new ModelsCommand(this), factory));
        asg.addSubcommand(new CommandLine(new BundleCommand(this, interruption), factory));
        asg.addSubcommand(new CommandLine(new DoctorCommand(this), factory));
        asg.addSubcommand(new CommandLine(new CompletionCommand(this), factory));
        asg.getSubcommands().values().forEach(HelpSections::register);
        Values.register(asg);
        asg.setDefaultValueProvider(new OptionDefaults());
        asg.setExpandAtFiles(false); // a prompt may begin with @
        asg.setColorScheme(CommandLine.Help.defaultColorScheme(Ansi.OFF));
        asg.setUsageHelpWidth(HELP_WIDTH);
        asg.setUsageHelpLongOptionsMaxWidth(OPTION_COLUMN_WIDTH);
        asg.setOut(new PrintWriter(out, true, out.charset()));
        asg.setErr(new PrintWriter(err, true, err.charset()));
        asg.setParameterExceptionHandler((e, arguments) -> misused(e));
        asg.setExecutionExceptionHandler((e, command, parsed) -> failed(e, args));
        return asg;
    }

    /** The command, which also takes the options of a request but for those named. */
    private static CommandLine withRequest(CommandLine command, Set<String> without) {
        RequestArgs.addTo(command.getCommandSpec(), without);
        return command;
    }

    private int misused(ParameterException e) {
        String command = e.getCommandLine().getCommandSpec().qualifiedName();
        err.println("asg: " + e.getMessage());
        if (e instanceof UnmatchedArgumentException unmatched) {
            suggest(unmatched);
        }
        err.println("Try '" + command + " --help'.");
        return ExitCode.ARGUMENTS;
    }

    private void suggest(UnmatchedArgumentException e) {
        String first = e.getUnmatched().get(0);
        boolean atRoot = e.getCommandLine().getParent() == null;
        if (atRoot && first.indexOf(' ') >= 0) {
            err.println("To draw it: asg generate --prompt \"" + first + "\"");
            return;
        }
        String hint = FOREIGN.get(first.replaceFirst("=.*", "").replace('_', '-'));
        if (!atRoot && hint != null) {
            err.println("Here it is " + hint + ".");
            return;
        }
        // picocli compares the value too: of those that it finds the one that begins alike.
        Optional<String> suggestion =
                e.getSuggestions().stream().max(Comparator.comparingInt(s -> alike(s, first)));
        if (suggestion.isPresent()) {
            err.println("Did you mean " + suggestion.get() + "?");
        }
        if (atRoot) {
            err.println(
                    "Commands: " + String.join(", ", e.getCommandLine().getSubcommands().keySet()));
        }
    }

    /** Length of what both begin with. */
    private static int alike(String a, String b) {
        int length = 0;
        while (length < Math.min(a.length(), b.length()) && a.charAt(length) == b.charAt(length)) {
            length++;
        }
        return length;
    }

    private int failed(Throwable e, String... args) {
        int code = ExitCode.of(e);
        if (e instanceof AsgException) {
            err.println("asg: " + e.getMessage());
        } else if (e instanceof OutOfMemoryError) {
            err.println(
                    "asg: the Java heap of "
                            + Runtime.getRuntime().maxMemory()
                            + " bytes is full ("
                            + e.getMessage()
                            + "): draw a smaller picture or allow more, as in"
                            + " ASG_JAVA_OPTS=-Xmx4g");
        } else {
            err.println("asg: this is a bug of ours, sorry: " + e);
            err.println(
                    "Please report it with the command, what it prints under --verbose, and what"
                            + " 'asg doctor' prints.");
        }
        List<String> given = List.of(args);
        if (given.contains("-v") || given.contains("--verbose")) {
            e.printStackTrace(err);
        }
        return code;
    }

    /** The command without a name: prints the help. */
    @Command(
            name = "asg",
            versionProvider = Version.class,
            header = "High-resolution pictures from text with small diffusion models.%n",
            synopsisHeading = "Usage: ",
            customSynopsis = "asg COMMAND [OPTIONS]",
            commandListHeading = "%nCommands:%n",
            optionListHeading = "%nOptions:%n",
            footerHeading = "%nExamples:%n",
            footer = {
                "  asg generate --prompt \"a red ball on grass\"",
                "  asg generate --prompt \"a blue cube\" --size 384x256 --seed 7 --out cube.png",
                "",
                "'asg COMMAND --help' prints all options of a command."
            })
    static final class Root implements Runnable {
        @Spec
        @SuppressWarnings("NullAway.Init") // set by picocli
        private CommandSpec command;

        @Option(
                names = {"-h", "--help"},
                usageHelp = true,
                description = "print this help and leave")
        boolean help;

        @Option(
                names = {"-V", "--version"},
                versionHelp = true,
                description = "print the version and leave")
        boolean version;

        @Override
        public void run() {
            command.commandLine().usage(command.commandLine().getOut());
        }
    }

    /** Our version as the build wrote it, and the Java that runs. */
    static final class Version implements IVersionProvider {
        @Override
        public String[] getVersion() {
            return new String[] {"asg4j " + Engine.version() + " (Java " + Runtime.version() + ")"};
        }
    }
}
