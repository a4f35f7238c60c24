// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.eclipse.jetty.http.HttpFields;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.io.AbstractEndPoint;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.io.EndPoint;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.util.Fields;
import org.jspecify.annotations.Nullable;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** A request and its answer, which is written by the thread that handles it. */
final class Exchange {
    /** A body that comes slower than that after a while is an attack. */
    private static final int MIN_BYTES_PER_SECOND = 256;

    private static final int PATIENCE_SECONDS = 5;

    /** Of a refused body: a client that sends all of it before it reads gets its answer. */
    private static final int MAX_DISCARDED_BYTES = 64 << 20;

    private final Request request;
    private final Response response;
    private final String id;
    private final Map<String, Object> notes = new LinkedHashMap<>();
    private Map<String, String> pathValues = Map.of();
    private Client client = new Client("", Limits.NONE);

    /** While it is written, who does not read is cut off; while it is made, a client may wait. */
    private volatile boolean writing;

    private @Nullable InputStream bodyStream;
    private boolean bodyRead;
    private @Nullable ClientWatch watch;

    /**
     * @param id that is in the answer and in the log
     */
    Exchange(Request request, Response response, String id) {
        this.request = request;
        this.response = response;
        this.id = id;
        request.addIdleTimeoutListener(timeout -> writing);
    }

    String id() {
        return id;
    }

    String method() {
        return request.getMethod();
    }

    /** Returns the path without query, as the client wrote it. */
    String path() {
        String path = request.getHttpURI().getPath();
        return path == null ? "" : path;
    }

    String remoteAddress() {
        return Request.getRemoteAddr(request);
    }

    @Nullable String header(String name) {
        return request.getHeaders().get(name);
    }

    /** A value of the query; null: there is none. */
    @Nullable String query(String name) {
        Fields fields = Request.extractQueryParameters(request);
        return fields.getValue(name);
    }

    /** What stands in the place of {@code {name}} in the path of the route. */
    String pathValue(String name) {
        String value = pathValues.get(name);
        if (value == null) {
            throw new IllegalArgumentException("the route has no {" + name + "}");
        }
        return value;
    }

    void pathValues(Map<String, String> values) {
        pathValues = values;
    }

    Client client() {
        return client;
    }

    void client(Client who) {
        client = who;
    }

    /** Something for the access log. */
    void note(String key, Object value) {
        notes.put(key, value);
    }

    Map<String, Object> notes() {
        return notes;
    }

    // The request's body.

    Request request() {
        return request;
    }

