// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static io.github.asg4j.server.TestServer.json;
import static io.github.asg4j.server.TestServer.until;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

class JobsApiTest {
    private TestServer server;

    @BeforeEach
    void open() {
        server = new TestServer(TestServer.options().withQueue(2));
    }

    @AfterEach
    void close() {
        server.close();
    }

    private static String ball(int seed) {
        return "{\"prompt\":\"a red ball\",\"size\":\"128x128\",\"steps\":8,\"seed\":" + seed + "}";
    }

    private JsonNode create(int seed) {
        HttpResponse<String> response = server.post("/asg/v1/jobs", ball(seed));
        assertEquals(202, response.statusCode(), response::body);
        JsonNode job = json(response);
        assertEquals(
                job.path("url").asText(), response.headers().firstValue("Location").orElseThrow());
        return job;
    }

    private JsonNode show(JsonNode job) {
        return json(server.get(job.path("url").asText()));
    }

    private void awaitStatus(JsonNode job, String status) {
        until(() -> show(job).path("status").asText().equals(status));
    }

    @Test
    void jobIsDrawnAndItsPictureFetched() {
        JsonNode job = create(7);
        awaitStatus(job, "completed");
        JsonNode done = show(job);
        HttpResponse<byte[]> picture =
                server.send(
                        server.request(done.path("picture").asText()),
                        HttpResponse.BodyHandlers.ofByteArray());
        assertEquals("image/png", picture.headers().firstValue("Content-Type").orElseThrow());
        assertEquals((byte) 0x89, picture.body()[0]);
        assertEquals("asg", done.path("report").path("method").asText());

        // the request as it is told draws the same again
        HttpResponse<String> again = server.post("/asg/v1/jobs", done.path("request").toString());
        JsonNode second = json(again);
        assertNotEquals(job.path("id"), second.path("id"));
        awaitStatus(second, "completed");
        assertArrayEquals(
                picture.body(),
                server.send(
                                server.request(second.path("url").asText() + "/picture"),
                                HttpResponse.BodyHandlers.ofByteArray())
                        .body());
        assertEquals(2, json(server.get("/asg/v1/jobs")).path("jobs").size());
        server.delete(second.path("url").asText());
        assertEquals(404, server.get(second.path("url").asText()).statusCode());
    }

    @Test
    void seedThatIsNotGivenIsChosenAndTold() {
        JsonNode job = json(server.post("/asg/v1/jobs", "{\"prompt\":\"x\",\"steps\":1}"));
        assertTrue(job.path("request").path("seed").isNumber(), job::toString);
        assertEquals(job.path("seed"), job.path("request").path("seed"));
    }

    @Test
    void eventsTellTheWholeWay() throws Exception {
        server.hold();
        JsonNode first = create(1);
        JsonNode second =
                json(server.post("/asg/v1/jobs", ball(2).replace("}", ",\"previews\":3}")));
        assertEquals(1, second.path("position").asInt());
        CompletableFuture<HttpResponse<String>> stream =
                server.http.sendAsync(
                        server.request(second.path("url").asText() + "/events").build(),
                        HttpResponse.BodyHandlers.ofString());
        awaitStatus(first, "drawing");
        server.go();
        List<Event> events = Event.all(stream.get(30, TimeUnit.SECONDS).body());
        List<String> names = events.stream().map(Event::name).distinct().toList();
        assertEquals("queued", names.get(0));
        assertTrue(names.contains("progress"), names::toString);
        assertEquals("done", names.get(names.size() - 1));
        List<Double> shares = new ArrayList<>();
        events.stream()
                .filter(event -> event.name().equals("progress"))
                .forEach(event -> shares.add(event.data().path("share").asDouble()));
        assertEquals(shares.stream().sorted().toList(), shares);
        assertTrue(shares.get(shares.size() - 1) <= 1);
        assertEquals("completed", events.getLast().data().path("status").asText());
    }

