// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.Engine;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.ImageFit;
import io.github.asg4j.InpaintOptions;
import io.github.asg4j.InpaintOptions.Area;
import io.github.asg4j.InpaintOptions.Borders;
import io.github.asg4j.ReportJson;
import io.github.asg4j.RequestJson;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.PngParameters;
import io.github.asg4j.kernel.JavaKernels;
import io.github.asg4j.plan.Canvas;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;

import javax.imageio.ImageIO;

/** Inpainting of the part about a mask, which is drawn larger and put back. */
class MaskedAreaTest {
    private static final int WIDTH = 200;
    private static final int HEIGHT = 150;

    /** White in the masks: with a padding of 16 the part about it is 64 x 64, from 64, 40 on. */
    private static final int LEFT = 80;

    private static final int TOP = 56;
    private static final int SIDE = 32;

    private static final InpaintOptions PART =
            InpaintOptions.DEFAULT.withArea(Area.MASKED).withPadding(16);

    private static BufferedImage start() {
        BufferedImage image = new BufferedImage(WIDTH, HEIGHT, BufferedImage.TYPE_INT_RGB);
        Random random = new Random(5);
        for (int y = 0; y < HEIGHT; y++) {
            for (int x = 0; x < WIDTH; x++) {
                image.setRGB(x, y, new Color(x, y, random.nextInt(256)).getRGB());
            }
        }
        return image;
    }

    private static BufferedImage mask() {
        BufferedImage image = new BufferedImage(WIDTH, HEIGHT, BufferedImage.TYPE_INT_RGB);
        Graphics2D graphics = image.createGraphics();
        graphics.setColor(Color.WHITE);
        graphics.fillRect(LEFT, TOP, SIDE, SIDE);
        graphics.dispose();
        return image;
    }