    /**
     * The whole body.
     *
     * @throws Refusal if it has more than {@code limit} bytes or does not arrive
     */
    byte[] body(int limit) {
        if (request.getLength() > limit) {
            throw tooLarge(limit);
        }
        try {
            InputStream in = bodyStream();
            ByteArrayOutputStream body = new ByteArrayOutputStream();
            byte[] buffer = new byte[1 << 16];
            long start = System.nanoTime();
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                body.write(buffer, 0, n);
                if (body.size() > limit) {
                    throw tooLarge(limit);
                }
                double seconds = (System.nanoTime() - start) / 1e9;
                if (seconds > PATIENCE_SECONDS && body.size() < seconds * MIN_BYTES_PER_SECOND) {
                    throw unread(
                            408,
                            "request_timeout",
                            body.size() + " bytes in " + (int) seconds + " s");
                }
            }
            bodyRead = true;
            return body.toByteArray();
        } catch (IOException e) {
            throw unread(400, "incomplete_request", String.valueOf(e.getMessage()));
        }
    }

    /** Not closed: that would fail what is discarded later. The server releases it at the end. */
    private InputStream bodyStream() {
        if (bodyStream == null) {
            bodyStream = Request.asInputStream(request);
        }
        return bodyStream;
    }

    /**
     * Reads what a client still sends after its answer: a connection that is closed with unread bytes is
     * reset, and the answer may be lost with it (RFC 9112, 9.6).
     */
    private void discardBody() {
        try {
            InputStream in = bodyStream();
            byte[] buffer = new byte[1 << 16];
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
            int left = MAX_DISCARDED_BYTES;
            int n = in.read(buffer);
            while (n >= 0 && left > 0 && System.nanoTime() - end < 0) {
                left -= n;
                n = in.read(buffer);
            }
        } catch (IOException e) {
            // the client has closed the connection, as it was told to
        }
    }

    private static Refusal unread(int status, String code, String why) {
        return Refusal.invalid(
                status, code, null, "the body of the request did not arrive: " + why);
    }

    /** Makes the refusal of a body with more bytes than are read. */
    static Refusal tooLarge(int limit) {
        return Refusal.invalid(
                413,
                "request_too_large",
                null,
                "the body has more than " + limit + " bytes, which is the limit here");
    }

    /**
     * The JSON object that is the body.
     *
     * @throws Refusal if it is none, too large, or said to be something else
     */
    ObjectNode json(int limit) {
        String type = header("Content-Type");
        if (type == null || !type.strip().toLowerCase(Locale.ROOT).startsWith("application/json")) {
            throw Refusal.invalid(
                    415,
                    "unsupported_media_type",
                    null,
                    "send JSON with Content-Type: application/json"
                            + (type == null ? "" : ", not " + type));
        }
        return Json.read(body(limit));
    }

    // The answer.

    /** Sets a header of the answer. */
    void header(String name, String value) {
        response.getHeaders().put(name, value);
    }

    /** Says what the pictures of the answer took, in the header that browsers show. */
    void timing(List<Job.Result> results) {
        double draw = 0;
        double file = 0;
        for (Job.Result result : results) {
            draw += result.image().report().times().total();
            file += result.fileMillis();
        }
        header(
                "Server-Timing",
                String.format(Locale.ROOT, "draw;dur=%.2f, file;dur=%.2f", draw, file));
    }

    int status() {
        return response.getStatus();
    }

    boolean isAnswered() {
        return response.isCommitted();
    }

    void answer(JsonNode json) throws IOException {
        answer(200, json);
    }

    void answer(int status, JsonNode json) throws IOException {
        header("Cache-Control", "no-store");
        answer(status, "application/json", Json.bytes(json));
    }

    void answer(int status, String mediaType, byte[] body) throws IOException {
        response.setStatus(status);
        HttpFields.Mutable headers = response.getHeaders();
        boolean usable = watch == null || watch.end();
        boolean unread = !bodyRead && hasBody();
        if (!usable || unread) {
            // What is not read, or was read here, stands in the way of the next request.
            headers.put(HttpHeader.CONNECTION, "close");
        }
        headers.put(HttpHeader.CONTENT_TYPE, mediaType);
        headers.put(HttpHeader.CONTENT_LENGTH, body.length);
        write(true, ByteBuffer.wrap(body));
        if (unread) {
            discardBody();
        }
    }

    private boolean hasBody() {
        return request.getLength() > 0
                || request.getHeaders().contains(HttpHeader.TRANSFER_ENCODING);
    }

    /** Begins a stream of server-sent events. */
    EventStream stream() throws IOException {
        response.setStatus(200);
        if (watch != null) {
            header("Connection", "close"); // the client is watched to the end
        }
        header("Content-Type", "text/event-stream");
        header("Cache-Control", "no-cache");
        header("X-Accel-Buffering", "no"); // nginx
        return new EventStream(this);
    }

    void write(boolean last, ByteBuffer bytes) throws IOException {
        writing = true;
        try {
            Content.Sink.write(response, last, bytes);
        } finally {
            writing = false;
        }
    }

    /**
     * Calls {@code lost} when the client goes away while its answer is made. To be called when the body
     * has been read.
     */
    void whenLost(Runnable lost) {
        EndPoint endPoint = request.getConnectionMetaData().getConnection().getEndPoint();
        watch = ClientWatch.begin((AbstractEndPoint) endPoint, lost);
    }
}
