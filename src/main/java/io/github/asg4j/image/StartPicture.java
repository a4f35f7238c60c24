// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.device.Memory;

import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.IndexColorModel;
import java.awt.image.WritableRaster;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;

import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.ImageInputStream;
import javax.imageio.stream.MemoryCacheImageInputStream;

/**
 * A picture to start from, read from a PNG or JPEG file with ImageIO: sRGB with 8 bits, which other
 * depths and colour spaces are converted to. Grey becomes three equal channels. An alpha channel is
 * dropped where every pixel is opaque; anything else is refused, since no background is right for
 * all. A camera's orientation tag is ignored. Needs no display. Immutable; the pixels live as long
 * as the memory that they were read into.
 *
 * @param width pixels
 * @param height pixels
 * @param rgb uint8 [height, width, 3], off-heap
 */
@SuppressWarnings("exports") // the engine reads start pictures, into memory that it counts
public record StartPicture(int width, int height, MemorySegment rgb) {
    /** Longest side that is read, pixels. */
    public static final int MAX_SIDE = 16_384;

    /** Most pixels that are read: 256 MiB of heap while a picture is decoded. */
    public static final long MAX_PIXELS = 64L << 20;

    /** Shortest side that is read, pixels. */
    public static final int MIN_SIDE = 8;

