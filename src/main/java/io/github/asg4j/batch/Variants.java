// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.RequestOption;
import io.github.asg4j.RequestOptions;
import io.github.asg4j.UsualMethod;

import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The pictures of a row: settings x methods x seeds, in this order, and the requests for them. An
 * option comes from the setting, else from the row, else from the batch's defaults, of which those of
 * other methods do not count.
 */
final class Variants {
    private static final RequestOption<?> METHOD = Given.option("method").orElseThrow();
    private static final int SEED_DIGITS = 8;

    private final UsualMethod usual;
    private final List<Given> defaults;
    private final List<Variant> variants;
    private final int seeds;

    /**
     * A setting by a method.
     *
     * @param method null: the row's
     */
    private record Variant(Setting setting, @Nullable String method) {}

    /**
     * @param usual of the model that draws
     */
    Variants(UsualMethod usual, BatchOptions options) {
        this(usual, options.defaults(), variants(options), options.seeds());
    }

    private Variants(UsualMethod usual, List<Given> defaults, List<Variant> variants, int seeds) {
        this.usual = usual;
        this.defaults = defaults;
        this.variants = variants;
        this.seeds = seeds;
    }

    /** One picture of each row, with no options but its own and the defaults. */
    static Variants single(UsualMethod usual, List<Given> defaults) {
        return new Variants(usual, defaults, List.of(new Variant(Setting.NONE, null)), 1);
    }

    /**
     * Refuses a batch whose rows would have no pictures.
     *
     * @throws BadRequestException if none of its methods has all options of a setting
     */
    static void check(BatchOptions options) {
        variants(options);
    }

    /**
     * Refuses defaults that no row without a method would be drawn with.
     *
     * @throws BadRequestException if the model's method does not have one of them
     */
    static void checkDefaults(UsualMethod usual, BatchOptions options) {
        if (options.methods().isEmpty()) {
            GenerationRequest.Builder request = GenerationRequest.builder("any");
            options.defaults().stream()
                    .filter(given -> !given.anySeed())
                    .forEach(given -> given.applyTo(request));
            usual.of(request.build());
        }
    }

    private static List<Variant> variants(BatchOptions options) {
        List<Variant> variants = new ArrayList<>();
        for (Setting setting : options.settings()) {
            boolean own = setting.options().stream().anyMatch(given -> given.is("method"));
            if (own || options.methods().isEmpty()) {
                variants.add(new Variant(setting, null));
            }
            for (String method : own ? List.<String>of() : options.methods()) {
                // A method without a setting's options would be drawn as by default.
                if (setting.options().stream()
                        .allMatch(given -> given.option().methods().contains(method))) {
                    variants.add(new Variant(setting, method));
                }
            }
        }
        if (variants.isEmpty()) {
            throw new BadRequestException(
                    "nothing to draw: none of the methods "
                            + String.join(", ", options.methods())
                            + " has all options of a setting");
        }
        return variants;
    }

    /** Pictures of a row. */
    long count() {
        return (long) variants.size() * seeds;
    }

    /** Name of a picture's setting. */
    String setting(long index) {
        return variants.get((int) (index / seeds)).setting().name();
    }

    /**
     * The request for a picture, which names its method.
     *
     * @param row what the row gives
     * @param index of the picture among the row's, from 0
     * @throws BadRequestException if it cannot be made
     */
    GenerationRequest request(List<Given> row, long index) {
        Variant variant = variants.get((int) (index / seeds));
        List<Given> own = new ArrayList<>(row);
        own.addAll(variant.setting().options());
        if (variant.method() != null) {
            own.add(Given.text(METHOD, variant.method()));
        }
        GenerationRequest.Builder request = GenerationRequest.builder("any");
        last(own, "method").or(() -> last(defaults, "method")).ifPresent(g -> g.applyTo(request));
        String named = request.build().method();
        String method = named == null ? usual.name() : named;
        List<Given> all =
                new ArrayList<>(
                        defaults.stream()
                                .filter(given -> given.option().methods().contains(method))
                                .toList());
        all.addAll(own);
        if (last(all, "prompt").isEmpty()) {
            throw new BadRequestException(
                    "the row has no prompt: give it one, or all rows one with --prompt");
        }
        for (RequestOption<?> option : RequestOptions.ALL) {
            all.stream()
                    .filter(given -> given.is(option.name()) && !given.is("method"))
                    .filter(given -> !given.anySeed())
                    .forEach(given -> given.applyTo(request));
        }
        GenerationRequest asked = request.build();
        boolean seeded = last(all, "seed").filter(given -> !given.anySeed()).isPresent();
        long seed = seeded ? asked.seed() : seed(asked.prompt());
        return usual.of(request.seed(seed + index % seeds).build());
    }

    private static Optional<Given> last(List<Given> all, String name) {
        return all.stream().filter(given -> given.is(name)).reduce((first, second) -> second);
    }

    /**
     * The seed of a row that names none: the first 32 bits of the SHA-256 of its prompt in UTF-8. It is
     * a function of the prompt alone, so that shards and resumed runs agree, and the variants of a
     * row, and all rows of a prompt, start from the same noise.
     */
    static long seed(String prompt) {
        String hex = Sha256.of(prompt.getBytes(StandardCharsets.UTF_8));
        return Long.parseLong(hex.substring(0, SEED_DIGITS), 16);
    }
}
