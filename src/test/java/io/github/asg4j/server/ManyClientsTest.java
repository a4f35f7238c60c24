// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static io.github.asg4j.server.TestServer.json;
import static io.github.asg4j.server.TestServer.until;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;

import io.github.asg4j.Engine;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

class ManyClientsTest {
    private static final int CLIENTS = 100;

    /** Half of them ask for what the other half asks for. */
    private static String ball(int client) {
        return "{\"prompt\":\"a red ball\",\"size\":\"64x64\",\"steps\":1,\"seed\":"
                + client % (CLIENTS / 2)
                + "}";
    }

    @Test
    void everyoneGetsThePictureAskedForAndNothingStays() {
        try (TestServer server = new TestServer(TestServer.options().withQueue(CLIENTS))) {
            assertEquals(200, server.post("/v1/images/generations", ball(0)).statusCode());
            long idle = Engine.nativeBytesInUse();
            List<CompletableFuture<HttpResponse<String>>> answers = new ArrayList<>();
            for (int i = 0; i < CLIENTS; i++) {
                answers.add(
                        server.http.sendAsync(
                                server.request("/v1/images/generations")
                                        .POST(BodyPublishers.ofString(ball(i)))
                                        .build(),
                                HttpResponse.BodyHandlers.ofString()));
            }
            Map<Integer, String> pictures = new HashMap<>();
            for (int i = 0; i < CLIENTS; i++) {
                HttpResponse<String> answer = answers.get(i).join();
                assertEquals(200, answer.statusCode(), answer::body);
                JsonNode entry = json(answer).path("data").get(0);
                int seed = i % (CLIENTS / 2);
                assertEquals(seed, entry.path("seed").asInt());
                String picture = entry.path("b64_json").asText();
                String same = pictures.putIfAbsent(seed, picture);
                assertTrue(same == null || same.equals(picture), "seed " + seed);
            }
            assertEquals(CLIENTS / 2, pictures.values().stream().distinct().count());
            assertEquals(idle, Engine.nativeBytesInUse());
            assertTrue(json(server.get("/asg/v1/jobs")).path("jobs").isEmpty());
        }
    }

    /** The call that is being made is the last one: another would wait here for ever. */
    @Test
    void engineIsIdleWithinOneCallWhenAllClientsLeave() throws Exception {
        try (TestServer server = new TestServer(TestServer.options().withQueue(CLIENTS))) {
            server.hold();
            List<Socket> clients = new ArrayList<>();
            for (int i = 0; i < CLIENTS; i++) {
                Socket client = connect(server);
                send(client, "{\"prompt\":\"a red ball\",\"steps\":50,\"seed\":" + i + "}");
                clients.add(client);
            }
            until(() -> jobs(server).size() == CLIENTS);
            until(() -> server.engine.activity().running() == 1);
            server.step();
            server.step();
            for (Socket client : clients) {
                client.close();
            }
            until(() -> jobs(server).isEmpty());
            server.step();
            until(() -> server.engine.activity().running() == 0);
            until(() -> server.get("/metrics").body().contains("asg_drawing 0.0"));
        }
    }

    /** With a connection for each picture a busy server soon has more of them than it takes. */
    @Test
    void aConnectionTakesPictureAfterPicture() throws Exception {
        try (TestServer server = new TestServer(TestServer.options())) {
            try (Socket client = connect(server)) {
                for (int i = 0; i < 5; i++) {
                    send(client, ball(i));
                    String answer = receive(client);
                    assertTrue(answer.startsWith("HTTP/1.1 200 "), answer);
                    assertFalse(answer.contains("Connection: close"), answer);
                }
                server.hold();
                send(client, ball(5));
                until(() -> server.engine.activity().running() == 1);
            }
            until(() -> jobs(server).isEmpty());
            server.step();
            until(() -> server.engine.activity().running() == 0);
        }
    }

    /** A page that looks every second, and a monitor, keep theirs. */
    @Test
    void aConnectionTakesQuestionAfterQuestion() throws Exception {
        try (TestServer server = new TestServer(TestServer.options());
                Socket client = connect(server)) {
            for (String path : List.of("/health/live", "/nothing", "/asg/v1/jobs", "/metrics")) {
                client.getOutputStream()
                        .write(
                                ("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
                                        .getBytes(StandardCharsets.US_ASCII));
                String answer = receive(client);
                assertTrue(answer.startsWith("HTTP/1.1 "), path);
                assertFalse(answer.contains("Connection: close"), answer);
            }
        }
    }

    /** Looking for the client's end has read what the next request begins with. */
    @Test
    void aRequestBeforeTheAnswerToTheLastOneIsToldToComeAgain() throws Exception {
        try (TestServer server = new TestServer(TestServer.options());
                Socket client = connect(server)) {
            server.hold();
            send(client, ball(0));
            until(() -> server.engine.activity().running() == 1);
            send(client, ball(1));
            server.go();
            String answer = receive(client);
            assertTrue(answer.startsWith("HTTP/1.1 200 "), answer);
            assertTrue(answer.contains("Connection: close"), answer);
            assertEquals("", receive(client));
        }
    }

    private static Socket connect(TestServer server) throws IOException {
        return new Socket(server.uri("/").getHost(), server.uri("/").getPort());
    }

    private static void send(Socket client, String body) throws IOException {
        client.getOutputStream()
                .write(
                        ("POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\n"
                                        + "Content-Type: application/json\r\n"
                                        + "Content-Length: "
                                        + body.length()
                                        + "\r\n\r\n"
                                        + body)
                                .getBytes(StandardCharsets.US_ASCII));
    }

    /** The head of the next answer, whose body is read as well; empty: there is none. */
    private static String receive(Socket client) throws IOException {
        InputStream in = client.getInputStream();
        StringBuilder head = new StringBuilder();
        while (!head.toString().endsWith("\r\n\r\n")) {
            int c = in.read();
            if (c < 0) {
                return head.toString();
            }
            head.append((char) c);
        }
        Matcher length = Pattern.compile("Content-Length: ([0-9]+)").matcher(head);
        assertTrue(length.find(), head::toString);
        in.readNBytes(Integer.parseInt(length.group(1)));
        return head.toString();
    }

    private static JsonNode jobs(TestServer server) {
        return json(server.get("/asg/v1/jobs")).path("jobs");
    }
}
