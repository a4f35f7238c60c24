// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.BufferedReader;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.WebSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;

/** Chromium without a window, driven by its DevTools protocol; one page. */
final class Browser implements AutoCloseable {
    private final Process process;
    private final HttpClient http = HttpClient.newHttpClient();
    private final WebSocket socket;
    private final Map<Integer, CompletableFuture<JsonNode>> answers = new ConcurrentHashMap<>();
    private int requests;

    /** What the page's scripts threw, and what the browser blocked or could not load. */
    final List<String> errors = new CopyOnWriteArrayList<>();

    /**
     * Starts it.
     *
     * @param program chromium
     * @param profile folder for its files
     */
    Browser(String program, Path profile) throws Exception {
        // no sandbox, because containers seldom allow one: the page is ours
        process =
                new ProcessBuilder(
                                program,
                                "--headless=new",
                                "--no-sandbox",
                                "--disable-gpu",
                                "--disable-dev-shm-usage",
                                "--remote-debugging-port=0",
                                "--user-data-dir=" + profile,
                                "--window-size=1200,900",
                                "about:blank")
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .start();
        BufferedReader lines = process.errorReader();
        String line = lines.readLine();
        while (line != null && !line.startsWith("DevTools listening on ")) {
            line = lines.readLine();
        }
        if (line == null) {
            throw new IOException(program + " did not start");
        }
        URI devTools = URI.create(line.substring("DevTools listening on ".length()).strip());
        Thread.ofVirtual().start(() -> lines.lines().forEach(rest -> {}));
        socket =
                http.newWebSocketBuilder()
                        .buildAsync(URI.create(page(devTools.getPort())), new Listener())
                        .get(30, TimeUnit.SECONDS);
        send("Page.enable", Map.of());
        send("Runtime.enable", Map.of());
        send("Log.enable", Map.of());
    }

    private String page(int port) throws IOException, InterruptedException {
        HttpRequest list =
                HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/json/list"))
                        .build();
        while (true) {
            String text = http.send(list, HttpResponse.BodyHandlers.ofString()).body();
            for (JsonNode target : TestServer.JSON.readTree(text)) {
                if (target.path("type").asText().equals("page")) {
                    return target.path("webSocketDebuggerUrl").asText();
                }
            }
            Thread.sleep(50);
        }
    }

    private final class Listener implements WebSocket.Listener {
        private final StringBuilder text = new StringBuilder();

        @Override
        public CompletionStage<?> onText(WebSocket from, CharSequence part, boolean last) {
            text.append(part);
            if (last) {
                try {
                    take(TestServer.JSON.readTree(text.toString()));
                } catch (IOException e) {
                    errors.add("no JSON: " + text);
                }
                text.setLength(0);
            }
            from.request(1);
            return CompletableFuture.completedFuture(null);
        }
    }

    private void take(JsonNode message) {
        CompletableFuture<JsonNode> answer = answers.remove(message.path("id").asInt(-1));
        if (answer != null) {
            answer.complete(message);
        }
        switch (message.path("method").asText()) {
            case "Runtime.exceptionThrown" -> errors.add(message.path("params").toString());
            case "Log.entryAdded" -> {
                JsonNode entry = message.path("params").path("entry");
                // a preview may be gone before it is fetched, which the page expects
                if (entry.path("level").asText().equals("error")
                        && !entry.path("url").asText().endsWith("/preview")) {
                    errors.add(entry.toString());
                }
            }
            default -> {
                // of no interest
            }
        }
    }

    /** Calls a method of the protocol and returns its result. */
    JsonNode send(String method, Map<String, ?> parameters) throws Exception {
        CompletableFuture<JsonNode> answer = new CompletableFuture<>();
        int id = ++requests;
        answers.put(id, answer);
        ObjectNode message = TestServer.JSON.createObjectNode().put("id", id).put("method", method);
        message.set("params", TestServer.JSON.valueToTree(parameters));
        socket.sendText(message.toString(), true).get(30, TimeUnit.SECONDS);
        JsonNode result = answer.get(60, TimeUnit.SECONDS);
        if (result.has("error")) {
            throw new IOException(method + ": " + result.path("error"));
        }
        return result.path("result");
    }

    void open(URI address) throws Exception {
        send("Page.navigate", Map.of("url", address.toString()));
    }

    /** The value of an expression; what it promises, if it promises something. */
    JsonNode evaluate(String expression) throws Exception {
        JsonNode result =
                send(
                        "Runtime.evaluate",
                        Map.of(
                                "expression",
                                expression,
                                "awaitPromise",
                                true,
                                "returnByValue",
                                true));
        if (result.has("exceptionDetails")) {
            throw new IOException(expression + ": " + result.path("exceptionDetails"));
        }
        return result.path("result").path("value");
    }

    /** Waits until an expression is true. */
    void await(String expression) throws Exception {
        long end = System.nanoTime() + 60_000_000_000L;
        while (!evaluate(expression).asBoolean()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("never came true: " + expression + "; " + errors);
            }
            Thread.sleep(20);
        }
    }

    /** Writes what the page looks like to a PNG file. */
    void screenshot(Path file) throws Exception {
        JsonNode picture = send("Page.captureScreenshot", Map.of("format", "png"));
        Files.createDirectories(file.getParent());
        Files.write(file, Base64.getDecoder().decode(picture.path("data").asText()));
    }

    @Override
    public void close() {
        socket.abort();
        http.close();
        process.destroy();
        try {
            process.waitFor(10, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        process.destroyForcibly();
    }
}
