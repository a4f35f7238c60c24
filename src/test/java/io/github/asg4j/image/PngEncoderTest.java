// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.CancelledException;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.OutputException;
import io.github.asg4j.PictureReport;
import io.github.asg4j.Reports;
import io.github.asg4j.Size;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.metadata.IIOMetadata;
import javax.imageio.stream.ImageInputStream;

/**
 * A picture file appears complete or not at all, holds exactly the pixels and the text, and is
 * written without the memory of a second picture.
 */
class PngEncoderTest {
    private static final int WIDTH = 67;
    private static final int HEIGHT = 41;

    @TempDir Path folder;

    private static byte[] noise(int bytes) {
        byte[] pixels = new byte[bytes];
        new Random(7).nextBytes(pixels);
        return pixels;
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.toList();
        }
    }

    private static IIOImage read(Path file) throws IOException {
        ImageReader reader = ImageIO.getImageReadersByFormatName("png").next();
        try (ImageInputStream in = ImageIO.createImageInputStream(file.toFile())) {
            reader.setInput(in);
            return reader.readAll(0, null);
        } finally {
            reader.dispose();
        }
    }

    private static String text(Path file, String chunk, String attribute) throws IOException {
        IIOMetadata metadata = read(file).getMetadata();
        Element tree = (Element) metadata.getAsTree(metadata.getNativeMetadataFormatName());
        NodeList entries = tree.getElementsByTagName(chunk + "Entry");
        assertEquals(1, entries.getLength(), chunk);
        Element entry = (Element) entries.item(0);
        assertEquals("parameters", entry.getAttribute("keyword"));
        return entry.getAttribute(attribute);
    }

    @Test
    void pixelsFromOffHeapMemoryComeBack() throws IOException {
        byte[] pixels = noise(WIDTH * HEIGHT * 3);
        Path file = folder.resolve("a.png");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment rgb = arena.allocateFrom(ValueLayout.JAVA_BYTE, pixels);
            PictureEncoding.PNG.write(file, WIDTH, HEIGHT, rgb, "", () -> false);
        }
        BufferedImage image = ImageIO.read(file.toFile());
        assertEquals(WIDTH, image.getWidth());
        assertEquals(HEIGHT, image.getHeight());
        byte[] found = new byte[pixels.length];
        for (int i = 0; i < WIDTH * HEIGHT; i++) {
            int argb = image.getRGB(i % WIDTH, i / WIDTH);
            assertEquals(0xff, argb >>> 24, "opaque");
            found[3 * i] = (byte) (argb >> 16);
            found[3 * i + 1] = (byte) (argb >> 8);
            found[3 * i + 2] = (byte) argb;
        }
        assertArrayEquals(pixels, found);
        assertEquals(List.of(file), files());
    }

    @Test
    void samePictureSameBytes() throws IOException {
        byte[] pixels = noise(WIDTH * HEIGHT * 3);
        PictureReport report =
                Reports.picture(
                        GenerationRequest.builder("a ball").build(), new Size(WIDTH, HEIGHT));
        GeneratedImage image = new GeneratedImage(WIDTH, HEIGHT, ByteBuffer.wrap(pixels), report);
        Path first = folder.resolve("1.png");
        Path second = folder.resolve("2.png");
        PictureEncoding.PNG.write(
                first,
                WIDTH,
                HEIGHT,
                MemorySegment.ofBuffer(image.rgb()),
                "some text",
                () -> false);
        PictureEncoding.PNG.write(
                second, WIDTH, HEIGHT, MemorySegment.ofArray(pixels), "some text", () -> false);
        assertEquals(-1, Files.mismatch(first, second));
        assertArrayEquals(
                Files.readAllBytes(first),
                PictureEncoding.PNG.encode(
                        WIDTH, HEIGHT, MemorySegment.ofArray(pixels), "some text"));
        image.writePng(first);
        assertArrayEquals(Files.readAllBytes(first), image.png());
        assertArrayEquals(
                PictureEncoding.PNG.encode(
                        WIDTH, HEIGHT, MemorySegment.ofArray(pixels), PngParameters.text(report)),
                image.png());
    }

    /** Strips of both kinds of compression, more than are in memory at once, the last one lower. */
    @Test
    void stripsComeBackWhateverTheirNumberAtOnce() throws IOException {
        int width = 1201;
        int height = 709;
        byte[] pixels = noise(width * height * 3);
        for (int i = 0; i < pixels.length; i++) {
            int grain = i < pixels.length / 2 ? (pixels[i] & 15) : i / 100_000;
            pixels[i] = (byte) (i / 3 % width / 5 + grain);
        }
        MemorySegment rgb = MemorySegment.ofArray(pixels);
        byte[] file = PictureEncoding.PNG.encode(width, height, rgb, "");
        BufferedImage image = ImageIO.read(new ByteArrayInputStream(file));
        for (int i = 0; i < width * height; i++) {
            int red = pixels[3 * i] & 0xff;
            int green = pixels[3 * i + 1] & 0xff;
            int blue = pixels[3 * i + 2] & 0xff;
            int pixel = (red << 16) | (green << 8) | blue;
            assertEquals(pixel, image.getRGB(i % width, i / width) & 0xffffff);
        }
        for (int strips : new int[] {1, 2, 3, 20}) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            new PngEncoder(new RowImage(width, height, rgb, () -> false), strips).write("", out);
            assertArrayEquals(file, out.toByteArray());
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"a ball\nNegative prompt: b\nSteps: 50, Seed: 7", "plain", "Grün, café"})
    void latinTextIsTextChunk(String parameters) throws IOException {
        Path file = folder.resolve("a.png");
        PictureEncoding.PNG.write(
                file, 1, 1, MemorySegment.ofArray(new byte[3]), parameters, () -> false);
        assertEquals(parameters, text(file, "tEXt", "value"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"红球 on grass", "a ball \uD83C\uDFC0\nSteps: 50", "“quoted”"})
    void otherTextIsInternationalTextChunk(String parameters) throws IOException {
        Path file = folder.resolve("a.png");
        PictureEncoding.PNG.write(
                file, 1, 1, MemorySegment.ofArray(new byte[3]), parameters, () -> false);
        assertEquals(parameters, text(file, "iTXt", "text"));
    }

    @Test
    void controlCharactersDoNotBreakTheChunk() throws IOException {
        Path file = folder.resolve("a.png");
        String parameters = "a\0b\tc\r\nd\u007fe";
        PictureEncoding.PNG.write(
                file, 1, 1, MemorySegment.ofArray(new byte[3]), parameters, () -> false);
        assertEquals("a b c\nd e", text(file, "tEXt", "value"));
    }

    /** Fails like a disk that has space for so many bytes. */
    private static OutputStream fullAfter(OutputStream out, int bytes) {
        return new FilterOutputStream(out) {
            private int left = bytes;

            @Override
            public void write(byte[] b, int offset, int length) throws IOException {
                left -= length;
                if (left < 0) {
                    throw new IOException("No space left on device");
                }
                out.write(b, offset, length);
            }
        };
    }

    @Test
    void fullDiskLeavesNoFileAndKeepsTheOldOne() throws IOException {
        Path file = folder.resolve("a.png");
        Files.writeString(file, "old");
        int rows = 8000;
        AtomicInteger rowsRead = new AtomicInteger();
        OutputException e =
                assertThrows(
                        OutputException.class,
                        () ->
                                PictureEncoding.PNG.write(
                                        file,
                                        1000,
                                        rows,
                                        MemorySegment.ofArray(noise(1000 * rows * 3)),
                                        "",
                                        () -> {
                                            rowsRead.incrementAndGet();
                                            return false;
                                        },
                                        temporary ->
                                                fullAfter(OutputFile.open(temporary), 70_000)));
        assertTrue(e.getMessage().contains("disk is full"), e.getMessage());
        assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
        assertEquals(List.of(file), files());
        assertEquals("old", Files.readString(file));
        // Strips go to disk as they are compressed: the picture is not gathered first.
        assertTrue(rowsRead.get() < rows / 2, rowsRead + " rows read before the disk was full");
    }

    @Test
    void cancelledInTheMiddleLeavesNoFile() throws IOException {
        AtomicInteger rows = new AtomicInteger();
        assertThrows(
                CancelledException.class,
                () ->
                        PictureEncoding.PNG.write(
                                folder.resolve("a.png"),
                                WIDTH,
                                HEIGHT,
                                MemorySegment.ofArray(noise(WIDTH * HEIGHT * 3)),
                                "",
                                () -> rows.incrementAndGet() == HEIGHT / 2));
        assertEquals(HEIGHT / 2, rows.get());
        assertEquals(List.of(), files());
    }

    @Test
    void folderRemovedMeanwhileIsSaid() {
        OutputException e =
                assertThrows(
                        OutputException.class,
                        () ->
                                PictureEncoding.PNG.write(
                                        folder.resolve("gone/a.png"),
                                        1,
                                        1,
                                        MemorySegment.ofArray(new byte[3]),
                                        "",
                                        () -> false));
        assertTrue(e.getMessage().contains("folder is gone"), e.getMessage());
    }

    private String refusal(Path file) {
        OutputException e =
                assertThrows(OutputException.class, () -> PictureEncoding.PNG.check(file, 16, 16));
        return e.getMessage();
    }

    @Test
    void checkFindsWhatWouldFail() throws IOException {
        Path plain = Files.writeString(folder.resolve("plain"), "x");
        assertTrue(refusal(folder.resolve("no/a.png")).contains("does not exist"));
        assertTrue(refusal(plain.resolve("a.png")).contains("not a folder"));
        assertTrue(refusal(folder).contains("is a folder"));
        assertTrue(refusal(folder.resolve("a".repeat(252) + ".png")).contains("256 bytes"));
        assertTrue(refusal(folder.resolve("ü".repeat(126) + ".png")).contains("256 bytes"));
        assertTrue(refusal(Path.of("")).contains("names no file"));
        assertEquals(List.of(plain), files());
    }

    @Test
    void checkRefusesWhatIsNoRegularFile() {
        // Moving a picture into place would replace the device.
        assertTrue(refusal(Path.of("/dev/full")).contains("device or pipe"));
        assertTrue(Files.exists(Path.of("/dev/full")));
    }

    @Test
    void checkRefusesReadOnlyFolder() {
        // /proc refuses new files to root as well.
        String message = refusal(Path.of("/proc/a.png"));
        assertTrue(message.contains("/proc"), message);
    }

    @Test
    void checkComparesWithFreeSpace() {
        OutputException e =
                assertThrows(
                        OutputException.class,
                        () ->
                                PictureEncoding.PNG.check(
                                        folder.resolve("a.png"),
                                        Integer.MAX_VALUE,
                                        Integer.MAX_VALUE));
        assertTrue(e.getMessage().contains("bytes free"), e.getMessage());
    }

    @Test
    void checkLeavesExistingFileAlone() throws IOException {
        Path file = Files.writeString(folder.resolve("a.png"), "old");
        PictureEncoding.PNG.check(file, 16, 16);
        assertEquals("old", Files.readString(file));
        assertEquals(List.of(file), files());
    }

    @Test
    void linkIsKeptAndItsTargetReplaced() throws IOException {
        Path target = Files.writeString(folder.resolve("target.png"), "old");
        Path link = Files.createSymbolicLink(folder.resolve("link.png"), target);
        PictureEncoding.PNG.write(link, 1, 1, MemorySegment.ofArray(new byte[3]), "", () -> false);
        assertTrue(Files.isSymbolicLink(link));
        assertEquals(1, ImageIO.read(new File(target.toString())).getWidth());
    }

    @Test
    void wrongNumberOfPixelsIsRefused() {
        IllegalArgumentException e =
                assertThrows(
                        IllegalArgumentException.class,
                        () ->
                                PictureEncoding.PNG.write(
                                        folder.resolve("a.png"),
                                        2,
                                        2,
                                        MemorySegment.ofArray(new byte[11]),
                                        "",
                                        () -> false));
        assertEquals("11 bytes are no RGB8 picture of 2x2", e.getMessage());
    }

    @Test
    void asciiTextIsFoundInTheBytes() throws IOException {
        Path file = folder.resolve("a.png");
        PictureEncoding.PNG.write(
                file, 1, 1, MemorySegment.ofArray(new byte[3]), "red ball", () -> false);
        String bytes = new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1);
        assertTrue(bytes.contains("tEXtparameters\0red ball"));
    }
}
