// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import com.fasterxml.jackson.databind.JsonNode;

import io.github.asg4j.BadRequestException;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * {@code records.jsonl}: a line for each picture that was asked for, in their order, whether it was
 * drawn or not. How many lines there are says where a batch goes on.
 */
final class Records implements AutoCloseable {
    static final String FILE = "records.jsonl";

    private final JsonLines lines;
    private final KeyIndex index = new KeyIndex();
    private long count;
    private long errors;
    private long stored;
    private Optional<Place> last = Optional.empty();
    private final List<Long> linesOfLastFile = new ArrayList<>();

    /**
     * Where a picture was stored.
     *
     * @param file in the batch's folder
     * @param offset of the picture in it, bytes
     * @param bytes of the picture
     */
    record Place(String file, long offset, long bytes) {}

    private Records(JsonLines lines) {
        this.lines = lines;
    }

    /**
     * Opens the records of a folder, and locks them.
     *
     * @throws io.github.asg4j.OutputException if they cannot be written, or another process has them
     *     open
     * @throws BadRequestException if they are damaged
     */
    static Records open(Path folder) {
        JsonLines lines = JsonLines.open(folder.resolve(FILE));
        try {
            Records records = new Records(lines);
            lines.read(records::take);
            return records;
        } catch (RuntimeException e) {
            lines.close();
            throw e;
        }
    }

    private void take(JsonNode line, long start) {
        count++;
        if (line.has("error")) {
            errors++;
        } else if (!line.has("duplicate_of")) {
            index.put(line.path("key").asText(), start);
            stored++;
            String file = line.path("file").asText();
            if (last.isPresent() && !last.get().file().equals(file)) {
                linesOfLastFile.clear();
            }
            linesOfLastFile.add(start);
            last =
                    Optional.of(
                            new Place(
                                    file,
                                    line.path("offset").asLong(),
                                    line.path("bytes").asLong()));
        }
    }

    /** Lines so far. */
    long count() {
        return count;
    }

    /** Of pictures that could not be drawn. */
    long errors() {
        return errors;
    }

    /** Pictures in the folder. */
    long stored() {
        return stored;
    }

    /** Records of the pictures in the file that was written last, when the records were opened. */
    List<JsonNode> ofLastFile() {
        return linesOfLastFile.stream().map(lines::at).toList();
    }

    /** The picture that was stored last. */
    Optional<Place> last() {
        return last;
    }

    /** The record of the picture of a key. */
    Optional<JsonNode> drawn(String key) {
        long start = index.get(key);
        return start == KeyIndex.NONE
                ? Optional.empty()
                : Optional.of(lines.at(start)).filter(r -> r.path("key").asText().equals(key));
    }

    /** Appends a record; it is on the disk when this returns. */
    void append(Map<String, ?> record) {
        long start = lines.append(record);
        lines.force();
        count++;
        if (record.containsKey("error")) {
            errors++;
        } else if (!record.containsKey("duplicate_of")) {
            index.put(String.valueOf(record.get("key")), start);
            stored++;
        }
    }

    @Override
    public void close() {
        lines.close();
    }
}
