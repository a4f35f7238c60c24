// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.BadRequestException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Path;

/**
 * The file of rows.
 *
 * @param sha256 of the file
 * @param rows how many it has
 */
record Input(String sha256, long rows) {
    /**
     * Reads a file to its end.
     *
     * @throws BadRequestException if it cannot be read, or has no rows
     */
    static Input examined(Path file) {
        long count = 0;
        try (Rows rows = rows(file)) {
            while (rows.next() != null) {
                count++;
            }
        }
        if (count == 0) {
            throw new BadRequestException("'" + file + "' has no rows: write a prompt in each");
        }
        try {
            return new Input(Sha256.of(file), count);
        } catch (IOException e) {
            throw unreadable(file, e);
        }
    }

    /** Opens a file; throws as {@link #examined}. */
    static Rows rows(Path file) {
        try {
            return new Rows(file, RowReader.open(file));
        } catch (IOException e) {
            throw unreadable(file, e);
        }
    }

    private static BadRequestException unreadable(Path file, IOException e) {
        return new BadRequestException(
                "'" + file + "' cannot be read (" + e + "): check its permissions and disk", e);
    }

    /** Rows whose failures are told as those of the request. */
    record Rows(Path file, RowReader reader) implements AutoCloseable {
        @Nullable InputRow next() {
            try {
                return reader.next();
            } catch (IOException e) {
                throw unreadable(file, e);
            }
        }

        @Override
        public void close() {
            try {
                reader.close();
            } catch (IOException e) {
                throw unreadable(file, e);
            }
        }
    }
}
