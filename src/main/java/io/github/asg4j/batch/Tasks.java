// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import org.jspecify.annotations.Nullable;

/** The pictures of a shard in their order, as the input is read. */
final class Tasks implements AutoCloseable {
    private final Input.Rows rows;
    private final Shard shard;
    private final long variants;
    private @Nullable InputRow row;
    private long variant;

    private Tasks(Input.Rows rows, Shard shard, long variants) {
        this.rows = rows;
        this.shard = shard;
        this.variants = variants;
    }

    /**
     * Opens the input.
     *
     * @param variants pictures of a row
     * @param done how many of the shard's pictures are left out
     */
    static Tasks open(BatchOptions options, long variants, long done) {
        Tasks tasks = new Tasks(Input.rows(options.input()), options.shard(), variants);
        for (long i = 0; i < done; i++) {
            tasks.next();
        }
        return tasks;
    }

    /** The next picture; null: there is none. */
    @Nullable Task next() {
        while (true) {
            InputRow current = row;
            if (current == null || variant == variants) {
                current = rows.next();
                row = current;
                variant = 0;
            }
            if (current == null) {
                return null;
            }
            long at = variant++;
            if (shard.has(current.number(), at)) {
                return new Task(
                        current.number() * variants + at, current.number(), at, current.given());
            }
        }
    }

    @Override
    public void close() {
        rows.close();
    }
}
