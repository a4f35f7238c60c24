// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static io.github.asg4j.server.TestServer.json;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;

import io.github.asg4j.Content;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Tiny;
import io.github.asg4j.image.PictureEncoding;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;

import javax.imageio.ImageIO;

class OpenAiApiTest {
    private static final String BALL =
            "{\"prompt\":\"a red ball on grass\",\"size\":\"128x128\",\"steps\":8,\"seed\":7";

    private static TestServer server;

    @BeforeAll
    static void open() {
        server = new TestServer(TestServer.options());
    }

    @AfterAll
    static void close() {
        server.close();
    }

    private static HttpResponse<String> generate(String json) {
        return server.post("/v1/images/generations", json);
    }

    private static byte[] picture(JsonNode entry) {
        return Base64.getDecoder().decode(entry.path("b64_json").asText());
    }

    @Test
    void pictureHasTheBytesOfTheCommandLines(@TempDir Path folder) throws IOException {
        GenerationRequest request = Tiny.request().build();
        GeneratedImage image = server.engine.submit(request).join();
        Path file = folder.resolve("ball.png");
        image.writePng(file);

        JsonNode answer = json(generate(BALL + "}"));
        assertArrayEquals(Files.readAllBytes(file), picture(answer.path("data").get(0)));
        assertEquals("png", answer.path("output_format").asText());
        assertEquals("128x128", answer.path("size").asText());
        assertEquals(7, answer.path("data").get(0).path("seed").asInt());
        assertEquals(
                image.report().pixelsSha256(),
                answer.path("asg4j").path("reports").get(0).path("pixels_sha256").asText());
    }

    @Test
    void answerSaysWhatItsPictureTook() {
        HttpResponse<String> answer = generate(BALL + "}");
        String timing = answer.headers().firstValue("Server-Timing").orElseThrow();
        assertTrue(
                timing.matches("draw;dur=[0-9]+\\.[0-9]{2}, file;dur=[0-9]+\\.[0-9]{2}"), timing);
        JsonNode times = json(answer).path("asg4j").path("reports").get(0).path("times_ms");
        double draw = Double.parseDouble(timing.replaceAll("draw;dur=([0-9.]+).*", "$1"));
        assertEquals(times.path("total").asDouble(), draw, 0.2); // which is rounded
    }

    @Test
    void severalPicturesHaveTheSeedsThatFollow() {
        JsonNode several = json(generate(BALL + ",\"n\":2}")).path("data");
        assertEquals(2, several.size());
        assertEquals(8, several.get(1).path("seed").asInt());
        JsonNode second = json(generate(BALL.replace("\"seed\":7", "\"seed\":8") + "}"));
        assertArrayEquals(picture(second.path("data").get(0)), picture(several.get(1)));
    }

    @ParameterizedTest
    @CsvSource({"jpeg, 255", "webp, 82"})
    void lossyFormatsAreOfTheirQuality(String format, int first) throws IOException {
        String asked = BALL + ",\"output_format\":\"" + format + "\"";
        JsonNode answer = json(generate(asked + "}"));
        assertEquals(format, answer.path("output_format").asText());
        byte[] good = picture(answer.path("data").get(0));
        byte[] poor =
                picture(json(generate(asked + ",\"output_compression\":10}")).path("data").get(0));
        assertEquals(128, ImageIO.read(new ByteArrayInputStream(good)).getWidth());
        assertEquals((byte) first, good[0]);
        assertTrue(poor.length < good.length, poor.length + " and " + good.length + " bytes");
    }

    /** The server checks each picture's plan; the demo model draws none that is as large. */
    @Test
    void aPictureThatItsFormatCannotHoldIsRefused() {
        PictureEncoding webp = Output.of("WebP", 80);
        Output.check(webp, 16_383, 128);
        Refusal refusal = assertThrows(Refusal.class, () -> Output.check(webp, 16_384, 128));
        assertTrue(String.valueOf(refusal.getMessage()).contains("at most 16383"));
        assertEquals(List.of("png", "jpeg", "webp"), Output.formats());
    }

