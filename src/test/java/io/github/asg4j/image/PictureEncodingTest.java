// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.CancelledException;
import io.github.asg4j.OutputException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;

import javax.imageio.ImageIO;

/** Files of every format hold the picture, as exactly as they say, and its settings. */
class PictureEncodingTest {
    /** Neither side is a multiple of a block of either lossy format. */
    private static final int WIDTH = 61;

    private static final int HEIGHT = 47;
    private static final String SETTINGS =
            "a gr\u00fcner (ball:1.2) \ud83d\ude42\nSteps: 20, Seed: 7";

    @TempDir Path folder;

    /** Slow waves, which lossy formats are made for. */
    private static byte[] waves() {
        byte[] rgb = new byte[3 * WIDTH * HEIGHT];
        for (int i = 0; i < rgb.length; i++) {
            int x = i / 3 % WIDTH;
            int y = i / 3 / WIDTH;
            rgb[i] = (byte) Math.round(128 + 100 * Math.sin(0.07 * x + 0.05 * y + i % 3));
        }
        return rgb;
    }

    private static byte[] encoded(PictureEncoding encoding, String settings) {
        return encoding.encode(WIDTH, HEIGHT, MemorySegment.ofArray(waves()), settings);
    }

    private static byte[] decoded(byte[] file) throws IOException {
        BufferedImage image = ImageIO.read(new ByteArrayInputStream(file));
        assertEquals(WIDTH, image.getWidth());
        assertEquals(HEIGHT, image.getHeight());
        byte[] rgb = new byte[3 * WIDTH * HEIGHT];
        for (int i = 0; i < rgb.length; i++) {
            int argb = image.getRGB(i / 3 % WIDTH, i / 3 / WIDTH);
            rgb[i] = (byte) (argb >> (16 - 8 * (i % 3)));
        }
        return rgb;
    }

    /** Peak signal-to-noise ratio, dB. */
    private static double psnr(byte[] a, byte[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            double difference = (a[i] & 255) - (b[i] & 255);
            sum += difference * difference;
        }
        return 10 * Math.log10(255 * 255 * a.length / sum);
    }

    @ParameterizedTest
    @ValueSource(strings = {"PNG", "LOSSLESS_WEBP"})
    void losslessFormatsKeepEveryPixel(PictureEncoding.Format format) throws IOException {
        assertArrayEquals(waves(), decoded(encoded(PictureEncoding.of(format), SETTINGS)));
    }

    @ParameterizedTest
    @CsvSource({"JPEG, 95, 40", "JPEG, 50, 33", "WEBP, 95, 36", "WEBP, 50, 30"})
    void lossyFormatsComeNearByTheirQuality(PictureEncoding.Format format, int quality, int least)
            throws IOException {
        byte[] file = encoded(new PictureEncoding(format, quality), SETTINGS);
        double psnr = psnr(waves(), decoded(file));
        assertTrue(psnr > least, psnr + " dB");
        int worse = encoded(new PictureEncoding(format, quality / 4), SETTINGS).length;
        assertTrue(worse < file.length, worse + " bytes, " + file.length);
    }

    @ParameterizedTest
    @EnumSource(PictureEncoding.Format.class)
    void settingsComeBack(PictureEncoding.Format format) {
        for (String settings : new String[] {SETTINGS, SETTINGS + "!", "x"}) {
            byte[] file = encoded(PictureEncoding.of(format), settings);
            assertEquals(Map.of("parameters", settings), PictureTexts.of(file));
            // The same for pixels that are off the heap, and a second time.
            try (Arena arena = Arena.ofConfined()) {
                byte[] rgb = waves();
                MemorySegment pixels =
                        arena.allocate(rgb.length).copyFrom(MemorySegment.ofArray(rgb));
                assertArrayEquals(
                        file, PictureEncoding.of(format).encode(WIDTH, HEIGHT, pixels, settings));
            }
        }
        assertEquals(Map.of(), PictureTexts.of(encoded(PictureEncoding.of(format), "")));
    }

