// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.device.Memory;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.CRC32;

import javax.imageio.ImageIO;

/** Start pictures of every kind that the reader takes, and all that it has to refuse. */
class StartPictureTest {
    private static final int WIDTH = 19;
    private static final int HEIGHT = 11;

    @TempDir private Path folder = Path.of("");

    /** A picture whose every pixel is another one, and grey where the type is. */
    private static BufferedImage picture(int type) {
        BufferedImage image = new BufferedImage(WIDTH, HEIGHT, type);
        for (int y = 0; y < HEIGHT; y++) {
            for (int x = 0; x < WIDTH; x++) {
                image.setRGB(x, y, 0xFF000000 | ((x * 13) << 16) | ((y * 20) << 8) | (255 - x * y));
            }
        }
        return image;
    }

    private Path file(BufferedImage image, String format) throws IOException {
        Path file = folder.resolve("picture." + format);
        assertTrue(ImageIO.write(image, format, file.toFile()));
        return file;
    }

    private static byte[] read(Path file) {
        try (Memory memory = new Memory("test")) {
            StartPicture picture = StartPicture.read(Content.file(file), memory);
            assertEquals(WIDTH, picture.width());
            assertEquals(HEIGHT, picture.height());
            return picture.rgb().toArray(ValueLayout.JAVA_BYTE);
        }
    }