    private static Content content(BufferedImage image) {
        ByteArrayOutputStream png = new ByteArrayOutputStream();
        try {
            ImageIO.write(image, "png", png);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return Content.bytes(png.toByteArray());
    }

    private static GenerationRequest.Builder request(String method, int size) {
        return Tiny.request()
                .method(method)
                .steps(8)
                .strength(0.8)
                .size(size, size)
                .image(content(start()))
                .inpaint(PART.withMask(content(mask())));
    }

    private static GeneratedImage draw(GenerationRequest.Builder request) {
        try (Engine engine = Engine.open(Tiny.options(2))) {
            return engine.submit(request.build()).join();
        }
    }

    private static int pixel(GeneratedImage image, int x, int y) {
        int at = 3 * (image.width() * y + x);
        var rgb = image.rgb();
        return (rgb.get(at) & 255) << 16 | (rgb.get(at + 1) & 255) << 8 | (rgb.get(at + 2) & 255);
    }

    /** Regions of diffusers 0.42.1, {@code VaeImageProcessor.get_crop_region}, which are whole pixels. */
    @ParameterizedTest
    @CsvSource({
        "200, 152, 40, 50, 72, 82, 64, 64, 16, 24, 34, 88, 98",
        "200, 152, 0, 0, 20, 10, 64, 64, 8, 0, 0, 28, 28",
        "200, 152, 150, 100, 200, 152, 128, 64, 32, 32, 68, 200, 152",
        "640, 480, 300, 200, 340, 290, 512, 512, 32, 243, 168, 397, 322",
        "640, 480, 10, 470, 30, 480, 256, 512, 100, 0, 220, 130, 480"
    })
    void partIsThatOfDiffusers(
            int width,
            int height,
            int left,
            int top,
            int right,
            int bottom,
            int drawnWidth,
            int drawnHeight,
            int padding,
            int x0,
            int y0,
            int x1,
            int y1) {
        MaskedArea area =
                area(
                        width,
                        height,
                        List.of(left, top, right, bottom),
                        drawnWidth,
                        drawnHeight,
                        padding);
        assertEquals(x0, area.x().first(), 1);
        assertEquals(y0, area.y().first(), 1);
        assertEquals(x1, area.x().first() + area.x().length(), 1);
        assertEquals(y1, area.y().first() + area.y().length(), 1);
        double enlarged = drawnWidth / area.x().length();
        assertEquals(enlarged, drawnHeight / area.y().length(), 1e-9);
        assertEquals(-area.x().first() * enlarged, area.margins().left(), 1e-9);
        assertEquals(
                drawnWidth - area.margins().left() - area.margins().right(),
                width * enlarged,
                1e-9);
    }

    /** Where the picture is too low for the aspect, the part reaches beyond it alike on both sides. */
    @Test
    void aPictureThatIsTooNarrowIsFilledUp() {
        MaskedArea area = area(300, 80, List.of(100, 10, 220, 70), 64, 64, 0);
        assertEquals(100, area.x().first());
        assertEquals(120, area.x().length());
        assertEquals(-20, area.y().first());
        assertEquals(120, area.y().length());
        assertEquals(20 * 64 / 120.0, area.margins().top(), 1e-9);
        assertEquals(area.margins().top(), area.margins().bottom(), 1e-9);
    }

    private static MaskedArea area(
            int width,
            int height,
            List<Integer> box,
            int drawnWidth,
            int drawnHeight,
            int padding) {
        Canvas canvas =
                Canvas.of(drawnWidth, drawnHeight, 8, 1, 4, 8, 8, GuideOptions.PatchAspect.AXIS);
        try (Memory memory = new Memory("test")) {
            MemorySegment share = memory.floats((long) width * height, "share");
            for (int y = box.get(1); y < box.get(3); y++) {
                for (int x = box.get(0); x < box.get(2); x++) {
                    share.setAtIndex(ValueLayout.JAVA_FLOAT, (long) y * width + x, 0.5f);
                }
            }
            return MaskedArea.about(share, height, width, padding, canvas, new JavaKernels());
        }
    }

    /** The picture keeps its size, which no VAE could make, and its bytes; what is white is drawn. */
    @ParameterizedTest
    @ValueSource(strings = {"asg", "multidiffusion", "cutdiffusion", "direct", "relay"})
    void whatIsNotMaskedKeepsItsBytes(String method) {
        GeneratedImage image = draw(request(method, 128));
        assertEquals(WIDTH, image.width());
        assertEquals(HEIGHT, image.height());
        BufferedImage start = start();
        int changed = 0;
        for (int y = 0; y < HEIGHT; y++) {
            for (int x = 0; x < WIDTH; x++) {
                int given = start.getRGB(x, y) & 0xFFFFFF;
                boolean white = x >= LEFT && x < LEFT + SIDE && y >= TOP && y < TOP + SIDE;
                if (white) {
                    changed += pixel(image, x, y) == given ? 0 : 1;
                } else {
                    assertEquals(given, pixel(image, x, y), x + ", " + y);
                }
            }
        }
        assertTrue(changed > SIDE * SIDE * 0.9, changed + " pixels changed");
    }

    /** A part of just the size that is drawn is drawn as a picture of its own, blur and all. */
    @ParameterizedTest
    @ValueSource(strings = {"asg", "multidiffusion"})
    void aPartOfTheSizeDrawnIsDrawnAsAPictureOfItsOwn(String method) {
        InpaintOptions soft = PART.withBlur(2).withPadding(11); // the blur reaches 5 pixels
        GeneratedImage part = draw(request(method, 64).inpaint(soft.withMask(content(mask()))));
        BufferedImage cut = start().getSubimage(LEFT - 16, TOP - 16, 64, 64);
        GeneratedImage own =
                draw(
                        request(method, 64)
                                .image(content(cut))
                                .inpaint(
                                        InpaintOptions.DEFAULT
                                                .withBlur(2)
                                                .withMask(
                                                        content(
                                                                mask().getSubimage(
                                                                                LEFT - 16, TOP - 16,
                                                                                64, 64)))));
        for (int y = 0; y < 64; y++) {
            for (int x = 0; x < 64; x++) {
                assertEquals(
                        pixel(own, x, y), pixel(part, LEFT - 16 + x, TOP - 16 + y), x + ", " + y);
            }
        }
    }

    /** At twice the size the part is another drawing, of the same place. */
    @Test
    void theSizeDrawnIsThatAskedFor() {
        GeneratedImage once = draw(request("direct", 64));
        GeneratedImage twice = draw(request("direct", 128));
        assertNotEquals(Tiny.hash(once), Tiny.hash(twice));
        var json = ReportJson.map(twice.report());
        assertEquals(WIDTH, json.get("width"));
        assertEquals(HEIGHT, json.get("height"));
        assertEquals(List.of(128, 128), json.get("drawn_size"));
        assertEquals("masked", json.get("inpaint_area"));
        assertEquals(16, json.get("inpaint_padding"));
        String text = PngParameters.text(twice.report());
        assertTrue(text.contains("Size: 128x128"), text);
        assertTrue(
                text.contains("Mask blur: 0, Inpaint area: Only masked, Masked area padding: 16"),
                text);
        GenerationRequest request = request("direct", 64).build();
        assertEquals(request, RequestJson.read(RequestJson.write(request)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"asg", "multidiffusion", "relay"})
    void bytesAreTheSameForAnyWorkers(String method) {
        TestEngines.assertSameBytesForAnyWorkers(request(method, 128).viewBatch(2).build());
    }

    @Test
    void whatHasNoMeaningIsRefused() {
        InpaintOptions mask = PART.withMask(content(mask()));
        refused("about a mask", request("asg", 128).inpaint(PART));
        refused(
                "--inpaint-area masked",
                request("asg", 128).inpaint(mask.withArea(Area.WHOLE)).imageFit(ImageFit.CROP));
        refused(
                "leave out one of them",
                request("asg", 128).inpaint(mask.withBorders(new Borders(8, 0, 0, 0))));
        refused("nothing to fit", request("asg", 128).imageFit(ImageFit.CROP));
        refused(
                "leaves nothing to draw",
                request("asg", 128)
                        .inpaint(
                                PART.withMask(
                                        content(
                                                new BufferedImage(
                                                        WIDTH,
                                                        HEIGHT,
                                                        BufferedImage.TYPE_INT_RGB)))));
        assertThrows(BadRequestException.class, () -> PART.withPadding(-1));
    }

    private static void refused(String part, GenerationRequest.Builder request) {
        BadRequestException e = assertThrows(BadRequestException.class, () -> draw(request));
        assertTrue(String.valueOf(e.getMessage()).contains(part), e.getMessage());
    }
}
