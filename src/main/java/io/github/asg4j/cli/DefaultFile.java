// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Seed;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.text.Normalizer;
import java.util.Locale;

/** Names for files that were given none. */
final class DefaultFile {
    private static final int MAX_SLUG_CHARACTERS = 60;

    /** Leaves room for seed, number and ending in the 255 bytes that file systems allow. */
    private static final int MAX_SLUG_BYTES = 180;

    private DefaultFile() {}

    /** SLUG-SEED and the ending, in the current folder; as {@link #in}. */
    static Path of(GenerationRequest request, String ending) {
        return in(Path.of(""), request, ending);
    }

    /**
     * SLUG-SEED and the ending. A file of that name stays: the new one is numbered, since the same
     * words may be asked for with other settings.
     */
    static Path in(Path folder, GenerationRequest request, String ending) {
        boolean varied = request.variation().changes();
        String stem = expanded("{prompt}-{seed}" + (varied ? "-{variation}" : ""), request);
        Path file = folder.resolve(stem + ending);
        for (int number = 2; Files.exists(file); number++) {
            file = folder.resolve(stem + "-" + number + ending);
        }
        return file;
    }

    /**
     * A name with the prompt's words, the seed and the variation's seed in the place of {prompt}, {seed} and
     * {variation}.
     */
    static String expanded(String name, GenerationRequest request) {
        String slug = slug(request.prompt());
        Long variation = request.variation().seed();
        String other = variation == null ? "none" : Seed.number(variation).toString();
        return name.replace("{variation}", other)
                .replace("{prompt}", isFileName(slug) ? slug : "picture")
                .replace("{seed}", Seed.number(request.seed()).toString());
    }

    /** Letters and digits of any script in lower case, without the accents of Latin letters. */
    private static String slug(String prompt) {
        String plain =
                Normalizer.normalize(prompt, Normalizer.Form.NFD)
                        .replaceAll("(\\p{IsLatin})\\p{M}+", "$1");
        String words =
                Normalizer.normalize(plain, Normalizer.Form.NFC)
                        .toLowerCase(Locale.ROOT)
                        .replaceAll("[^\\p{L}\\p{M}\\p{N}]+", "-");
        StringBuilder slug = new StringBuilder();
        int bytes = 0;
        int characters = 0;
        for (int c : words.codePoints().toArray()) {
            String character = Character.toString(c);
            bytes += character.getBytes(StandardCharsets.UTF_8).length;
            if (++characters > MAX_SLUG_CHARACTERS || bytes > MAX_SLUG_BYTES) {
                break;
            }
            slug.append(character);
        }
        return slug.toString().replaceAll("^-|-$", "");
    }

    /** Whether there are words left, and the locale has a name for them. */
    private static boolean isFileName(String slug) {
        try {
            return !slug.isEmpty() && !Path.of(slug).toString().isEmpty();
        } catch (InvalidPathException e) {
            return false;
        }
    }
}
