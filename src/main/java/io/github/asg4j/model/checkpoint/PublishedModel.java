// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;

/**
 * A single file as it was published, told from its bytes.
 *
 * @param sha256 of the file, 64 hexadecimal digits
 * @param bytes of the file
 * @param title what it is, for people
 * @param prediction what its network predicts: "epsilon" or "v"
 * @param licence of the weights
 */
public record PublishedModel(
        String sha256, long bytes, String title, String prediction, String licence) {
    private static final String FILE = "published.tsv";
    private static final int FIELDS = 5;

    /** Those that this release knows. */
    public static final List<PublishedModel> ALL = read();

    /**
     * The published file that a file is.
     *
     * @param known those that it may be
     * @param bytes of the file
     * @param sha256 of the file, asked for only if a published one is of the same size
     * @return null: it is none of them
     */
    static @Nullable PublishedModel of(
            List<PublishedModel> known, long bytes, Supplier<String> sha256) {
        if (known.stream().noneMatch(model -> model.bytes == bytes)) {
            return null;
        }
        String found = sha256.get();
        return known.stream()
                .filter(model -> model.bytes == bytes && model.sha256.equals(found))
                .findFirst()
                .orElse(null);
    }

    /** The same of all that this release knows. */
    public static @Nullable PublishedModel of(long bytes, Supplier<String> sha256) {
        return of(ALL, bytes, sha256);
    }

    private static List<PublishedModel> read() {
        try (InputStream in =
                Objects.requireNonNull(PublishedModel.class.getResourceAsStream(FILE), FILE)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8)
                    .lines()
                    .filter(line -> !line.startsWith("#"))
                    .map(line -> List.of(line.split("\t", FIELDS)))
                    .map(
                            f ->
                                    new PublishedModel(
                                            f.get(0),
                                            Long.parseLong(f.get(1)),
                                            f.get(2),
                                            f.get(3),
                                            f.get(4)))
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(FILE + " of the jar cannot be read", e);
        }
    }
}
