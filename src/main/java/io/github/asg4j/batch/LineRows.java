// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.RequestOption;

import org.jspecify.annotations.Nullable;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** Rows that are lines in UTF-8: a prompt, or a JSON object with the keys of a request. */
final class LineRows implements RowReader {
    /** Room for a start picture in base64. */
    static final int MAX_LINE_BYTES = 1 << 26;

    private static final int BUFFER_BYTES = 1 << 16;
    private static final char BYTE_ORDER_MARK = '\uFEFF';

    private static final RequestOption<?> PROMPT = Given.option("prompt").orElseThrow();

    private static final ObjectReader JSON =
            JsonMapper.builder()
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                    .build()
                    .readerFor(Object.class);

    private final InputStream in;
    private final Function<String, List<Given>> parse;
    private long line;
    private long row;

    private LineRows(Path file, Function<String, List<Given>> parse) throws IOException {
        in = new BufferedInputStream(Files.newInputStream(file), BUFFER_BYTES);
        this.parse = parse;
    }

    /** A prompt a line; spaces around it do not belong to it. */
    static LineRows prompts(Path file) throws IOException {
        return new LineRows(file, text -> List.of(Given.text(PROMPT, text)));
    }

    /** An object a line. */
    static LineRows json(Path file) throws IOException {
        return new LineRows(file, LineRows::object);
    }

    @Override
    public @Nullable InputRow next() throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        while (true) {
            bytes.reset();
            long length = readLine(bytes);
            if (length < 0) {
                return null;
            }
            line++;
            long at = line;
            if (length > MAX_LINE_BYTES) {
                return new InputRow(
                        row++,
                        () -> {
                            throw bad(at, "longer than " + MAX_LINE_BYTES + " bytes, the limit");
                        });
            }
            byte[] content = bytes.toByteArray();
            if (!blank(content)) {
                return new InputRow(row++, () -> given(at, content));
            }
        }
    }

    /** Takes the bytes up to the next line feed, at most {@link #MAX_LINE_BYTES}; returns how many there were, -1 at the end. */
    private long readLine(ByteArrayOutputStream bytes) throws IOException {
        long length = 0;
        int next = in.read();
        if (next < 0) {
            return -1;
        }
        for (; next >= 0 && next != '\n'; next = in.read()) {
            if (length++ < MAX_LINE_BYTES) {
                bytes.write(next);
            }
        }
        return length;
    }

    private static boolean blank(byte[] line) {
        for (byte b : line) {
            if (b != ' ' && b != '\t' && b != '\r') {
                return false;
            }
        }
        return true;
    }

    private List<Given> given(long at, byte[] content) {
        String text;
        try {
            text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(content)).toString();
        } catch (CharacterCodingException e) {
            throw bad(at, "not in UTF-8");
        }
        if (at == 1 && text.charAt(0) == BYTE_ORDER_MARK) {
            text = text.substring(1);
        }
        try {
            return parse.apply(text.strip());
        } catch (BadRequestException e) {
            throw bad(at, String.valueOf(e.getMessage()));
        }
    }

    private static BadRequestException bad(long line, String why) {
        return new BadRequestException("line " + line + ": " + why);
    }

    private static List<Given> object(String text) {
        Object value;
        try {
            value = JSON.readValue(text);
        } catch (JsonProcessingException e) {
            throw new BadRequestException("no JSON: " + e.getOriginalMessage(), e);
        }
        if (!(value instanceof Map<?, ?> map)) {
            throw new BadRequestException(
                    "a row is one JSON object, as in {\"prompt\": \"a red ball\"}");
        }
        List<Given> given = new ArrayList<>();
        map.forEach((key, each) -> given.add(value(String.valueOf(key), each)));
        return given;
    }

    private static Given value(String key, @Nullable Object value) {
        RequestOption<?> option = Given.option(key).orElseThrow(() -> Given.unknown("key", key));
        if (value == null) {
            throw new BadRequestException(
                    "\"" + key + "\" is null: leave the key out to have the default");
        }
        return Given.json(option, value);
    }

    @Override
    public void close() throws IOException {
        in.close();
    }
}
