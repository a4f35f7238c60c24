// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Seed;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** Seeds of several pictures, as in "1,2,5..9". */
final class SeedList {
    /** More are a file of rows, which can go on where it was stopped. */
    static final int MOST = 10_000;

    private SeedList() {}

    /**
     * Reads a list.
     *
     * @throws BadRequestException a part is no seed and no range, a seed comes twice, or there are too
     *     many
     */
    static List<Long> parse(String text) {
        Set<Long> seeds = new LinkedHashSet<>();
        for (String part : text.split(",", -1)) {
            int dots = part.indexOf("..");
            long first = Seed.parse(dots < 0 ? part : part.substring(0, dots));
            long last = dots < 0 ? first : Seed.parse(part.substring(dots + 2));
            if (last - first < 0 || last - first >= MOST) {
                throw new BadRequestException(
                        "'" + part + "' is no range of at most " + MOST + " seeds, as in 5..9");
            }
            for (long seed = first; seed - last <= 0; seed++) {
                if (!seeds.add(seed)) {
                    throw new BadRequestException(
                            "the seed " + Seed.number(seed) + " comes twice: leave one out");
                }
                requireFew(seeds.size());
            }
        }
        return List.copyOf(seeds);
    }

    /** Refuses more pictures than are drawn at a time. */
    static void requireFew(int count) {
        if (count > MOST) {
            throw new BadRequestException(
                    "more than "
                            + MOST
                            + " pictures at a time: use asg batch, which goes on where it was"
                            + " stopped");
        }
    }
}
