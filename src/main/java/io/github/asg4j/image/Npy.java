// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.OutputException;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.ReadableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * NumPy's .npy files, format versions 1.0 and 2.0, little-endian and row-major, to and from
 * off-heap memory. Thread-safe.
 */
public final class Npy {
    private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y'};

    /** The header is padded so that the data starts on this boundary. */
    private static final int ALIGNMENT = 64;

    /** A header of a plain array has about 100 bytes. */
    private static final int MAX_HEADER_BYTES = 1 << 16;

    private static final int CHUNK_BYTES = 1 << 16;

    private static final Pattern DESCR = key("descr", "(?:'([^']*)'|\"([^\"]*)\"|(\\[.*?\\]))");
    private static final Pattern FORTRAN = key("fortran_order", "(True|False)");
    private static final Pattern SHAPE = key("shape", "\\(([^)]*)\\)");

    private Npy() {}

    /** Element types that are read and written. */
    public enum Type {
        FLOAT32("<f4", 4),
        FLOAT64("<f8", 8),
        INT64("<i8", 8);

        private final String descr;
        private final int bytes;

        Type(String descr, int bytes) {
            this.descr = descr;
            this.bytes = bytes;
        }
    }

    /**
     * An array as read.
     *
     * @param data row-major, little-endian elements, owned by whoever owns the allocator's memory
     */
    public record Array(Type type, long[] shape, MemorySegment data) {}

    /**
     * Reads a file.
     *
     * @param type element type the file has to have
     * @param allocator gives the memory for the elements; asked only after header and file size
     *     were found to agree
     * @throws BadRequestException if the file is missing, is no .npy file, or holds something else
     */
    public static Array read(Path file, Type type, SegmentAllocator allocator) {
        return read(Content.file(file), type, allocator);
    }

    /** Reads what a file holds; as {@link #read(Path, Type, SegmentAllocator)}. */
    public static Array read(Content file, Type type, SegmentAllocator allocator) {
        try (ReadableByteChannel channel = file.open()) {
            return read(file.toString(), channel, file.size(), type, allocator);
        } catch (NoSuchFileException e) {
            throw new BadRequestException(
                    "there is no file '" + file + "': check the name of the .npy file", e);
        } catch (EOFException e) {
            throw new BadRequestException(
                    "'" + file + "' ends in the middle of its header: save it again", e);
        } catch (IOException e) {
            throw new BadRequestException(
                    "cannot read '"
                            + file
                            + "' ("
                            + e.getMessage()
                            + "): check that it is a readable .npy file",
                    e);
        }
    }

    /**
     * Reads the content of a file that is in memory; as {@link #read(Path, Type, SegmentAllocator)}.
     *
     * @param name of the file, for messages
     */
    public static Array read(String name, byte[] npy, Type type, SegmentAllocator allocator) {
        try (ReadableByteChannel channel = Channels.newChannel(new ByteArrayInputStream(npy))) {
            return read(name, channel, npy.length, type, allocator);
        } catch (IOException e) {
            throw new BadRequestException(
                    "'" + name + "' ends in the middle of its header: save it again", e);
        }
    }

    private static Array read(
            String file,
            ReadableByteChannel channel,
            long size,
            Type type,
            SegmentAllocator allocator)
            throws IOException {
        Header header = header(file, channel);
        String descr = find(DESCR, header.text(), file, "descr");
        if (!descr.equals(type.descr)) {
            throw bad(
                    file,
                    "holds elements of type '"
                            + descr
                            + "', needed is '"
                            + type.descr
                            + "': convert with numpy.asarray(a, dtype='"
                            + type.descr
                            + "')");
        }
        if (find(FORTRAN, header.text(), file, "fortran_order").equals("True")) {
            throw bad(
                    file,
                    "is in Fortran order: save numpy.ascontiguousarray(a) to have it row by row");
        }
        long[] shape = shape(find(SHAPE, header.text(), file, "shape"), file);
        long bytes = bytes(shape, type, file);
        long found = size - header.bytes();
        if (found != bytes) {
            throw bad(
                    file,
                    "has "
                            + found
                            + " bytes of data, its shape "
                            + Arrays.toString(shape)
                            + " needs "
                            + bytes
                            + ": the file is damaged, save it again");
        }
        MemorySegment data = allocator.allocate(bytes, type.bytes).asSlice(0, bytes);
        for (long at = 0; at < bytes; ) {
            long count = Math.min(CHUNK_BYTES, bytes - at);
            readFully(channel, data.asSlice(at, count).asByteBuffer());
            at += count;
        }
        return new Array(type, shape, data);
    }

    /**
     * Writes a file of format version 1.0; an existing one is replaced when the new one is complete.
     *
     * @param data row-major, little-endian elements: exactly the product of {@code shape}
     * @throws OutputException if the file cannot be written
     */
    public static void write(Path file, Type type, MemorySegment data, long... shape) {
        checkShape(type, data, shape);
        OutputFile.write(file, out -> write(out, type, data, shape));
    }

    /**
     * What a file of {@link #write(Path, Type, MemorySegment, long...)} holds.
     *
     * @throws IllegalArgumentException if the data are not of that shape
     */
    public static byte[] bytes(Type type, MemorySegment data, long... shape) {
        checkShape(type, data, shape);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try {
            write(out, type, data, shape);
        } catch (IOException e) {
            throw new UncheckedIOException("an array does not fail", e);
        }
        return out.toByteArray();
    }

