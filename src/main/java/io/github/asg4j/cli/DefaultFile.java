// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Seed;

import java.nio.file.Path;
import java.text.Normalizer;
import java.util.Locale;

/** Names for files that were given none. */
final class DefaultFile {
    private static final int MAX_SLUG_CHARACTERS = 60;

    private DefaultFile() {}

    /** ./SLUG-SEED and the ending; ASCII, so that every locale has a name for the file. */
    static Path of(GenerationRequest request, String ending) {
        String slug =
                Normalizer.normalize(request.prompt(), Normalizer.Form.NFD)
                        .replaceAll("\\p{M}+", "")
                        .toLowerCase(Locale.ROOT)
                        .replaceAll("[^a-z0-9]+", "-")
                        .replaceAll("^-|-$", "");
        if (slug.length() > MAX_SLUG_CHARACTERS) {
            slug = slug.substring(0, MAX_SLUG_CHARACTERS).replaceAll("-$", "");
        }
        return Path.of(
                (slug.isEmpty() ? "picture" : slug) + "-" + Seed.number(request.seed()) + ending);
    }
}
