// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.DilationOptions;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.OptionNames;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.schedule.Solver;
import io.github.asg4j.schedule.Spacing;

import picocli.CommandLine;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.TypeConversionException;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Values of options as text: what is allowed, and messages that say so. */
final class Values {
    private static final Pattern BYTES =
            Pattern.compile("([0-9]{1,18})([kmgt]?)i?b?", Pattern.CASE_INSENSITIVE);
    private static final String UNITS = "kmgt";

    private Values() {}

    /** Replaces picocli's conversions by ours, which say what would have been right. */
    static void register(CommandLine command) {
        command.registerConverter(Integer.class, Values::integer);
        command.registerConverter(Long.class, Values::longInteger);
        command.registerConverter(Double.class, Values::finite);
        command.registerConverter(Path.class, Values::path);
        command.registerConverter(
                GuideOptions.Schedule.class, constant(GuideOptions.Schedule.class));
        command.registerConverter(
                GuideOptions.Upsampling.class, constant(GuideOptions.Upsampling.class));
        command.registerConverter(GuideOptions.Space.class, constant(GuideOptions.Space.class));
        command.registerConverter(GuideOptions.Mask.class, constant(GuideOptions.Mask.class));
        command.registerConverter(
                GuideOptions.MaskNorm.class, constant(GuideOptions.MaskNorm.class));
        command.registerConverter(
                GuideOptions.PatchAspect.class, constant(GuideOptions.PatchAspect.class));
        command.registerConverter(WindowOptions.Weight.class, constant(WindowOptions.Weight.class));
        command.registerConverter(
                WindowOptions.Conditioning.class, constant(WindowOptions.Conditioning.class));
        command.registerConverter(
                DilationOptions.Course.class, constant(DilationOptions.Course.class));
    }

    static String interaction(int steps) {
        return switch (steps) {
            case 0 -> "off";
            case GuideOptions.EVERY_STEP -> "every";
            default -> Integer.toString(steps);
        };
    }

    static int interactionSteps(CommandSpec command, String option, String text) {
        return switch (text.toLowerCase(Locale.ROOT)) {
            case "off" -> 0;
            case "every" -> GuideOptions.EVERY_STEP;
            default -> integer(command, option, text, "every, off");
        };
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

    /** The name that {@code registry} has for what was given. */
    static String named(
            CommandSpec command, String option, String text, Function<String, ?> registry) {
        try {
            return String.valueOf(registry.apply(text));
        } catch (BadRequestException e) {
            throw invalid(command, option, String.valueOf(e.getMessage()));
        }
    }

    /** The solvers that draw, for the help text: those that keep no past predictions. */
    static final class Solvers extends Names {
        Solvers() {
            super(
                    Arrays.stream(Solver.values())
                            .filter(s -> s.history() == 0)
                            .map(Solver::id)
                            .toList());
        }
    }

    /** The spacings, for the help text. */
    static final class Spacings extends Names {
        Spacings() {
            super(Spacing.ids());
        }
    }

    /** Names of a registry; picocli makes an object of a class for each option. */
    abstract static class Names implements Iterable<String> {
        private final List<String> names;

        Names(List<String> names) {
            this.names = names;
        }

        @Override
        public Iterator<String> iterator() {
            return names.iterator();
        }
    }

    /** A whole number, where {@code words} are allowed as well. */
    static int integer(CommandSpec command, String option, String text, String words) {
        try {
            return Integer.parseInt(text.strip());
        } catch (NumberFormatException e) {
            throw invalid(command, option, "'" + text + "' is neither a whole number nor " + words);
        }
    }

    /** Whole numbers with commas between them. */
    static List<Integer> integers(CommandSpec command, String option, String text, String words) {
        List<Integer> numbers = new ArrayList<>();
        for (String part : text.split(",", -1)) {
            numbers.add(integer(command, option, part, words));
        }
        return numbers;
    }

    /** A number for each name, in the order given, as in mid_block=2,up_blocks.0=2.5. */
    static Map<String, Double> factors(CommandSpec command, String option, String text) {
        Map<String, Double> factors = new LinkedHashMap<>();
        for (String part : text.split(",", -1)) {
            int equals = part.indexOf('=');
            String name = part.substring(0, Math.max(equals, 0)).strip();
            if (name.isEmpty()) {
                throw invalid(
                        command, option, "'" + part + "' is not GROUP=FACTOR, as in mid_block=2");
            }
            Double factor;
            try {
                factor = finite(part.substring(equals + 1));
            } catch (TypeConversionException e) {
                throw invalid(command, option, name + ": " + e.getMessage());
            }
            if (factors.put(name, factor) != null) {
                throw invalid(command, option, "'" + name + "' is given twice");
            }
        }
        return factors;
    }

    static Size size(CommandSpec command, String option, String text) {
        try {
            return Size.parse(text);
        } catch (IllegalArgumentException e) {
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

    private static Long longInteger(String text) {
        try {
            return Long.valueOf(text.strip());
        } catch (NumberFormatException e) {
            throw new TypeConversionException(
                    "'"
                            + text
                            + "' is no whole number between "
                            + Long.MIN_VALUE
                            + " and "
                            + Long.MAX_VALUE);
        }
    }

    private static Double finite(String text) {
        double value;
        try {
            value = Double.parseDouble(text.strip());
        } catch (NumberFormatException e) {
            throw new TypeConversionException("'" + text + "' is no number, as in 5 or 0.5");
        }
        if (!Double.isFinite(value)) {
            throw new TypeConversionException(
                    "'" + text + "' is not finite: give a number, as in 5 or 0.5");
        }
        return value;
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

    private static <E extends Enum<E>> ITypeConverter<E> constant(Class<E> type) {
        return text -> {
            for (E constant : type.getEnumConstants()) {
                if (OptionNames.of(constant).equalsIgnoreCase(text.strip())) {
                    return constant;
                }
            }
            String allowed =
                    Arrays.stream(type.getEnumConstants())
                            .map(OptionNames::of)
                            .collect(Collectors.joining(", "));
            throw new TypeConversionException("'" + text + "' is not one of " + allowed);
        };
    }
}
