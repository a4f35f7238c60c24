// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Values of --setting: a name, and options of generate that a picture is drawn with once more. */
final class SettingArgs {
    private static final Pattern SETTING =
            Pattern.compile("\\s*([^:\\s]+)\\s*:(.*)", Pattern.DOTALL);
    private static final Pattern WORD = Pattern.compile("\"([^\"]*)\"|'([^']*)'|(\\S+)");

    private SettingArgs() {}

    /** Parses options of {@link RequestArgs} alone; one may be given twice, the later holds. */
    static CommandLine line() {
        CommandSpec spec = CommandSpec.create();
        RequestArgs.addTo(spec, Set.of());
        CommandLine line = new CommandLine(spec);
        line.setExpandAtFiles(false);
        line.setOverwrittenOptionsAllowed(true);
        return line;
    }

    /**
     * Options by the settings' names, as words of a command line.
     *
     * @param texts values of --setting; null: none
     * @throws CommandLine.ParameterException if one is not NAME: OPTIONS, or a name is there twice
     */
    static Map<String, List<String>> words(CommandSpec command, @Nullable List<String> texts) {
        Map<String, List<String>> settings = new LinkedHashMap<>();
        for (String text : texts == null ? List.<String>of() : texts) {
            Matcher matcher = SETTING.matcher(text);
            if (!matcher.matches()) {
                throw EvalCommand.misuse(
                        command,
                        "Invalid value for option '--setting': '"
                                + text
                                + "' is not NAME: OPTIONS, as in \"sync: --method asg --staleness"
                                + " 0\"");
            }
            if (settings.put(matcher.group(1), words(matcher.group(2))) != null) {
                throw EvalCommand.misuse(
                        command, "the setting '" + matcher.group(1) + "' is given twice");
            }
        }
        return settings;
    }

    private static List<String> words(String options) {
        List<String> words = new ArrayList<>();
        Matcher word = WORD.matcher(options);
        while (word.find()) {
            for (int group = 1; group <= 3; group++) {
                if (word.group(group) != null) {
                    words.add(word.group(group));
                }
            }
        }
        return words;
    }
}