    @Test
    void fullQueueSaysWhenToComeAgain() {
        server.hold();
        JsonNode first = create(1);
        awaitStatus(first, "drawing");
        create(2);
        JsonNode third = create(3);
        assertEquals(2, third.path("position").asInt());
        assertEquals(503, server.get("/health/ready").statusCode());
        for (String path : List.of("/asg/v1/jobs", "/v1/images/generations")) {
            HttpResponse<String> refused = server.post(path, ball(4));
            assertEquals(429, refused.statusCode(), refused::body);
            assertEquals("queue_full", json(refused).path("error").path("code").asText());
            assertEquals("rate_limit_error", json(refused).path("error").path("type").asText());
            int seconds =
                    Integer.parseInt(refused.headers().firstValue("Retry-After").orElseThrow());
            assertTrue(seconds >= 1 && seconds <= 60);
        }
        server.go();
        awaitStatus(third, "completed");
        assertEquals(200, server.get("/health/ready").statusCode());
    }

    @Test
    void waitingJobIsCancelledAtOnceAndMakesPlace() {
        server.hold();
        JsonNode first = create(1);
        awaitStatus(first, "drawing");
        JsonNode second = create(2);
        JsonNode third = create(3);
        assertEquals(
                "cancelled",
                json(server.delete(second.path("url").asText())).path("status").asText());
        assertEquals(1, show(third).path("position").asInt());
        create(4);
        HttpResponse<String> none = server.get(second.path("url").asText() + "/picture");
        assertEquals(409, none.statusCode());
        assertEquals("no_picture", json(none).path("error").path("code").asText());
    }

    @Test
    void drawnJobIsCancelledWithinACall() {
        server.hold();
        JsonNode job = create(1);
        awaitStatus(job, "drawing");
        server.delete(job.path("url").asText());
        server.go();
        JsonNode next = create(2);
        awaitStatus(next, "completed");
        assertEquals("cancelled", show(job).path("status").asText());
    }

    @Test
    void equalRequestsAreDrawnOnce() {
        server.hold();
        JsonNode first = create(1);
        awaitStatus(first, "drawing");
        JsonNode other = create(2);
        JsonNode same = create(1);
        JsonNode asJpeg =
                json(
                        server.post(
                                "/asg/v1/jobs",
                                ball(1).replace("}", ",\"output_format\":\"jpeg\"}")));
        assertEquals("drawing", same.path("status").asText());
        server.delete(first.path("url").asText()); // the others still want it
        server.go();
        awaitStatus(same, "completed");
        awaitStatus(asJpeg, "completed");
        awaitStatus(other, "completed");
        assertEquals("cancelled", show(first).path("status").asText());
        String metrics = server.get("/metrics").body();
        assertTrue(
                metrics.contains(
                        "asg_pictures_total{method=\"asg\",model=\"tiny\",outcome=\"completed\"}"
                                + " 2.0"),
                metrics);
        HttpResponse<byte[]> jpeg =
                server.send(
                        server.request(asJpeg.path("url").asText() + "/picture"),
                        HttpResponse.BodyHandlers.ofByteArray());
        assertEquals("image/jpeg", jpeg.headers().firstValue("Content-Type").orElseThrow());
        assertEquals((byte) 0xff, jpeg.body()[0]);
    }