    private static void refused(Path file, String... words) {
        try (Memory memory = new Memory("test")) {
            BadRequestException e =
                    assertThrows(
                            BadRequestException.class,
                            () -> StartPicture.read(Content.file(file), memory));
            String message = String.valueOf(e.getMessage());
            assertTrue(message.contains(file.toString()), message);
            for (String word : words) {
                assertTrue(message.contains(word), message);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(
            ints = {
                BufferedImage.TYPE_INT_RGB,
                BufferedImage.TYPE_3BYTE_BGR,
                BufferedImage.TYPE_INT_ARGB
            })
    void readsThePixelsOfAPng(int type) throws IOException {
        byte[] rgb = read(file(picture(type), "png"));
        for (int y = 0; y < HEIGHT; y++) {
            for (int x = 0; x < WIDTH; x++) {
                int at = 3 * (y * WIDTH + x);
                assertArrayEquals(
                        new byte[] {(byte) (x * 13), (byte) (y * 20), (byte) (255 - x * y)},
                        Arrays.copyOfRange(rgb, at, at + 3));
            }
        }
    }

    /** Java's own conversion takes grey for linear light: sample 64 would come out as 137. */
    @ParameterizedTest
    @ValueSource(ints = {BufferedImage.TYPE_BYTE_GRAY, BufferedImage.TYPE_USHORT_GRAY})
    void greyStaysAsItIs(int type) throws IOException {
        BufferedImage image = new BufferedImage(WIDTH, HEIGHT, type);
        int scale = type == BufferedImage.TYPE_BYTE_GRAY ? 1 : 257;
        for (int i = 0; i < WIDTH * HEIGHT; i++) {
            image.getRaster().setSample(i % WIDTH, i / WIDTH, 0, i * scale);
        }
        byte[] rgb = read(file(image, "png"));
        for (int i = 0; i < rgb.length; i++) {
            assertEquals(i / 3, rgb[i] & 255);
        }
    }

    @Test
    void readsAPalette() throws IOException {
        BufferedImage image = new BufferedImage(WIDTH, HEIGHT, BufferedImage.TYPE_BYTE_INDEXED);
        image.setRGB(3, 2, 0xFFFF0033);
        byte[] rgb = read(file(image, "png"));
        int at = 3 * (2 * WIDTH + 3);
        assertArrayEquals(new byte[] {(byte) 255, 0, 0x33}, Arrays.copyOfRange(rgb, at, at + 3));
    }

    @Test
    void readsAJpegUnderAnyName() throws IOException {
        BufferedImage image = new BufferedImage(WIDTH, HEIGHT, BufferedImage.TYPE_INT_RGB);
        image.createGraphics().fillRect(0, 0, WIDTH, HEIGHT); // white
        Path jpeg = file(image, "jpg");
        Path named = folder.resolve("picture.png");
        Files.move(jpeg, named);
        for (byte v : read(named)) {
            assertEquals(255, v & 255, 1);
        }
    }

    /** Half transparent red over white; nearly opaque is hardly another colour. */
    @ParameterizedTest
    @ValueSource(ints = {0, 128, 250, 254})
    void transparentPixelsAreOverWhite(int alpha) throws IOException {
        BufferedImage image = picture(BufferedImage.TYPE_INT_ARGB);
        image.setRGB(7, 5, alpha << 24 | 0xFF0000);
        byte[] rgb = read(file(image, "png"));
        int at = 3 * (5 * WIDTH + 7);
        assertEquals(255, rgb[at] & 255);
        assertEquals(255 - alpha, rgb[at + 1] & 255);
        assertEquals(255 - alpha, rgb[at + 2] & 255);
        assertEquals(13 * 8, rgb[at + 3] & 255, "its neighbour");
    }

    @ParameterizedTest
    @ValueSource(strings = {"gif", "bmp", "tiff"})
    void otherFormatsHaveTheSamePixels(String format) throws IOException {
        BufferedImage image = new BufferedImage(WIDTH, HEIGHT, BufferedImage.TYPE_INT_RGB);
        image.setRGB(3, 2, 0xFF0033);
        image.setRGB(4, 2, 0x00FF00);
        byte[] rgb = read(file(image, format));
        int at = 3 * (2 * WIDTH + 3);
        assertArrayEquals(
                new byte[] {(byte) 255, 0, 0x33, 0, (byte) 255, 0},
                Arrays.copyOfRange(rgb, at, at + 6));
    }

    /** The first page of several, of which the last may name one that was there before. */
    @ParameterizedTest
    @ValueSource(strings = {"none", "the first", "itself", "beyond the file"})
    void theFirstPageOfATiffIsRead(String afterTheLast) throws IOException {
        byte[] page = Files.readAllBytes(file(picture(BufferedImage.TYPE_INT_RGB), "tiff"));
        ByteBuffer tiff = ByteBuffer.allocate(page.length + 12).put(page);
        tiff.order(page[0] == 'I' ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
        int first = tiff.getInt(4);
        int next = first + 2 + 12 * Short.toUnsignedInt(tiff.getShort(first));
        assertEquals(0, tiff.getInt(next), "ImageIO writes one page");
        tiff.putInt(next, page.length);
        tiff.putInt(page.length + 2, page.length + 6); // pages without entries
        tiff.putInt(
                page.length + 8,
                switch (afterTheLast) {
                    case "none" -> 0;
                    case "the first" -> first;
                    case "itself" -> page.length + 6;
                    default -> 1_000_000;
                });
        assertEquals(3, Exif.pages(tiff.array()));
        Path file = folder.resolve("pages.tiff");
        Files.write(file, tiff.array());
        byte[] rgb = read(file);
        assertArrayEquals(new byte[] {13, 20, (byte) 254}, Arrays.copyOfRange(rgb, 3 * 20, 3 * 21));
        assertEquals(0, Exif.pages(new byte[3]));
    }

    @ParameterizedTest
    @CsvSource({
        "avif, an AVIF picture, 0000001c66747970617669660000000061766966",
        "heic, a HEIC picture, 000000186674797068656963",
        "jp2, a JPEG 2000 picture, 0000000c6a5020200d0a870a00000014",
        "psd, a Photoshop document, 384250530001",
        "svg, an SVG drawing, 3c73766720786d6c6e733d22",
        "pdf, a PDF document, 255044462d312e37",
        "txt, of no known format, 68656c6c6f2c20776f726c64"
    })
    void whatIsNotReadIsNamed(String ending, String name, String start) throws IOException {
        Path file = folder.resolve("a." + ending);
        Files.write(file, java.util.HexFormat.of().parseHex(start));
        refused(file, "is " + name, "PNG, JPEG, WebP, GIF, BMP or TIFF");
    }

    @Test
    void missingAndEmptyFilesAreRefused() throws IOException {
        refused(folder.resolve("none.png"), "there is no file");
        Path empty = Files.createFile(folder.resolve("empty.png"));
        refused(empty, "an empty file");
        refused(folder, "cannot read");
    }

    @ParameterizedTest
    @ValueSource(strings = {"png", "jpg"})
    void aFileThatIsCutOffIsRefused(String format) throws IOException {
        BufferedImage image = new BufferedImage(200, 150, BufferedImage.TYPE_INT_RGB);
        java.util.Random random = new java.util.Random(1);
        for (int i = 0; i < 200 * 150; i++) {
            image.setRGB(i % 200, i / 200, random.nextInt());
        }
        byte[] whole = Files.readAllBytes(file(image, format));
        for (int bytes : new int[] {9, 40, whole.length / 2, whole.length * 9 / 10}) {
            Path cut = folder.resolve("cut-" + bytes);
            Files.write(cut, Arrays.copyOf(whole, bytes));
            refused(cut);
        }
    }

    @Test
    void sizesBeyondTheLimitsAreRefusedBeforeDecoding() throws IOException {
        BufferedImage small = new BufferedImage(7, 300, BufferedImage.TYPE_INT_RGB);
        refused(file(small, "png"), "7x300", "8 to 16384");
        refused(header("wide.png", 16_385, 8), "16385x8");
        refused(header("many.png", 16_384, 16_384), "16384x16384", "64 Mi");
    }

    /** A PNG whose header promises a size that its data does not have. */
    private Path header(String name, int width, int height) throws IOException {
        byte[] chunk =
                ByteBuffer.allocate(17)
                        .put("IHDR".getBytes(java.nio.charset.StandardCharsets.US_ASCII))
                        .putInt(width)
                        .putInt(height)
                        .put(new byte[] {8, 2, 0, 0, 0})
                        .array();
        CRC32 crc = new CRC32();
        crc.update(chunk);
        ByteArrayOutputStream png = new ByteArrayOutputStream();
        png.write(new byte[] {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'});
        png.write(ByteBuffer.allocate(4).putInt(13).array());
        png.write(chunk);
        png.write(ByteBuffer.allocate(4).putInt((int) crc.getValue()).array());
        png.write(new byte[64]);
        return Files.write(folder.resolve(name), png.toByteArray());
    }

    @Test
    void planesAreScaledBytes() throws IOException {
        try (Memory memory = new Memory("test")) {
            StartPicture picture =
                    StartPicture.read(
                            Content.file(file(picture(BufferedImage.TYPE_INT_RGB), "png")), memory);
            float[] planes =
                    picture.planes(memory, (float) (1 / 127.5), -1).toArray(ValueLayout.JAVA_FLOAT);
            int area = WIDTH * HEIGHT;
            assertEquals(3 * area, planes.length);
            int at = 4 * WIDTH + 6;
            assertEquals(6 * 13 / 127.5 - 1, planes[at], 1e-6);
            assertEquals(4 * 20 / 127.5 - 1, planes[area + at], 1e-6);
            assertEquals((255 - 24) / 127.5 - 1, planes[2 * area + at], 1e-6);
        }
    }
}
