// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.langchain4j.data.image.Image;
import dev.langchain4j.exception.HttpException;
import dev.langchain4j.model.image.ImageModel;
import dev.langchain4j.model.openai.OpenAiImageModel;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import javax.imageio.ImageIO;

/** LangChain4j's client as its users have it. */
class LangChain4jTest {
    private static TestServer server;

    @BeforeAll
    static void open() {
        server =
                new TestServer(
                        TestServer.options()
                                .withQueue(0)
                                .withKeys(
                                        List.of(new ApiKey("ann", "secret-of-ann", Limits.NONE))));
    }

    @AfterAll
    static void close() {
        server.close();
    }

    private static ImageModel model(String key, String size) {
        return OpenAiImageModel.builder()
                .baseUrl(server.uri("/v1").toString())
                .apiKey(key)
                .modelName("tiny")
                .size(size)
                .timeout(Duration.ofMinutes(10))
                .maxRetries(0)
                .build();
    }

    @Test
    void draws() throws IOException {
        Image image = model("secret-of-ann", "128x128").generate("a red ball").content();
        byte[] png = Base64.getDecoder().decode(image.base64Data());
        assertEquals(128, ImageIO.read(new ByteArrayInputStream(png)).getWidth());
        assertEquals("image/png", image.mimeType());
    }

    @Test
    void understandsWhatIsWrong() {
        HttpException wrong = refused("secret-of-ann", "big");
        assertEquals(400, wrong.statusCode());
        assertTrue(wrong.getMessage().contains("'big' is no size"), wrong::getMessage);
        assertEquals(401, refused("secret-of-bob", "128x128").statusCode());
    }

    private static HttpException refused(String key, String size) {
        return assertThrows(HttpException.class, () -> model(key, size).generate("a blue ball"));
    }

    @Test
    void isToldToWaitByAFullQueue() throws Exception {
        server.hold();
        CompletableFuture<Image> first =
                CompletableFuture.supplyAsync(
                        () -> model("secret-of-ann", "128x128").generate("a red ball").content());
        TestServer.until(
                () ->
                        server.send(
                                        server.request("/metrics")
                                                .header("Authorization", "Bearer secret-of-ann"))
                                .body()
                                .contains("asg_drawing 1.0"));
        HttpException wait = refused("secret-of-ann", "128x128");
        assertEquals(429, wait.statusCode());
        assertTrue(wait.getMessage().contains("queue_full"), wait::getMessage);
        server.go();
        assertTrue(first.get(30, TimeUnit.SECONDS).base64Data().length() > 100);
    }
}
