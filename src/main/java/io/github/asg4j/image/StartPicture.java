// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.device.Memory;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.NoSuchFileException;
import java.util.Arrays;

/**
 * A picture to start from, read from a PNG, JPEG, WebP, GIF, BMP or TIFF file or its bytes: upright, as its EXIF
 * orientation says, and sRGB with 8 bits, to which other depths and colour spaces are converted by
 * what the file says about them (ICC profile; in PNG also cICP, gAMA and cHRM). Grey becomes three
 * equal channels, inks become light, transparent pixels are put over white. Needs no display.
 * Immutable; the pixels live as long as the memory that they were read into.
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

    private static final System.Logger LOG = System.getLogger(StartPicture.class.getName());
    private static final int CHANNELS = 3;

    /** Alpha below this share of opaque is worth a line. */
    private static final double NEARLY_OPAQUE = 249.5 / 255;

    /**
     * Reads a file; its format is told from its first bytes, not from its name. What is not as most
     * would expect, as transparency or further frames, is logged as a warning of one line.
     *
     * @param memory owns the pixels
     * @throws BadRequestException if the file is missing, of another format, damaged, too large or
     *     too small
     * @throws OutOfMemoryException if the heap cannot hold the picture while it is decoded
     */
    public static StartPicture read(Content file, Memory memory) {
        try {
            byte[] content = file.read();
            PictureFormat format =
                    PictureFormat.of(
                            Arrays.copyOf(
                                    content, Math.min(content.length, PictureFormat.START_BYTES)));
            if (!format.isRead()) {
                throw new BadRequestException(
                        "'"
                                + file
                                + "' is "
                                + format.spoken()
                                + ": a start picture is a "
                                + PictureFormat.READABLE
                                + " file, convert it to one");
            }
            DecodedPicture decoded =
                    new PictureDecoder(content, (w, h, bytes) -> checkSize(file, w, h, bytes))
                            .decode(format);
            return convert(file, decoded, memory);
        } catch (NoSuchFileException e) {
            throw new BadRequestException(
                    "there is no file '" + file + "': check the name of the start picture", e);
        } catch (EOFException e) {
            throw new BadRequestException(
                    "the picture '"
                            + file
                            + "' is cut off ("
                            + (e.getMessage() == null
                                    ? "it ends before its picture does"
                                    : e.getMessage())
                            + "): copy or save it again",
                    e);
        } catch (IOException | RuntimeException e) {
            if (e instanceof AsgException typed) {
                throw typed;
            }
            checkMemory(file, e);
            // The readers throw both for files that are wrong inside.
            throw new BadRequestException(
                    "cannot read the picture '"
                            + file
                            + "' ("
                            + reason(e)
                            + "): check that it is whole and readable, or save it again",
                    e);
        } catch (OutOfMemoryError e) {
            throw heapIsFull(file, e);
        }
    }

    private static String reason(Throwable e) {
        Throwable cause = e;
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        return cause.getMessage() == null
                ? cause.getClass().getSimpleName()
                : cause.getMessage().lines().findFirst().orElse("");
    }

    /** ImageIO's readers wrap what the heap throws into exceptions of theirs. */
    private static void checkMemory(Content file, Throwable e) {
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof OutOfMemoryError) {
                throw heapIsFull(file, cause);
            }
        }
    }

    private static OutOfMemoryException heapIsFull(Content file, Throwable e) {
        return new OutOfMemoryException(
                "the heap cannot hold the picture '"
                        + file
                        + "' while it is decoded: use a smaller one, or give Java more heap"
                        + " (ASG_JAVA_OPTS=-Xmx2g)",
                e);
    }

    private static void checkSize(Content file, int width, int height, int bytesPerPixel) {
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
        long bytes = (long) width * height * bytesPerPixel;
        long heap = Runtime.getRuntime().maxMemory();
        if (bytes > heap) {
            throw new OutOfMemoryException(
                    "the picture '"
                            + file
                            + "' takes "
                            + bytes
                            + " bytes of heap while it is decoded, Java has "
                            + heap
                            + ": use a smaller one, or give Java more heap (ASG_JAVA_OPTS=-Xmx2g)");
        }
    }

    private static StartPicture convert(Content file, DecodedPicture from, Memory memory) {
        int width = from.width();
        int height = from.height();
        MemorySegment rgb =
                memory.allocate((long) width * height * CHANNELS, "start picture " + file);
        short[] samples = new short[width * from.channels()];
        short[] converted = new short[width * CHANNELS];
        int[] alpha = new int[width];
        Orientation orientation = Orientation.of(from.orientation(), width, height);
        int leastAlpha = SrgbConversion.MAX;
        for (int y = 0; y < height; y++) {
            Arrays.fill(alpha, SrgbConversion.MAX);
            from.rows().read(y, samples, alpha);
            from.conversion().convert(samples, converted, width);
            for (int x = 0; x < width; x++) {
                leastAlpha = Math.min(leastAlpha, alpha[x]);
                long at = CHANNELS * orientation.index(x, y);
                for (int c = 0; c < CHANNELS; c++) {
                    int v = Short.toUnsignedInt(converted[CHANNELS * x + c]);
                    rgb.set(ValueLayout.JAVA_BYTE, at + c, overWhite(v, alpha[x]));
                }
            }
        }
        for (String note : from.notes()) {
            LOG.log(System.Logger.Level.WARNING, "the picture ''{0}'' {1}", file, note);
        }
        if (leastAlpha < NEARLY_OPAQUE * SrgbConversion.MAX) {
            LOG.log(
                    System.Logger.Level.WARNING,
                    "the picture ''{0}'' has transparent pixels: they are put over white",
                    file);
        }
        return new StartPicture(orientation.width(), orientation.height(), rgb);
    }

    /** A sample and its alpha, both of 16 bits, as 8 bits of an opaque pixel. */
    private static byte overWhite(int sample, int alpha) {
        long max = SrgbConversion.MAX;
        long v = sample * (long) alpha + max * (max - alpha);
        return (byte) ((v * 255 + max * max / 2) / (max * max));
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