    @Test
    void addressOfAPictureLeadsToIt() {
        JsonNode answer = json(generate(BALL + ",\"response_format\":\"url\"}"));
        String url = answer.path("data").get(0).path("url").asText();
        HttpResponse<byte[]> picture =
                server.send(
                        java.net.http.HttpRequest.newBuilder(java.net.URI.create(url)),
                        HttpResponse.BodyHandlers.ofByteArray());
        assertEquals("image/png", picture.headers().firstValue("Content-Type").orElseThrow());
        assertArrayEquals(picture(json(generate(BALL + "}")).path("data").get(0)), picture.body());
    }

    @Test
    void streamHasPreviewsAndThePicture() {
        HttpResponse<String> response = generate(BALL + ",\"stream\":true,\"partial_images\":2}");
        assertEquals(
                "text/event-stream", response.headers().firstValue("Content-Type").orElseThrow());
        List<Event> events = Event.all(response.body());
        Event last = events.removeLast();
        // a picture that is drawn faster than previews are sent has fewer of them
        assertTrue(events.size() == 1 || events.size() == 2, response::body);
        for (int i = 0; i < events.size(); i++) {
            JsonNode partial = events.get(i).data();
            assertEquals("image_generation.partial_image", events.get(i).name());
            assertEquals(events.get(i).name(), partial.path("type").asText());
            assertEquals(i, partial.path("partial_image_index").asInt());
            assertEquals((byte) 0x89, picture(partial)[0]);
        }
        assertEquals("image_generation.completed", last.name());
        assertEquals(last.name(), last.data().path("type").asText());
        assertArrayEquals(
                picture(json(generate(BALL + "}")).path("data").get(0)), picture(last.data()));
    }

    @Test
    void optionsOfOursAreFurtherFields() {
        JsonNode report =
                json(generate(BALL + ",\"method\":\"multidiffusion\",\"window_stride\":4}"))
                        .path("asg4j")
                        .path("reports")
                        .get(0);
        assertEquals("multidiffusion", report.path("method").asText());
        assertEquals(4, report.path("window_stride").asInt());
    }

    @Test
    void nullsAndFieldsWithoutMeaningAreNoErrors() {
        JsonNode answer =
                json(
                        generate(
                                BALL
                                        + ",\"n\":null,\"quality\":\"high\",\"user\":\"ann\","
                                        + "\"model\":\"gpt-image-1-mini\",\"setps\":9,"
                                        + "\"negative_prompt\":null}"));
        assertEquals(1, answer.path("data").size(), answer::toString);
        assertEquals("[\"setps\"]", answer.path("asg4j").path("ignored_fields").toString());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '^',
            value = {
                "{\"prompt\":\" \"}|400|prompt|the prompt is empty",
                "{}|400|prompt|\"prompt\" is missing",
                "{\"prompt\":\"x\",\"size\":\"100x100\"}|400|null|100",
                "{\"prompt\":\"x\",\"size\":\"big\"}|400|size|'big' is no size",
                "{\"prompt\":\"x\",\"n\":11}|400|n|\"n\" is 11",
                "{\"prompt\":\"x\",\"steps\":0}|400|steps|1",
                "{\"prompt\":\"x\",\"steps\":2.5}|400|steps|2.5 is not",
                "{\"prompt\":\"x\",\"guide_weight\":1,\"method\":\"direct\"}|400|guide_weight|is an"
                        + " option of",
                "{\"prompt\":\"x\",\"model\":\"sdxl\"}|404|model|there is no model",
                "{\"prompt\":\"x\",\"output_format\":\"gif\"}|400|output_format|png, jpeg and webp",
                "{\"prompt\":\"x\",\"background\":\"transparent\"}|400|background|opaque",
                "{\"prompt\":\"x\",\"latents\":{\"file\":\"/etc/passwd\"}}|400|latents|not allowed",
                "{\"prompt\":\"x\",\"dump\":\"/tmp\"}|400|dump|not allowed",
                "{\"prompt\":\"x\",\"image\":{\"file\":\"/etc/passwd\"}}|400|image|no file of the"
                        + " server",
                "{\"prompt\":\"x\",\"image\":\"http://localhost/a.png\"}|400|image|fetches nothing",
                "{\"prompt\":\"x\",\"prompt\":\"y\"}|400|null|Duplicate",
                "{\"prompt\":\"x\",\"eta\":NaN}|400|null|NaN",
                "[1]|400|null|one JSON object",
                "{\"prompt\":\"x\"} {}|400|null|no JSON",
                "[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]|400|null|depth",
            })
    void mistakesAreNamed(String body, int status, String param, String said) {
        HttpResponse<String> response = generate(body);
        JsonNode error = json(response).path("error");
        assertEquals(status, response.statusCode(), response::body);
        assertEquals("invalid_request_error", error.path("type").asText());
        assertEquals(param, error.path("param").asText(), error::toString);
        assertFalse(error.path("code").asText().isEmpty());
        assertTrue(error.path("message").asText().contains(said), error::toString);
    }

