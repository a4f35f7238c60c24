// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Tiny;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

class ServeCommandTest {
    /** A process of its own: it is sent signals. */
    private static final class Serving implements AutoCloseable {
        final Process process;
        final URI uri;
        final Path log;
        private final BufferedReader err;
        private final HttpClient http = HttpClient.newHttpClient();

        Serving(Path folder, String... more) throws IOException {
            log = folder.resolve("access.log");
            List<String> command =
                    new ArrayList<>(
                            List.of(
                                    System.getProperty("java.home") + File.separator + "bin/java",
                                    "-XX:TieredStopAtLevel=1",
                                    "--enable-native-access=ALL-UNNAMED",
                                    "-cp",
                                    System.getProperty("java.class.path"),
                                    Main.class.getName(),
                                    "serve",
                                    "--port",
                                    "0",
                                    "--model",
                                    Tiny.bundle().toString(),
                                    "--devices",
                                    "cpu:1"));
            command.addAll(List.of(more));
            process = new ProcessBuilder(command).redirectOutput(log.toFile()).start();
            err = process.errorReader();
            uri = URI.create(await("asg: ready, open ").strip());
        }

        /** What follows a text, on the first line that has it. */
        String await(String text) throws IOException {
            StringBuilder all = new StringBuilder();
            for (String line = err.readLine(); line != null; line = err.readLine()) {
                int found = line.indexOf(text);
                if (found >= 0) {
                    return line.substring(found + text.length());
                }
                all.append(line).append('\n');
            }
            throw new AssertionError("no '" + text + "' in " + all);
        }

        void signal() throws IOException, InterruptedException {
            String pid = Long.toString(process.pid());
            assertEquals(0, new ProcessBuilder("kill", "-TERM", pid).start().waitFor());
        }

        HttpResponse<String> post(String path, String json)
                throws IOException, InterruptedException {
            return http.send(
                    HttpRequest.newBuilder(uri.resolve(path))
                            .header("Content-Type", "application/json")
                            .POST(HttpRequest.BodyPublishers.ofString(json))
                            .build(),
                    HttpResponse.BodyHandlers.ofString());
        }

        int end() throws InterruptedException {
            assertTrue(process.waitFor(60, TimeUnit.SECONDS), "it does not end");
            return process.exitValue();
        }

        @Override
        public void close() {
            process.destroyForcibly();
            http.close();
        }
    }

    @Test
    void firstSignalDrainsAndSecondCancels(@TempDir Path folder) throws Exception {
        try (Serving serving = new Serving(folder)) {
            String endless = "{\"prompt\":\"a red ball\",\"size\":\"512x512\"," + "\"steps\":900}";
            HttpResponse<String> created = serving.post("/asg/v1/jobs", endless);
            assertEquals(202, created.statusCode(), created::body);
            serving.signal();
            serving.await("asg: stopping");
            HttpResponse<String> refused = serving.post("/asg/v1/jobs", endless);
            assertEquals(503, refused.statusCode(), refused::body);
            assertTrue(serving.process.isAlive());
            serving.signal();
            assertEquals(ExitCode.CANCELLED, serving.end());
        }
    }

    @Test
    void endsInOrderAndHasLoggedWithoutPrompts(@TempDir Path folder) throws Exception {
        Path keys = folder.resolve("keys.txt");
        Files.writeString(keys, "# for the test\nsecret-of-ann name=ann\n");
        Path models = Files.createDirectory(folder.resolve("models"));
        Tiny.changed("tiny-stepless", Files.createDirectory(models.resolve("still")), m -> {});
        Files.writeString(models.resolve("broken.safetensors"), "no header");
        try (Serving serving =
                new Serving(
                        folder,
                        "--api-key-file",
                        keys.toString(),
                        "--model-folder",
                        models.toString())) {
            HttpResponse<String> refused = serving.post("/v1/images/generations", "{}");
            assertEquals(401, refused.statusCode());
            HttpResponse<String> drawn =
                    serving.http.send(
                            HttpRequest.newBuilder(serving.uri.resolve("/v1/images/generations"))
                                    .header("Content-Type", "application/json")
                                    .header("Authorization", "Bearer secret-of-ann")
                                    .POST(
                                            HttpRequest.BodyPublishers.ofString(
                                                    "{\"prompt\":\"a red ball\",\"steps\":1,"
                                                            + "\"model\":\"still\"}"))
                                    .build(),
                            HttpResponse.BodyHandlers.ofString());
            assertEquals(200, drawn.statusCode(), drawn::body);
            serving.signal();
            assertEquals(ExitCode.DONE, serving.end());
            String log = Files.readString(serving.log);
            assertTrue(log.contains("\"client\":\"ann\""), log);
            assertTrue(log.contains("\"model\":\"still\""), log);
            assertTrue(log.contains(drawn.headers().firstValue("X-Request-Id").orElseThrow()), log);
            assertTrue(!log.contains("red ball"), log);
        }
    }
}
