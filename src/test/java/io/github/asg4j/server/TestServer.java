// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.run.worker.WorkerHook;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Map;
import java.util.concurrent.Semaphore;

/** A server with the tiny bundle, whose UNet calls can be held up, and a client of it. */
final class TestServer implements AutoCloseable {
    static final ObjectMapper JSON = new ObjectMapper();

    private final Semaphore calls = new Semaphore(0);
    private volatile boolean held;
    final Engine engine;
    final AsgServer server;
    final HttpClient http = HttpClient.newHttpClient();

    TestServer(ServerOptions options) {
        this(options, Tiny.options(1), Map.of());
    }

    /**
     * @param first of the model that is open from the start
     * @param further models by name
     */
    TestServer(ServerOptions options, EngineOptions first, Map<String, EngineOptions> further) {
        engine = open(first);
        server = AsgServer.listen(options);
        server.serve(engine, further, this::open);
    }

    private Engine open(EngineOptions options) {
        return TestEngines.open(
                options,
                new WorkerHook() {
                    @Override
                    public void before(Point point) {
                        if (held) {
                            calls.acquireUninterruptibly();
                        }
                    }
                });
    }

    /** On a free port. */
    static ServerOptions options() {
        return ServerOptions.DEFAULT.withAddress("127.0.0.1", 0);
    }

    /** Lets no UNet call begin from now on. */
    void hold() {
        calls.drainPermits();
        held = true;
    }

    /** Lets a single call begin. */
    void step() {
        calls.release();
    }

    /** Lets all calls begin. */
    void go() {
        held = false;
        calls.release(1_000_000);
    }

    URI uri(String path) {
        return server.uri().resolve(path);
    }

    HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(uri(path)).header("Content-Type", "application/json");
    }

    HttpResponse<String> get(String path) {
        return send(request(path).GET());
    }

    HttpResponse<String> post(String path, String json) {
        return send(request(path).POST(HttpRequest.BodyPublishers.ofString(json)));
    }

    HttpResponse<String> delete(String path) {
        return send(request(path).DELETE());
    }

    HttpResponse<String> send(HttpRequest.Builder request) {
        return send(request, HttpResponse.BodyHandlers.ofString());
    }

    <T> HttpResponse<T> send(HttpRequest.Builder request, HttpResponse.BodyHandler<T> handler) {
        try {
            return http.send(request.build(), handler);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    static JsonNode json(HttpResponse<String> response) {
        try {
            return JSON.readTree(response.body());
        } catch (IOException e) {
            throw new IllegalStateException(response.body(), e);
        }
    }

    /** Waits for something that the server does soon. */
    static void until(java.util.function.BooleanSupplier condition) {
        long end = System.nanoTime() + 30_000_000_000L;
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("never came true");
            }
            try {
                Thread.sleep(5);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    @Override
    public void close() {
        go();
        http.close();
        server.close();
        engine.close();
    }
}
