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

import java.awt.color.ColorSpace;
import java.awt.color.ICC_Profile;
import java.awt.image.BufferedImage;
import java.awt.image.Raster;
import java.awt.image.WritableRaster;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.zip.CRC32;
import java.util.zip.DeflaterOutputStream;

import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriter;
import javax.imageio.stream.MemoryCacheImageOutputStream;

/**
 * What files say about their samples: orientation, colour space, inks, and damage that does no harm.
 * The picture is 16x8 and red, its left half green.
 */
class StartPictureMeaningTest {
    private static final int WIDTH = 16;
    private static final int HEIGHT = 8;
    private static final int[] GREEN = {20, 160, 90};
    private static final int[] RED = {200, 30, 40};

    @TempDir private Path folder = Path.of("");

    private static BufferedImage picture() {
        BufferedImage image = new BufferedImage(WIDTH, HEIGHT, BufferedImage.TYPE_INT_RGB);
        for (int i = 0; i < WIDTH * HEIGHT; i++) {
            int[] colour = i % WIDTH < WIDTH / 2 ? GREEN : RED;
            image.getRaster().setPixel(i % WIDTH, i / WIDTH, colour);
        }
        return image;
    }

    private static byte[] coded(String format) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        assertTrue(ImageIO.write(picture(), format, out));
        return out.toByteArray();
    }

    private record Pixels(int width, int height, byte[] rgb) {
        int[] at(int x, int y) {
            int[] pixel = new int[3];
            for (int c = 0; c < 3; c++) {
                pixel[c] = rgb[3 * (y * width + x) + c] & 255;
            }
            return pixel;
        }
    }

    private Pixels read(byte[] content) throws IOException {
        Path file = Files.write(folder.resolve("picture"), content);
        try (Memory memory = new Memory("test")) {
            StartPicture picture = StartPicture.read(Content.file(file), memory);
            return new Pixels(
                    picture.width(),
                    picture.height(),
                    picture.rgb().toArray(ValueLayout.JAVA_BYTE));
        }
    }

    private void refused(byte[] content, String words) throws IOException {
        BadRequestException e = assertThrows(BadRequestException.class, () -> read(content));
        assertTrue(String.valueOf(e.getMessage()).contains(words), e.getMessage());
    }

    private static void assertColour(int[] expected, int[] found, int tolerance) {
        for (int c = 0; c < 3; c++) {
            assertEquals(
                    expected[c],
                    found[c],
                    tolerance,
                    () -> Arrays.toString(expected) + " " + Arrays.toString(found));
        }
    }

    private static byte[] insert(byte[] into, int at, byte[]... what) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(into, 0, at);
        for (byte[] bytes : what) {
            out.writeBytes(bytes);
        }
        out.write(into, at, into.length - at);
        return out.toByteArray();
    }

    private static byte[] segment(int marker, byte[] content) {
        return ByteBuffer.allocate(content.length + 4)
                .put((byte) 0xFF)
                .put((byte) marker)
                .putShort((short) (content.length + 2))
                .put(content)
                .array();
    }

    private static byte[] chunk(String type, byte[] content) {
        byte[] name = type.getBytes(StandardCharsets.US_ASCII);
        CRC32 crc = new CRC32();
        crc.update(name);
        crc.update(content);
        return ByteBuffer.allocate(content.length + 12)
                .putInt(content.length)
                .put(name)
                .put(content)
                .putInt((int) crc.getValue())
                .array();
    }

    /** A PNG with chunks behind its header. */
    private static byte[] png(byte[]... chunks) throws IOException {
        return insert(coded("png"), 33, chunks);
    }

    private static byte[] jpeg(byte[]... segments) throws IOException {
        return insert(coded("jpg"), 2, segments);
    }

    private static byte[] ints(int... values) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.length);
        Arrays.stream(values).forEach(bytes::putInt);
        return bytes.array();
    }

    private static byte[] exif(int orientation, ByteOrder order) {
        return ByteBuffer.allocate(26)
                .order(order)
                .putShort((short) (order == ByteOrder.BIG_ENDIAN ? 0x4D4D : 0x4949))
                .putShort((short) 42)
                .putInt(8)
                .putShort((short) 1)
                .putShort((short) 0x0112)
                .putShort((short) 3)
                .putInt(1)
                .putShort((short) orientation)
                .putShort((short) 0)
                .putInt(0)
                .array();
    }

    private static byte[] withPrefix(byte[] exif) {
        return insert(exif, 0, "Exif\0\0".getBytes(StandardCharsets.US_ASCII));
    }

    /** The profile of sRGB with the primaries of red and green exchanged. */
    private static byte[] swapped() {
        byte[] icc = ICC_Profile.getInstance(ColorSpace.CS_sRGB).getData();
        ByteBuffer table = ByteBuffer.wrap(icc);
        for (int i = 0; i < table.getInt(128); i++) {
            int entry = 132 + 12 * i;
            if (table.getInt(entry) == 0x7258595A) {
                table.put(entry, (byte) 'g');
            } else if (table.getInt(entry) == 0x6758595A) {
                table.put(entry, (byte) 'r');
            }
        }
        return icc;
    }

    private static byte[] iccp(byte[] profile) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(new byte[] {'x', 0, 0});
        try (DeflaterOutputStream deflater = new DeflaterOutputStream(out)) {
            deflater.write(profile);
        }
        return chunk("iCCP", out.toByteArray());
    }

    private static byte[] app2(byte[] profile) {
        return segment(
                0xE2, insert(profile, 0, "ICC_PROFILE\0\1\1".getBytes(StandardCharsets.US_ASCII)));
    }

    /** Where the green half has to be, by the definition of the tag: row 0 and column 0. */
    @ParameterizedTest
    @CsvSource({
        "1, left",
        "2, right",
        "3, right",
        "4, left",
        "5, top",
        "6, top",
        "7, bottom",
        "8, bottom"
    })
    void picturesAreTurnedUpright(int orientation, String green) throws IOException {
        for (ByteOrder order : new ByteOrder[] {ByteOrder.BIG_ENDIAN, ByteOrder.LITTLE_ENDIAN}) {
            byte[] exif = exif(orientation, order);
            for (byte[] file :
                    new byte[][] {
                        png(chunk("eXIf", exif)), jpeg(segment(0xE1, withPrefix(exif)))
                    }) {
                Pixels pixels = read(file);
                boolean turned = orientation > 4;
                assertEquals(turned ? HEIGHT : WIDTH, pixels.width());
                assertEquals(turned ? WIDTH : HEIGHT, pixels.height());
                int right = pixels.width() - 1;
                int bottom = pixels.height() - 1;
                boolean first = green.equals("left") || green.equals("top");
                assertColour(first ? GREEN : RED, pixels.at(0, 0), 5);
                assertColour(first ? RED : GREEN, pixels.at(right, bottom), 5);
                boolean leftBottomAsFirst = green.equals("left") || green.equals("right");
                assertColour(first == leftBottomAsFirst ? GREEN : RED, pixels.at(0, bottom), 5);
            }
        }
    }

    /** All eight at once, each corner's pixel followed to where it belongs. */
    @ParameterizedTest
    @CsvSource({"1, 0", "2, 2", "3, 5", "4, 3", "5, 0", "6, 1", "7, 5", "8, 4"})
    void orientationsOfThreeByTwo(int value, int firstPixelAt) {
        Orientation orientation = Orientation.of(value, 3, 2);
        assertEquals(firstPixelAt, orientation.index(0, 0));
        assertArrayEquals(
                new long[] {0, 1, 2, 3, 4, 5},
                java.util.stream.IntStream.range(0, 6)
                        .mapToLong(i -> orientation.index(i % 3, i / 3))
                        .sorted()
                        .toArray());
    }

    @Test
    void brokenExifDataSaysNothing() throws IOException {
        byte[] whole = exif(6, ByteOrder.BIG_ENDIAN);
        for (int bytes = 0; bytes < 20; bytes++) {
            byte[] cut = Arrays.copyOf(whole, bytes);
            assertEquals(WIDTH, read(png(chunk("eXIf", cut))).width());
            assertEquals(WIDTH, read(jpeg(segment(0xE1, withPrefix(cut)))).width());
        }
        whole[4] = 0x7F; // the directory is beyond the end
        assertEquals(WIDTH, read(png(chunk("eXIf", whole))).width());
        assertEquals(WIDTH, read(png(chunk("eXIf", exif(9, ByteOrder.BIG_ENDIAN)))).width());
    }

    /** Green of these primaries is outside sRGB on the side of red; both formats agree. */
    @Test
    void profilesAreApplied() throws IOException {
        Pixels png = read(png(iccp(swapped())));
        Pixels jpeg = read(jpeg(app2(swapped())));
        assertColour(new int[] {160, 20, 90}, png.at(0, 0), 2);
        assertColour(new int[] {30, 200, 40}, png.at(WIDTH - 1, 0), 2);
        assertColour(png.at(0, 0), jpeg.at(0, 0), 5);
        assertColour(png.at(WIDTH - 1, 0), jpeg.at(WIDTH - 1, 0), 5);
    }

    @Test
    void theProfileOfSrgbChangesNothing() throws IOException {
        byte[] icc = ICC_Profile.getInstance(ColorSpace.CS_sRGB).getData();
        assertArrayEquals(read(png()).rgb(), read(png(iccp(icc))).rgb());
        assertArrayEquals(read(jpeg()).rgb(), read(jpeg(app2(icc))).rgb());
    }

    @Test
    void aDamagedProfileIsLeftAside() throws IOException {
        byte[] icc = Arrays.copyOf(swapped(), 200);
        assertArrayEquals(read(png()).rgb(), read(png(iccp(icc))).rgb());
        assertArrayEquals(read(png()).rgb(), read(png(chunk("iCCP", new byte[20]))).rgb());
        assertArrayEquals(read(jpeg()).rgb(), read(jpeg(app2(icc))).rgb());
    }

    /** Linear light: 20/255 encoded by sRGB's curve is 79, 160 is 208, 90 is 160. */
    @Test
    void gammaIsApplied() throws IOException {
        byte[] linear = chunk("gAMA", ints(100_000));
        assertColour(new int[] {79, 208, 160}, read(png(linear)).at(0, 0), 1);
        byte[] srgb = chunk("gAMA", ints(45_455));
        assertArrayEquals(read(png()).rgb(), read(png(srgb)).rgb());
        assertArrayEquals(read(png()).rgb(), read(png(chunk("gAMA", ints(0)))).rgb());
    }

    /** Display P3 (200, 30, 40) is beyond sRGB's red; of (20, 160, 90) the red is. */
    @Test
    void primariesAreApplied() throws IOException {
        byte[] codePoints = chunk("cICP", new byte[] {12, 13, 0, 1});
        byte[] chromaticities =
                chunk("cHRM", ints(31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000));
        for (byte[] space : new byte[][] {codePoints, chromaticities}) {
            Pixels pixels = read(png(space));
            assertColour(new int[] {0, 163, 82}, pixels.at(0, 0), 2);
            assertColour(new int[] {219, 0, 27}, pixels.at(WIDTH - 1, 0), 2);
        }
        byte[] nonsense = chunk("cHRM", new byte[32]);
        assertArrayEquals(read(png()).rgb(), read(png(nonsense)).rgb());
    }

    /** PQ's code for 203 cd/m2, white on paper, is 0.5807: about 148 of 255. */
    @Test
    void brightnessOfPqIsThatOfPaper() throws IOException {
        assertEquals(1, RgbSpace.ofCodePoints(9, 16).transfer().applyAsDouble(0.5807), 0.002, "PQ");
        assertEquals(1, RgbSpace.ofCodePoints(9, 18).transfer().applyAsDouble(0.75), 0.01, "HLG");
    }

    /** cICP before iCCP before sRGB before gAMA. */
    @Test
    void precedenceIsThatOfTheSpecification() throws IOException {
        byte[] srgbPoints = chunk("cICP", new byte[] {1, 13, 0, 1});
        byte[] unknownPoints = chunk("cICP", new byte[] {2, 2, 0, 1});
        byte[] profile = iccp(swapped());
        byte[] srgb = chunk("sRGB", new byte[] {0});
        byte[] linear = chunk("gAMA", ints(100_000));
        assertColour(GREEN, read(png(srgbPoints, profile, linear)).at(0, 0), 0);
        assertColour(new int[] {160, 20, 90}, read(png(unknownPoints, profile)).at(0, 0), 2);
        assertColour(new int[] {160, 20, 90}, read(png(linear, profile)).at(0, 0), 2);
        assertColour(GREEN, read(png(linear, srgb)).at(0, 0), 0);
    }

    private static byte[] fourComponents(int[] samples) throws IOException {
        WritableRaster raster =
                Raster.createInterleavedRaster(
                        java.awt.image.DataBuffer.TYPE_BYTE, WIDTH, HEIGHT, 4, null);
        for (int i = 0; i < WIDTH * HEIGHT; i++) {
            raster.setPixel(i % WIDTH, i / WIDTH, samples);
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ImageWriter writer = ImageIO.getImageWritersByFormatName("jpeg").next();
        try (MemoryCacheImageOutputStream stream = new MemoryCacheImageOutputStream(out)) {
            writer.setOutput(stream);
            writer.write(null, new IIOImage(raster, null, null), null);
        } finally {
            writer.dispose();
        }
        return out.toByteArray();
    }

    private static byte[] adobe(int transform) {
        return segment(
                0xEE, new byte[] {'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, (byte) transform});
    }

    /** Inks are stored inverted: samples 200, 60, 80 under black ink of 1/5 are 160, 48, 64. */
    @Test
    void inksBecomeLight() throws IOException {
        byte[] cmyk = fourComponents(new int[] {200, 60, 80, 204});
        assertColour(new int[] {160, 48, 64}, read(insert(cmyk, 2, adobe(0))).at(3, 3), 2);
        assertColour(new int[] {160, 48, 64}, read(cmyk).at(3, 3), 2);
    }

    /** Y 104, Cb 114, Cr 196 are (199, 60, 79). */
    @Test
    void inksAsLumaAndChromaBecomeLight() throws IOException {
        byte[] ycck = fourComponents(new int[] {104, 114, 196, 204});
        assertColour(new int[] {159, 48, 63}, read(insert(ycck, 2, adobe(2))).at(3, 3), 3);
    }

    @Test
    void needlessBytesDoNoHarm() throws IOException {
        byte[] plain = coded("jpg");
        byte[] expected = read(plain).rgb();
        byte[] junk = {0, 1, 2, 3, 4};
        assertArrayEquals(expected, read(insert(plain, 20, junk)).rgb(), "between segments");
        assertArrayEquals(expected, read(insert(plain, plain.length - 2, junk)).rgb(), "in front");
        assertArrayEquals(expected, read(insert(plain, plain.length, junk)).rgb(), "behind");
        byte[] noEnd = Arrays.copyOf(plain, plain.length - 2);
        assertArrayEquals(expected, read(noEnd).rgb(), "no end marker");
        byte[] png = coded("png");
        assertArrayEquals(read(png).rgb(), read(Arrays.copyOf(png, png.length - 12)).rgb());
    }

    @Test
    void damageIsRefused() throws IOException {
        byte[] jpeg = coded("jpg");
        for (int missing = 8; missing < jpeg.length - 2; missing += 7) {
            int bytes = jpeg.length - missing;
            assertThrows(BadRequestException.class, () -> read(Arrays.copyOf(jpeg, bytes)));
        }
        byte[] png = coded("png");
        png[png.length - 20] ^= 1;
        refused(png, "check sum");
    }

    /** The transparent colour of a PNG without alpha, which ImageIO would overlook. */
    @Test
    void aTransparentColourIsWhite() throws IOException {
        Pixels pixels = read(png(chunk("tRNS", new byte[] {0, 20, 0, (byte) 160, 0, 90})));
        assertColour(new int[] {255, 255, 255}, pixels.at(0, 0), 0);
        assertColour(RED, pixels.at(WIDTH - 1, 0), 0);
    }

    /** 19x11, the left 9 columns green; lossless and turned by 180 degrees, and lossy. */
    @Test
    void readsWebp() throws IOException {
        Pixels turned = read(Base64.getDecoder().decode(LOSSLESS_WEBP));
        assertEquals(19, turned.width());
        assertColour(RED, turned.at(0, 0), 0);
        assertColour(GREEN, turned.at(18, 10), 0);
        Pixels lossy = read(Base64.getDecoder().decode(LOSSY_WEBP));
        assertColour(GREEN, lossy.at(2, 5), 12);
        assertColour(RED, lossy.at(16, 5), 12);
    }

    @Test
    void aPictureBeyondTheHeapIsRefusedByItsHeader() throws IOException {
        byte[] rgba16 = Arrays.copyOf(ints(8192, 8192), 13);
        rgba16[8] = 16;
        rgba16[9] = 6;
        PngFile png = new PngFile(insert(png(), 8, chunk("IHDR", rgba16)));
        assertEquals(8192, png.width());
        assertThrows(
                IllegalStateException.class,
                () ->
                        new PictureDecoder(
                                        insert(png(), 8, chunk("IHDR", rgba16)),
                                        (width, height, bytes) -> {
                                            if (bytes == 1) {
                                                return; // before the depth is known
                                            }
                                            assertEquals(8, bytes);
                                            throw new IllegalStateException("before decoding");
                                        })
                                .decode(PictureFormat.PNG));
    }

    @Test
    void theFirstFrameOfAGifIsPlacedOnItsScreen() throws IOException {
        byte[] gif = coded("gif");
        ByteBuffer screen = ByteBuffer.wrap(gif).order(ByteOrder.LITTLE_ENDIAN);
        int frame = 13 + (3 << ((gif[10] & 7) + 1));
        while (gif[frame] != 0x2C) {
            frame += 2;
            while (gif[frame] != 0) {
                frame += 1 + (gif[frame] & 255);
            }
            frame++;
        }
        screen.putShort(6, (short) 20).putShort(8, (short) 12).putShort(frame + 1, (short) 4);
        Pixels pixels = read(gif);
        assertEquals(20, pixels.width());
        assertEquals(12, pixels.height());
        assertColour(new int[] {255, 255, 255}, pixels.at(3, 0), 0);
        assertColour(GREEN, pixels.at(4, 0), 0);
        assertColour(RED, pixels.at(19, 7), 0);
        assertColour(new int[] {255, 255, 255}, pixels.at(19, 8), 0);
    }

    private static final String LOSSLESS_WEBP =
            "UklGRl4AAABXRUJQVlA4WAoAAAAIAAAAEgAACgAAVlA4TB0AAAAvEoACAA9wD8EzIR9FZv5DC0ICgv+jZQ8i+h/JBQBFWElGGgAAAE1NACoAAAAIAAEBEgADAAAAAQADAAAAAAAA";
    private static final String LOSSY_WEBP =
            "UklGRmIAAABXRUJQVlA4IFYAAAAwAwCdASoTAAsAPjEUiEKiISEYBAAgAwSgB2AADCQb85gAAP7Y7fTtdO0CH/+IubUVPfbwEnB8///Bnf/BA/8I6v2j/ub//Bnf+CB/4R1ftH/cAAAAAA==";
}
