// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.json.JsonReadFeature;

import io.github.asg4j.BadBundleException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A JSON file of a diffusers folder: an object of maps, lists, strings, doubles, booleans and nulls. */
public record FolderJson(Path file, Map<String, @Nullable Object> values) {
    private static final long MAX_BYTES = 64L << 20;

    /** Python writes infinity as -Infinity, as in the lambda_min_clipped of diffusers' DPM-Solvers. */
    private static final JsonFactory JSON =
            JsonFactory.builder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build();

    public FolderJson {
        values = Collections.unmodifiableMap(new LinkedHashMap<>(values));
    }

    /**
     * Reads a file.
     *
     * @throws BadBundleException if it cannot be read, or holds no JSON object
     */
    public static FolderJson read(Path file) {
        try {
            if (Files.size(file) > MAX_BYTES) {
                throw new IOException("it has more than " + MAX_BYTES + " bytes");
            }
            String text = Files.readString(file, StandardCharsets.UTF_8);
            if (text.startsWith("version https://git-lfs")) {
                throw new IOException("it is a Git LFS pointer: run git lfs pull");
            }
            return parse(file, text);
        } catch (IOException e) {
            throw new BadBundleException(
                    file + " cannot be read (" + e.getMessage() + "): download the folder again",
                    e);
        }
    }

    /**
     * Parses a text.
     *
     * @param file for messages
     */
    static FolderJson parse(Path file, String text) throws IOException {
        try (JsonParser parser = JSON.createParser(text)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new IOException("it holds no JSON object");
            }
            return new FolderJson(file, object(parser));
        }
    }

    private static Map<String, @Nullable Object> object(JsonParser parser) throws IOException {
        Map<String, @Nullable Object> values = new LinkedHashMap<>();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = parser.currentName();
            parser.nextToken();
            values.put(key, value(parser));
        }
        return values;
    }

    private static @Nullable Object value(JsonParser parser) throws IOException {
        return switch (parser.currentToken()) {
            case START_OBJECT -> object(parser);
            case START_ARRAY -> {
                List<@Nullable Object> list = new ArrayList<>();
                while (parser.nextToken() != JsonToken.END_ARRAY) {
                    list.add(value(parser));
                }
                yield list;
            }
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> parser.getDoubleValue();
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            case VALUE_NULL -> null;
            default -> parser.getText();
        };
    }

    /** A value, or {@code usual} where the file leaves it out. */
    public @Nullable Object get(String key, @Nullable Object usual) {
        return values.containsKey(key) ? values.get(key) : usual;
    }

    /** A finite number. */
    public double number(String key, double usual) {
        if (get(key, usual) instanceof Double number && Double.isFinite(number)) {
            return number;
        }
        throw refused(key, "a number");
    }

    /** A text. */
    public String text(String key, String usual) {
        if (get(key, usual) instanceof String text) {
            return text;
        }
        throw refused(key, "a text");
    }

    /** A complaint about a value. */
    public BadBundleException refused(String key, String supported) {
        return new BadBundleException(
                file
                        + ": "
                        + key
                        + " is "
                        + shown(values.get(key))
                        + (values.containsKey(key) ? "" : " (left out)")
                        + ", supported is "
                        + supported);
    }

    /** A value as JSON writes it, shortened. */
    static String shown(@Nullable Object value) {
        String text =
                value instanceof Double number && number == Math.rint(number)
                        ? Long.toString(number.longValue())
                        : value instanceof String ? "\"" + value + "\"" : String.valueOf(value);
        return text.length() <= 80 ? text : text.substring(0, 77) + "...";
    }
}
