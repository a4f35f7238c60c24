// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.clients;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.openai.errors.BadRequestException;
import com.openai.errors.RateLimitException;
import com.openai.errors.UnauthorizedException;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.ai.image.ImageModel;
import org.springframework.ai.image.ImagePrompt;
import org.springframework.ai.image.ImageResponse;
import org.springframework.ai.openai.OpenAiImageModel;
import org.springframework.ai.openai.OpenAiImageOptions;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.time.Duration;
import java.util.Base64;

import javax.imageio.ImageIO;

/** Spring AI's OpenAI model as its users have it; it neither streams nor edits. */
class SpringAiTest {
    private static OpenServer server;

    @BeforeAll
    static void open() {
        server = new OpenServer();
    }

    @AfterAll
    static void close() {
        server.close();
    }

    private static ImageModel model(String key, int width) {
        return OpenAiImageModel.builder()
                .options(
                        OpenAiImageOptions.builder()
                                .width(width)
                                .height(128)
                                .baseUrl(server.baseUrl())
                                .apiKey(key)
                                .model("demo")
                                .timeout(Duration.ofMinutes(10))
                                .maxRetries(0)
                                .build())
                .build();
    }

    @Test
    void draws() throws IOException {
        ImageResponse response =
                model(OpenServer.KEY, 192).call(new ImagePrompt("a red ball on grass"));
        byte[] png = Base64.getDecoder().decode(response.getResult().getOutput().getB64Json());
        assertEquals(192, ImageIO.read(new ByteArrayInputStream(png)).getWidth());
        assertArrayEquals(new byte[] {(byte) 0x89, 'P', 'N', 'G'}, java.util.Arrays.copyOf(png, 4));
    }

    @Test
    void understandsWhatIsWrong() {
        BadRequestException size =
                assertThrows(
                        BadRequestException.class,
                        () -> model(OpenServer.KEY, 130).call(new ImagePrompt("a ball")));
        assertTrue(String.valueOf(size.getMessage()).contains("130"), size::getMessage);
        assertThrows(
                UnauthorizedException.class,
                () -> model("secret-of-bob", 128).call(new ImagePrompt("a ball")));
    }

    @Test
    void isToldToWaitByAFullQueue() {
        server.whileBusy(
                () -> {
                    RateLimitException wait =
                            assertThrows(
                                    RateLimitException.class,
                                    () ->
                                            model(OpenServer.KEY, 128)
                                                    .call(new ImagePrompt("a ball")));
                    assertEquals("queue_full", wait.code().orElseThrow());
                });
    }
}
