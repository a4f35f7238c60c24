// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.JsonNode;

import org.eclipse.jetty.util.BufferUtil;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** Server-sent events. One thread. */
final class EventStream {
    private static final byte[] PING = ": ping\n\n".getBytes(StandardCharsets.US_ASCII);

    private final Exchange exchange;

    EventStream(Exchange exchange) throws IOException {
        this.exchange = exchange;
        exchange.write(false, ByteBuffer.wrap(": asg4j\n\n".getBytes(StandardCharsets.US_ASCII)));
    }

    /**
     * Sends an event.
     *
     * @throws IOException if the client is gone
     */
    void send(String name, JsonNode data) throws IOException {
        write("event: " + name + "\ndata: ", data);
    }

    /** An event with an id, after which a client that lost its connection can go on. */
    void send(long id, String name, JsonNode data) throws IOException {
        write("id: " + id + "\nevent: " + name + "\ndata: ", data);
    }

    private void write(String head, JsonNode data) throws IOException {
        ByteArrayOutputStream event = new ByteArrayOutputStream();
        event.writeBytes(head.getBytes(StandardCharsets.US_ASCII));
        event.writeBytes(Json.bytes(data)); // one line
        event.writeBytes("\n\n".getBytes(StandardCharsets.US_ASCII));
        exchange.write(false, ByteBuffer.wrap(event.toByteArray()));
    }

    /** A line that clients skip; keeps proxies from closing and finds clients that are gone. */
    void ping() throws IOException {
        exchange.write(false, ByteBuffer.wrap(PING));
    }

    void end() throws IOException {
        exchange.write(true, BufferUtil.EMPTY_BUFFER);
    }
}
