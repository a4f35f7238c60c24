// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * A setting of a {@link GenerationRequest}: one row of {@link RequestOptions}, from which the command
 * line, its help, and {@link RequestJson} follow.
 *
 * @param name lower case with hyphens, as on the command line after the two hyphens
 * @param section heading of the help under which it stands
 * @param type how its values are written
 * @param help what it is
 * @param otherwise what holds without the option, in words in which "{default}" stands for what {@link
 *     Engine#defaults} says; empty: nothing
 * @param methods names of those that have the option, in the order of {@link Engine#methods()}
 * @param get the value that a request gives; null: none
 * @param set gives a request the value; adds it where the option may be given several times
 */
public record RequestOption<T>(
        String name,
        Section section,
        OptionType<T> type,
        String help,
        String otherwise,
        List<String> methods,
        Getter<T> get,
        BiConsumer<GenerationRequest.Builder, T> set) {

    private static final String DEFAULT = "{default}";
    private static final String NAMES = "{names}";

    /** Groups of options. */
    public enum Section {
        PICTURE,
        STAGE1,
        WINDOWS,
        PHASES,
        RELAY,
        DILATION,
        TENSORS
    }

    /** Reads a setting. */
    @FunctionalInterface
    public interface Getter<T> {
        @Nullable T of(GenerationRequest request);
    }

    /** Key in JSON: the name with underscores, in the plural where it may be given several times. */
    public String key() {
        return name.replace('-', '_') + (type.repeats() ? "s" : "");
    }

    /**
     * What the option is, its range, and what holds without it.
     *
     * @param defaults of a method by its name, as {@link Engine#defaults}
     */
    public String description(Function<String, MethodOptions> defaults) {
        List<String> facts = new ArrayList<>();
        if (type.range() != null) {
            facts.add(type.range().toString());
        }
        if (!otherwise.isEmpty()) {
            facts.add(
                    "default: "
                            + (otherwise.contains(DEFAULT)
                                    ? otherwise.replace(DEFAULT, byMethod(defaults))
                                    : otherwise));
        }
        String text = help.replace(NAMES, String.join(", ", names()));
        return facts.isEmpty() ? text : text + " (" + String.join("; ", facts) + ")";
    }

    /** Names of samplers or spacings, for the option that takes one. */
    private List<String> names() {
        return switch (name) {
            case "scheduler" -> Engine.schedulers();
            case "spacing" -> Engine.spacings();
            default -> List.of();
        };
    }

    /** Defaults, with the methods that have them where they differ. */
    private String byMethod(Function<String, MethodOptions> defaults) {
        Map<String, List<String>> methodsByText = new LinkedHashMap<>();
        for (String method : methods) {
            GenerationRequest usual =
                    GenerationRequest.builder("any").options(defaults.apply(method)).build();
            methodsByText
                    .computeIfAbsent(String.valueOf(json(usual)), text -> new ArrayList<>())
                    .add(method);
        }
        return methodsByText.size() == 1
                ? methodsByText.keySet().iterator().next()
                : methodsByText.entrySet().stream()
                        .map(each -> String.join(", ", each.getValue()) + ": " + each.getKey())
                        .collect(Collectors.joining("; "));
    }

    /** Whether any of the methods has the option. */
    public boolean belongsToAny(Collection<String> names) {
        return methods.stream().anyMatch(names::contains);
    }

    /**
     * Refuses the option where none of the methods has it.
     *
     * @param shown the option as the user wrote it
     * @throws BadRequestException naming the methods that have it
     */
    public void requireAny(String shown, Collection<String> names) {
        if (!belongsToAny(names)) {
            throw new BadRequestException(
                    shown
                            + " is an option of "
                            + String.join(", ", methods)
                            + ", not of "
                            + String.join(", ", names)
                            + ": leave it out, or choose a method that has it");
        }
    }

    /** The same for a method that was named; where none is, {@link UsualMethod} refuses. */
    private void requireOf(String shown, GenerationRequest.Builder request) {
        if (request.options() instanceof MethodOptions.Named named) {
            requireAny(shown, List.of(named.method()));
        }
    }

    /**
     * Gives {@code request} the value that {@code text} writes.
     *
     * @throws BadRequestException if it is none, or the method that the request names has no such option
     */
    public void parse(GenerationRequest.Builder request, String text) {
        requireOf("--" + name, request);
        set.accept(request, type.parse().apply(text));
    }

    /** The value of {@code request} as JSON; null: it gives none. */
    public @Nullable Object json(GenerationRequest request) {
        T value = get.of(request);
        return value == null ? null : type.toJson().apply(value);
    }

    /**
     * Gives {@code request} a value of JSON.
     *
     * @throws BadRequestException if it is none, or the method that the request names has no such option
     */
    public void fromJson(GenerationRequest.Builder request, Object json) {
        requireOf(key(), request);
        set.accept(request, type.fromJson().apply(json));
    }
}