    @Test
    void modelIsListed() {
        JsonNode models = json(server.get("/v1/models"));
        assertEquals("list", models.path("object").asText());
        String name = models.path("data").get(0).path("id").asText();
        assertEquals(server.engine.describe().model(), name);
        assertEquals(name, json(server.get("/v1/models/" + name)).path("id").asText());
        assertEquals(404, server.get("/v1/models/other").statusCode());
    }

    /** A form as openai-java sends it: texts have a type, the file has no name. */
    private static HttpResponse<String> edit(byte[] file, String fileField, String... fields) {
        return edit(file, fileField, null, fields);
    }

    private static HttpResponse<String> edit(
            byte[] file, String fileField, byte[] mask, String... fields) {
        java.io.ByteArrayOutputStream body = new java.io.ByteArrayOutputStream();
        for (int i = 0; i < fields.length; i += 2) {
            body.writeBytes(
                    ("--xyz\r\nContent-Disposition: form-data; name=\""
                                    + fields[i]
                                    + "\"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
                                    + fields[i + 1]
                                    + "\r\n")
                            .getBytes(java.nio.charset.StandardCharsets.UTF_8));
        }
        body.writeBytes(
                ("--xyz\r\nContent-Disposition: form-data; name=\""
                                + fileField
                                + "\"\r\nContent-Type: application/octet-stream\r\n\r\n")
                        .getBytes(java.nio.charset.StandardCharsets.UTF_8));
        body.writeBytes(file);
        if (mask != null) {
            body.writeBytes(
                    "\r\n--xyz\r\nContent-Disposition: form-data; name=\"mask\"\r\n\r\n"
                            .getBytes(java.nio.charset.StandardCharsets.UTF_8));
            body.writeBytes(mask);
        }
        body.writeBytes("\r\n--xyz--\r\n".getBytes(java.nio.charset.StandardCharsets.UTF_8));
        return server.send(
                java.net.http.HttpRequest.newBuilder(server.uri("/v1/images/edits"))
                        .header("Content-Type", "multipart/form-data; boundary=xyz")
                        .POST( // chunked, without a length
                                java.net.http.HttpRequest.BodyPublishers.ofInputStream(
                                        () -> new ByteArrayInputStream(body.toByteArray()))));
    }

