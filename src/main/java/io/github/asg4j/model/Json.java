// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;

import io.github.asg4j.BadBundleException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A value of a JSON file that knows its place in it, so that every complaint names the file, the
 * field, what was found and what was expected. Only the streaming parser of Jackson is used: its
 * data binding would cost a tenth of a second at the start of every process. Immutable.
 */
final class Json {
    private static final JsonFactory FACTORY =
            JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

    private static final int SHOWN_CHARS = 80;

    private final String file;

    /** What to do about a file that is not as it has to be. */
    private final String fix;

    private final String path;

    /** Map, List, String, Long, Double, Boolean or null. */
    private final @Nullable Object value;

    private Json(String file, String fix, String path, @Nullable Object value) {
        this.file = file;
        this.fix = fix;
        this.path = path;
        this.value = value;
    }

    /** Parses UTF-8 {@code text}; {@code file} is the name that errors give. */
    static Json parse(String file, byte[] text) {
        return parse(file, FIX, text);
    }

    /**
     * The same.
     *
     * @param fix what to do about a file that is not as it has to be, for messages
     */
    static Json parse(String file, String fix, byte[] text) {
        try (JsonParser parser = FACTORY.createParser(text)) {
            if (parser.nextToken() == null) {
                throw new BadBundleException(file + " is empty: expected a JSON object. " + fix);
            }
            Object value = read(parser);
            if (parser.nextToken() != null) {
                throw broken(file, fix, parser.currentTokenLocation(), "text after the end", null);
            }
            return new Json(file, fix, "", value);
        } catch (JsonProcessingException e) {
            throw broken(file, fix, e.getLocation(), e.getOriginalMessage(), e);
        } catch (IOException e) {
            throw new BadBundleException(file + " cannot be read as JSON: " + e.getMessage(), e);
        }
    }

    /** What to do about a bundle that is not as it has to be. */
    static final String FIX = "Make the bundle again: asg4j-export model CHECKPOINT --out BUNDLE";

    private static BadBundleException broken(
            String file,
            String fix,
            @Nullable JsonLocation at,
            String what,
            @Nullable Throwable cause) {
        String place = at == null ? "" : " line " + at.getLineNr() + ", column " + at.getColumnNr();
        return new BadBundleException(
                file + place + ": not valid JSON: " + what.replace('\n', ' ') + ". " + fix, cause);
    }

    private static @Nullable Object read(JsonParser parser) throws IOException {
        switch (parser.currentToken()) {
            case START_OBJECT -> {
                Map<String, @Nullable Object> fields = new LinkedHashMap<>();
                while (parser.nextToken() != JsonToken.END_OBJECT) {
                    String key = parser.currentName();
                    parser.nextToken();
                    fields.put(key, read(parser));
                }
                return fields;
            }
            case START_ARRAY -> {
                List<@Nullable Object> items = new ArrayList<>();
                while (parser.nextToken() != JsonToken.END_ARRAY) {
                    items.add(read(parser));
                }
                return items;
            }
            case VALUE_STRING -> {
                return parser.getText();
            }
            case VALUE_NUMBER_INT -> {
                return parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER
                        ? (Object) parser.getDoubleValue()
                        : (Object) parser.getLongValue();
            }
            case VALUE_NUMBER_FLOAT -> {
                return parser.getDoubleValue();
            }
            case VALUE_TRUE -> {
                return true;
            }
            case VALUE_FALSE -> {
                return false;
            }
            case VALUE_NULL -> {
                return null;
            }
            default -> throw new IOException("unexpected " + parser.currentToken());
        }
    }

    /** Where this value stands, as {@code denoiser.masks[0].scale}; empty for the whole file. */
    String path() {
        return path;
    }

    boolean isNull() {
        return value == null;
    }

    boolean isText() {
        return value instanceof String;
    }

    /** Refuses every key of this object that is not in {@code known}. */
    void onlyKeys(String... known) {
        List<String> names = Arrays.asList(known);
        for (String key : fields().keySet()) {
            if (!names.contains(key)) {
                throw new BadBundleException(
                        place(child(key))
                                + "unknown key; known here: "
                                + String.join(", ", names)
                                + ". Remove it, or use the release of asg4j that the bundle was"
                                + " made for");
            }
        }
    }

    /** The value of a key that has to be there and must not be null. */
    Json get(String key) {
        Json field = optional(key);
        if (field == null) {
            throw new BadBundleException(
                    place(child(key))
                            + (fields().containsKey(key) ? "is null" : "is missing")
                            + ", expected a value. "
                            + fix);
        }
        return field;
    }

    /** The value of a key, or null where it is missing or null. */
    @Nullable Json optional(String key) {
        Object found = fields().get(key);
        return found == null ? null : new Json(file, fix, child(key), found);
    }

    Set<String> keys() {
        return fields().keySet();
    }

    List<Json> items(int min, int max) {
        if (!(value instanceof List<?> list)) {
            throw expected("a list");
        }
        if (list.size() < min || list.size() > max) {
            throw refused(
                    "has "
                            + list.size()
                            + " entries, expected "
                            + (min == max ? "" + min : min + " to " + max));
        }
        List<Json> items = new ArrayList<>(list.size());
        for (int i = 0; i < list.size(); i++) {
            items.add(new Json(file, fix, path + "[" + i + "]", list.get(i)));
        }
        return items;
    }

    String text() {
        if (value instanceof String text) {
            return text;
        }
        throw expected("a string");
    }

    /** A string that is not blank. */
    String name() {
        String text = text();
        if (text.isBlank()) {
            throw expected("a string that is not blank");
        }
        return text;
    }

    /** Whether it is an object, with fields. */
    boolean isObject() {
        return value instanceof Map;
    }

    String oneOf(List<String> known) {
        String text = text();
        if (!known.contains(text)) {
            throw expected("one of " + String.join(", ", known));
        }
        return text;
    }

    boolean bool() {
        if (value instanceof Boolean bool) {
            return bool;
        }
        throw expected("true or false");
    }

    int integer(int min, int max) {
        return (int) integer((long) min, max);
    }

    long integer(long min, long max) {
        if (value instanceof Long number && number >= min && number <= max) {
            return number;
        }
        throw expected("an integer from " + min + " to " + max);
    }

    /** A finite number in {@code [min, max]}. */
    double number(double min, double max) {
        double number =
                value instanceof Double real
                        ? real
                        : value instanceof Long integer ? (double) integer : Double.NaN;
        if (!(number >= min && number <= max)) {
            throw expected("a number from " + min + " to " + max);
        }
        return number;
    }

    /** The error that this value is not what was expected. */
    BadBundleException expected(String what) {
        return refused("found " + shown() + ", expected " + what);
    }

    /** The error {@code what} at this place. */
    BadBundleException refused(String what) {
        return new BadBundleException(place(path) + what + ". " + fix);
    }

    @SuppressWarnings("unchecked") // read() makes no other maps
    private Map<String, @Nullable Object> fields() {
        if (value instanceof Map<?, ?> map) {
            return (Map<String, @Nullable Object>) map;
        }
        throw expected("an object");
    }

    private String child(String key) {
        return path.isEmpty() ? key : path + "." + key;
    }

    private String place(String field) {
        return field.isEmpty() ? file + ": " : file + ": " + field + ": ";
    }

    private String shown() {
        if (value instanceof Map) {
            return "an object";
        }
        if (value instanceof List) {
            return "a list";
        }
        if (value instanceof String text) {
            String cut = text.length() > SHOWN_CHARS ? text.substring(0, SHOWN_CHARS) + "…" : text;
            return '"' + cut + '"';
        }
        return String.valueOf(value);
    }
}
