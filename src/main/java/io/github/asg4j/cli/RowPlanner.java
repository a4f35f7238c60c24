// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.RequestOption;
import io.github.asg4j.Size;
import io.github.asg4j.evaluate.EvaluationRow;
import io.github.asg4j.evaluate.PictureEngine;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

/** The rows of an evaluation: methods x sizes x settings, each setting a list of options. */
final class RowPlanner {
    private static final String ALL = "all";
    private static final String DEFAULT = "default";

    private final CommandSpec command;
    private final EvalCommand.EvalArgs args;
    private final Collection<String> methods;

    /** Options of generate that were given to eval itself, as on its command line. */
    private final List<String> common;

    private final boolean methodsGiven;

    RowPlanner(CommandSpec command, EvalCommand.EvalArgs args, Collection<String> methods) {
        this.command = command;
        this.args = args;
        this.methods = methods;
        CommandLine.ParseResult given = command.commandLine().getParseResult();
        refuse(given, "--size", "--sizes");
        refuse(given, "--method", "--methods");
        common = common(given);
        methodsGiven = args.methods != null && !args.methods.equalsIgnoreCase(ALL);
    }

    /** A setting's options as given; {@code result} knows which. */
    private record Parsed(RequestArgs requestArgs, CommandLine.ParseResult result) {
        @Nullable String value(String option) {
            return result.matchedOptionValue(option, null);
        }
    }

    private void refuse(CommandLine.ParseResult given, String option, String instead) {
        if (given.hasMatchedOption(option)) {
            throw EvalCommand.misuse(
                    command, "eval takes no '" + option + "' here: give " + instead);
        }
    }

    private List<String> common(CommandLine.ParseResult given) {
        CommandSpec known = SettingArgs.line().getCommandSpec();
        List<String> words = new ArrayList<>();
        for (OptionSpec option : given.matchedOptionsSet()) {
            String name = option.longestName();
            if (known.findOption(name) == null || name.equals("--seed")) {
                continue;
            }
            if (option.arity().max() == 0) {
                words.add(name);
            } else {
                option.originalStringValues().forEach(value -> words.add(name + "=" + value));
            }
        }
        return words;
    }

    /** A size and how many pictures of it at most. */
    private record Wanted(Size size, OptionalInt most) {}

    /**
     * All rows. With all methods, those that the bundle cannot do are left out with a warning.
     *
     * @param engine plans them
     * @param pictures of a row without a limit
     * @param err receives the warnings
     */
    List<EvaluationRow> rows(PictureEngine engine, int pictures, PrintStream err) {
        Map<EvaluationRow.Key, EvaluationRow> rows = new LinkedHashMap<>();
        Set<String> impossible = new LinkedHashSet<>();
        settings()
                .forEach(
                        (name, options) -> {
                            Parsed own = parse(name, options);
                            String method = own.value("--method");
                            String size = own.value("--size");
                            Collection<String> chosen =
                                    method == null ? methods() : List.of(method);
                            own.requestArgs().requireAny(chosen);
                            for (Wanted wanted : size == null ? sizes(engine) : sizes(size)) {
                                for (String each : having(name, options, chosen)) {
                                    EvaluationRow row = row(name, options, each, wanted, pictures);
                                    if (possible(row, method != null, engine, impossible, err)) {
                                        rows.put(row.key(), row);
                                    }
                                }
                            }
                        });
        if (rows.isEmpty()) {
            throw new BadRequestException(
                    impossible.isEmpty()
                            ? "nothing to draw: give --methods or --setting"
                            : "nothing to draw: no method can do what was asked, as warned above");
        }
        return List.copyOf(rows.values());
    }

    /** Those of the methods that have all options of a setting's own: others would be drawn as by default. */
    private List<String> having(String name, List<String> options, Collection<String> chosen) {
        List<RequestOption<?>> own = settingOptions(name, options);
        return chosen.stream()
                .filter(each -> own.stream().allMatch(o -> o.methods().contains(each)))
                .toList();
    }

