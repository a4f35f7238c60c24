// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.springai;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PictureReport;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.ai.image.ImageGeneration;
import org.springframework.ai.image.ImageMessage;
import org.springframework.ai.image.ImageModel;
import org.springframework.ai.image.ImageOptionsBuilder;
import org.springframework.ai.image.ImagePrompt;
import org.springframework.ai.image.ImageResponse;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.Base64;
import java.util.List;

import javax.imageio.ImageIO;

class AsgImageModelTest {
    private static Engine engine;
    private static ImageModel model;

    @BeforeAll
    static void open() {
        engine = Engine.open(EngineOptions.DEFAULT.withDevices("cpu:1"));
        model =
                new AsgImageModel(
                        () -> engine, request -> request.method("direct").size(128, 128).steps(3));
    }

    @AfterAll
    static void close() {
        engine.close();
    }

    private static PictureReport report(ImageGeneration generation) {
        return ((AsgImageMetadata) generation.getMetadata()).report();
    }

    @Test
    void codeForAnotherProviderDrawsHere() throws IOException {
        ImageResponse response =
                model.call(
                        new ImagePrompt(
                                "a red ball on grass",
                                ImageOptionsBuilder.builder()
                                        .model("gpt-image-1")
                                        .style("vivid")
                                        .responseFormat("b64_json")
                                        .n(2)
                                        .width(192)
                                        .height(128)
                                        .build()));
        assertEquals(2, response.getResults().size());
        byte[] png = Base64.getDecoder().decode(response.getResult().getOutput().getB64Json());
        assertEquals(192, ImageIO.read(new ByteArrayInputStream(png)).getWidth());
        assertEquals(
                report(response.getResults().get(0)).request().seed() + 1,
                report(response.getResults().get(1)).request().seed());
    }

    @Test
    void drawsTheBytesOfTheEngine() {
        ImageResponse response =
                model.call(
                        new ImagePrompt(
                                "a blue cube",
                                new AsgImageOptions(1, request -> request.seed(7).steps(2))));
        byte[] png =
                engine.draw(
                                GenerationRequest.builder("a blue cube")
                                        .method("direct")
                                        .size(128, 128)
                                        .steps(2)
                                        .seed(7)
                                        .build())
                        .png();
        assertEquals(
                Base64.getEncoder().encodeToString(png),
                response.getResult().getOutput().getB64Json());
        assertEquals(7, report(response.getResult()).request().seed());
    }

    @Test
    void negativeWeightIsTheNegativePrompt() {
        ImageResponse response =
                model.call(
                        new ImagePrompt(
                                List.of(
                                        new ImageMessage("a ball"),
                                        new ImageMessage("on grass", 1f),
                                        new ImageMessage("blue", -1f))));
        GenerationRequest drawn = report(response.getResult()).request();
        assertEquals("a ball, on grass", drawn.prompt());
        assertEquals("blue", drawn.negativePrompt());
        assertThrows(
                BadRequestException.class,
                () -> model.call(new ImagePrompt(List.of(new ImageMessage("a ball", 1.3f)))));
    }

    @Test
    void saysWhatIsWrong() {
        BadRequestException url =
                assertThrows(
                        BadRequestException.class,
                        () ->
                                model.call(
                                        new ImagePrompt(
                                                "a ball",
                                                ImageOptionsBuilder.builder()
                                                        .responseFormat("url")
                                                        .build())));
        assertTrue(url.getMessage().contains("b64_json"), url::getMessage);
        assertThrows(
                BadRequestException.class,
                () ->
                        model.call(
                                new ImagePrompt(
                                        "a ball",
                                        ImageOptionsBuilder.builder().width(128).build())));
        assertThrows(
                BadRequestException.class,
                () ->
                        model.call(
                                new ImagePrompt(
                                        "a ball", ImageOptionsBuilder.builder().n(0).build())));
    }
}