    private static final int CHANNELS = 3;
    private static final byte[] PNG = {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    private static final byte[] JPEG = {(byte) 0xFF, (byte) 0xD8, (byte) 0xFF};

    /**
     * Reads a file; its format is told from its first bytes, not from its name.
     *
     * @param memory owns the pixels
     * @throws BadRequestException if the file is missing, of another format, damaged, too large or
     *     too small, or has transparent pixels
     * @throws OutOfMemoryException if the heap cannot hold the picture while it is decoded
     */
    public static StartPicture read(Path file, Memory memory) {
        try (InputStream in = new BufferedInputStream(Files.newInputStream(file))) {
            in.mark(PNG.length);
            byte[] start = in.readNBytes(PNG.length);
            in.reset();
            ImageReader reader = reader(format(file, start));
            try (ImageInputStream stream = new MemoryCacheImageInputStream(in)) {
                return convert(file, decode(file, reader, stream), memory);
            } finally {
                reader.dispose();
            }
        } catch (NoSuchFileException e) {
            throw new BadRequestException(
                    "there is no file '" + file + "': check the name of the start picture", e);
        } catch (IOException | RuntimeException e) {
            if (e instanceof io.github.asg4j.AsgException typed) {
                throw typed;
            }
            // The readers throw both for files that are cut off or wrong inside.
            throw new BadRequestException(
                    "cannot read the picture '"
                            + file
                            + "' ("
                            + e.getMessage()
                            + "): check that it is a readable PNG or JPEG file in RGB or grey, or"
                            + " save it again",
                    e);
        } catch (OutOfMemoryError e) {
            throw new OutOfMemoryException(
                    "the heap cannot hold the picture '"
                            + file
                            + "' while it is decoded: use a smaller one, or give Java more heap"
                            + " (ASG_JAVA_OPTS=-Xmx2g)",
                    e);
        }
    }

    private static String format(Path file, byte[] start) {
        if (Arrays.equals(start, PNG)) {
            return "png";
        }
        if (Arrays.equals(start, 0, Math.min(start.length, JPEG.length), JPEG, 0, JPEG.length)) {
            return "jpeg";
        }
        throw new BadRequestException(
                "'"
                        + file
                        + "' is neither a PNG nor a JPEG picture ("
                        + (start.length == 0
                                ? "it is empty"
                                : "it starts with " + HexFormat.ofDelimiter(" ").formatHex(start))
                        + "): convert it to one of them");
    }

    private static ImageReader reader(String format) {
        Iterator<ImageReader> readers = ImageIO.getImageReadersByFormatName(format);
        if (!readers.hasNext()) {
            throw new BadRequestException(
                    "this Java reads no "
                            + format
                            + " pictures: use a JDK that has the module java.desktop");
        }
        return readers.next();
    }

    private static BufferedImage decode(Path file, ImageReader reader, ImageInputStream stream)
            throws IOException {
        // Without metadata: compressed text chunks could hold any amount of it.
        reader.setInput(stream, true, true);
        int width = reader.getWidth(0);
        int height = reader.getHeight(0);
        checkSize(file, width, height);
        List<String> warnings = new ArrayList<>();
        reader.addIIOReadWarningListener((source, warning) -> warnings.add(warning));
        BufferedImage image = reader.read(0);
        if (!warnings.isEmpty()) {
            // A file that is cut off gives a grey rest and no more than a warning.
            throw new BadRequestException(
                    "the picture '"
                            + file
                            + "' is damaged ("
                            + warnings.getFirst()
                            + "): save it again");
        }
        return image;
    }

    private static void checkSize(Path file, int width, int height) {
        if (Math.min(width, height) < MIN_SIDE
                || Math.max(width, height) > MAX_SIDE
                || (long) width * height > MAX_PIXELS) {
            throw new BadRequestException(
                    "the picture '"
                            + file
                            + "' has "
                            + width
                            + "x"
                            + height
                            + " pixels: a start picture has "
                            + MIN_SIDE
                            + " to "
                            + MAX_SIDE
                            + " a side and at most "
                            + (MAX_PIXELS >> 20)
                            + " Mi in all; scale it to about the size that the model draws");
        }
    }

    private static StartPicture convert(Path file, BufferedImage image, Memory memory) {
        int width = image.getWidth();
        int height = image.getHeight();
        MemorySegment rgb =
                memory.allocate((long) width * height * CHANNELS, "start picture " + file);
        Rows rows = rows(image);
        int[] pixels = new int[width];
        byte[] row = new byte[CHANNELS * width];
        for (int y = 0; y < height; y++) {
            rows.read(y, pixels);
            for (int x = 0; x < width; x++) {
                if (pixels[x] >>> 24 != 255) {
                    throw new BadRequestException(
                            "the picture '"
                                    + file
                                    + "' has transparent pixels, the first at ("
                                    + x
                                    + ", "
                                    + y
                                    + "): put it on a background and save it without alpha");
                }
                row[3 * x] = (byte) (pixels[x] >> 16);
                row[3 * x + 1] = (byte) (pixels[x] >> 8);
                row[3 * x + 2] = (byte) pixels[x];
            }
            MemorySegment.copy(
                    row, 0, rgb, ValueLayout.JAVA_BYTE, (long) y * row.length, row.length);
        }
        return new StartPicture(width, height, rgb);
    }

    /** A picture as rows of 0xAARRGGBB in sRGB. */
    private interface Rows {
        void read(int y, int[] pixels);
    }

    private static Rows rows(BufferedImage image) {
        ColorModel model = image.getColorModel();
        boolean grey =
                !(model instanceof IndexColorModel)
                        && model.getColorSpace().getType() == ColorSpace.TYPE_GRAY;
        if (!grey) {
            return (y, pixels) -> image.getRGB(0, y, image.getWidth(), 1, pixels, 0, pixels.length);
        }
        // Java takes grey samples for linear light and would brighten them.
        WritableRaster raster = image.getRaster();
        int max = (1 << model.getComponentSize(0)) - 1;
        int alphaMax = model.hasAlpha() ? (1 << model.getComponentSize(1)) - 1 : 0;
        return (y, pixels) -> {
            for (int x = 0; x < pixels.length; x++) {
                int v = (raster.getSample(x, y, 0) * 255 + max / 2) / max;
                boolean opaque = alphaMax == 0 || raster.getSample(x, y, 1) == alphaMax;
                pixels[x] = (opaque ? 0xFF000000 : 0) | v << 16 | v << 8 | v;
            }
        };
    }

    /**
     * The picture as {@code v * scale + shift} of its bytes (SPEC §9): {@code 1 / 127.5} and -1 give
     * -1 to 1, {@code 1 / 255} and 0 give 0 to 1.
     *
     * @param memory owns the result
     * @return float32 [3, height, width]
     */
    public MemorySegment planes(Memory memory, float scale, float shift) {
        long area = (long) width * height;
        MemorySegment planes = memory.floats(CHANNELS * area, "start picture as floats");
        for (long i = 0; i < area; i++) {
            for (int c = 0; c < CHANNELS; c++) {
                float v = rgb.get(ValueLayout.JAVA_BYTE, CHANNELS * i + c) & 255;
                planes.setAtIndex(ValueLayout.JAVA_FLOAT, c * area + i, v * scale + shift);
            }
        }
        return planes;
    }
}