    private List<RequestOption<?>> settingOptions(String name, List<String> options) {
        CommandLine line = SettingArgs.line();
        try {
            line.parseArgs(options.toArray(String[]::new));
        } catch (CommandLine.ParameterException e) {
            throw EvalCommand.misuse(command, "setting '" + name + "': " + e.getMessage());
        }
        return new RequestArgs(line.getCommandSpec()).options();
    }

    private boolean possible(
            EvaluationRow row,
            boolean named,
            PictureEngine engine,
            Set<String> impossible,
            PrintStream err) {
        try {
            engine.plan(row.requests().of("a picture", 0));
            return true;
        } catch (BadRequestException e) {
            if (methodsGiven || named) {
                throw e;
            }
            if (impossible.add(row.key().method() + row.key().size())) {
                err.println("asg: warning: " + row.key() + " is left out: " + e.getMessage());
            }
            return false;
        }
    }

    /** Options by the settings' names. */
    private Map<String, List<String>> settings() {
        Map<String, List<String>> settings = new LinkedHashMap<>();
        if (!args.noDefault) {
            settings.put(DEFAULT, List.of());
        }
        settings.putAll(SettingArgs.words(command, args.settings));
        return settings;
    }

    private Parsed parse(String name, List<String> options) {
        CommandLine line = SettingArgs.line();
        List<String> all = new ArrayList<>(common);
        all.addAll(options);
        try {
            CommandLine.ParseResult result = line.parseArgs(all.toArray(String[]::new));
            refuse(result, "--prompt", "--prompts FILE");
            refuse(result, "--seed", "--seed beside the settings");
            return new Parsed(new RequestArgs(line.getCommandSpec()), result);
        } catch (CommandLine.ParameterException e) {
            throw EvalCommand.misuse(command, "setting '" + name + "': " + e.getMessage());
        }
    }

    private EvaluationRow row(
            String name, List<String> options, String method, Wanted wanted, int pictures) {
        List<String> all = new ArrayList<>(options);
        all.add("--method=" + method);
        all.add("--size=" + wanted.size().width() + "x" + wanted.size().height());
        RequestArgs request = parse(name, all).requestArgs();
        try {
            request.requestFor(method, "a picture", methods, () -> 0);
        } catch (CommandLine.ParameterException e) {
            throw EvalCommand.misuse(command, "setting '" + name + "': " + e.getMessage());
        }
        return new EvaluationRow(
                new EvaluationRow.Key(method, wanted.size().width(), wanted.size().height(), name),
                Math.min(pictures, wanted.most().orElse(pictures)),
                (prompt, seed) -> request.requestFor(method, prompt, methods, () -> seed));
    }

    private Collection<String> methods() {
        String list = args.methods;
        if (list == null || list.equalsIgnoreCase(ALL)) {
            return methods;
        }
        Set<String> chosen = new LinkedHashSet<>();
        for (String name : list.split(",", -1)) {
            chosen.add(Values.choice(command, "--methods", name.strip(), methods));
        }
        return chosen;
    }

    /** Those of --sizes, or twice the native size. */
    private List<Wanted> sizes(PictureEngine engine) {
        if (args.sizes != null) {
            return sizes(args.sizes);
        }
        Size size = engine.describe().nativeSize();
        return List.of(
                new Wanted(new Size(2 * size.width(), 2 * size.height()), OptionalInt.empty()));
    }

    private List<Wanted> sizes(String list) {
        List<Wanted> sizes = new ArrayList<>();
        for (String part : list.split(",", -1)) {
            String[] pair = part.strip().split(":", 2);
            Size size = Values.size(command, "--sizes", pair[0]);
            OptionalInt most = OptionalInt.empty();
            if (pair.length == 2) {
                int n = Values.integer(command, "--sizes", pair[1], "left out");
                if (n < 1) {
                    throw EvalCommand.misuse(
                            command,
                            "Invalid value for option '--sizes': "
                                    + n
                                    + " pictures: at least 1, as in 256x256:50");
                }
                most = OptionalInt.of(n);
            }
            sizes.add(new Wanted(size, most));
        }
        return sizes;
    }
}
