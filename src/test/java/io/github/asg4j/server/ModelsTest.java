// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static io.github.asg4j.server.TestServer.json;
import static io.github.asg4j.server.TestServer.until;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PlanReport;
import io.github.asg4j.Tiny;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Several models behind one server. */
class ModelsTest {
    private static final GenerationRequest BALL =
            GenerationRequest.builder("a red ball").size(128, 128).steps(4).seed(7).build();

    @TempDir private Path folder;

    private static String ball(String model) {
        return "{\"prompt\":\"a red ball\",\"size\":\"128x128\",\"steps\":4,\"seed\":7"
                + (model.isEmpty() ? "" : ",\"model\":\"" + model + "\"")
                + "}";
    }

    private static HttpResponse<String> generate(TestServer server, String model) {
        return server.post("/v1/images/generations", ball(model));
    }

    /** SHA-256 of the pixels that a model draws. */
    private static String pixels(TestServer server, String model) {
        HttpResponse<String> answer = generate(server, model);
        assertEquals(200, answer.statusCode(), answer::body);
        return json(answer).at("/asg4j/reports/0/pixels_sha256").asText();
    }

    private static String pixels(Path bundle) {
        return Tiny.hash(Tiny.drawOnCpu(Tiny.options(bundle, 1), BALL));
    }

    /** Names of the models whose networks are in memory. */
    private static List<String> loaded(TestServer server) {
        return json(server.get("/v1/models"))
                .path("data")
                .valueStream()
                .filter(model -> model.path("loaded").asBoolean())
                .map(model -> model.path("id").asText())
                .toList();
    }

    private static double metric(TestServer server, String line) {
        return server.get("/metrics")
                .body()
                .lines()
                .filter(each -> each.startsWith(line))
                .mapToDouble(each -> Double.parseDouble(each.substring(each.lastIndexOf(' '))))
                .findFirst()
                .orElseThrow();
    }

