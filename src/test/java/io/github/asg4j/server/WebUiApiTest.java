// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static io.github.asg4j.server.TestServer.json;
import static io.github.asg4j.server.TestServer.until;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.PromptFolders;
import io.github.asg4j.Tiny;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import javax.imageio.ImageIO;

class WebUiApiTest {
    private static TestServer server;

    @BeforeAll
    static void open() {
        server = new TestServer(TestServer.options());
    }

    @AfterAll
    static void close() {
        server.close();
    }

    /** As webuiapi sends it, shortened. */
    private static ObjectNode request() {
        return TestServer.JSON
                .createObjectNode()
                .put("prompt", "a red ball on grass")
                .put("negative_prompt", "")
                .put("seed", 7)
                .put("subseed", -1)
                .put("sampler_name", (String) null)
                .put("steps", 8)
                .put("width", 128)
                .put("height", 128)
                .put("batch_size", 1)
                .put("n_iter", 1)
                .put("restore_faces", false)
                .put("enable_hr", false)
                .put("hr_upscaler", "Latent")
                .put("send_images", true);
    }

    private static JsonNode draw(ObjectNode request) {
        HttpResponse<String> response = server.post("/sdapi/v1/txt2img", request.toString());
        assertEquals(200, response.statusCode(), response::body);
        return json(response);
    }

    private static byte[] openAi(String more) {
        JsonNode answer =
                json(
                        server.post(
                                "/v1/images/generations",
                                "{\"prompt\":\"a red ball on grass\",\"size\":\"128x128\","
                                        + "\"steps\":8,\"seed\":7,\"prompt_syntax\":\"a1111\""
                                        + more
                                        + "}"));
        return Base64.getDecoder().decode(answer.path("data").get(0).path("b64_json").asText());
    }

    private static byte[] image(JsonNode answer, int index) {
        return Base64.getDecoder().decode(answer.path("images").get(index).asText());
    }

    @Test
    void picturesAreThoseOfTheOtherApis() throws JsonProcessingException {
        JsonNode answer = draw(request());
        assertArrayEquals(openAi(""), image(answer, 0));
        assertEquals(8, answer.path("parameters").path("steps").asInt());
        JsonNode info = TestServer.JSON.readTree(answer.path("info").asText());
        assertEquals("[7]", info.path("all_seeds").toString());
        assertEquals(128, info.path("width").asInt());
        assertEquals(8, info.path("steps").asInt());
        assertTrue(info.path("infotexts").get(0).asText().contains("Seed: 7"), info::toString);
    }

    @Test
    void subseedsAreVariations() throws JsonProcessingException {
        JsonNode answer =
                draw(request().put("subseed", 40).put("subseed_strength", 0.25).put("n_iter", 2));
        JsonNode info = TestServer.JSON.readTree(answer.path("info").asText());
        assertEquals("[7,7]", info.path("all_seeds").toString());
        assertEquals("[40,41]", info.path("all_subseeds").toString());
        assertEquals(0.25, info.path("subseed_strength").asDouble());
        assertTrue(
                info.path("infotexts")
                        .get(1)
                        .asText()
                        .contains("Variation seed: 41, Variation seed strength: 0.25"),
                info::toString);
        assertNotEquals(pixels(image(answer, 0)), pixels(image(answer, 1)));
        assertNotEquals(pixels(image(answer, 0)), pixels(image(draw(request()), 0)));
    }

    /** As its clients expect: there weights are weights, and a setting skips layers. */
    @Test
    void promptsHaveTheSyntaxOfTheWebUi() {
        byte[] plain = image(draw(request()), 0);
        byte[] same = image(draw(request().put("prompt", "a (red:1.0) ball on grass")), 0);
        byte[] weighted = image(draw(request().put("prompt", "a (red:1.3) ball on grass")), 0);
        assertEquals(pixels(plain), pixels(same));
        assertNotEquals(pixels(plain), pixels(weighted));
        HttpResponse<String> composed =
                server.post("/sdapi/v1/txt2img", request().put("prompt", "a AND b").toString());
        assertEquals(400, composed.statusCode(), composed::body);
        ObjectNode skipping = request();
        skipping.putObject("override_settings").put("CLIP_stop_at_last_layers", 9);
        HttpResponse<String> oneLayer = server.post("/sdapi/v1/txt2img", skipping.toString());
        assertTrue(oneLayer.body().contains("leave out --clip-skip"), oneLayer::body);
    }

