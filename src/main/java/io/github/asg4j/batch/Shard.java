// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.BadRequestException;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A share of a batch: the pictures for which the numbers of row and variant, from 0, add up to {@code
 * index} modulo {@code count}. So each shard has of everything: of all parts of the file, and of all
 * settings.
 *
 * @param index from 0
 * @param count of shards
 */
public record Shard(int index, int count) {
    /** The whole batch. */
    public static final Shard ALL = new Shard(0, 1);

    private static final Pattern TEXT = Pattern.compile("([0-9]{1,9})/([0-9]{1,9})");

    public Shard {
        if (count < 1 || index < 0 || index >= count) {
            throw new BadRequestException(
                    "there is no shard "
                            + index
                            + "/"
                            + count
                            + ": shards are counted from 0, as in 0/"
                            + Math.max(count, 2)
                            + " to "
                            + (Math.max(count, 2) - 1)
                            + "/"
                            + Math.max(count, 2));
        }
    }

    /**
     * Reads INDEX/COUNT, as in "0/4".
     *
     * @throws BadRequestException if {@code text} is none
     */
    public static Shard parse(String text) {
        Matcher matcher = TEXT.matcher(text.strip());
        if (!matcher.matches()) {
            throw new BadRequestException("'" + text + "' is no shard, as in 0/4 (the first of 4)");
        }
        return new Shard(Integer.parseInt(matcher.group(1)), Integer.parseInt(matcher.group(2)));
    }

    /** Whether it has a picture; row and variant are counted from 0. */
    boolean has(long row, long variant) {
        return (row + variant) % count == index;
    }

    /** Number of its pictures. */
    long pictures(long rows, long variants) {
        long pictures = 0;
        for (int residue = 0; residue < count; residue++) {
            pictures +=
                    having(rows, residue) * having(variants, Math.floorMod(index - residue, count));
        }
        return pictures;
    }

    /** How many of the numbers below {@code all} leave a residue. */
    private long having(long all, int residue) {
        return all / count + (residue < all % count ? 1 : 0);
    }

    /** Name of its folder, as in "shard-0003-of-0016". */
    String folder() {
        return String.format(Locale.ROOT, "shard-%04d-of-%04d", index, count);
    }

    /** As in "3/16". */
    @Override
    public String toString() {
        return index + "/" + count;
    }
}