    /** The tiny bundle by another name. */
    private EngineOptions copy(String name, long limit) {
        try {
            Path place = Files.createDirectory(folder.resolve(name));
            return Tiny.options(Tiny.changed("tiny", place, manifest -> {}), 1)
                    .withMaxMemoryBytes(limit);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static PlanReport.Memory memory() {
        try (Engine engine = Engine.open(Tiny.options(1))) {
            return engine.plan(BALL).memory();
        }
    }

    @Test
    void modelsAreOpenedWhenTheyAreFirstAskedFor() {
        Map<String, EngineOptions> further = new LinkedHashMap<>();
        further.put("stepless", Tiny.options(Tiny.stepless(), 1));
        further.put("methods", Tiny.options(Tiny.resource("tiny-methods"), 1));
        try (TestServer server = new TestServer(TestServer.options(), Tiny.options(1), further)) {
            assertEquals(
                    List.of("tiny", "stepless", "methods"),
                    json(server.get("/v1/models"))
                            .path("data")
                            .valueStream()
                            .map(model -> model.path("id").asText())
                            .toList());
            assertEquals(List.of("tiny"), loaded(server));
            String own = pixels(server, "");
            assertEquals(own, pixels(server, "tiny"));
            assertEquals(own, pixels(server, "dall-e-3"), "a name that clients send by themselves");
            assertEquals(pixels(Tiny.bundle()), own);
            assertEquals(pixels(Tiny.stepless()), pixels(server, "stepless"));
            assertNotEquals(own, pixels(server, "stepless"));
            assertEquals(List.of("tiny", "stepless"), loaded(server), "there is room for both");
            assertEquals(200, server.get("/v1/models/methods").statusCode());
            JsonNode ready = json(server.get("/health/ready"));
            assertEquals("tiny, stepless", ready.at("/checks/0/detail").asText());

            HttpResponse<String> unknown = generate(server, "../tiny");
            assertEquals(404, unknown.statusCode());
            assertEquals("model_not_found", json(unknown).at("/error/code").asText());
            String told = json(unknown).at("/error/message").asText();
            assertTrue(told.contains("\"tiny\", \"stepless\", \"methods\""), told);
            assertEquals(404, server.get("/v1/models/other").statusCode());
        }
    }

    @Test
    void jobsPlansAndCapabilitiesAreOfTheModelThatIsNamed() {
        Map<String, EngineOptions> further = Map.of("stepless", Tiny.options(Tiny.stepless(), 1));
        try (TestServer server = new TestServer(TestServer.options(), Tiny.options(1), further)) {
            JsonNode first = json(server.get("/asg/v1/capabilities"));
            JsonNode other = json(server.get("/asg/v1/capabilities?model=stepless"));
            assertEquals("tiny", first.at("/model/name").asText());
            assertEquals("stepless", other.at("/model/name").asText());
            assertNotEquals(first.at("/model/sha256"), other.at("/model/sha256"));
            assertEquals(2, other.path("models").size());
            assertEquals(404, server.get("/asg/v1/capabilities?model=none").statusCode());
            assertEquals(200, server.post("/asg/v1/plan", ball("stepless")).statusCode());
            assertEquals(404, server.post("/asg/v1/plan", ball("none")).statusCode());
            HttpResponse<String> number =
                    server.post("/asg/v1/jobs", "{\"prompt\":\"a ball\",\"model\":3}");
            assertEquals(400, number.statusCode());
            assertEquals("model", json(number).at("/error/param").asText());

            String url = json(server.post("/asg/v1/jobs", ball("stepless"))).path("url").asText();
            until(() -> json(server.get(url)).path("status").asText().equals("completed"));
            JsonNode done = json(server.get(url));
            assertEquals("stepless", done.at("/request/model").asText());
            assertEquals(pixels(Tiny.stepless()), done.at("/report/pixels_sha256").asText());
            assertEquals(
                    1,
                    metric(
                            server,
                            "asg_pictures_total{method=\"asg\",model=\"stepless\","
                                    + "outcome=\"completed\"}"));
        }
    }

    @Test
    void eachModelDrawsByItsOwnMethodWhereNoneIsNamed() {
        Map<String, EngineOptions> further =
                Map.of("few", Tiny.options(Tiny.usual("relay", folder), 1));
        try (TestServer server = new TestServer(TestServer.options(), Tiny.options(1), further)) {
            JsonNode first = json(server.get("/asg/v1/capabilities"));
            assertEquals("asg", first.at("/defaults/method").asText());
            JsonNode few = json(server.get("/asg/v1/capabilities?model=few"));
            assertEquals("relay", few.at("/defaults/method").asText());
            JsonNode plan = json(server.post("/asg/v1/plan", ball("few")));
            assertEquals("relay", plan.path("method").asText());

            String url = json(server.post("/asg/v1/jobs", ball("few"))).path("url").asText();
            assertEquals("relay", json(server.get(url)).at("/request/method").asText());
            until(() -> json(server.get(url)).path("status").asText().equals("completed"));
            JsonNode report = json(server.get(url)).path("report");
            assertEquals("relay", report.path("method").asText());
            String pixels = report.path("pixels_sha256").asText();
            assertEquals(pixels, pixels(server, "few"));
            assertNotEquals(pixels, pixels(server, "tiny"));
            assertEquals(
                    2,
                    metric(
                            server,
                            "asg_pictures_total{method=\"relay\",model=\"few\","
                                    + "outcome=\"completed\"}"));

            HttpResponse<String> masked =
                    server.post("/asg/v1/jobs", ball("few").replace("}", ",\"mask\":\"key\"}"));
            assertEquals(400, masked.statusCode());
            String said = json(masked).at("/error/message").asText();
            assertTrue(said.contains("not of relay, by which the model"), said);
            assertTrue(said.contains("--method asg"), said);
        }
    }

    @Test
    void theOneThatWasUsedLongestAgoLeaves() {
        PlanReport.Memory memory = memory();
        // the picture of one, and the networks of one other
        long limit = memory.total() + memory.weights() * 3 / 2;
        Map<String, EngineOptions> further = new LinkedHashMap<>();
        further.put("second", copy("second", limit));
        further.put("third", copy("third", limit));
        EngineOptions first = Tiny.options(1).withMaxMemoryBytes(limit);
        try (TestServer server = new TestServer(TestServer.options(), first, further)) {
            String own = pixels(server, "tiny");
            assertEquals(own, pixels(server, "second"));
            assertEquals(List.of("tiny", "second"), loaded(server));
            assertEquals(own, pixels(server, "tiny"));
            assertEquals(own, pixels(server, "third"));
            assertEquals(List.of("tiny", "third"), loaded(server));
            // a plan needs no networks
            assertEquals(200, server.post("/asg/v1/plan", ball("second")).statusCode());
            assertEquals(List.of("tiny", "third"), loaded(server));
            assertEquals(own, pixels(server, "second"), "loaded again, the same bytes");
            assertEquals(List.of("second", "third"), loaded(server));
            assertEquals(2, metric(server, "asg_model_loads_total{model=\"second\"}"));
            assertEquals(0, metric(server, "asg_model_loaded{model=\"tiny\"}"));
            assertEquals(own, pixels(server, "tiny"));
        }
    }

    @Test
    void pictureThatIsDrawnKeepsItsNetworks() throws Exception {
        PlanReport.Memory memory = memory();
        long limit = memory.total() + memory.weights() / 2; // for one
        Map<String, EngineOptions> further = Map.of("second", copy("second", limit));
        EngineOptions first = Tiny.options(1).withMaxMemoryBytes(limit);
        try (TestServer server = new TestServer(TestServer.options(), first, further)) {
            server.hold();
            CompletableFuture<String> own =
                    CompletableFuture.supplyAsync(() -> pixels(server, "tiny"));
            until(() -> server.engine.activity().running() == 1);
            CompletableFuture<String> other =
                    CompletableFuture.supplyAsync(() -> pixels(server, "second"));
            for (int i = 0; i < 3; i++) {
                server.step();
                Thread.sleep(20);
            }
            assertEquals(List.of("tiny"), loaded(server));
            assertFalse(other.isDone());
            server.go();
            assertEquals(own.get(60, TimeUnit.SECONDS), other.get(60, TimeUnit.SECONDS));
            assertEquals(pixels(Tiny.bundle()), own.join());
            assertEquals(List.of("second"), loaded(server));
        }
    }

    @Test
    void modelWithoutRoomIsRefusedByName() throws IOException {
        long limit = memory().total() * 2;
        Path large = Files.createDirectory(folder.resolve("large"));
        Tiny.changed("tiny", large, manifest -> {});
        Files.write(large.resolve("more.bin"), new byte[Math.toIntExact(limit)]);
        EngineOptions first = Tiny.options(1).withMaxMemoryBytes(limit);
        Map<String, EngineOptions> further =
                Map.of("large", Tiny.options(large, 1).withMaxMemoryBytes(limit));
        try (TestServer server = new TestServer(TestServer.options(), first, further)) {
            HttpResponse<String> refused = generate(server, "large");
            assertEquals(400, refused.statusCode(), refused::body);
            JsonNode error = json(refused).path("error");
            assertEquals("out_of_memory", error.path("code").asText());
            assertEquals("model", error.path("param").asText());
            String told = error.path("message").asText();
            assertTrue(
                    told.startsWith("model \"large\" has ") && told.contains("--max-memory"), told);
            assertEquals(List.of("tiny"), loaded(server), "nothing left the memory for it");
            assertEquals(pixels(Tiny.bundle()), pixels(server, ""));
        }
    }

    @Test
    void modelThatCannotBeOpenedIsToldWithoutNamesOfFiles() throws IOException {
        Path broken = Files.createDirectory(folder.resolve("broken"));
        Tiny.changed("tiny", broken, manifest -> {});
        Files.delete(broken.resolve("denoiser.onnx"));
        Map<String, EngineOptions> further = Map.of("broken", Tiny.options(broken, 1));
        try (TestServer server = new TestServer(TestServer.options(), Tiny.options(1), further)) {
            HttpResponse<String> refused = generate(server, "broken");
            assertEquals(500, refused.statusCode());
            assertEquals("bad_bundle", json(refused).at("/error/code").asText());
            assertFalse(refused.body().contains(folder.toString()), refused::body);
            assertEquals("false", refused.headers().firstValue("X-Should-Retry").orElseThrow());
            assertEquals(pixels(Tiny.bundle()), pixels(server, ""));
        }
    }

    @Test
    void twoModelsOfOneNameAreRefused() {
        assertThrows(
                BadRequestException.class,
                () ->
                        new TestServer(
                                TestServer.options(),
                                Tiny.options(1),
                                Map.of("tiny", Tiny.options(Tiny.stepless(), 1))));
    }

    @Test
    void webUiChoosesModelsByItsOptions() throws Exception {
        Map<String, EngineOptions> further = Map.of("stepless", Tiny.options(Tiny.stepless(), 1));
        ServerOptions options =
                TestServer.options()
                        .withKeys(
                                List.of(
                                        new ApiKey("ann", "key-of-ann-0001", Limits.NONE),
                                        new ApiKey("bob", "key-of-bob-0001", Limits.NONE)));
        try (TestServer server = new TestServer(options, Tiny.options(1), further)) {
            WebUi ann = new WebUi(server, "key-of-ann-0001");
            WebUi bob = new WebUi(server, "key-of-bob-0001");
            assertEquals("stepless", ann.get("sd-models").at("/1/title").asText());
            assertTrue(ann.get("sd-models").at("/1/sha256").isNull());
            ann.post("options", "{\"sd_model_checkpoint\":\"stepless\",\"other\":1}");
            assertEquals("stepless", ann.model("{}"));
            JsonNode listed = ann.get("sd-models").at("/1");
            String title = listed.path("title").asText();
            assertEquals("stepless [" + listed.path("hash").asText() + "]", title);
            assertEquals(64, listed.path("sha256").asText().length());
            assertEquals(title, ann.get("options").path("sd_model_checkpoint").asText());
            assertEquals("tiny", bob.model("{}"), "another client's choice");
            assertEquals("stepless", bob.model("{\"sd_model_checkpoint\":\"" + title + "\"}"));
            assertEquals("tiny", bob.model("{}"), "settings of one request");
            HttpResponse<String> unknown =
                    ann.send("options", "{\"sd_model_checkpoint\":\"other\"}");
            assertEquals(404, unknown.statusCode());
            assertTrue(json(unknown).path("detail").asText().contains(title), unknown::body);
            assertEquals("stepless", ann.model("{}"));
        }
    }

    /** A client of AUTOMATIC1111's API with a key. */
    private record WebUi(TestServer server, String key) {
        HttpResponse<String> send(String route, String body) {
            var request =
                    server.request("/sdapi/v1/" + route).header("Authorization", "Bearer " + key);
            return server.send(
                    body.isEmpty()
                            ? request
                            : request.POST(
                                    java.net.http.HttpRequest.BodyPublishers.ofString(body)));
        }

        JsonNode get(String route) {
            return post(route, "");
        }

        JsonNode post(String route, String body) {
            HttpResponse<String> answer = send(route, body);
            assertEquals(200, answer.statusCode(), answer::body);
            return json(answer);
        }

        /** Name of the model that draws with these settings. */
        String model(String settings) throws IOException {
            String info =
                    post(
                                    "txt2img",
                                    "{\"prompt\":\"a ball\",\"width\":64,\"height\":64,\"steps\":2,"
                                            + "\"override_settings\":"
                                            + settings
                                            + "}")
                            .path("info")
                            .asText();
            return TestServer.JSON.readTree(info).path("sd_model_name").asText();
        }
    }
}
