// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spark;

import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A driver that draws itself, with the smallest bundle there is. */
final class SparkTables {
    /** Of the engine's tests: analytic networks, pictures in milliseconds. */
    static final String TINY = Path.of("../../src/test/resources/tiny").toAbsolutePath().toString();

    private SparkTables() {}

    /** Two tasks at a time, each tried up to three times. */
    static SparkSession session() {
        return SparkSession.builder()
                .master("local[2,3]")
                .appName("tests")
                .config("spark.ui.enabled", "false")
                .config("spark.sql.shuffle.partitions", "2")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .config("spark.driver.host", "127.0.0.1")
                .getOrCreate();
    }

    static Map<String, String> options(String... more) {
        Map<String, String> options =
                new HashMap<>(
                        Map.of("model", TINY, "size", "128x128", "steps", "2", "devices", "cpu:1"));
        for (int i = 0; i < more.length; i += 2) {
            options.put(more[i], more[i + 1]);
        }
        return options;
    }

    /** A column of each row, by the column "key"; empty for null. */
    static Map<String, String> byKey(Dataset<Row> table, String column) {
        Map<String, String> values = new TreeMap<>();
        for (Row row : table.select("key", column).collectAsList()) {
            values.put(row.getString(0), String.valueOf(row.get(1)));
        }
        return values;
    }

    static List<String> strings(Dataset<Row> table, String column) {
        return table.select(column).collectAsList().stream()
                .map(row -> String.valueOf(row.get(0)))
                .sorted()
                .toList();
    }
}
