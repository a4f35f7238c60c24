// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static io.github.asg4j.server.TestServer.json;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.github.asg4j.Tiny;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Map;

import javax.imageio.ImageIO;

/** Units of the web UI's ControlNet extension, as its clients send them. */
class WebUiControlsTest {
    private static TestServer server;

    @BeforeAll
    static void open(@TempDir Path folder) {
        Path bundle = Tiny.withDenoiser(folder, "controls", denoiser -> {});
        server =
                new TestServer(
                        TestServer.options(),
                        Tiny.options(1)
                                .withModel(bundle)
                                .withControls(Tiny.resource("controls").resolve("networks")),
                        Map.of());
    }

    @AfterAll
    static void close() {
        server.close();
    }

    /** Dark to the left, bright to the right. */
    private static String picture(int width, int height) throws IOException {
        BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                image.setRGB(x, y, 0x010101 * (x < width / 2 ? 20 : 220));
            }
        }
        ByteArrayOutputStream png = new ByteArrayOutputStream();
        ImageIO.write(image, "png", png);
        return Base64.getEncoder().encodeToString(png.toByteArray());
    }

    private static ObjectNode request() {
        return TestServer.JSON
                .createObjectNode()
                .put("prompt", "a red ball")
                .put("steps", 4)
                .put("seed", 3)
                .put("width", 64)
                .put("height", 64);
    }

    private static ObjectNode unit(ObjectNode request) {
        return request.withObject("/alwayson_scripts/ControlNet")
                .withArray("args")
                .addObject()
                .put("model", "where [0123abcd]");
    }

    private static JsonNode draw(String path, ObjectNode request) {
        HttpResponse<String> response = server.post("/sdapi/v1/" + path, request.toString());
        assertEquals(200, response.statusCode(), response::body);
        return json(response);
    }

    private static String image(JsonNode answer) {
        return answer.path("images").get(0).asText();
    }

    private static String info(JsonNode answer) {
        return answer.path("info").asText();
    }

    @Test
    void aUnitIsAControlWithItsSettings() throws IOException {
        ObjectNode plain = request();
        unit(plain).put("enabled", false).put("module", "ip-adapter_clip_sd15");
        JsonNode without = draw("txt2img", plain);
        ObjectNode held = request();
        unit(held)
                .put("input_image", "data:image/png;base64," + picture(64, 64))
                .put("module", "canny")
                .put("weight", 0.5)
                .put("guidance_start", 0.25)
                .put("guidance_end", 1)
                .put("threshold_a", 50)
                .put("threshold_b", 150)
                .put("control_mode", "Balanced")
                .put("processor_res", 512)
                .put("pixel_perfect", true);
        JsonNode with = draw("txt2img", held);
        assertNotEquals(image(without), image(with));
        assertTrue(info(with).contains("Module: canny, Model: where ["), info(with));
        assertTrue(
                info(with)
                        .contains(
                                "Weight: 0.5, Threshold A: 50, Threshold B: 150, Guidance Start:"
                                        + " 0.25, Guidance End: 1"),
                info(with));
        assertTrue(with.path("parameters").path("alwayson_scripts").isNull());
        assertEquals(image(with), image(draw("txt2img", held)), "the same request again");
    }

    /** As there: two units at once, pictures of any aspect, and the start picture where none is sent. */
    @Test
    void picturesAreFittedAndTheStartPictureIsTheUsualOne() throws IOException {
        ObjectNode two = request();
        unit(two).withObject("/image").put("image", picture(96, 64));
        unit(two)
                .put("image", picture(64, 96))
                .put("resize_mode", 1)
                .put("module", "Tile_Resample");
        JsonNode drawn = draw("txt2img", two);
        assertTrue(info(drawn).contains("ControlNet 1"), info(drawn));
        ObjectNode from = request().put("denoising_strength", 0.9);
        from.putArray("init_images").add(picture(64, 64));
        unit(from).put("resize_mode", "Just Resize");
        JsonNode started = draw("img2img", from);
        assertTrue(info(started).contains("ControlNet 0"), info(started));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "model | \"None\" | name one of /controlnet/model_list",
                "model | \"pose\" | no control network",
                "module | \"openpose_full\" | there are none, canny, tile_resample",
                "control_mode | \"ControlNet is more important\" | there is",
                "control_mode | 2 | there is",
                "resize_mode | \"Sideways\" | Just Resize",
                "resize_mode | 3 | Just Resize",
                "mask | \"iVBO\" | not supported",
                "effective_region_mask | \"iVBO\" | not supported",
                "weight | 3 | between 0 and 2",
                "guidance_start | 1.5 | between 0 and 1",
                "image | \"http://localhost/a.png\" | fetches nothing",
                "image | null | has no",
            })
    void whatIsNotHereIsRefused(String key, String value, String message) throws IOException {
        ObjectNode request = request();
        ObjectNode unit = unit(request).put("image", picture(64, 64));
        unit.set(key, TestServer.JSON.readTree(value));
        HttpResponse<String> response = server.post("/sdapi/v1/txt2img", request.toString());
        assertEquals(400, response.statusCode(), response::body);
        assertTrue(response.body().contains(message), response::body);
    }

    @Test
    void otherScriptsAreNotFound() {
        ObjectNode request = request();
        request.withObject("/alwayson_scripts/Empty").putArray("args");
        draw("txt2img", request);
        request.withObject("/alwayson_scripts/ADetailer").putArray("args").add(true);
        HttpResponse<String> response = server.post("/sdapi/v1/txt2img", request.toString());
        assertEquals(422, response.statusCode(), response::body);
        assertTrue(response.body().contains("ADetailer not found"), response::body);
    }

    @Test
    void listsNameNetworksAndModules() {
        JsonNode models = json(server.get("/controlnet/model_list")).path("model_list");
        assertTrue(models.get(0).asText().matches("where \\[[0-9a-f]{8}]"), models::toString);
        JsonNode own = json(server.get("/asg/v1/capabilities")).path("controls");
        assertEquals("where", own.get(0).path("name").asText());
        assertTrue(
                models.get(0)
                        .asText()
                        .contains(own.get(0).path("sha256").asText().substring(0, 8)));
        assertEquals(
                "[\"none\",\"canny\",\"tile_resample\"]",
                json(server.get("/controlnet/module_list")).path("module_list").toString());
    }
}
