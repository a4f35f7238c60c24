// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.clients;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.JsonValue;
import com.openai.errors.BadRequestException;
import com.openai.errors.NotFoundException;
import com.openai.errors.RateLimitException;
import com.openai.errors.UnauthorizedException;
import com.openai.models.images.ImageEditParams;
import com.openai.models.images.ImageEditStreamEvent;
import com.openai.models.images.ImageGenStreamEvent;
import com.openai.models.images.ImageGenerateParams;
import com.openai.models.images.ImagesResponse;

import io.github.asg4j.GenerationRequest;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.util.Base64;
import java.util.List;

/** openai-java as its users have it, with the examples of docs/service.md. */
class OpenAiJavaTest {
    private static OpenServer server;
    private static OpenAIClient client;

    @BeforeAll
    static void open() {
        server = new OpenServer();
        client = client(OpenServer.KEY);
    }

    @AfterAll
    static void close() {
        client.close();
        server.close();
    }

    private static OpenAIClient client(String key) {
        return OpenAIOkHttpClient.builder()
                .baseUrl(server.baseUrl())
                .apiKey(key)
                .maxRetries(0)
                .build();
    }

    private static ImageGenerateParams.Builder ball() {
        return ImageGenerateParams.builder()
                .prompt("a red ball on grass")
                .model("demo")
                .size("128x128")
                .putAdditionalBodyProperty("seed", JsonValue.from(7))
                .putAdditionalBodyProperty("method", JsonValue.from("direct"))
                .putAdditionalBodyProperty("steps", JsonValue.from(4));
    }

    private static byte[] drawn() {
        return server.drawn(
                GenerationRequest.builder("a red ball on grass")
                        .method("direct")
                        .size(128, 128)
                        .steps(4)
                        .seed(7));
    }

    @Test
    void drawsWithOurOptionsAsFurtherFields() {
        ImagesResponse response = client.images().generate(ball().n(2).build());
        assertEquals(2, response.data().orElseThrow().size());
        assertArrayEquals(
                drawn(),
                Base64.getDecoder()
                        .decode(response.data().orElseThrow().getFirst().b64Json().orElseThrow()));
        assertEquals(
                8,
                response.data()
                        .orElseThrow()
                        .get(1)
                        ._additionalProperties()
                        .get("seed")
                        .convert(Integer.class));
        assertTrue(response._additionalProperties().containsKey("asg4j"));
    }

    @Test
    void streamsPicturesOnTheWay() {
        List<ImageGenStreamEvent> events;
        try (var stream = client.images().generateStreaming(ball().partialImages(2).build())) {
            events = stream.stream().toList();
        }
        assertTrue(events.size() > 1, events::toString);
        assertTrue(
                events.stream()
                        .limit(events.size() - 1)
                        .allMatch(ImageGenStreamEvent::isGenerationPartialImage));
        assertArrayEquals(
                drawn(),
                Base64.getDecoder().decode(events.getLast().asGenerationCompleted().b64Json()));
    }

    /** Each can be sent once: the client reads its picture as a stream. */
    private static ImageEditParams edit() {
        return ImageEditParams.builder()
                .image(drawn())
                .prompt("a blue ball on grass")
                .size("128x128")
                .putAdditionalBodyProperty("method", JsonValue.from("direct"))
                .putAdditionalBodyProperty("steps", JsonValue.from(4))
                .putAdditionalBodyProperty("seed", JsonValue.from(7))
                .build();
    }

    @Test
    void editsAPictureAndStreamsIt() {
        String edited =
                client.images()
                        .edit(edit())
                        .data()
                        .orElseThrow()
                        .getFirst()
                        .b64Json()
                        .orElseThrow();
        try (var stream = client.images().editStreaming(edit())) {
            List<ImageEditStreamEvent> events = stream.stream().toList();
            assertEquals(edited, events.getLast().asCompleted().b64Json());
        }
    }

    @Test
    void understandsWhatIsWrong() {
        BadRequestException size =
                assertThrows(
                        BadRequestException.class,
                        () -> client.images().generate(ball().size("130x130").build()));
        assertEquals("invalid_request_error", size.type().orElseThrow());
        assertTrue(String.valueOf(size.getMessage()).contains("130"), size::getMessage);
        assertThrows(
                NotFoundException.class,
                () -> client.images().generate(ball().model("sdxl").build()));
        OpenAIClient stranger = client("secret-of-bob");
        assertThrows(UnauthorizedException.class, () -> stranger.images().generate(ball().build()));
        stranger.close();
    }

    @Test
    void isToldToWaitByAFullQueue() {
        server.whileBusy(
                () -> {
                    RateLimitException wait =
                            assertThrows(
                                    RateLimitException.class,
                                    () -> client.images().generate(ball().build()));
                    assertEquals("queue_full", wait.code().orElseThrow());
                    assertTrue(
                            Integer.parseInt(wait.headers().values("Retry-After").getFirst()) > 0);
                });
    }

    @Test
    void listsTheModel() {
        assertEquals("demo", client.models().list().data().getFirst().id());
        assertEquals("demo", client.models().retrieve("demo").id());
    }
}