    @Test
    void idempotencyKeyGivesTheSameJob() {
        List<JsonNode> jobs = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            jobs.add(
                    json(
                            server.send(
                                    server.request("/asg/v1/jobs")
                                            .header("Idempotency-Key", "k1")
                                            .POST(
                                                    java.net.http.HttpRequest.BodyPublishers
                                                            .ofString("{\"prompt\":\"x\"}")))));
        }
        assertEquals(jobs.get(0).path("id"), jobs.get(1).path("id"));
    }

    @Test
    void planIsThatOfTheEngine() {
        JsonNode plan = json(server.post("/asg/v1/plan", ball(1)));
        assertEquals(128, plan.path("width").asInt());
        assertEquals("asg", plan.path("method").asText());
        assertTrue(plan.path("unet_runs").asInt() > 0, plan::toString);
        assertEquals(0, json(server.get("/asg/v1/jobs")).path("jobs").size());
    }

    @Test
    void unknownOptionIsNamed() {
        HttpResponse<String> response =
                server.post("/asg/v1/jobs", "{\"prompt\":\"x\",\"setps\":5}");
        assertEquals(400, response.statusCode());
        assertTrue(response.body().contains("unknown key \\\"setps\\\""), response::body);
    }

    @Test
    void capabilitiesAreTheTableOfOptions() {
        JsonNode capabilities = json(server.get("/asg/v1/capabilities"));
        assertTrue(capabilities.path("methods").toString().contains("\"demofusion\""));
        assertFalse(capabilities.toString().contains("{names}"));
        assertEquals("[\"png\",\"jpeg\",\"webp\"]", capabilities.path("output_formats").toString());
        List<String> keys = new ArrayList<>();
        capabilities.path("options").forEach(option -> keys.add(option.path("key").asText()));
        assertTrue(keys.containsAll(List.of("prompt", "steps", "guide_weight", "dilate")));
        assertFalse(keys.contains("latents"));
        assertFalse(keys.contains("dump"));
        assertTrue(capabilities.path("model").path("native_width").asInt() > 0);
    }

    @Test
    void clientThatLeavesEndsItsPicture() throws IOException, InterruptedException {
        for (String stream : List.of("false", "true")) {
            server.hold();
            try (java.net.Socket socket =
                    new java.net.Socket(
                            java.net.InetAddress.getLoopbackAddress(),
                            server.server.uri().getPort())) {
                byte[] body =
                        ball(1).replace("}", ",\"stream\":" + stream + "}")
                                .getBytes(java.nio.charset.StandardCharsets.UTF_8);
                String head =
                        "POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\n"
                                + "Content-Type: application/json\r\nContent-Length: "
                                + body.length
                                + "\r\n\r\n";
                socket.getOutputStream()
                        .write(head.getBytes(java.nio.charset.StandardCharsets.US_ASCII));
                socket.getOutputStream().write(body);
                until(() -> server.get("/metrics").body().contains("asg_drawing 1.0"));
            }
            // its end is noticed though nothing is written, then one UNet call goes on
            until(() -> json(server.get("/asg/v1/jobs")).path("jobs").isEmpty());
            server.step();
            until(() -> server.get("/metrics").body().contains("asg_drawing 0.0"));
            server.go();
        }
        assertTrue(
                server.get("/metrics")
                        .body()
                        .contains(
                                "asg_pictures_total{method=\"asg\",model=\"tiny\",outcome=\"cancelled\"}"
                                    + " 2.0"));
    }

    @Test
    void drainFinishesWhatWaitsAndTakesNoMore() throws Exception {
        server.hold();
        JsonNode first = create(1);
        JsonNode second = create(2);
        CompletableFuture<Void> drained =
                CompletableFuture.runAsync(
                        () -> {
                            try {
                                server.server.drain();
                            } catch (InterruptedException e) {
                                throw new IllegalStateException(e);
                            }
                        });
        until(() -> server.get("/health/ready").statusCode() == 503);
        assertEquals(200, server.get("/health/live").statusCode());
        HttpResponse<String> refused = server.post("/asg/v1/jobs", ball(3));
        assertEquals(503, refused.statusCode());
        assertEquals("shutting_down", json(refused).path("error").path("code").asText());
        server.go();
        drained.get(30, TimeUnit.SECONDS);
        for (JsonNode job : List.of(first, second)) {
            assertEquals("completed", show(job).path("status").asText());
        }
    }

    @Test
    void cancelEndsADrain() throws Exception {
        server.hold();
        JsonNode first = create(1);
        JsonNode second = create(2);
        awaitStatus(first, "drawing");
        server.server.cancel();
        server.go();
        server.server.drain();
        for (JsonNode job : List.of(first, second)) {
            assertEquals("cancelled", show(job).path("status").asText());
        }
    }
}
