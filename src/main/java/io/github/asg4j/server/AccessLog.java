// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.core.JsonProcessingException;

import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A line of JSON for each request, at level INFO of the logger {@link #NAME}. Prompts are in it only
 * as a note of an exchange, where the options ask for them.
 */
final class AccessLog {
    static final String NAME = "io.github.asg4j.server.access";

    private static final System.Logger LOG = System.getLogger(NAME);

    void line(Exchange exchange, long nanos) {
        if (!LOG.isLoggable(System.Logger.Level.INFO)) {
            return;
        }
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("ts", Instant.now().truncatedTo(ChronoUnit.MILLIS).toString());
        line.put("id", exchange.id());
        line.put("client", exchange.client().name());
        line.put("method", exchange.method());
        line.put("path", exchange.path());
        line.put("status", exchange.status());
        line.put("ms", Math.rint(nanos / 1e5) / 10);
        line.putAll(exchange.notes());
        try {
            LOG.log(System.Logger.Level.INFO, Json.MAPPER.writeValueAsString(line));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("not printable as JSON", e);
        }
    }
}
