// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;

import java.util.ArrayList;
import java.util.List;

/** A server-sent event. */
record Event(String name, JsonNode data) {
    /** Those of a whole stream; lines that clients skip are skipped. */
    static List<Event> all(String stream) {
        List<Event> events = new ArrayList<>();
        for (String block : stream.split("\n\n")) {
            String name = "";
            String data = "";
            for (String line : block.split("\n")) {
                if (line.startsWith("event: ")) {
                    name = line.substring(7);
                } else if (line.startsWith("data: ")) {
                    data = line.substring(6);
                }
            }
            if (!name.isEmpty()) {
                try {
                    events.add(new Event(name, TestServer.JSON.readTree(data)));
                } catch (JsonProcessingException e) {
                    throw new IllegalStateException(data, e);
                }
            }
        }
        return events;
    }
}
