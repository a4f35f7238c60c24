// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.langchain4j;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.langchain4j.data.image.Image;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.exception.RateLimitException;
import dev.langchain4j.model.image.ImageModel;
import dev.langchain4j.model.output.Response;

import io.github.asg4j.CancelledException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;

import javax.imageio.ImageIO;

class AsgImageModelTest {
    private static Engine engine;

    @BeforeAll
    static void open() {
        engine =
                Engine.open(
                        EngineOptions.DEFAULT
                                .withDevices("cpu:1")
                                .withQueue(0, EngineOptions.WhenFull.REJECT));
    }

    @AfterAll
    static void close() {
        engine.close();
    }

    private static ImageModel model(UnaryOperator<GenerationRequest.Builder> settings) {
        return new AsgImageModel(
                () -> engine,
                request -> settings.apply(request.method("direct").size(128, 128).steps(3)));
    }

    private static byte[] file(Image image) {
        assertEquals("image/png", image.mimeType());
        return Base64.getDecoder().decode(image.base64Data());
    }

    @Test
    void drawsTheBytesOfTheEngine() {
        byte[] png =
                engine.draw(
                                GenerationRequest.builder("a red ball on grass")
                                        .method("direct")
                                        .size(128, 128)
                                        .steps(3)
                                        .seed(7)
                                        .build())
                        .png();
        Image image = model(request -> request.seed(7)).generate("a red ball on grass").content();
        assertEquals(
                Base64.getEncoder().encodeToString(png), image.base64Data(), "the same request");
    }

    @Test
    void severalPicturesHaveSeedsThatFollow() throws IOException {
        Response<List<Image>> response = model(request -> request.seed(7)).generate("a cube", 2);
        assertEquals(2, response.content().size());
        assertEquals(
                128,
                ImageIO.read(new ByteArrayInputStream(file(response.content().get(1)))).getWidth());
        List<?> reports = (List<?>) response.metadata().get("asg4j");
        assertEquals(
                List.of(7L, 8L),
                reports.stream()
                        .map(report -> ((Number) ((Map<?, ?>) report).get("seed")).longValue())
                        .toList());
        Image again = model(request -> request.seed(8)).generate("a cube").content();
        assertEquals(again.base64Data(), response.content().get(1).base64Data());
    }

    @Test
    void withoutASeedPicturesDiffer() {
        ImageModel model = model(UnaryOperator.identity());
        assertNotEquals(
                model.generate("a cube").content().base64Data(),
                model.generate("a cube").content().base64Data());
    }

    @Test
    void drawsFromAPictureAndInsideAMask() throws IOException {
        ImageModel model = model(request -> request.seed(1));
        Image start = model.generate("a blue cube").content();
        Image edited = model.edit(start, "a red ball").content();
        assertNotEquals(start.base64Data(), edited.base64Data());
        var mask =
                new java.awt.image.BufferedImage(
                        128, 128, java.awt.image.BufferedImage.TYPE_BYTE_GRAY);
        for (int y = 0; y < 128; y++) {
            for (int x = 64; x < 128; x++) {
                mask.setRGB(x, y, 0xffffff);
            }
        }
        ByteArrayOutputStream png = new ByteArrayOutputStream();
        ImageIO.write(mask, "png", png);
        Image white =
                Image.builder()
                        .base64Data(Base64.getEncoder().encodeToString(png.toByteArray()))
                        .build();
        Image painted = model.edit(start, white, "a red ball").content();
        var before = ImageIO.read(new ByteArrayInputStream(file(start)));
        var after = ImageIO.read(new ByteArrayInputStream(file(painted)));
        int changed = 0;
        for (int y = 0; y < 128; y++) {
            for (int x = 0; x < 128; x++) {
                boolean same = before.getRGB(x, y) == after.getRGB(x, y);
                assertTrue(same || x >= 64, "outside of the mask at " + x + ", " + y);
                changed += same ? 0 : 1;
            }
        }
        assertTrue(changed > 1000, changed + " pixels changed");
    }

    @Test
    void saysWhatIsWrong() {
        ImageModel model = model(request -> request.size(130, 130));
        InvalidRequestException size =
                assertThrows(InvalidRequestException.class, () -> model.generate("a cube"));
        assertTrue(size.getMessage().contains("130"), size::getMessage);
        assertThrows(InvalidRequestException.class, () -> model.generate(" "));
        assertThrows(InvalidRequestException.class, () -> model.generate("a cube", 0));
        Image address = Image.builder().url("http://localhost/a.png").build();
        assertThrows(InvalidRequestException.class, () -> model.edit(address, "a cube"));
    }

    @Test
    void fullQueueIsARateLimit() {
        Generation long_ =
                engine.submit(
                        GenerationRequest.builder("a cube").size(256, 256).steps(900).build());
        try {
            assertThrows(
                    RateLimitException.class,
                    () -> model(UnaryOperator.identity()).generate("a cube"));
        } finally {
            long_.cancel();
        }
        assertThrows(CancelledException.class, long_::join);
    }

    @Test
    void interruptEndsThePicture() throws Exception {
        CompletableFuture<Image> image = new CompletableFuture<>();
        Thread thread =
                Thread.ofVirtual()
                        .start(
                                () -> {
                                    try {
                                        image.complete(
                                                model(request -> request.steps(900))
                                                        .generate("a cube")
                                                        .content());
                                    } catch (Throwable e) {
                                        image.completeExceptionally(e);
                                    }
                                });
        while (engine.activity().running() == 0) {
            Thread.sleep(5);
        }
        thread.interrupt();
        ExecutionException failed =
                assertThrows(ExecutionException.class, () -> image.get(30, TimeUnit.SECONDS));
        assertEquals(LangChain4jException.class, failed.getCause().getClass());
        long end = System.nanoTime() + 30_000_000_000L;
        while (engine.activity().running() > 0) {
            assertTrue(System.nanoTime() < end, "the engine went on drawing");
            Thread.sleep(5);
        }
    }
}
