// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonWriteFeature;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * Requests as JSON: an object with a key for each option of {@link RequestOptions} that the request
 * gives, and "prompt" always. Reading gives the same request back. Reads and writes no file: a file
 * that a request names stays a name, as in {"image": {"file": "ball.png"}}; bytes that it brings along
 * are written with it, as in {"image": {"base64": "iVBORw0..."}}.
 */
public final class RequestJson {
    private static final JsonFactory FACTORY =
            JsonFactory.builder()
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .enable(JsonWriteFeature.ESCAPE_NON_ASCII)
                    .build();

    private RequestJson() {}

    /** One line of ASCII. */
    public static String write(GenerationRequest request) {
        return text(request, value -> value);
    }

    /**
     * The same for a picture's text, which may go anywhere: files by their names without folders, bytes
     * by their SHA-256, and not where tensors were dumped. So it is read back only once the files are
     * given again.
     */
    public static String portable(GenerationRequest request) {
        return text(request.toBuilder().dumpDirectory(null).build(), RequestJson::portable);
    }

    private static Object portable(Object json) {
        return switch (json) {
            case List<?> list -> list.stream().map(RequestJson::portable).toList();
            case Map<?, ?> map -> {
                Map<String, Object> portable = new LinkedHashMap<>();
                map.forEach(
                        (key, value) -> {
                            switch (String.valueOf(key)) {
                                case "file" ->
                                        portable.put(
                                                "file",
                                                OptionType.path(String.valueOf(value))
                                                        .getFileName()
                                                        .toString());
                                case "base64" ->
                                        portable.put(
                                                "sha256",
                                                Content.bytes(
                                                                Base64.getDecoder()
                                                                        .decode(
                                                                                String.valueOf(
                                                                                        value)))
                                                        .sha256());
                                default -> portable.put(String.valueOf(key), portable(value));
                            }
                        });
                yield portable;
            }
            default -> json;
        };
    }

    private static String text(GenerationRequest request, UnaryOperator<Object> form) {
        StringWriter text = new StringWriter();
        try (JsonGenerator json = FACTORY.createGenerator(text)) {
            json.writeStartObject();
            for (RequestOption<?> option : RequestOptions.ALL) {
                Object value = option.json(request);
                if (value != null) {
                    json.writeFieldName(option.key());
                    write(json, form.apply(value));
                }
            }
            json.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException("a StringWriter does not fail", e);
        }
        return text.toString();
    }

    /**
     * The request that {@code text} writes.
     *
     * @throws BadRequestException naming the key, the value and what would have been right: for text
     *     that is no JSON object, a key that is unknown, given twice or an option of another method,
     *     a value of a wrong type or out of its range, a missing prompt
     */
    public static GenerationRequest read(String text) {
        Map<String, Object> values = parse(text);
        if (!values.containsKey("prompt")) {
            throw new BadRequestException(
                    "\"prompt\" is missing: say what to draw, as in {\"prompt\": \"a red ball\"}");
        }
        GenerationRequest.Builder request = GenerationRequest.builder("any");
        for (RequestOption<?> option : RequestOptions.ALL) { // the method before its options
            Object value = values.remove(option.key());
            if (value != null) {
                read(option, request, value);
            }
        }
        if (!values.isEmpty()) {
            throw new BadRequestException(
                    "unknown key \""
                            + values.keySet().iterator().next()
                            + "\": there are "
                            + String.join(
                                    ", ",
                                    RequestOptions.ALL.stream().map(RequestOption::key).toList()));
        }
        return request.build();
    }

    /**
     * The values of an object of JSON by their keys, whatever they are: of {@link #portable} the settings
     * that a request can be given again.
     *
     * @throws BadRequestException for text that is no JSON object
     */
    public static Map<String, Object> values(String text) {
        return parse(text);
    }

    private static void read(
            RequestOption<?> option, GenerationRequest.Builder request, Object value) {
        try {
            option.fromJson(request, value);
            request.build(); // checks ranges, while the key is known
        } catch (BadRequestException e) {
            throw new BadRequestException("\"" + option.key() + "\": " + e.getMessage(), e);
        }
    }

    private static Map<String, Object> parse(String text) {
        try (JsonParser parser = FACTORY.createParser(text)) {
            parser.nextToken();
            if (!(value(parser, "") instanceof Map<?, ?> map) || parser.nextToken() != null) {
                throw new BadRequestException(
                        "a request is one JSON object, as in {\"prompt\": \"a red ball\"}");
            }
            Map<String, Object> values = new LinkedHashMap<>();
            map.forEach((key, value) -> values.put(String.valueOf(key), value));
            return values;
        } catch (JsonProcessingException e) {
            throw new BadRequestException("no JSON: " + e.getOriginalMessage(), e);
        } catch (IOException e) {
            throw new UncheckedIOException("a text does not fail", e);
        }
    }

    private static @Nullable Object value(JsonParser parser, String key) throws IOException {
        if (parser.currentToken() == null) {
            return null;
        }
        return switch (parser.currentToken()) {
            case VALUE_STRING -> parser.getText();
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            case VALUE_NUMBER_INT -> parser.getNumberValue();
            case VALUE_NUMBER_FLOAT -> parser.getDoubleValue();
            case START_ARRAY -> {
                List<Object> list = new ArrayList<>();
                while (!parser.nextToken().isStructEnd()) {
                    list.add(present(parser, key));
                }
                yield list;
            }
            case START_OBJECT -> {
                Map<String, Object> map = new LinkedHashMap<>();
                while (!parser.nextToken().isStructEnd()) {
                    String name = parser.currentName();
                    parser.nextToken();
                    map.put(name, present(parser, name));
                }
                yield map;
            }
            default -> null;
        };
    }

    private static Object present(JsonParser parser, String key) throws IOException {
        Object value = value(parser, key);
        if (value == null) {
            throw new BadRequestException(
                    "\"" + key + "\" is null: leave the key out to have the default");
        }
        return value;
    }

    private static void write(JsonGenerator json, Object value) throws IOException {
        switch (value) {
            case String text -> json.writeString(text);
            case Boolean flag -> json.writeBoolean(flag);
            case Integer number -> json.writeNumber(number);
            case Long number -> json.writeNumber(number);
            case Double number -> json.writeNumber(number);
            case List<?> list -> {
                json.writeStartArray();
                for (Object element : list) {
                    write(json, element);
                }
                json.writeEndArray();
            }
            case Map<?, ?> map -> {
                json.writeStartObject();
                for (Map.Entry<?, ?> entry : map.entrySet()) {
                    json.writeFieldName(String.valueOf(entry.getKey()));
                    write(json, entry.getValue());
                }
                json.writeEndObject();
            }
            default -> throw new IllegalArgumentException("no value of JSON: " + value.getClass());
        }
    }
}