    @Test
    void pictureIsDrawnFromTheOneThatIsSent(@TempDir Path folder) throws IOException {
        byte[] small =
                picture(json(generate(BALL.replace("128x128", "64x64") + "}")).path("data").get(0));
        for (String field : List.of("image", "image[]")) {
            HttpResponse<String> response =
                    edit(small, field, "prompt", "7", "size", "128x128", "steps", "2", "seed", "3");
            assertEquals(200, response.statusCode(), response::body);
            JsonNode report = json(response).path("asg4j").path("reports").get(0);
            assertEquals("asg", report.path("method").asText());
            assertEquals(2, report.path("steps").asInt());
            assertEquals(0.75, report.path("strength").asDouble());
        }
        HttpResponse<String> stream =
                edit(
                        small, "image", "prompt", "x", "size", "128x128", "steps", "2", "stream",
                        "true");
        assertEquals("image_edit.completed", Event.all(stream.body()).getLast().name());
        // what the command line draws from the same file
        Path file = folder.resolve("small.png");
        Files.write(file, small);
        GeneratedImage own =
                server.engine
                        .submit(
                                GenerationRequest.builder("7")
                                        .size(128, 128)
                                        .steps(2)
                                        .seed(3)
                                        .image(Content.file(file))
                                        .build())
                        .join();
        assertEquals(
                own.report().pixelsSha256(),
                json(edit(
                                small, "image", "prompt", "7", "size", "128x128", "steps", "2",
                                "seed", "3"))
                        .path("asg4j")
                        .path("reports")
                        .get(0)
                        .path("pixels_sha256")
                        .asText());
    }

    /** Transparent is drawn, opaque keeps its bytes, whatever the mask's colours are. */
    @Test
    void maskIsTransparentWhereItIsDrawn() throws IOException {
        byte[] ball = picture(json(generate(BALL + "}")).path("data").get(0));
        java.awt.image.BufferedImage mask =
                new java.awt.image.BufferedImage(
                        128, 128, java.awt.image.BufferedImage.TYPE_INT_ARGB);
        for (int y = 0; y < 128; y++) {
            for (int x = 0; x < 128; x++) {
                mask.setRGB(x, y, x < 64 ? 0x00FF0000 : 0xFFFFFFFF);
            }
        }
        java.io.ByteArrayOutputStream png = new java.io.ByteArrayOutputStream();
        javax.imageio.ImageIO.write(mask, "png", png);
        HttpResponse<String> response =
                edit(
                        ball,
                        "image",
                        png.toByteArray(),
                        "prompt",
                        "a cube",
                        "size",
                        "128x128",
                        "steps",
                        "2",
                        "seed",
                        "3",
                        "strength",
                        "1");
        assertEquals(200, response.statusCode(), response::body);
        java.awt.image.BufferedImage before =
                javax.imageio.ImageIO.read(new ByteArrayInputStream(ball));
        java.awt.image.BufferedImage after =
                javax.imageio.ImageIO.read(
                        new ByteArrayInputStream(picture(json(response).path("data").get(0))));
        int changed = 0;
        for (int y = 0; y < 128; y++) {
            for (int x = 0; x < 128; x++) {
                boolean same = before.getRGB(x, y) == after.getRGB(x, y);
                assertTrue(same || x < 64, x + ", " + y);
                changed += same ? 0 : 1;
            }
        }
        assertTrue(changed > 64 * 64, changed + " pixels were drawn");
        HttpResponse<String> opaque =
                edit(ball, "image", ball, "prompt", "a cube", "size", "128x128");
        assertEquals(400, opaque.statusCode());
        assertTrue(opaque.body().contains("no alpha channel"), opaque::body);
    }

    @Test
    void whatCannotBeEditedIsNamed() {
        byte[] none = new byte[10];
        assertEquals(400, edit(none, "mask", "prompt", "x").statusCode());
        assertTrue(edit(none, "picture", "prompt", "x").body().contains("0 pictures"));
        HttpResponse<String> broken = edit(none, "image", "prompt", "x", "size", "128x128");
        assertEquals(400, broken.statusCode(), broken::body);
        assertTrue(broken.body().contains("sha256:"), broken::body);
        assertEquals(415, server.post("/v1/images/edits", "{}").statusCode());
    }
}
