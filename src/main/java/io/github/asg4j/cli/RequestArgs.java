// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Engine;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.RequestOption;
import io.github.asg4j.RequestOptions;
import io.github.asg4j.Seed;
import io.github.asg4j.Variation;
import io.github.asg4j.batch.Given;
import io.github.asg4j.schedule.Sampler;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.function.LongSupplier;

/**
 * The options of {@link RequestOptions} on the command line of a command, and the request that they
 * make.
 */
final class RequestArgs {
    /** The command that {@link #addTo} extended: it knows all values, and which of them were given. */
    private final CommandSpec command;

    RequestArgs(CommandSpec command) {
        this.command = command;
    }

    /** Gives a command the options, but for those named {@code without}. */
    static void addTo(CommandSpec command, Set<String> without) {
        int order = 0;
        for (RequestOption<?> option : RequestOptions.ALL) {
            order++;
            if (!without.contains(option.name())) {
                command.addOption(spec(option, order));
            }
        }
    }

    private static OptionSpec spec(RequestOption<?> option, int order) {
        boolean flag = option.type().label().isEmpty();
        OptionSpec.Builder spec =
                OptionSpec.builder(name(option))
                        .order(section(option.section()) + order)
                        .description(description(option))
                        .type(flag ? boolean.class : String.class);
        if (option.type().repeats()) {
            spec.type(List.class).auxiliaryTypes(String.class);
        }
        if (!flag) {
            spec.arity("1").paramLabel(option.type().label());
        }
        return spec.build();
    }

    /** What the option is, its range and its default. */
    static String description(RequestOption<?> option) {
        return option.description(Engine::defaults);
    }

    /** The registry's own name of a sampler or a spacing; of other options the text as it is. */
    private static String registered(String option, String text) {
        return switch (option) {
            case "scheduler" -> Sampler.named(text).toString();
            case "spacing" -> Sampler.spacingNamed(text).id();
            default -> text;
        };
    }

    private static int section(RequestOption.Section section) {
        return switch (section) {
            case PICTURE -> HelpSections.PICTURE;
            case STAGE1 -> HelpSections.STAGE1;
            case WINDOWS -> HelpSections.STAGE2;
            case PHASES -> HelpSections.PHASES;
            case RELAY -> HelpSections.RELAY;
            case DILATION -> HelpSections.DILATION;
            case TENSORS -> HelpSections.TENSORS;
        };
    }

    static String name(RequestOption<?> option) {
        return "--" + option.name();
    }

    private ParseResult given() {
        return command.commandLine().getParseResult();
    }

    /** The text of an option, the last where it was given several times; null: not given. */
    @Nullable String text(String name) {
        List<String> texts = texts(name);
        return texts.isEmpty() ? null : texts.getLast();
    }

    /** The texts of an option, one for each time that it was given. */
    private List<String> texts(String name) {
        Object value = given().matchedOptionValue("--" + name, (Object) null);
        return switch (value) {
            case null -> List.of();
            case List<?> several -> several.stream().map(String::valueOf).toList();
            default -> List.of(value.toString());
        };
    }

    /** The options that were given, in the order of the table. */
    List<RequestOption<?>> options() {
        return RequestOptions.ALL.stream().filter(o -> text(o.name()) != null).toList();
    }

    /** What was given, in the order of the table; once for each time that it was given. */
    List<Given> values() {
        return options().stream()
                .flatMap(o -> texts(o.name()).stream().<Given>map(text -> Given.text(o, text)))
                .toList();
    }

    /**
     * The request.
     *
     * @param methods names that can be asked for
     * @param randomSeed asked when no seed was given, or -1
     * @throws ParameterException if an option's value is none of the allowed
     * @throws BadRequestException if a value is out of its range, or an option is of another method
     */
    GenerationRequest request(String prompt, Collection<String> methods, LongSupplier randomSeed) {
        return request(prompt, methods, randomSeed, null);
    }

    /**
     * The request, with what a picture says where no option is given.
     *
     * @param like null: none
     */
    GenerationRequest request(
            String prompt,
            Collection<String> methods,
            LongSupplier randomSeed,
            @Nullable Likeness like) {
        GenerationRequest.Builder request = base(prompt, methods, randomSeed);
        if (like != null) {
            String asked = text("method");
            String method = asked == null ? like.method() : asked;
            if (method != null) {
                request.method(Values.choice(command, "--method", method, methods));
            }
            like.applyTo(request, name -> text(name) != null);
        }
        options().forEach(option -> apply(option, request));
        return request.build();
    }

    /**
     * A request for {@code method} that has what was given, but for the options that the method has
     * not.
     */
    GenerationRequest requestFor(
            String method, String prompt, Collection<String> methods, LongSupplier randomSeed) {
        GenerationRequest.Builder request = base(prompt, methods, randomSeed).method(method);
        options().stream()
                .filter(option -> option.methods().contains(method))
                .filter(option -> !option.name().equals("method"))
                .forEach(option -> apply(option, request));
        return request.build();
    }

    /**
     * Refuses what belongs to none of the methods.
     *
     * @throws BadRequestException naming the methods that have the option
     */
    void requireAny(Collection<String> chosen) {
        options().forEach(option -> option.requireAny(name(option), chosen));
    }

    private GenerationRequest.Builder base(
            String prompt, Collection<String> methods, LongSupplier randomSeed) {
        String method = text("method");
        if (method != null) {
            Values.choice(command, "--method", method, methods);
        }
        String seed = text("seed");
        GenerationRequest.Builder request = GenerationRequest.builder(prompt);
        if (seed == null || Seed.random(seed)) {
            request.seed(randomSeed.getAsLong());
        }
        String variation = text("variation-seed");
        if (variation != null && Seed.random(variation)) {
            request.variation(Variation.NONE.withSeed(randomSeed.getAsLong()));
        }
        return request;
    }

    private void apply(RequestOption<?> option, GenerationRequest.Builder request) {
        String text = String.valueOf(text(option.name()));
        boolean seed = option.name().equals("seed") || option.name().equals("variation-seed");
        if (option.name().equals("prompt") || (seed && Seed.random(text))) {
            return;
        }
        String method = request.build().method();
        if (method != null) {
            option.requireAny(name(option), List.of(method));
        }
        texts(option.name()).forEach(each -> parse(option, request, each));
    }

    private void parse(RequestOption<?> option, GenerationRequest.Builder request, String text) {
        try {
            option.parse(request, registered(option.name(), text));
        } catch (BadRequestException e) {
            throw new ParameterException(
                    command.commandLine(),
                    "Invalid value for option '" + name(option) + "': " + e.getMessage(),
                    e,
                    null,
                    text);
        }
    }
}
