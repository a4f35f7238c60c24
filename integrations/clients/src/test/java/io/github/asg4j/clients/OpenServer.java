// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.clients;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.server.ApiKey;
import io.github.asg4j.server.AsgServer;
import io.github.asg4j.server.Limits;
import io.github.asg4j.server.ServerOptions;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;

/** A server with the demo model, a queue of one and one key, which can be made busy. */
final class OpenServer implements AutoCloseable {
    static final String KEY = "secret-of-ann";

    private final Engine engine =
            Engine.open(
                    EngineOptions.DEFAULT
                            .withDevices("cpu:1")
                            .withQueue(0, EngineOptions.WhenFull.REJECT));
    private final AsgServer server =
            AsgServer.start(
                    engine,
                    ServerOptions.DEFAULT
                            .withAddress("127.0.0.1", 0)
                            .withQueue(1)
                            .withKeys(List.of(new ApiKey("ann", KEY, Limits.NONE))));
    private final HttpClient http = HttpClient.newHttpClient();

    String address() {
        return server.uri().toString();
    }

    /** What OpenAI's clients take as their base URL. */
    String baseUrl() {
        return address() + "v1";
    }

    /** The file that the engine itself draws. */
    byte[] drawn(GenerationRequest.Builder request) {
        return engine.draw(request.build()).png();
    }

    /** Runs something while the server draws for another client and has no place to wait. */
    void whileBusy(Runnable work) {
        List<String> jobs = new ArrayList<>();
        for (String prompt : List.of("a cube", "a cone")) {
            String job =
                    send("POST", "asg/v1/jobs", "{\"prompt\":\"" + prompt + "\",\"steps\":900}");
            jobs.add(job.replaceAll("(?s).*\"id\":\"([^\"]+)\".*", "$1"));
        }
        try {
            work.run();
        } finally {
            jobs.forEach(id -> send("DELETE", "asg/v1/jobs/" + id, ""));
            while (engine.activity().running() > 0) {
                Thread.onSpinWait();
            }
        }
    }

    private String send(String method, String path, String body) {
        URI uri = server.uri().resolve("/" + path);
        HttpRequest request =
                HttpRequest.newBuilder(uri)
                        .header("Authorization", "Bearer " + KEY)
                        .header("Content-Type", "application/json")
                        .method(method, HttpRequest.BodyPublishers.ofString(body))
                        .build();
        try {
            return http.send(request, HttpResponse.BodyHandlers.ofString()).body();
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        http.close();
        server.close();
        engine.close();
    }
}
