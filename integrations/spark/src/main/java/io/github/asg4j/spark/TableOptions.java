// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spark;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.RequestOption;
import io.github.asg4j.batch.RowRequests;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * What {@link DrawTable} is asked for.
 *
 * @param in file or folder of rows
 * @param format of the rows, as {@code DataFrameReader.format} takes it
 * @param out folder of the table of pictures; pictures that are there are not drawn again
 * @param rows folder for the rows with the keys of their pictures, replaced; null: none
 * @param picturesOfTask about so many make a task: what the loss of an executor costs
 * @param picturesOfJob about so many are published at once: what the loss of the driver costs
 * @param pictures options of {@link AsgPictures}
 */
record TableOptions(
        String in,
        String format,
        String out,
        @Nullable String rows,
        int picturesOfTask,
        int picturesOfJob,
        Map<String, String> pictures) {
    static final String USAGE =
            """
            Usage: spark-submit OPTIONS OF SPARK --class io.github.asg4j.spark.DrawTable asg4j-spark.jar
                     --in ROWS --out TABLE [--rows TABLE] [--format FORMAT] [--keep COLUMN,...]
                     [--pictures-per-task N] [--pictures-per-job N] [OPTIONS OF AN ENGINE OR A PICTURE]
            Draws the rows of a table, and of those in the table of --out only what is missing.
              --in ROWS             .parquet, .orc, .csv (with a header), .json, .jsonl, .ndjson or .txt (a prompt a line)
              --format FORMAT       of the rows, where the ending does not say it: parquet, orc, csv, json or text
              --out TABLE           Parquet: key, request, png, bytes, sha256, pixels_sha256, error; new pictures are added
              --rows TABLE          Parquet, replaced: the rows with the keys of their pictures
              --keep COLUMN,...     columns that are no options of a picture
              --pictures-per-task N about so many pictures are lost with an executor (default: 20)
              --pictures-per-job N  about so many are lost with the driver (default: 10000)
            """;

    private static final Map<String, String> FORMATS =
            Map.of(
                    "parquet", "parquet", "orc", "orc", "csv", "csv", "json", "json", "jsonl",
                    "json", "ndjson", "json", "txt", "text");

    private static final Set<String> OWN =
            Set.of("in", "out", "rows", "format", "pictures-per-task", "pictures-per-job");

    /**
     * Reads a command line.
     *
     * @throws BadRequestException saying what is wrong with it
     */
    static TableOptions parse(String... args) {
        Map<String, String> all = new LinkedHashMap<>();
        List<String> words = new ArrayList<>(List.of(args));
        while (!words.isEmpty()) {
            String word = words.removeFirst();
            if (!word.startsWith("--")) {
                throw new BadRequestException(
                        "'" + word + "' follows no option: give --in and --out");
            }
            int equals = word.indexOf('=');
            String name = word.substring(2, equals < 0 ? word.length() : equals).replace('_', '-');
            String value;
            if (equals >= 0) {
                value = word.substring(equals + 1);
            } else if (flag(name)) {
                value = "true";
            } else if (words.isEmpty()) {
                throw new BadRequestException("--" + name + " needs a value");
            } else {
                value = words.removeFirst();
            }
            if (all.put(name, value) != null) {
                throw new BadRequestException("--" + name + " is there twice");
            }
        }
        String in = needed(all, "in");
        String out = needed(all, "out");
        Map<String, String> pictures = new LinkedHashMap<>(all);
        pictures.keySet().removeAll(OWN);
        return new TableOptions(
                in,
                format(in, all.get("format")),
                out,
                all.get("rows"),
                count(all, "pictures-per-task", 20),
                count(all, "pictures-per-job", 10_000),
                pictures);
    }

    /** Whether an option stands without a value. */
    private static boolean flag(String name) {
        if (OWN.contains(name) || name.equals("keep") || EngineSettings.NAMES.contains(name)) {
            return false;
        }
        RequestOption<?> option = RowRequests.option("option", name);
        return option.type().label().isEmpty();
    }

    private static String needed(Map<String, String> all, String name) {
        String value = all.get(name);
        if (value == null) {
            throw new BadRequestException("--" + name + " is missing");
        }
        return value;
    }

    private static String format(String in, @Nullable String given) {
        String name = given == null ? in.substring(in.lastIndexOf('.') + 1) : given;
        String format = FORMATS.get(name.toLowerCase(Locale.ROOT));
        if (format == null && given != null && FORMATS.containsValue(given)) {
            return given;
        }
        if (format == null) {
            throw new BadRequestException(
                    "what '"
                            + in
                            + "' is cannot be told from its ending: give --format parquet, orc,"
                            + " csv, json or text");
        }
        return format;
    }

    private static int count(Map<String, String> all, String name, int otherwise) {
        String text = all.get(name);
        if (text == null) {
            return otherwise;
        }
        int count;
        try {
            count = Integer.parseInt(text);
        } catch (NumberFormatException e) {
            throw new BadRequestException("--" + name + ": '" + text + "' is no whole number", e);
        }
        if (count < 1) {
            throw new BadRequestException(
                    "--" + name + " is " + count + ": it has to be at least 1");
        }
        return count;
    }
}
