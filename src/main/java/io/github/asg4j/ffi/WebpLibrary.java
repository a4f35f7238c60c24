// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.asg4j.OutputException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.net.URL;
import java.nio.file.Path;
import java.util.OptionalInt;

/**
 * The encoder of libwebp, which is looked for in this order:
 *
 * <ol>
 *   <li>the file that the system property {@value #PATH_PROPERTY} names, and then nothing else: a
 *       libwebp.so.7, or another library that exports libwebp's functions;
 *   <li>JavaCPP's build of leptonica, {@value #ARTIFACT} with the classifier linux-x86_64, which holds all
 *       of libwebp 1.6.0. Copied to a private temporary folder that is deleted as soon as the library is
 *       open. None of JavaCPP's classes are used.
 * </ol>
 *
 * Thread-safe; the library stays open until the process ends.
 */
public final class WebpLibrary {
    public static final String PATH_PROPERTY = "asg.webp.path";
    static final String ARTIFACT = "org.bytedeco:leptonica:1.87.0-1.5.13";
    private static final String RESOURCE = "org/bytedeco/leptonica/linux-x86_64/libleptonica.so.6";

    private static @Nullable WebpLibrary loaded;

    private final String origin;
    private final MethodHandle version;
    private final MethodHandle encode;
    private final MethodHandle encodeLossless;
    private final MethodHandle free;

    private WebpLibrary(SymbolLookup symbols, String origin) throws NativeLoadException {
        this.origin = origin;
        version = function(symbols, "WebPGetEncoderVersion", FunctionDescriptor.of(JAVA_INT));
        encode =
                function(
                        symbols,
                        "WebPEncodeRGB",
                        FunctionDescriptor.of(
                                JAVA_LONG,
                                ADDRESS,
                                JAVA_INT,
                                JAVA_INT,
                                JAVA_INT,
                                JAVA_FLOAT,
                                ADDRESS));
        encodeLossless =
                function(
                        symbols,
                        "WebPEncodeLosslessRGB",
                        FunctionDescriptor.of(
                                JAVA_LONG, ADDRESS, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS));
        free = function(symbols, "WebPFree", FunctionDescriptor.ofVoid(ADDRESS));
    }

    /**
     * Opens the library, once in the process.
     *
     * @throws NativeLoadException that says what to install
     */
    public static synchronized WebpLibrary load() throws NativeLoadException {
        WebpLibrary library = loaded;
        if (library == null) {
            library =
                    load(
                            System.getProperty(PATH_PROPERTY, ""),
                            WebpLibrary.class.getClassLoader().getResource(RESOURCE));
            loaded = library;
        }
        return library;
    }

    /**
     * @param path of the property; empty: not set
     * @param resource of the artifact; null: it is not there
     */
    static WebpLibrary load(String path, @Nullable URL resource) throws NativeLoadException {
        if (!path.isEmpty()) {
            return new WebpLibrary(NativeLoader.openNamed(PATH_PROPERTY, path), path);
        }
        if (resource == null) {
            throw new NativeLoadException(
                    "libwebp is not on the class path; add the artifact "
                            + ARTIFACT
                            + " with the classifier linux-x86_64, or name a libwebp.so.7 (Debian's"
                            + " package libwebp7) with -D"
                            + PATH_PROPERTY
                            + "=FILE",
                    null);
        }
        Path temporary = Path.of(System.getProperty("java.io.tmpdir"));
        return new WebpLibrary(
                NativeLoader.openCopy(resource, RESOURCE, temporary), "the artifact leptonica");
    }

    private static MethodHandle function(
            SymbolLookup symbols, String name, FunctionDescriptor descriptor)
            throws NativeLoadException {
        return NativeLoader.link(symbols, "the library", name, descriptor, "name a libwebp.so.7");
    }

    /** Where the library came from. */
    public String origin() {
        return origin;
    }

    /** Returns libwebp's version, such as "1.6.0". */
    public String version() {
        int number;
        try {
            number = (int) version.invokeExact();
        } catch (Throwable e) {
            throw unexpected(e);
        }
        return (number >> 16) + "." + (number >> 8 & 255) + "." + (number & 255);
    }

    /**
     * Encodes a picture with libwebp's usual settings (method 4, one thread).
     *
     * @param rgb RGB8, row-major, off-heap
     * @param width pixels, up to 16383
     * @param height pixels, up to 16383
     * @param quality 0..100; empty: lossless
     * @param arena owns the result
     * @return a file of one picture and nothing else (RFC 9649, simple file format)
     * @throws OutputException if there is not enough memory
     */
    public MemorySegment encode(
            MemorySegment rgb, int width, int height, OptionalInt quality, Arena arena) {
        Sizes.requireExtent(width, "encode", "width");
        Sizes.requireExtent(height, "encode", "height");
        int stride = Math.multiplyExact(3, width);
        Sizes.requireBytes(rgb, Sizes.times(stride, height), "encode", "rgb");
        MemorySegment output = arena.allocate(ADDRESS);
        long bytes;
        try {
            bytes =
                    quality.isPresent()
                            ? (long)
                                    encode.invokeExact(
                                            rgb,
                                            width,
                                            height,
                                            stride,
                                            (float) quality.getAsInt(),
                                            output)
                            : (long) encodeLossless.invokeExact(rgb, width, height, stride, output);
        } catch (Throwable e) {
            throw unexpected(e);
        }
        if (bytes == 0) {
            throw new OutputException(
                    "libwebp cannot encode a picture of "
                            + width
                            + "x"
                            + height
                            + " pixels: it has not enough memory; free some, or write it as png");
        }
        return owned(output.get(ADDRESS, 0), bytes, arena);
    }

    @SuppressWarnings("restricted")
    private MemorySegment owned(MemorySegment coded, long bytes, Arena arena) {
        return coded.reinterpret(
                bytes,
                arena,
                segment -> {
                    try {
                        free.invokeExact(segment);
                    } catch (Throwable e) {
                        throw unexpected(e);
                    }
                });
    }

    private static IllegalStateException unexpected(Throwable e) {
        return new IllegalStateException("a call of libwebp failed", e);
    }
}
