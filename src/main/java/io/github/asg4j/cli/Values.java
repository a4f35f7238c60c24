// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Size;

import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.TypeConversionException;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Values of options as text: what is allowed, and messages that say so. */
final class Values {
    private static final Pattern BYTES =
            Pattern.compile("([0-9]{1,18})([kmgt]?)i?b?", Pattern.CASE_INSENSITIVE);
    private static final String UNITS = "kmgt";

    private Values() {}

    /** Replaces picocli's conversions by ours, which say what would have been right. */
    static void register(CommandLine command) {
        command.registerConverter(Integer.class, Values::integer);
        command.registerConverter(Path.class, Values::path);
    }

    /** One of the allowed values, whatever the case of its letters. */
    static String choice(
            CommandSpec command, String option, String text, Collection<String> allowed) {
        String lower = text.toLowerCase(Locale.ROOT);
        if (!allowed.contains(lower)) {
            throw invalid(
                    command, option, "'" + text + "' is not one of " + String.join(", ", allowed));
        }
        return lower;
    }

    /** A whole number, where {@code words} are allowed as well. */
    static int integer(CommandSpec command, String option, String text, String words) {
        try {
            return Integer.parseInt(text.strip());
        } catch (NumberFormatException e) {
            throw invalid(command, option, "'" + text + "' is neither a whole number nor " + words);
        }
    }

    static Size size(CommandSpec command, String option, String text) {
        try {
            return Size.parse(text);
        } catch (BadRequestException e) {
            throw invalid(command, option, String.valueOf(e.getMessage()));
        }
    }

    /** Bytes, as in 8589934592, 8192M or 8G; units are powers of 1024. */
    static long bytes(CommandSpec command, String option, String text) {
        Matcher matcher = BYTES.matcher(text.strip());
        try {
            if (matcher.matches()) {
                long bytes = Long.parseLong(matcher.group(1));
                String unit = matcher.group(2).toLowerCase(Locale.ROOT);
                int shift = unit.isEmpty() ? 0 : 10 * (UNITS.indexOf(unit) + 1);
                return Math.multiplyExact(bytes, 1L << shift);
            }
        } catch (ArithmeticException e) {
            // Falls through to the message: more than 8 exabytes are a slip of the pen.
        }
        throw invalid(
                command, option, "'" + text + "' is no number of bytes, as in 8589934592 or 8G");
    }

    private static ParameterException invalid(CommandSpec command, String option, String why) {
        return new ParameterException(
                command.commandLine(), "Invalid value for option '" + option + "': " + why);
    }

    private static Integer integer(String text) {
        try {
            return Integer.valueOf(text.strip());
        } catch (NumberFormatException e) {
            throw new TypeConversionException("'" + text + "' is no whole number, as in 20");
        }
    }

    private static Path path(String text) {
        try {
            return Path.of(text);
        } catch (InvalidPathException e) {
            throw new TypeConversionException(
                    "'"
                            + text
                            + "' cannot be a file name here ("
                            + e.getReason()
                            + "): choose another, or a UTF-8 locale, as in LC_ALL=C.UTF-8");
        }
    }
}