    /** RFC 9649: VP8X, the picture, EXIF; each chunk of an even number of bytes. */
    @ParameterizedTest
    @CsvSource({"WEBP, VP8 ", "LOSSLESS_WEBP, VP8L"})
    void webpIsWhatItsSpecificationSays(PictureEncoding.Format format, String picture)
            throws IOException {
        byte[] file = encoded(PictureEncoding.of(format), SETTINGS);
        ByteBuffer in = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
        assertEquals("RIFF", name(in));
        assertEquals(file.length - 8, in.getInt());
        assertEquals("WEBP", name(in));
        assertEquals("VP8X", name(in));
        assertEquals(10, in.getInt());
        assertEquals(8, in.getInt(), "EXIF and nothing else");
        assertEquals(WIDTH - 1, in.getShort());
        assertEquals(0, in.get());
        assertEquals(HEIGHT - 1, in.getShort());
        assertEquals(0, in.get());
        assertEquals(picture.strip(), name(in).strip());
        int coded = in.getInt();
        in.position(in.position() + coded + (coded & 1));
        assertEquals("EXIF", name(in));
        assertEquals(in.getInt(), in.remaining() & ~1);
        assertEquals("MM", new String(file, in.position(), 2, StandardCharsets.US_ASCII));
        assertFalse(new WebpFile(file).isAnimated());
        assertNull(new WebpFile(file).profile());

        byte[] plain = encoded(PictureEncoding.of(format), "");
        assertEquals(picture.strip(), new String(plain, 12, 4, StandardCharsets.US_ASCII).strip());
        assertArrayEquals(
                Arrays.copyOfRange(plain, 12, plain.length),
                Arrays.copyOfRange(file, 30, 30 + plain.length - 12),
                "the picture does not depend on its settings");
    }

    private static String name(ByteBuffer in) {
        byte[] name = new byte[4];
        in.get(name);
        return new String(name, StandardCharsets.US_ASCII);
    }

    @ParameterizedTest
    @CsvSource({"JPEG, 65500", "WEBP, 16383", "LOSSLESS_WEBP, 16383"})
    void longSidesAreRefused(PictureEncoding.Format format, int most) {
        PictureEncoding encoding = PictureEncoding.of(format);
        encoding.check(most, most);
        for (int[] size : new int[][] {{most + 1, 8}, {8, most + 1}}) {
            String message =
                    assertThrows(OutputException.class, () -> encoding.check(size[0], size[1]))
                            .getMessage();
            assertTrue(
                    message.contains(size[0] + "x" + size[1] + " pixels")
                            && message.contains("at most " + most + " a side: write it as png"),
                    message);
        }
    }

    @ParameterizedTest
    @EnumSource(PictureEncoding.Format.class)
    void cancelledWritingLeavesNothing(PictureEncoding.Format format) throws IOException {
        Path file = folder.resolve("a");
        PictureEncoding encoding = PictureEncoding.of(format);
        MemorySegment rgb = MemorySegment.ofArray(waves());
        assertThrows(
                CancelledException.class,
                () -> encoding.write(file, WIDTH, HEIGHT, rgb, SETTINGS, () -> true));
        try (var left = Files.list(folder)) {
            assertEquals(0, left.count());
        }
        encoding.write(file, WIDTH, HEIGHT, rgb, SETTINGS, () -> false);
        assertArrayEquals(encoded(encoding, SETTINGS), Files.readAllBytes(file));
    }

    @Test
    void encodingsAreNamed() {
        assertEquals("png", PictureEncoding.PNG.toString());
        assertEquals("webp, lossless", PictureEncoding.LOSSLESS_WEBP.toString());
        assertEquals(
                "jpeg, quality 90",
                new PictureEncoding(PictureEncoding.Format.JPEG, 90).toString());
        assertThrows(
                IllegalArgumentException.class,
                () -> new PictureEncoding(PictureEncoding.Format.WEBP, 101));
        assertEquals(
                PictureEncoding.PNG,
                new PictureEncoding(PictureEncoding.Format.PNG, 3),
                "no quality");
    }

    /** Tags 0x010F and 0x0110 with "workflow:{...}" and "prompt:{...}", as ComfyUI writes them. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void graphsOfComfyUiAreFound(boolean little) {
        String workflow = "workflow:{\"nodes\": []}";
        String prompt = "prompt:{\"3\": {\"class_type\": \"KSampler\"}}";
        ByteBuffer tiff =
                ByteBuffer.allocate(38 + workflow.length() + prompt.length() + 2)
                        .order(little ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
        short order = (short) (little ? 0x4949 : 0x4D4D);
        tiff.putShort(order).putShort((short) 42).putInt(8).putShort((short) 2);
        tiff.putShort((short) 0x010F).putShort((short) 2).putInt(workflow.length() + 1).putInt(38);
        tiff.putShort((short) 0x0110)
                .putShort((short) 2)
                .putInt(prompt.length() + 1)
                .putInt(38 + workflow.length() + 1);
        tiff.putInt(0);
        tiff.put(workflow.getBytes(StandardCharsets.US_ASCII)).put((byte) 0);
        tiff.put(prompt.getBytes(StandardCharsets.US_ASCII)).put((byte) 0);
        assertEquals(
                Map.of(
                        "workflow", "{\"nodes\": []}",
                        "prompt", "{\"3\": {\"class_type\": \"KSampler\"}}"),
                Exif.texts(tiff.array()));
        assertEquals(Map.of(), Exif.texts(Arrays.copyOf(tiff.array(), 40)));
        assertEquals(Map.of(), Exif.texts(new byte[3]));
    }
}
