// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.RequestOption;
import io.github.asg4j.RequestOptions;
import io.github.asg4j.Seed;

import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * A value of an option, as a row, a setting or the command line gives it.
 *
 * @param value a String as on the command line, or a value of JSON
 * @param text whether it is the former
 */
public record Given(RequestOption<?> option, Object value, boolean text) {
    /** The option of a request's tensors, which are one set of files and not one for each picture. */
    private static final String DUMP = "dump";

    /** The options that a batch takes. */
    static final List<RequestOption<?>> OPTIONS =
            RequestOptions.ALL.stream()
                    .filter(option -> !option.name().equals(DUMP))
                    .collect(Collectors.toUnmodifiableList());

    /** A value as on the command line. */
    public static Given text(RequestOption<?> option, String text) {
        return new Given(option, text, true);
    }

    /** A value of JSON. */
    public static Given json(RequestOption<?> option, Object value) {
        return new Given(option, value, false);
    }

    /** A cell of a typed table: text as on the command line, a number or a boolean. */
    static Given cell(RequestOption<?> option, Object value) {
        return switch (value) {
            case String text -> text(option, text);
            // The decimal digits of a float: 0.1f is meant to be 0.1.
            case Float number -> json(option, number(Double.parseDouble(number.toString())));
            case Double number -> json(option, number(number));
            case Number number -> json(option, whole(number.longValue()));
            default -> json(option, value);
        };
    }

    /** Whole numbers as such: pandas makes doubles of integers in a column that has gaps. */
    private static Object number(double number) {
        return number == (long) number ? whole((long) number) : (Object) number;
    }

    /** As JSON has it: an Integer where it is one. */
    private static Object whole(long number) {
        return number == (int) number ? (Object) (int) number : (Object) number;
    }

    /** The option that a column or key names, with hyphens or underscores. */
    static Optional<RequestOption<?>> option(String column) {
        String name = column.strip();
        return OPTIONS.stream()
                .filter(option -> option.name().equals(name) || option.key().equals(name))
                .findFirst();
    }

    /** "unknown column "promt": there are prompt, ...". */
    static BadRequestException unknown(String what, String name) {
        return new BadRequestException(
                "unknown "
                        + what
                        + " \""
                        + name
                        + "\": there are "
                        + OPTIONS.stream()
                                .map(RequestOption::key)
                                .collect(Collectors.joining(", ")));
    }

    boolean is(String name) {
        return option.name().equals(name);
    }

    /** Whether it is a seed that leaves the choice to the batch: the text "-1". */
    boolean anySeed() {
        return text && is("seed") && Seed.random(value.toString());
    }

    /**
     * Gives a request the value.
     *
     * @throws BadRequestException naming the option, if the value is of a wrong type or out of its
     *     range, or the request's method has no such option
     */
    public void applyTo(GenerationRequest.Builder request) {
        try {
            if (!text) {
                option.fromJson(request, value);
            } else if (option.type().label().isEmpty()) {
                option.fromJson(request, flag(value.toString()));
            } else {
                option.parse(request, value.toString());
            }
            request.build(); // checks ranges, while the option is known
        } catch (BadRequestException e) {
            throw new BadRequestException("\"" + option.key() + "\": " + e.getMessage(), e);
        }
    }

    private static boolean flag(String text) {
        return switch (text.strip()) {
            case "true" -> true;
            case "false" -> false;
            default -> throw new BadRequestException("'" + text + "' is neither true nor false");
        };
    }

    /** As on a command line, as in "--steps=20". */
    @Override
    public String toString() {
        return "--" + option.name() + "=" + value;
    }
}
