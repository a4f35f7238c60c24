// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.util.Collection;
import java.util.List;
import java.util.function.BiConsumer;

/**
 * A setting of a {@link GenerationRequest}: one row of {@link RequestOptions}, from which the command
 * line, its help, and {@link RequestJson} follow.
 *
 * @param name lower case with hyphens, as on the command line after the two hyphens
 * @param section heading of the help under which it stands
 * @param type how its values are written
 * @param description for the help; "{default}" stands for what the method does without the option
 * @param methods names of those that have the option, in the order of {@link Engine#methods()}
 * @param get the value that a request gives; null: none
 * @param set gives a request the value; adds it where the option may be given several times
 */
public record RequestOption<T>(
        String name,
        Section section,
        OptionType<T> type,
        String description,
        List<String> methods,
        Getter<T> get,
        BiConsumer<GenerationRequest.Builder, T> set) {

    /** Groups of options. */
    public enum Section {
        PICTURE,
        STAGE1,
        WINDOWS,
        PHASES,
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

    /**
     * Gives {@code request} the value that {@code text} writes.
     *
     * @throws BadRequestException if it is none, or the request's method has no such option
     */
    public void parse(GenerationRequest.Builder request, String text) {
        requireAny("--" + name, List.of(request.options().method()));
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
     * @throws BadRequestException if it is none, or the request's method has no such option
     */
    public void fromJson(GenerationRequest.Builder request, Object json) {
        requireAny(key(), List.of(request.options().method()));
        set.accept(request, type.fromJson().apply(json));
    }
}