    private static void checkShape(Type type, MemorySegment data, long[] shape) {
        if (data.byteSize() != bytes(shape, type, "the array")) {
            throw new IllegalArgumentException(
                    data.byteSize()
                            + " bytes are no "
                            + type
                            + " array of shape "
                            + Arrays.toString(shape));
        }
    }

    private static void write(OutputStream out, Type type, MemorySegment data, long[] shape)
            throws IOException {
        StringBuilder extents = new StringBuilder();
        for (long extent : shape) {
            extents.append(extents.isEmpty() ? "" : ", ").append(extent);
        }
        String comma = shape.length == 1 ? "," : "";
        String dictionary =
                "{'descr': '"
                        + type.descr
                        + "', 'fortran_order': False, 'shape': ("
                        + extents
                        + comma
                        + "), }";
        int prefix = MAGIC.length + 2 + 2;
        int length = roundUp(prefix + dictionary.length() + 1) - prefix;
        byte[] header = new byte[prefix + length];
        ByteBuffer.wrap(header)
                .order(ByteOrder.LITTLE_ENDIAN)
                .put(MAGIC)
                .put((byte) 1)
                .put((byte) 0)
                .putShort((short) length)
                .put(dictionary.getBytes(StandardCharsets.US_ASCII));
        Arrays.fill(header, prefix + dictionary.length(), header.length - 1, (byte) ' ');
        header[header.length - 1] = '\n';
        out.write(header);

        byte[] chunk = new byte[CHUNK_BYTES];
        for (long at = 0; at < data.byteSize(); ) {
            int size = (int) Math.min(chunk.length, data.byteSize() - at);
            MemorySegment.copy(data, ValueLayout.JAVA_BYTE, at, chunk, 0, size);
            out.write(chunk, 0, size);
            at += size;
        }
    }

    private static int roundUp(int bytes) {
        return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    /** The header's dictionary, and the bytes of the file before the first element. */
    private record Header(String text, long bytes) {}

    /** Leaves the channel at the first element. */
    private static Header header(String file, ReadableByteChannel channel) throws IOException {
        byte[] magic = read(channel, MAGIC.length + 2);
        if (!Arrays.equals(magic, 0, MAGIC.length, MAGIC, 0, MAGIC.length)) {
            throw bad(file, "is no .npy file: it has to be written by numpy.save");
        }
        int version = magic[MAGIC.length];
        if ((version != 1 && version != 2) || magic[MAGIC.length + 1] != 0) {
            throw bad(
                    file,
                    "has .npy format "
                            + version
                            + "."
                            + magic[MAGIC.length + 1]
                            + ", readable are 1.0 and 2.0: save a plain array with numpy.save");
        }
        int sizeBytes = version == 1 ? 2 : 4;
        ByteBuffer size = ByteBuffer.wrap(read(channel, sizeBytes)).order(ByteOrder.LITTLE_ENDIAN);
        long length =
                version == 1
                        ? Short.toUnsignedInt(size.getShort())
                        : Integer.toUnsignedLong(size.getInt());
        if (length > MAX_HEADER_BYTES) {
            throw bad(
                    file,
                    "has a header of "
                            + length
                            + " bytes, the limit is "
                            + MAX_HEADER_BYTES
                            + ": save a plain array with numpy.save");
        }
        String text = new String(read(channel, (int) length), StandardCharsets.ISO_8859_1);
        return new Header(text, magic.length + sizeBytes + length);
    }

    private static byte[] read(ReadableByteChannel channel, int count) throws IOException {
        byte[] result = new byte[count];
        readFully(channel, ByteBuffer.wrap(result));
        return result;
    }

    private static void readFully(ReadableByteChannel channel, ByteBuffer target)
            throws IOException {
        while (target.hasRemaining()) {
            if (channel.read(target) < 0) {
                throw new EOFException("end of file");
            }
        }
    }

    private static long[] shape(String text, String file) {
        String[] extents = text.isBlank() ? new String[0] : text.strip().split("\\s*,\\s*");
        long[] shape = new long[extents.length];
        for (int axis = 0; axis < shape.length; axis++) {
            try {
                shape[axis] = Long.parseLong(extents[axis]);
            } catch (NumberFormatException e) {
                shape[axis] = -1;
            }
            if (shape[axis] < 0) {
                throw bad(
                        file,
                        "has the shape ("
                                + text
                                + "), which is none: save a plain array with"
                                + " numpy.save");
            }
        }
        return shape;
    }

    private static long bytes(long[] shape, Type type, String file) {
        long bytes = type.bytes;
        try {
            for (long extent : shape) {
                bytes = Math.multiplyExact(bytes, extent);
            }
        } catch (ArithmeticException e) {
            throw bad(
                    file,
                    "has the shape "
                            + Arrays.toString(shape)
                            + ": more than "
                            + Long.MAX_VALUE
                            + " bytes; the file is damaged, save it again");
        }
        return bytes;
    }

    private static Pattern key(String name, String value) {
        return Pattern.compile("['\"]" + name + "['\"]\\s*:\\s*" + value);
    }

    private static String find(Pattern pattern, String header, String file, String name) {
        Matcher matcher = pattern.matcher(header);
        if (matcher.find()) {
            for (int group = 1; group <= matcher.groupCount(); group++) {
                String value = matcher.group(group);
                if (value != null) {
                    return value;
                }
            }
        }
        throw bad(
                file,
                "has no '"
                        + name
                        + "' in its header '"
                        + header.strip()
                        + "': save a plain array with numpy.save");
    }

    private static BadRequestException bad(String file, String what) {
        return new BadRequestException("'" + file + "' " + what);
    }
}
