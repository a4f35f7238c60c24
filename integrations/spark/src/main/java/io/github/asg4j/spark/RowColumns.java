// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spark;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.batch.RowRequests;

import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.BooleanType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What the columns of a table mean: options of a picture, or whole requests with their keys as {@link
 * AsgPictures#names} writes them, and columns that are kept beside the pictures.
 */
final class RowColumns {
    static final String KEY = "key";
    static final String REQUEST = "request";

    private final Map<Integer, String> options = new LinkedHashMap<>();
    private final List<Integer> kept = new ArrayList<>();
    private final List<StructField> keptFields = new ArrayList<>();
    private int key = -1;
    private int request = -1;

    /**
     * @param keep names of columns that are no options
     * @throws BadRequestException if a column is neither, or of a type that no option has
     */
    RowColumns(StructType schema, Set<String> keep) {
        boolean whole = List.of(schema.fieldNames()).contains(REQUEST) && !keep.contains(REQUEST);
        for (int i = 0; i < schema.length(); i++) {
            StructField field = schema.apply(i);
            if (keep.contains(field.name())) {
                kept.add(i);
                keptFields.add(field);
            } else if (whole && field.name().equals(REQUEST)) {
                request = i;
            } else if (whole && field.name().equals(KEY)) {
                key = i;
            } else if (whole) {
                throw new BadRequestException(
                        "the column \""
                                + field.name()
                                + "\" stands beside \"request\", which says all of a picture: drop"
                                + " it, or name it in \"keep\"");
            } else {
                addOption(i, field);
            }
        }
    }

    private void addOption(int i, StructField field) {
        DataType type = field.dataType();
        if (!(type instanceof StringType
                || type instanceof NumericType
                || type instanceof BooleanType)) {
            throw new BadRequestException(
                    "the column \""
                            + field.name()
                            + "\" is of type "
                            + type.simpleString()
                            + ": options are text, numbers or booleans; name it in \"keep\" if it"
                            + " is none");
        }
        String name;
        try {
            name = RowRequests.option("column", field.name()).name();
        } catch (BadRequestException e) {
            throw new BadRequestException(
                    e.getMessage() + "; to have it beside the pictures name it in \"keep\"", e);
        }
        if (options.containsValue(name)) {
            throw new BadRequestException("the column \"" + field.name() + "\" is there twice");
        }
        options.put(i, name);
    }

    /** Whether a row may have a prompt: by a column, or in its request. */
    boolean giveAPrompt() {
        return request >= 0 || options.containsValue("prompt");
    }

    /** Columns that stay as they are. */
    List<StructField> keptFields() {
        return keptFields;
    }

    /** Their values. */
    List<Object> kept(Row row) {
        List<Object> values = new ArrayList<>();
        kept.forEach(i -> values.add(row.get(i)));
        return values;
    }

    /**
     * The request of a row.
     *
     * @throws BadRequestException if it cannot be made
     * @throws IllegalStateException if it has another key here than where it was named
     */
    RowRequests.Named named(Row row, RowRequests requests) {
        if (request < 0) {
            Map<String, Object> values = new LinkedHashMap<>();
            options.forEach(
                    (i, name) -> {
                        if (!row.isNullAt(i)) {
                            values.put(name, value(row.get(i)));
                        }
                    });
            return requests.row(values);
        }
        if (row.isNullAt(request)) {
            throw new BadRequestException("the row has no request");
        }
        RowRequests.Named named = requests.json(row.getString(request));
        if (key >= 0 && !named.key().equals(row.getString(key))) {
            throw new IllegalStateException(
                    "the picture "
                            + row.getString(key)
                            + " would be "
                            + named.key()
                            + " on this executor: model, version of asg4j, threads per worker,"
                            + " precision and the files that a row names have to be the same on"
                            + " all, and as when the rows were named");
        }
        return named;
    }

    /** A number with a decimal point in SQL is a decimal. */
    private static Object value(Object cell) {
        return cell instanceof BigDecimal number ? (Object) number.doubleValue() : cell;
    }
}
