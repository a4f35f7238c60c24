// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.json.JsonMapper;

import java.util.Map;

/** Maps as JSON, keys in the order of the map. */
final class Json {
    private Json() {}

    /** One line; ASCII only, so that the encoding of the terminal does not matter. */
    static String write(Map<String, ?> object) {
        ObjectWriter writer =
                JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build().writer();
        try {
            return writer.writeValueAsString(object);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("not printable as JSON: " + object, e);
        }
    }
}
