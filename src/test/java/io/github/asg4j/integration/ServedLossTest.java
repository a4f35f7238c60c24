// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Engine;
import io.github.asg4j.server.AsgServer;
import io.github.asg4j.server.ServerOptions;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.util.concurrent.atomic.AtomicInteger;

/** What clients of a server see of GPUs that are lost in the middle of a picture. */
class ServedLossTest {
    private static final String BALL =
            "{\"prompt\":\"a red ball\",\"size\":\"128x128\",\"steps\":8,\"seed\":7}";

    private static HttpResponse<String> send(
            HttpClient client, AsgServer server, String path, String body)
            throws IOException, InterruptedException {
        HttpRequest.Builder request =
                HttpRequest.newBuilder(server.uri().resolve(path))
                        .header("Content-Type", "application/json");
        return client.send(
                (body.isEmpty() ? request : request.POST(BodyPublishers.ofString(body))).build(),
                HttpResponse.BodyHandlers.ofString());
    }

    private static String picture(HttpResponse<String> answer) {
        assertEquals(200, answer.statusCode(), answer::body);
        return answer.body().replaceAll("(?s).*\"b64_json\":\"([^\"]+)\".*", "$1");
    }

    @Test
    void pictureSurvivesOneGpuAndItsLossIsToldWhenBothAreGone() throws Exception {
        EmulatedGpus gpus = new EmulatedGpus();
        AtomicInteger lose = new AtomicInteger(-1);
        try (Engine engine =
                        gpus.open(
                                "cuda:0,cuda:1",
                                point -> {
                                    int device = point.step() == 4 ? lose.getAndSet(-1) : -1;
                                    if (device >= 0) {
                                        gpus.lose(device);
                                    }
                                });
                AsgServer server =
                        AsgServer.start(engine, ServerOptions.DEFAULT.withAddress("127.0.0.1", 0));
                HttpClient client = HttpClient.newHttpClient()) {
            String path = "/v1/images/generations";
            String whole = picture(send(client, server, path, BALL));
            lose.set(0);
            assertEquals(whole, picture(send(client, server, path, BALL)));
            HttpResponse<String> ready = send(client, server, "/health/ready", "");
            assertEquals(200, ready.statusCode(), ready::body);
            assertTrue(ready.body().contains("lost: cuda:0"), ready::body);

            gpus.lose(1);
            HttpResponse<String> failed = send(client, server, path, BALL);
            assertEquals(500, failed.statusCode(), failed::body);
            assertTrue(failed.body().contains("\"code\":\"device_lost\""), failed::body);
            assertEquals("false", failed.headers().firstValue("X-Should-Retry").orElseThrow());
            HttpResponse<String> down = send(client, server, "/health/ready", "");
            assertEquals(503, down.statusCode(), down::body);
            assertEquals(200, send(client, server, "/health/live", "").statusCode());
        }
    }
}
