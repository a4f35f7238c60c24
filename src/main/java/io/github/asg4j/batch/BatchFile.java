// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.image.OutputFile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * {@code batch.json}: what the pictures of a folder are, so that no other batch is mixed with them.
 * Everything in it has to be the same for a batch to go on, but for the input's name.
 */
final class BatchFile {
    static final String FILE = "batch.json";
    private static final String NAME = "input";
    private static final int SHOWN = 100;
    private static final JsonMapper JSON = JsonMapper.builder().build();

    private BatchFile() {}

    /** What a batch is. */
    static Map<String, Object> of(BatchOptions options, EngineInfo engine, String inputSha256) {
        Map<String, Object> batch = new LinkedHashMap<>();
        batch.put(NAME, String.valueOf(options.input().getFileName()));
        batch.put("input_sha256", inputSha256);
        batch.put("defaults", texts(options.defaults()));
        Map<String, Object> settings = new LinkedHashMap<>();
        options.settings().forEach(s -> settings.put(s.name(), texts(s.options())));
        batch.put("settings", settings);
        batch.put("methods", options.methods());
        batch.put("seeds", options.seeds());
        batch.put("shard", options.shard().toString());
        batch.put("format", options.format().toString());
        batch.put("model", engine.model());
        batch.putAll(Keys.determining(engine));
        return batch;
    }

    private static List<String> texts(List<Given> given) {
        return given.stream().map(Given::toString).toList();
    }

    /** Whether a folder holds a batch. */
    static boolean isIn(Path folder) {
        return Files.exists(folder.resolve(FILE));
    }

    /**
     * Writes what the batch of a folder is, or compares it with what is there.
     *
     * @param records lines that the folder's records have
     * @throws BadRequestException naming what differs, if it holds another batch
     */
    static void check(Path folder, Map<String, Object> batch, long records) {
        Path file = folder.resolve(FILE);
        if (!isIn(folder)) {
            if (records > 0) {
                throw new BadRequestException(
                        "'"
                                + folder
                                + "' holds records without "
                                + FILE
                                + ", which says of what: choose another folder");
            }
            OutputFile.write(
                    file,
                    out -> {
                        out.write(JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(batch));
                        out.write('\n');
                    });
            return;
        }
        JsonNode before;
        try {
            before = JSON.readTree(file.toFile());
        } catch (IOException e) {
            throw new BadRequestException(
                    "'" + file + "' cannot be read (" + e.getMessage() + "): choose another folder",
                    e);
        }
        JsonNode now = JSON.valueToTree(batch);
        Set<String> keys = new LinkedHashSet<>(batch.keySet());
        before.fieldNames().forEachRemaining(keys::add);
        for (String key : keys) {
            if (!key.equals(NAME) && !now.path(key).equals(before.path(key))) {
                throw new BadRequestException(
                        "'"
                                + folder
                                + "' holds another batch: \""
                                + key
                                + "\" is "
                                + shown(before.path(key))
                                + " there and "
                                + shown(now.path(key))
                                + " here. Choose another folder, or go on as it was begun");
            }
        }
    }

    private static String shown(JsonNode value) {
        String text = value.isMissingNode() ? "not there" : value.toString();
        return text.length() <= SHOWN ? text : text.substring(0, SHOWN) + "...";
    }
}
