// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;

/**
 * Holds a table of pictures against the folder of a batch: {@code CompareWithBatch TABLE FOLDER}. Fails
 * unless both have the same keys, requests and files, byte for byte.
 */
final class CompareWithBatch {
    private CompareWithBatch() {}

    public static void main(String[] args) throws Exception {
        ObjectMapper json = new ObjectMapper();
        Map<String, JsonNode> records = new TreeMap<>();
        for (String line : Files.readAllLines(Path.of(args[1], "records.jsonl"))) {
            JsonNode record = json.readTree(line);
            records.put(record.get("key").asText(), record);
        }
        int same = 0;
        try (SparkSession spark =
                SparkSession.builder()
                        .master("local[1]")
                        .config("spark.ui.enabled", "false")
                        .getOrCreate()) {
            for (Row row : spark.read().parquet(args[0]).collectAsList()) {
                JsonNode record = records.remove(row.<String>getAs("key"));
                if (record == null) {
                    throw new AssertionError("twice, or not in the batch: " + row.getAs("key"));
                }
                byte[] file = Files.readAllBytes(Path.of(args[1], record.get("file").asText()));
                if (!Arrays.equals(file, row.<byte[]>getAs("png"))
                        || !record.get("request")
                                .equals(json.readTree(row.<String>getAs("request")))) {
                    throw new AssertionError("another picture: " + row.getAs("key"));
                }
                same++;
            }
        }
        if (!records.isEmpty()) {
            throw new AssertionError("not in the table: " + records.keySet());
        }
        System.out.println(same + " pictures: keys, requests and bytes of the batch");
    }
}
