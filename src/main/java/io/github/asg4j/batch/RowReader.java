// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.BadRequestException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/** Rows of a file, one after the other: a file of any length takes the memory of a few rows. */
interface RowReader extends AutoCloseable {
    /** The next row; null: there is none. */
    @Nullable InputRow next() throws IOException;

    /** Whether a row may give an option; false: the file has columns, and none of this name. */
    default boolean mayGive(String option) {
        return true;
    }

    @Override
    void close() throws IOException;

    /**
     * Opens a file, whose format its ending tells.
     *
     * @throws BadRequestException if it is of another format, or its columns are not options
     */
    static RowReader open(Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            throw new BadRequestException(
                    "'"
                            + file
                            + (Files.exists(file)
                                    ? "' is no regular file: rows are read twice, from a file"
                                    : "' does not exist: give a file of prompts"));
        }
        String name = String.valueOf(file.getFileName()).toLowerCase(Locale.ROOT);
        return switch (name.substring(name.lastIndexOf('.') + 1)) {
            case "txt" -> LineRows.prompts(file);
            case "jsonl", "ndjson" -> LineRows.json(file);
            case "csv" -> new CsvRows(file);
            case "parquet" -> new ParquetRows(file);
            default ->
                    throw new BadRequestException(
                            "'"
                                    + file
                                    + "' ends in none of .txt (a prompt a line), .csv, .jsonl,"
                                    + " .ndjson and .parquet: name it by what it is");
        };
    }
}
