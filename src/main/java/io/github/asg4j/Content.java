// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import io.github.asg4j.image.Npy;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.Channels;
import java.nio.channels.ReadableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Objects;

/**
 * A start picture or start latents that a request brings along: a file, which is read when the
 * picture is drawn, or bytes. Immutable; two are equal if they name the same file or hold the same
 * bytes.
 */
public sealed interface Content {

    /** Most bytes of a content that is read into memory. */
    long MAX_BYTES = 1L << 30;

    /** The file at {@code path}; whether it is there is seen when it is read. */
    static Content file(Path path) {
        return new OfFile(path);
    }

    /** A copy of {@code bytes}, which are what a file would hold. */
    static OfBytes bytes(byte[] bytes) {
        return new OfBytes(bytes.clone());
    }

    /**
     * A copy of a segment's bytes, which are what a file would hold; the segment may be freed
     * afterwards.
     *
     * @throws BadRequestException if there are more than {@link #MAX_BYTES}
     */
    static Content bytes(MemorySegment bytes) {
        checkSize(bytes.byteSize());
        return new OfBytes(bytes.toArray(ValueLayout.JAVA_BYTE));
    }

    /**
     * A copy of an array of floats, to start from: for {@link GenerationRequest.Builder#latents}. The
     * segment may be freed afterwards.
     *
     * @param data float32, row-major, as many as the product of {@code shape}
     * @param shape extents from the outermost on, as in {@code 1, 4, 32, 32}
     * @throws BadRequestException if size and shape do not agree, or there are more than {@link
     *     #MAX_BYTES}
     */
    static Content floats(MemorySegment data, long... shape) {
        checkSize(data.byteSize());
        try {
            return new OfBytes(Npy.bytes(Npy.Type.FLOAT32, data, shape));
        } catch (IllegalArgumentException e) {
            throw new BadRequestException(
                    data.byteSize()
                            + " bytes are no floats of shape "
                            + Arrays.toString(shape)
                            + ": four bytes for each",
                    e);
        }
    }

    /**
     * What standard input holds, which is read to its end, once in a process.
     *
     * @throws BadRequestException if it is empty, longer than {@link #MAX_BYTES} or cannot be read
     */
    static Content standardInput() {
        return StandardInput.content();
    }

    /** Number of bytes. */
    long size() throws IOException;

    /** The bytes, to be closed by the caller. */
    ReadableByteChannel open() throws IOException;

    /**
     * All bytes.
     *
     * @throws BadRequestException if there are more than {@link #MAX_BYTES}
     */
    default byte[] read() throws IOException {
        checkSize(size());
        try (InputStream in = Channels.newInputStream(open())) {
            return in.readAllBytes();
        }
    }

    /** SHA-256 of the bytes, 64 hexadecimal digits. */
    String sha256() throws IOException;

    /** Name without folders, as it is told in a picture's text. */
    String name();

    private static String hash(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    private static void checkSize(long bytes) {
        if (bytes > MAX_BYTES) {
            throw new BadRequestException(
                    bytes
                            + " bytes are more than "
                            + MAX_BYTES
                            + ", the limit: a start picture need not be larger than what is drawn");
        }
    }

    /**
     * A file.
     *
     * @param path relative to the working directory, or absolute
     */
    record OfFile(Path path) implements Content {
        public OfFile {
            Objects.requireNonNull(path, "path");
        }

        @Override
        public long size() throws IOException {
            return Files.size(path);
        }

        @Override
        public ReadableByteChannel open() throws IOException {
            return Files.newByteChannel(path);
        }

        @Override
        public String sha256() throws IOException {
            return hash(read());
        }

        @Override
        public String name() {
            return String.valueOf(path.getFileName());
        }

        /** The path. */
        @Override
        public String toString() {
            return path.toString();
        }
    }

    /** Bytes in memory. */
    final class OfBytes implements Content {
        private static final int NAME_DIGITS = 16;

        private final byte[] bytes;
        private final String sha256;

        private OfBytes(byte[] bytes) {
            this.bytes = bytes;
            sha256 = hash(bytes);
        }

        @Override
        public String sha256() {
            return sha256;
        }

        @Override
        public long size() {
            return bytes.length;
        }

        @Override
        public ReadableByteChannel open() {
            return Channels.newChannel(new ByteArrayInputStream(bytes));
        }

        /** The bytes as base64, without line breaks. */
        String base64() {
            return Base64.getEncoder().encodeToString(bytes);
        }

        /** First digits of the SHA-256, as in "sha256:9f86d081884c7d65". */
        @Override
        public String name() {
            return "sha256:" + sha256.substring(0, NAME_DIGITS);
        }

        @Override
        public String toString() {
            return name();
        }

        @Override
        public boolean equals(@Nullable Object other) {
            return other instanceof OfBytes that && sha256.equals(that.sha256);
        }

        @Override
        public int hashCode() {
            return sha256.hashCode();
        }
    }
}
