// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.OutputException;
import io.github.asg4j.image.LockedFile;
import io.github.asg4j.image.OutputFile;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/**
 * A file of JSON objects, one a line, that grows at its end and is locked while it is open. A last
 * line that the end of a process cut off is taken away when it is opened again.
 */
final class JsonLines implements AutoCloseable {
    private static final JsonMapper JSON =
            JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();

    private final Path file;
    private final FileChannel channel;

    /** Told of each line. */
    @FunctionalInterface
    interface Reader {
        /**
         * @param start of the line in the file, bytes
         */
        void read(JsonNode line, long start);
    }

    private JsonLines(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /**
     * Opens a file, or makes it.
     *
     * @throws OutputException if it cannot be written, or another process has it open
     */
    static JsonLines open(Path file) {
        try {
            FileChannel channel = LockedFile.open(file, "another batch");
            return new JsonLines(file, channel);
        } catch (IOException e) {
            throw OutputFile.failure(file, e);
        }
    }

    /**
     * Reads all lines, and takes away what follows the last line feed.
     *
     * @throws BadRequestException if a line is no JSON object
     */
    void read(Reader reader) {
        long start = 0;
        long number = 0;
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        try (InputStream in = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
            for (int next = in.read(); next >= 0; next = in.read()) {
                if (next != '\n') {
                    line.write(next);
                    continue;
                }
                number++;
                reader.read(parsed(line.toByteArray(), number), start);
                start += line.size() + 1;
                line.reset();
            }
            channel.truncate(start);
            channel.position(start);
        } catch (IOException e) {
            throw OutputFile.failure(file, e);
        }
    }

    private JsonNode parsed(byte[] line, long number) {
        try {
            JsonNode node = JSON.readTree(line);
            if (node.isObject()) {
                return node;
            }
        } catch (IOException e) {
            // Falls through to the message.
        }
        throw new BadRequestException(
                "'"
                        + file
                        + "' is damaged in line "
                        + number
                        + ": delete that line and all that follow, as in head -n "
                        + (number - 1)
                        + ", and their pictures will be drawn again");
    }

    /** The line that starts at a byte. */
    JsonNode at(long start) {
        try (InputStream in = Files.newInputStream(file)) {
            in.skipNBytes(start);
            BufferedInputStream buffered = new BufferedInputStream(in, 1 << 12);
            ByteArrayOutputStream line = new ByteArrayOutputStream();
            for (int next = buffered.read(); next >= 0 && next != '\n'; next = buffered.read()) {
                line.write(next);
            }
            return JSON.readTree(line.toByteArray());
        } catch (IOException e) {
            throw OutputFile.failure(file, e);
        }
    }

    /** Appends an object, and returns where its line starts. */
    long append(Map<String, ?> object) {
        try {
            long start = channel.position();
            ByteBuffer rest =
                    ByteBuffer.wrap((text(object) + '\n').getBytes(StandardCharsets.US_ASCII));
            while (rest.hasRemaining()) {
                channel.write(rest);
            }
            return start;
        } catch (IOException e) {
            throw OutputFile.failure(file, e);
        }
    }

    /** All that was appended is on the disk when this returns. */
    void force() {
        try {
            channel.force(false);
        } catch (IOException e) {
            throw OutputFile.failure(file, e);
        }
    }

    /** One line of ASCII, keys in the order of the map. */
    static String text(Map<String, ?> object) {
        return written(object);
    }

    /** The text from which a value was read, of {@link #text(Map)}. */
    static String text(JsonNode value) {
        return written(value);
    }

    private static String written(Object object) {
        try {
            return JSON.writeValueAsString(object);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("not printable as JSON: " + object, e);
        }
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw OutputFile.failure(file, e);
        }
    }
}