    private static String pixels(byte[] png) {
        try {
            BufferedImage image = ImageIO.read(new ByteArrayInputStream(png));
            int[] rgb =
                    image.getRGB(
                            0, 0, image.getWidth(), image.getHeight(), null, 0, image.getWidth());
            return Arrays.toString(rgb);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void batchesAreSeedsThatFollow() throws JsonProcessingException {
        JsonNode answer = draw(request().put("batch_size", 2).put("n_iter", 2));
        assertEquals(4, answer.path("images").size());
        JsonNode info = TestServer.JSON.readTree(answer.path("info").asText());
        assertEquals("[7,8,9,10]", info.path("all_seeds").toString());
        assertArrayEquals(openAi(",\"n\":1"), image(answer, 0));
    }

    @Test
    void highResolutionFixIsTheMethodThatTheUpscalerNames() {
        ObjectNode request = request().put("width", 64).put("height", 64).put("enable_hr", true);
        JsonNode answer = draw(request.put("hr_scale", 2).put("hr_upscaler", "multidiffusion"));
        assertArrayEquals(openAi(",\"method\":\"multidiffusion\""), image(answer, 0));
        assertArrayEquals(openAi(""), image(draw(request.put("hr_upscaler", "Latent")), 0));
        request.remove("hr_upscaler");
        assertArrayEquals(openAi(""), image(draw(request), 0), "the model's method");
        HttpResponse<String> unknown =
                server.post(
                        "/sdapi/v1/txt2img", request.put("hr_upscaler", "R-ESRGAN 4x+").toString());
        assertEquals(422, unknown.statusCode());
        assertTrue(json(unknown).path("detail").asText().startsWith("Upscaler not found"));
    }

    @Test
    void samplersAndGuidanceHaveTheirNames() throws JsonProcessingException {
        JsonNode answer = draw(request().put("sampler_name", "DDIM").put("cfg_scale", 3.5));
        JsonNode info = TestServer.JSON.readTree(answer.path("info").asText());
        assertEquals(3.5, info.path("cfg_scale").asDouble());
        assertTrue(
                info.path("infotexts").get(0).asText().contains("Sampler: DDIM"), info::toString);
        HttpResponse<String> unknown =
                server.post(
                        "/sdapi/v1/txt2img", request().put("sampler_name", "Heun++").toString());
        assertEquals(400, unknown.statusCode());
        assertTrue(json(unknown).path("detail").asText().contains("Heun++"), unknown::body);
    }

    @Test
    void pictureIsDrawnFromTheOneThatIsSent() {
        JsonNode first = draw(request().put("width", 64).put("height", 64));
        ObjectNode enlarge = request();
        enlarge.putArray("init_images")
                .add("data:image/png;base64," + first.path("images").get(0).asText());
        HttpResponse<String> response =
                server.post("/sdapi/v1/img2img", enlarge.put("denoising_strength", 0.5).toString());
        assertEquals(200, response.statusCode(), response::body);
        JsonNode answer = json(response);
        assertTrue(answer.path("parameters").path("init_images").isNull());
        String info = answer.path("info").asText();
        assertTrue(info.contains("Denoising strength: 0.5"), response::body);
        assertTrue(info.contains("Image fit: stretch"), response::body);
        HttpResponse<String> filled =
                server.post("/sdapi/v1/img2img", enlarge.put("resize_mode", 3).toString());
        assertEquals(400, filled.statusCode(), filled::body);
        enlarge.put("resize_mode", 1);

        HttpResponse<String> masked =
                server.post("/sdapi/v1/img2img", enlarge.put("mask", "iVBO").toString());
        assertEquals(400, masked.statusCode());
        enlarge.put("mask", first.path("images").get(0).asText()).put("mask_blur", 2);
        HttpResponse<String> painted = server.post("/sdapi/v1/img2img", enlarge.toString());
        assertEquals(200, painted.statusCode(), painted::body);
        assertTrue(json(painted).path("info").asText().contains("Mask blur: 2"), painted::body);
        assertTrue(json(painted).path("parameters").path("mask").isNull());
        assertTrue(
                json(painted).path("info").asText().contains("Masked area padding: 0"),
                painted::body);
        enlarge.put("inpaint_full_res", false);
        HttpResponse<String> whole = server.post("/sdapi/v1/img2img", enlarge.toString());
        assertEquals(200, whole.statusCode(), whole::body);
        assertFalse(json(whole).path("info").asText().contains("Masked area"), whole::body);
        enlarge.put("inpaint_full_res", 1).put("inpaint_full_res_padding", 5000);
        HttpResponse<String> padded = server.post("/sdapi/v1/img2img", enlarge.toString());
        assertEquals(400, padded.statusCode(), padded::body);
        assertTrue(padded.body().contains("between 0 and 4096"), padded::body);

        ObjectNode extra =
                TestServer.JSON
                        .createObjectNode()
                        .put("image", first.path("images").get(0).asText())
                        .put("upscaling_resize", 2)
                        .put("upscaler_1", "demofusion");
        HttpResponse<String> enlarged =
                server.post("/sdapi/v1/extra-single-image", extra.toString());
        assertEquals(200, enlarged.statusCode(), enlarged::body);
        assertEquals(
                128,
                WebUiInfo.size(Base64.getDecoder().decode(json(enlarged).path("image").asText()))
                        .width);
    }

    @Test
    void progressIsToldAndInterruptEnds() throws Exception {
        JsonNode idle = json(server.get("/sdapi/v1/progress"));
        assertEquals(0, idle.path("progress").asDouble());
        assertEquals(0, idle.path("state").path("job_count").asInt());
        server.hold();
        CompletableFuture<HttpResponse<String>> drawing =
                server.http.sendAsync(
                        server.request("/sdapi/v1/txt2img")
                                .POST(
                                        BodyPublishers.ofString(
                                                request().put("batch_size", 2).toString()))
                                .build(),
                        HttpResponse.BodyHandlers.ofString());
        until(
                () ->
                        json(server.get("/sdapi/v1/progress?skip_current_image=true"))
                                        .path("state")
                                        .path("job_count")
                                        .asInt()
                                == 2);
        assertEquals("{}", server.post("/sdapi/v1/interrupt", "{}").body());
        server.go();
        HttpResponse<String> response = drawing.get(30, TimeUnit.SECONDS);
        assertEquals(200, response.statusCode(), response::body);
        assertEquals(0, json(response).path("images").size());
    }

    @Test
    void settingsOfAPictureAreRead() {
        JsonNode drawn =
                draw(
                        request()
                                .put("prompt", "a \\(red\\) ball,\nin (東京:1.2)")
                                .put("negative_prompt", "blue"));
        JsonNode info =
                json(
                        server.post(
                                "/sdapi/v1/png-info",
                                "{\"image\":\"" + drawn.path("images").get(0).asText() + "\"}"));
        JsonNode parameters = info.path("parameters");
        assertEquals("a \\(red\\) ball,\nin (東京:1.2)", parameters.path("Prompt").asText());
        assertEquals("blue", parameters.path("Negative prompt").asText());
        assertEquals("8", parameters.path("Steps").asText());
        assertEquals("128x128", parameters.path("Size").asText());
        assertEquals(info.path("items").path("parameters"), info.path("info"));
        assertEquals(
                400,
                server.post("/sdapi/v1/png-info", "{\"image\":\"https://localhost/a.png\"}")
                        .statusCode());
    }

    @Test
    void modelIsTheOneThatIsLoaded() {
        JsonNode model = json(server.get("/sdapi/v1/sd-models")).get(0);
        JsonNode options = json(server.get("/sdapi/v1/options"));
        assertEquals(model.path("title"), options.path("sd_model_checkpoint"));
        assertEquals("null", server.post("/sdapi/v1/options", options.toString()).body());
        HttpResponse<String> other =
                server.post("/sdapi/v1/options", "{\"sd_model_checkpoint\":\"sdxl\"}");
        assertEquals(404, other.statusCode());
        assertTrue(json(other).path("detail").asText().contains("sdxl"));
    }

    @Test
    void listsHaveWhatIsHere() {
        List<String> samplers = new ArrayList<>();
        json(server.get("/sdapi/v1/samplers")).forEach(s -> samplers.add(s.path("name").asText()));
        assertTrue(samplers.contains("Euler"), samplers::toString);
        assertEquals(
                "automatic", json(server.get("/sdapi/v1/schedulers")).get(0).path("name").asText());
        assertTrue(server.get("/sdapi/v1/upscalers").body().contains("\"demofusion\""));
        assertEquals("{\"loaded\":{},\"skipped\":{}}", server.get("/sdapi/v1/embeddings").body());
        assertEquals("null", server.post("/sdapi/v1/refresh-checkpoints", "").body());
    }

    @ParameterizedTest
    @ValueSource(strings = {"loras", "sd-vae", "prompt-styles", "hypernetworks", "face-restorers"})
    void whatIsNotHereIsAnEmptyList(String name) {
        assertEquals("[]", server.get("/sdapi/v1/" + name).body());
    }

    /** webuiapi sends an eta of 1 with every sampler. */
    @Test
    void etaCountsForSamplersThatTakeOne() {
        for (String sampler : List.of("DPM++ 2M", "Euler a", "")) {
            ObjectNode request = request().put("eta", 1.0).put("sampler_name", sampler);
            HttpResponse<String> answer = server.post("/sdapi/v1/txt2img", request.toString());
            assertEquals(200, answer.statusCode(), answer::body);
        }
        ObjectNode some = request().put("sampler_name", "DDIM");
        JsonNode without = json(server.post("/sdapi/v1/txt2img", some.toString()));
        JsonNode with = json(server.post("/sdapi/v1/txt2img", some.put("eta", 1.0).toString()));
        assertNotEquals(without.path("images").get(0), with.path("images").get(0));
    }

    @Test
    void listsTheFilesThatPromptsCanName(@TempDir Path folder) throws IOException {
        Files.createDirectories(folder.resolve("styles"));
        Files.write(folder.resolve("styles/ink.safetensors"), new byte[1]);
        Files.write(folder.resolve("Comic.safetensors"), new byte[1]);
        Files.write(folder.resolve("old.pt"), new byte[1]);
        EngineOptions options = Tiny.options(1).withFolders(new PromptFolders(folder, null));
        try (Engine engine = Engine.open(options);
                AsgServer other = AsgServer.start(engine, TestServer.options())) {
            HttpResponse<String> answer =
                    server.send(
                            HttpRequest.newBuilder(other.uri().resolve("/sdapi/v1/loras")).GET());
            JsonNode loras = json(answer);
            assertEquals(2, loras.size(), answer::body);
            assertEquals(
                    "{\"name\":\"Comic\",\"alias\":\"Comic\",\"path\":\"Comic.safetensors\","
                            + "\"metadata\":{}}",
                    loras.get(0).toString());
            assertEquals("ink", loras.get(1).path("name").asText());
            assertEquals("styles/ink.safetensors", loras.get(1).path("path").asText());
            assertFalse(answer.body().contains(folder.toString()), answer::body);
        }
        assertEquals("[]", server.get("/sdapi/v1/loras").body());
    }
}
